"""Tells what came of a load or a verification, and how the command ends.

A load ends with 75 when the same command would go on (a worker died, the store went away), with 1
when it would not: a file that was refused or cannot be read, rejected rows, a day that differs.

The trap is a long report in which the one day that matters is one row of two thousand: days that
are equal are counted and not shown.
"""

from pathlib import Path
from typing import Any, Final

import typer

from app.accounts.history.chunks import Progress
from app.accounts.history.migration import Outcome
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out, say

DIFFERENCES_SHOWN_MAX: Final = 20
DAY_COLUMNS: Final = (
    *("trade_date", "state", "record.orders", "view.orders", "compared"),
    *("missing", "altered", "superseded", "extra", "repeated"),
)


def counted(progress: Progress) -> dict[str, Any]:
    """Return what became of a source's rows and chunks so far."""
    return {"rows": progress.rows, **progress.counts._asdict()} | {
        f"chunks_{state}": progress.chunks[state] for state in sorted(progress.chunks)
    }


def show_outcome(outcome: Outcome, rejects: Path, output: Output) -> None:
    """Print the counts, and each file and row group that was left out, with the reason."""
    troubles = [
        *({"file": file, "why": f"refused: {why}"} for file, why in outcome.refused.items()),
        *({"file": file.path, "why": f"unreadable: {file.reason}"} for file in outcome.broken),
        *(
            {"file": found["file"], "why": f"row group {found['row_group']}: {found['reason']}"}
            for found in outcome.failures
        ),
    ]
    found = counted(outcome.progress)
    screen = Screen(output)
    if output is Output.JSON:
        screen.show(found | {"troubles": troubles, "deaths": outcome.deaths})
        return
    screen.show(found)
    if troubles:
        print_out("")
        screen.show(troubles)
    if outcome.progress.counts.rejected:
        say(f"{outcome.progress.counts.rejected} rows are in {rejects}, each with its reason")


def end(outcome: Outcome) -> None:
    """End with 75 while a repetition helps: that outweighs what it would not mend."""
    if outcome.progress.open:
        say(f"workers died: {outcome.deaths}" if outcome.deaths else "stopped")
        say("not all is loaded: run the same command again, it goes on from there")
        raise typer.Exit(Ends.TRY_AGAIN)
    if not outcome.is_whole:
        raise typer.Exit(Ends.FAILED_CHECK)


def write_report(out: Path, report: bytes) -> None:
    """Write the signed report, or end."""
    try:
        out.write_bytes(report + b"\n")
    except OSError as e:
        raise Failure(Ends.FAILED_CHECK, f"cannot write {out}", why=str(e)) from e


def show_report(report: dict[str, Any], out: Path, output: Output) -> None:
    """Print what differs, and end accordingly: days that are equal are only counted."""
    screen = Screen(output)
    if output is Output.JSON:
        screen.show(report)
    else:
        days = [day for day in report["days"] if day["state"] != "equal"]
        print_out(f"{len(report['days']) - len(days)} of {len(report['days'])} days are equal")
        for rows, columns in (
            (days, DAY_COLUMNS),
            (report["differences"][:DIFFERENCES_SHOWN_MAX], ()),
            ([{"unreadable": reason} for reason in report["unreadable"]], ()),
        ):
            if rows:
                print_out("")
                screen.show(rows, columns)
    say(f"the signed report is in {out}")
    if report["verdict"] != "equal":
        raise Failure(
            Ends.FAILED_CHECK,
            "the view is not what the files say",
            why=f"{report['rejected']} rejected rows, {len(report['unreadable'])} unreadable parts",
            advice="load again what is missing; what is altered needs a person",
        )
