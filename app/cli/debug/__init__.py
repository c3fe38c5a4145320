"""What a ticket needs to be understood by whoever was not there, and nothing that opens a door.

It asks the running gateway and reads this machine. A gateway that is away is the best reason to
make a bundle: what cannot be had is listed in it, and stops nothing.
"""

from functools import partial
from pathlib import Path
from secrets import token_bytes
from typing import Annotated, Any, Final, NamedTuple

import typer

from app.cli.asking import contexts
from app.cli.asking.command import Call, seconds_of, verb
from app.cli.asking.output import Ends, Failure, Output, print_out, say
from app.cli.asking.progress import working
from app.cli.debug.bundle import PART_S, Bundle, make
from app.clock import SystemClock
from app.domain.values import rfc3339

app = typer.Typer(no_args_is_help=True, help="Debug: a ticket's archive, an order's story.")

AUDIT_ROWS: Final = 500


@app.callback()
def _debug() -> None:
    """Debug: a ticket's archive, an order's story."""


@verb(
    app,
    "bundle",
    role="operator",
    examples=(
        "debug bundle",
        "debug bundle --log /var/log/openbell.log --out OPS-12.zip --context prod",
    ),
    timeout_s=PART_S,
)
def bundle(
    call: Call,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write it there; else openbell-<time>.zip, here.")
    ] = None,
    log: Annotated[
        list[Path] | None, typer.Option(help="With the tail of this log; repeat for each.")
    ] = None,
    audit: Annotated[
        int, typer.Option(min=0, max=10_000, help="With so many of the last audit rows at most.")
    ] = AUDIT_ROWS,
    since: Annotated[
        str, typer.Option(metavar="1h", help="Of the audit log, what is no older: 30m, 1h, 2d.")
    ] = "1h",
) -> None:
    """Write an archive for a ticket: doors, metrics, checks, settings, versions, audit, logs.

    No secret is in it: keys, passwords and tokens are taken out wherever they stand, of the
    settings only what is known to be harmless is told, and accounts have other names. Look into
    it before you send it all the same. It is made whatever does not answer, within two minutes.
    """
    from app.cli.asking.redaction import Redaction
    from app.cli.debug.bundle_settings import secrets_here, told_here

    settings, why_not = _settings(call.data_dir)
    # Nobody keeps this key, so nobody can name the accounts back.
    redaction = Redaction(secrets_here(settings, call.data_dir, _keys(call)), token_bytes(32))
    now = SystemClock().now()
    place = out or Path(f"openbell-{_name_of(now)}.zip")
    wanted = _Wanted(now, audit, seconds_of(since) or 0, log or [])
    with working("what a ticket needs") as advance:

        def fill(archive: Bundle) -> dict[str, Any]:
            archive.told = advance
            if settings is None:
                archive.lacks("settings-here", why_not)
            else:  # what a command here is started with; the gateway's own are in config.json
                archive.take("settings-here", lambda: told_here(settings))
            _fill(archive, call, wanted)
            return {"made_at": rfc3339(now), "gateway": call.target.url}

        try:
            made = make(place, redaction, call.client, fill)
        except FileExistsError as e:
            raise Failure(
                Ends.CONFLICT, f"{place} is there already", advice="name another with --out"
            ) from e
        except OSError as e:
            raise Failure(Ends.FAILED_CHECK, f"cannot write {place}", why=str(e)) from e
    _tell(call, place, made)


@verb(
    app,
    "trace",
    role="operator",
    examples=(
        "debug trace 01KAPK5R00W7D3Q8ZC1VYBX4N9",
        "debug trace 01KAPK5R00W7D3Q8ZC1VYBX4N9 --json",
    ),
)
def trace(
    call: Call,
    *,
    order_id: Annotated[str, typer.Argument(help="The gateway's id (37).", metavar="ORDER_ID")],
) -> None:
    """Tell an order's story: its steps, each time it was sent, what traded, in order of time."""
    from app.cli.debug.trace import COLUMNS, traced

    found = traced(call.client, order_id)
    if call.screen.output is Output.JSON:
        call.show(found)
        return
    call.show(found["story"], *COLUMNS)
    order = found["order"]
    say(f"{order['status']}, {order['filled_quantity']} of {order['quantity']} filled")
    if found["hidden"]:
        say(f"not for this key: {', '.join(found['hidden'])}")


class _Wanted(NamedTuple):
    """How much of what has no end of its own."""

    now: int
    audit_rows: int
    audit_s: int
    logs: list[Path]


def _fill(archive: Bundle, call: Call, wanted: _Wanted) -> None:
    from app.cli.debug.bundle_parts import PAGES_S, ask_doors, audit_tail, log_tail, versions
    from app.cli.doctor import examine
    from app.cli.preflight.checks import instant

    archive.take("versions", versions)
    archive.take(
        "doctor", lambda: [one._asdict() for one in examine(call.data_dir, "127.0.0.1", 0)]
    )
    overview = ask_doors(archive, call.client)

    def rows() -> list[dict[str, Any]]:
        # The clock that stamped them, if it is told: ours may be another.
        at = instant(overview["at"]).timestamp() if overview else wanted.now / 1_000
        since = rfc3339(round((at - wanted.audit_s) * 1_000))
        return audit_tail(call.client, wanted.audit_rows, since)

    archive.ask("audit", rows, PAGES_S)
    archive.ask("preflight", lambda: _checks(call), PAGES_S)
    for number, path in enumerate(wanted.logs, 1):
        archive.take(f"log-{number}.txt", partial(log_tail, path))
    if not wanted.logs:
        archive.lacks("log", "no --log was named; a gateway writes to its stdout and stderr")


def _checks(call: Call) -> dict[str, Any]:
    from app.cli import preflight
    from app.cli.preflight.checks import worst

    heard = preflight.listened(call, None)
    found = preflight.examined(call, heard)
    return preflight.document(call, heard, worst([one.state for one in found]), found)


def _settings(data_dir: Path) -> tuple[Any, str]:
    """Return the settings of this machine, or why they cannot be read."""
    from app.settings import read_settings

    try:
        return read_settings(data_dir=data_dir), ""
    except ValueError as e:
        return None, str(e)


def _keys(call: Call) -> list[str]:
    """Return the keys that this person has, whichever was used."""
    keys = [key for key in (call.target.wish.key, call.client.key) if key]
    try:
        known = contexts.read().known.values()
    except Failure:
        return keys
    return keys + [key for context in known for key in context.keys.values()]


def _name_of(now: int) -> str:
    return rfc3339(now).replace(":", "").replace("-", "")[:15]


def _tell(call: Call, place: Path, made: Bundle) -> None:
    held = [one.name for one in made.holds]
    if call.screen.output is Output.JSON:
        call.show({"bundle": str(place), "holds": held, "missing": made.missing})
        return
    print_out(str(place))
    say(f"{len(held)} files; not in it: {', '.join(made.missing) or 'nothing'}")
    say("no secret is known to be in it; look yourself before you send it")
