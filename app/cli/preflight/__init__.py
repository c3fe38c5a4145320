"""Half an hour before the bell: is the night well, and if not, what to type next.

It asks a running gateway through its doors, as the person who is on call, and looks at this
machine where the gateway's data is here. Whatever does not answer stops nothing else; the trap is
a check that hangs at T-30, so every door has ten seconds, and one that refuses the line is asked
once.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlsplit

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, asking
from app.cli.asking.complete import markets
from app.cli.asking.metrics_page import read_metrics
from app.cli.asking.output import Ends, Failure, Output, print_out, printable, say
from app.cli.asking.problems import Problem, Unreachable
from app.cli.preflight.brokers import NIGHT, brokers_of, sessions_of
from app.cli.preflight.checks import Check, Heard, State, instant, looked, worst
from app.cli.preflight.house import HOUSE
from app.cli.preflight.numbers import NUMBERS

# A gateway that needs longer for any of these is itself what there is to look at.
WITHIN_S: Final = 10.0
FAILOVER_HOURS: Final = 24
# Word and shape, so that nobody needs colours.
SHAPES: Final[dict[State, str]] = {"ok": "●", "warn": "▲", "fail": "■", "unseen": "◌"}
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
# Of a check and not of a command: these say how the night is, so they are numbers of their own.
EXITS: Final[dict[State, int]] = {"unseen": 0, "ok": 0, "warn": 1, "fail": 2}


class _Asked:
    """Asks door after door, and keeps what each said."""

    def __init__(self, call: Call) -> None:
        self._client = call.client
        self.documents: dict[str, Any] = {}
        self.silent: dict[str, Failure] = {}
        self._gone = False

    def ask(self, name: str, question: Callable[[], Any]) -> None:
        """Put one question; once nobody takes the call, no other is put."""
        if self._gone:
            self.silent[name] = Failure(Ends.NOT_FOUND, "nobody takes the call")
            return
        try:
            self.documents[name] = question()
        except Failure as e:
            self.silent[name] = e
            self._gone = isinstance(e, Unreachable) and not e.maybe_sent

    def get(self, name: str, path: str) -> None:
        self.ask(name, lambda: self._client.get(path))

    def ready(self) -> Any:
        """Return whether orders are taken; "no" is an answer as well."""
        try:
            return self._client.get("/readyz")
        except Problem as e:
            if "reasons" not in e.document:
                raise
            return e.document


@asking(role="operator", timeout_s=WITHIN_S)
def preflight(
    call: Call,
    *,
    market: Annotated[
        str | None,
        typer.Option(
            help="Only this market's session, route and broker, a MIC.", autocompletion=markets
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="What could not be looked at is a warning.")
    ] = False,
) -> None:
    """Say before the bell whether the night is well, and what to do where it is not.

    Exit 0: all is well. 1: something to look at. 2: something stands in the way.

    \b
    Examples:
      openbell preflight
      openbell preflight --market XNYS --context prod -o json
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    heard = listened(call, market)
    checks = examined(call, heard)
    verdict = worst([check.state for check in checks])
    if strict and verdict == "ok" and any(check.state == "unseen" for check in checks):
        verdict = "warn"
    if call.screen.output is Output.JSON:
        call.show(document(call, heard, verdict, checks))
    else:
        for check in sorted(checks, key=lambda one: one.state == "unseen"):
            print_out("\n".join(_lines(check)))
        say(_summary(checks))
    raise typer.Exit(EXITS[verdict])


def examined(call: Call, heard: Heard) -> list[Check]:
    """Make every check of what the doors said, and of this machine where it is the gateway's."""
    checks = [one for table in (HOUSE, NUMBERS, NIGHT) for one in looked(heard, table)]
    return [*checks, *_of_this_machine(call)]


