"""Reads the audit log, verifies its chain, and exports it.

The trap is a cut tail: a chain without its last rows is still a chain. So an export is worth
keeping elsewhere: the last row of it must stand in the log for ever.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.command import Call, verb
from app.cli.output import Ends, Failure, print_out, say
from app.cli.progress import PATIENCE_S, working

app = typer.Typer(no_args_is_help=True, help="The audit log: read it, verify its chain, export it.")

AUDIT: Final = "/admin/v1/audit"
PAGE: Final = 500
COLUMNS: Final = ("sequence", "at", "actor", "action", "resource", "reason", "request_id")
After = Annotated[int, typer.Option(min=0, help="Begin after this sequence.")]


@verb(app, "list", role="operator", examples=("audit list", "audit list --after 1200 --limit 50"))
def list_(
    call: Call,
    *,
    after: After = 0,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="At most so many.")] = 100,
) -> None:
    """List who did what, when and why."""
    call.show(call.get(AUDIT, after=after, limit=limit)["data"], *COLUMNS)


@verb(
    app,
    "verify",
    role="operator",
    examples=("audit verify", "audit verify --json"),
    timeout_s=PATIENCE_S,
)
def verify(call: Call) -> None:
    """Check that no row was changed, dropped or swapped; exit 1 at the first that was."""
    with working("every row is checked"):
        found = call.get(f"{AUDIT}/verify")
    call.show(found)
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
    """Write every row as a line of JSON, the oldest first."""
    rows = _rows(call, after)
    if out is None:
        for row in rows:
            print_out(json.dumps(row, ensure_ascii=False))
        return
    count = 0
    with out.open("w", encoding="utf-8") as file, working("rows") as advance:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
            advance(1)
    say(f"{count} rows written to {out}")


def _rows(call: Call, after: int) -> Iterator[dict[str, Any]]:
    while rows := call.get(AUDIT, after=after, limit=PAGE)["data"]:
        yield from rows
        after = int(rows[-1]["sequence"])
