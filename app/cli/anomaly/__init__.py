"""Anomalies: what goes on, who has seen it, and how a program of one's own hears of it.

`watch` is a subscriber as any team would write it: it goes by the number of each event, forgets
what is too old, and commits what it has shown under a group of its own. On a cluster it reads the
topic; without one it asks the gateway each second, because the embedded bus has one owner. The
trap of a subscriber is an alarm about yesterday: look at `valid_until` first.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from itertools import count
from typing import Annotated, Any, Final

import typer

from app.cli.anomaly.rule import rule_app
from app.cli.asking.change import Grade, Hand, changes, seen_in
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, seconds_of, verb
from app.cli.asking.complete import open_anomalies
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.asking.output import Ends, Failure, print_out, say

app = typer.Typer(no_args_is_help=True, help="Anomalies: what goes on, who has seen it; raise one.")

app.add_typer(rule_app, name="rule")

ANOMALIES: Final = "/admin/v1/anomalies"
TOPIC: Final = "openbell.anomalies.v1"
COLUMNS: Final = (
    "anomaly_id",
    "state",
    "severity",
    "rule.id",
    "subject.kind",
    "subject.id",
    "opened_at",
    "acknowledged_by",
)
ASK_EVERY_S: Final = 1.0
WAIT_S: Final = 5.0
BATCH_MAX: Final = 500
Turns = AsyncGenerator[dict[str, Any], None]
AnomalyId = Annotated[
    str,
    typer.Argument(help="Which one.", metavar="ANOMALY_ID", autocompletion=open_anomalies),
]
AN_ID: Final = "an_01KAPK5R00W7D3Q8ZC1VYBX4N9"


class Severity(StrEnum):
    """How loud."""

    WARNING = "warning"
    CRITICAL = "critical"


class State(StrEnum):
    """Which of them."""

    OPEN = "open"
    RESOLVED = "resolved"


@verb(app, "list", role="operator", examples=("anomaly list", "anomaly list --state open -o json"))
def list_(
    call: Call,
    *,
    state: Annotated[State | None, typer.Option(help="Only these.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 100,
) -> None:
    """List anomalies, the newest first; those that go on, the oldest first."""
    found = call.get(ANOMALIES, state=state and state.value, limit=limit)["data"]
    call.show(found, *COLUMNS)


@verb(app, "get", role="operator", examples=(f"anomaly get {AN_ID}", f"anomaly get {AN_ID} --json"))
def get(call: Call, *, anomaly_id: AnomalyId) -> None:
    """Show one: what was observed, against which threshold, and what to do."""
    call.show(call.get(f"{ANOMALIES}/{segment(anomaly_id)}"))


@changes(
    app,
    "ack",
    grade=Grade.NOTHING,
    examples=(
        f'anomaly ack {AN_ID} --reason "mina looks at it"',
        f'anomaly ack {AN_ID} --reason "known, OPS-12" --silence 1h',
    ),
)
def ack(
    hand: Hand,
    *,
    anomaly_id: AnomalyId,
    reason: Reason,
    silence: Annotated[
        str | None, typer.Option(metavar="1h", help="And tell no person for so long.")
    ] = None,
) -> None:
    """Say that somebody has seen it."""
    path = f"{ANOMALIES}/{segment(anomaly_id)}"
    ttl_s = seconds_of(silence)
    told = hand.sent("POST", f"{path}/ack", {"reason": reason}, seen=path, name=anomaly_id)
    if ttl_s is not None:
        body = {"ttl_s": ttl_s, "reason": reason}
        told = hand.sent("POST", f"{path}/silence", body, seen=seen_in(told), name=anomaly_id)
    hand.call.show(told)


@changes(
    app,
    "raise",
    grade=Grade.NOTHING,
    examples=(
        'anomaly raise broker/atlas --reason "their desk says that they are down"',
        'anomaly raise route/XNYS --severity critical --drill --reason "friday drill"',
    ),
)
def raise_(  # noqa: PLR0913 - what is said of it
    hand: Hand,
    *,
    subject: Annotated[str, typer.Argument(help="Whom it is about: broker/ID, route/ID.")],
    reason: Reason,
    name: Annotated[str, typer.Option(help="What to call it, after `manual.`.")] = "raised",
    severity: Annotated[Severity, typer.Option(help="How loud.")] = Severity.WARNING,
    drill: Annotated[bool, typer.Option("--drill", help="It is only a trial.")] = False,
    expires: Annotated[str, typer.Option(metavar="1h", help="Act on it no longer than so.")] = "1h",
) -> None:
    """Raise one by hand, for all who listen."""
    body = {
        "subject": subject,
        "name": name,
        "severity": severity.value,
        "drill": drill,
        "ttl_s": seconds_of(expires),
        "reason": reason,
    }
    hand.turn("POST", ANOMALIES, body, seen="", name=subject)


declare(
    app,
    Thing(
        "anomaly",
        "anomaly_id",
        AnomalyId,
        lambda _, name: f"{ANOMALIES}/{segment(name)}",
        AN_ID,
    ),
    Deed(
        "resolve",
        "End one that a person or another system has raised.",
        ("the drill is over", "their alarm is gone"),
    ),
)


@verb(
    app,
    "watch",
    role="operator",
    examples=("anomaly watch", "anomaly watch --group my-team --drills"),
)
def watch(
    call: Call,
    *,
    group: Annotated[
        str | None,
        typer.Option(help="Read the topic on Kafka, as this group.", show_default=False),
    ] = None,
    drills: Annotated[bool, typer.Option("--drills", help="Drills too.")] = False,
    seconds: Annotated[
        int, typer.Option("--for", min=0, help="So many seconds; 0: until Ctrl-C.")
    ] = 0,
) -> None:
    """Print each turn of an anomaly as a line of JSON, beginning with what goes on."""
    import json

    shown = 0
    told = _asked(call, seconds) if group is None else _read(call, group, seconds)
    for anomaly in told:
        if drills or not anomaly.get("drill"):
            print_out(json.dumps(anomaly, ensure_ascii=False))
            shown += 1
    say(f"{shown} turns")


class Seen:
    """What a subscriber must remember: the last event about each thing; and what is too old."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._last: dict[str, int] = {}

    def is_news(self, about: str, number: int, document: dict[str, Any]) -> bool:
        """Return whether this is to be acted on; a repeated or an old event is not."""
        if number <= self._last.get(about, 0):
            return False
        self._last[about] = number
        valid_until = document.get("valid_until")
        if valid_until is None or document.get("state") == "resolved":
            return True
        return datetime.fromisoformat(valid_until) >= self._now()