def listened(call: Call, market: str | None) -> Heard:
    """Ask every door that a check needs."""
    asked = _Asked(call)
    asked.ask("readyz", asked.ready)
    began = time()
    asked.get("overview", "/admin/v1/overview")
    ended = time()
    asked.get("lag", "/admin/v1/view/lag")
    asked.get("outbox", "/admin/v1/outbox")
    asked.get("config", "/admin/v1/config")
    asked.ask("metrics", lambda: read_metrics(call.client))
    asked.get("doubts", "/admin/v1/in-doubt")
    asked.get("anomalies", "/admin/v1/anomalies?state=open")
    asked.get("failovers", f"/admin/v1/failovers?hours={FAILOVER_HOURS}")
    asked.get("routes", "/admin/v1/routes")
    asked.get("keys", "/admin/v1/keys")
    overview = asked.documents.get("overview")
    skew_s = None
    if overview is not None:
        for name in brokers_of(overview, market):
            asked.get(f"session {name}", f"/admin/v1/brokers/{segment(name)}/session")
        for session in sessions_of(overview, market):
            name = session["trading_session_id"]
            asked.get(f"plan {name}", f"/admin/v1/sessions/{segment(name)}/plan")
            asked.get(f"release {name}", f"/admin/v1/sessions/{segment(name)}")
        skew_s = _skew_s(overview, began, ended)
    return Heard(asked.documents, asked.silent, market, skew_s)


def _skew_s(overview: Any, began: float, ended: float) -> float:
    """Return how far its clock and ours are apart at least: it answered at some moment between."""
    at = instant(overview["at"]).timestamp()
    half = (ended - began) / 2
    return max(0.0, abs(at - began - half) - half)


def _of_this_machine(call: Call) -> Iterator[Check]:
    """Look at the disk and the clock where the gateway's data lies beside us."""
    from datetime import UTC, datetime

    from app.cli.doctor import checkup

    host = urlsplit(call.target.url).hostname or ""
    ledger = call.data_dir / "ledger.db"
    if host not in LOOPBACK:
        why = f"not looked at: {host} is another machine"
        yield Check("disk and clock", "unseen", why, "openbell doctor, there")
        return
    yield _checked(checkup.clock_in_step(datetime.now(UTC).date()))
    if not ledger.exists():
        why = f"not looked at: {call.data_dir} has no ledger"
        yield Check("disk", "unseen", why, "name the gateway's data directory: --data-dir")
        return
    yield from _of_data(call.data_dir)


def _of_data(data_dir: Path) -> Iterator[Check]:
    from app.cli.doctor import checkup

    yield from (_checked(f) for f in checkup.data_directory(data_dir) if f.check == "disk")
    found = _checked(checkup.database_revision(data_dir))
    yield found._replace(check="revision")


def _checked(finding: Any) -> Check:
    states: dict[str, State] = {"ok": "ok", "note": "warn", "fail": "fail"}
    return Check(finding.check, states[finding.state], finding.found, finding.fix)


def _lines(check: Check) -> list[str]:
    lines = [f"{SHAPES[check.state]} {check.state:<6} {check.check:<16} {printable(check.found)}"]
    if check.next:
        lines.append(f"  {'':<6} {'':<16} next: {printable(check.next)}")
    return lines


class _Count(NamedTuple):
    state: State
    says: str


_COUNTS: Final = (
    _Count("fail", "in the way"),
    _Count("warn", "to look at"),
    _Count("unseen", "not looked at"),
)


def _summary(checks: list[Check]) -> str:
    states = [check.state for check in checks]
    told = [f"{states.count(one.state)} {one.says}" for one in _COUNTS if one.state in states]
    return f"{states.count('ok')} of {len(states)} well" + "".join(f", {text}" for text in told)


def document(call: Call, heard: Heard, verdict: State, checks: list[Check]) -> dict[str, Any]:
    """Return it all for a program; what was not looked at stands apart."""
    overview = heard.documents.get("overview") or {}
    return {
        "verdict": verdict,
        "gateway": call.target.url,
        "at": overview.get("at"),
        "market": heard.market,
        "checks": [check._asdict() for check in checks if check.state != "unseen"],
        "unseen": [check._asdict() for check in checks if check.state == "unseen"],
    }


assert EXITS["warn"] == Ends.FAILED_CHECK, "a warning ends like a check that failed"
