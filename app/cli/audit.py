"""Reads the audit log, follows it, verifies its chain, and exports it.

The trap is a cut tail: a chain without its last rows is still a chain. So an anchor is worth
keeping elsewhere, or an export: that row must stand in the log for ever.
"""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import Call, verb
from app.cli.asking.following import RESYNC, SILENCE_S_MAX, followed
from app.cli.asking.output import Ends, Failure, Output, cell, print_out, say
from app.cli.asking.progress import PATIENCE_S, working
from app.cli.asking.walk import AUDIT, last_where

app = typer.Typer(no_args_is_help=True, help="The audit log: read it, verify its chain, export it.")

STREAM: Final = "/admin/v1/stream"
PAGE: Final = 500
ANCHOR: Final = re.compile(r"[1-9][0-9]{0,17}:[0-9a-f]{64}")
COLUMNS: Final = ("sequence", "at", "actor", "action", "resource", "reason", "via", "ip")
After = Annotated[int, typer.Option(min=0, help="Begin after this sequence.")]


@verb(
    app,
    "list",
    role="operator",
    examples=("audit list --last 20", "audit list --after 1200 --limit 50"),
)
def list_(
    call: Call,
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 100,
    last: Annotated[
        int | None, typer.Option(min=1, max=1_000, help="The newest so many, whatever --limit.")
    ] = None,
) -> None:
    """List who did what, when and why, the oldest first."""
    if last is not None:
        after, limit = max(after, last_where(call.get, lambda _: True) - last), last
    rows = call.get(AUDIT, after=after, limit=limit)["data"]
    call.show(rows, *COLUMNS)
    if len(rows) == limit and last is None:
        say(f"there may be newer ones: --after {rows[-1]['sequence']}, or --last 20")


@verb(
    app,
    "verify",
    role="operator",
    examples=("audit verify", "audit verify --anchor audit.ndjson", "audit verify --anchor 12:3f…"),
    timeout_s=PATIENCE_S,
)
def verify(
    call: Call,
    *,
    anchor: Annotated[
        str | None,
        typer.Option(
            metavar="SEQUENCE:HASH|FILE",
            help="A row that was kept elsewhere, or an export: its last row must still stand.",
        ),
    ] = None,
) -> None:
    """Check that no row was changed, dropped or swapped; exit 1 at the first that was."""
    kept = None if anchor is None else _anchor(anchor)
    with working("every row is checked"):
        found = call.get(f"{AUDIT}/verify", anchor=kept)
    call.show(found)
    _intact(found)
    if found.get("head"):
        say(f"keep this elsewhere, it is the anchor of the next check: {found['head']}")


@verb(
    app,
    "anchor",
    role="operator",
    examples=("audit anchor > anchor.txt", "audit anchor --json"),
    timeout_s=PATIENCE_S,
)
def anchor_(call: Call) -> None:
    """Print the row that the log ends with, to be kept elsewhere; the chain is checked first."""
    with working("every row is checked"):
        found = call.get(f"{AUDIT}/verify")
    _intact(found)
    if not found["head"]:
        raise Failure(Ends.NOT_FOUND, "the audit log is empty", advice="ask after the first change")
    if call.screen.output is Output.JSON:
        call.show({"anchor": found["head"]})
    else:
        print_out(found["head"])
    say("keep it where nobody of us can change it: openbell audit verify --anchor takes it")


@verb(
    app,
    "export",
    role="operator",
    examples=("audit export > audit.ndjson", "audit export --after 1200 --out audit.ndjson"),
)
def export(
    call: Call,
    *,
    after: After = 0,
    out: Annotated[Path | None, typer.Option(help="Write there instead of stdout.")] = None,
) -> None:
    """Write every row as it was sealed, a line of JSON each, the oldest first."""
    rows = _rows(call, after)
    if out is None:
        for row in rows:
            print_out(json.dumps(row, ensure_ascii=False))
        return
    count, last = 0, None
    with out.open("w", encoding="utf-8") as file, working("rows") as advance:
        for last in rows:
            file.write(json.dumps(last, ensure_ascii=False) + "\n")
            count += 1
            advance(1)
    say(f"{count} rows written to {out}")
    if last is not None and "hash" in last:
        say(f"keep this elsewhere, it is their anchor: {last['sequence']}:{last['hash']}")


def _intact(found: dict[str, Any]) -> None:
    broken = found["first_broken"]
    if broken is not None:
        raise Failure(
            Ends.FAILED_CHECK,
            f"the audit log is broken at row {broken}",
            why="that row, or the one before it, is not what was written",
            advice="keep the file as it is, and compare it with the events on the bus",
        )


@verb(
    app,
    "watch",
    role="operator",
    examples=("audit watch", "audit watch --after 1200 --json > audit.ndjson"),
    timeout_s=SILENCE_S_MAX,
)
def watch(
    call: Call,
    *,
    after: Annotated[
        int | None, typer.Option(min=0, help="Begin after this sequence; else with what comes.")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="End after so many; 0: at Ctrl-C.")] = 0,
) -> None:
    """Follow who does what; with --json, each row as the gateway tells it."""
    for event in followed(call.client, STREAM, "" if after is None else f"{after:013d}"):
        if event.kind == RESYNC:
            say("too much was missed: openbell audit list shows it")
        elif event.kind == "gone":
            raise Failure(
                Ends.AUTHENTICATION, "the key is dead", why="it was revoked, or its time is over"
            )
        elif event.kind == "audit.recorded":
            _tell(call, event.data)
            rows -= 1
            if not rows:
                return


def _tell(call: Call, data: str) -> None:
    if call.screen.output is Output.JSON:
        print_out(data)
    else:
        row: dict[str, Any] = json.loads(data)
        print_out("  ".join(cell(row[name]) for name in COLUMNS))
    sys.stdout.flush()


def _rows(call: Call, after: int) -> Iterator[dict[str, Any]]:
    while rows := call.get(AUDIT, after=after, limit=PAGE, sealed="true")["data"]:
        yield from rows
        after = int(rows[-1]["sequence"])


def _anchor(text: str) -> str:
    """Return the anchor as it was given, or the last row of an export whose own chain holds."""
    if ANCHOR.fullmatch(text):
        return text
    from app.ledger.operators.audit import GENESIS, AuditRow, seal

    path, last = Path(text), None
    try:
        lines = path.read_text("utf-8").splitlines()
        for line in lines:
            row = AuditRow(**json.loads(line))
            before = last.hash if last else row.previous_hash if row.sequence > 1 else GENESIS
            follows = last is None or row.sequence == last.sequence + 1
            if not follows or row.previous_hash != before or row.hash != seal(row):
                raise Failure(
                    Ends.FAILED_CHECK,
                    f"{path} is broken at row {row.sequence}",
                    why="that row, or the one before it, is not what was exported",
                )
            last = row
    except (OSError, ValueError, TypeError) as e:
        raise Failure(
            Ends.USAGE,
            f"{text} is no anchor",
            why=str(e),
            advice="give SEQUENCE:HASH as audit verify prints it, or a file of audit export",
        ) from e
    if last is None:
        raise Failure(Ends.USAGE, f"{text} has no rows", advice="export the log first")
    return f"{last.sequence}:{last.hash}"