def _asked(call: Call, seconds: int) -> Iterator[dict[str, Any]]:
    """Ask the gateway each second, and yield what has changed."""
    known: dict[str, dict[str, Any]] = {}
    for _ in range(seconds + 1) if seconds else count():
        going_on = {a["anomaly_id"]: a for a in call.get(ANOMALIES, state="open")["data"]}
        over = [name for name in known if name not in going_on]
        for anomaly in going_on.values():
            if _marks(anomaly) != _marks(known.get(anomaly["anomaly_id"])):
                yield anomaly
        for name in over:
            yield call.get(f"{ANOMALIES}/{segment(name)}")
        known = going_on
        call.client.pause(ASK_EVERY_S)


def _marks(anomaly: dict[str, Any] | None) -> object:
    """Return what makes a line worth printing again."""
    if anomaly is None:
        return None
    names = ("state", "severity", "drill", "acknowledged_by", "silenced_until")
    return [anomaly.get(name) for name in names]


def _read(call: Call, group: str, seconds: int) -> Iterator[dict[str, Any]]:
    """Yield what the topic says, as a group of one's own."""
    from app.clock import SystemClock
    from app.ports.away import StoreAway
    from app.settings import read_settings

    try:
        settings = read_settings(data_dir=call.data_dir)
    except ValueError as e:
        raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from e
    if settings.kafka is None:
        raise Failure(
            Ends.USAGE,
            "--group reads the topic on a cluster, and the settings name none",
            advice="set OPENBELL_KAFKA, or leave --group out",
        )
    from app.bus.kafka import KafkaBus

    with asyncio.Runner() as runner:
        bus = KafkaBus(settings.kafka, SystemClock())
        told = subscribed(bus, group, seconds)
        try:
            runner.run(bus.start())
            while True:
                yield runner.run(_next(told))
        except StopAsyncIteration:
            return
        except StoreAway as e:
            raise Failure(Ends.UNREACHABLE, "the bus does not answer", why=str(e)) from e
        finally:
            runner.run(told.aclose())
            runner.run(bus.close())


async def _next(told: Turns) -> dict[str, Any]:
    return await anext(told)


async def subscribed(bus: Any, group: str, seconds: int) -> Turns:
    """Yield each event's document, and commit what was taken: this is all of a subscriber."""
    import json

    loop, seen = asyncio.get_running_loop(), Seen()
    ends_at = loop.time() + seconds
    while not seconds or loop.time() < ends_at:
        records = await bus.poll(TOPIC, group, BATCH_MAX)
        for record in records:
            event = record.event
            about, _, number = event.event_id.rpartition("-")
            try:
                document, place = json.loads(event.payload), int(number)
            except ValueError:  # nothing of ours; whoever wrote it, it is not for us
                continue
            if isinstance(document, dict) and seen.is_news(about, place, document):
                yield {"type": event.type, **document}
        if records:
            await bus.commit(TOPIC, group, records)
        else:
            await bus.wait(TOPIC, group, min(WAIT_S, seconds or WAIT_S))
