"""Checks this machine for what has cost others an evening, and prints the fix beside each.

A check never stops the next one: the trap is a doctor that names one illness a visit. What is
worth knowing and stops nothing is a note.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.asking.command import DataDir, Form, JsonShort, chosen
from app.cli.asking.output import Ends, Output, Screen, print_out, printable
from app.cli.doctor import checkup
from app.clock import SystemClock

# Word and shape, so that nobody needs colours.
_SHAPES: Final = {"ok": "●", "note": "▲", "fail": "■"}


def doctor(
    *,
    data_dir: DataDir = Path("data"),
    host: Annotated[
        str, typer.Option(envvar="OPENBELL_HOST", help="Where the gateway shall listen.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="OPENBELL_PORT", min=0, max=65_535, help="And at which port.")
    ] = 8080,
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Check this machine and say how to repair it.

    Exit 1 if a check failed; a note (▲) fails nothing.

    \b
    Examples:
      openbell doctor
      openbell doctor --data-dir /var/lib/openbell --port 9000 --json
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    found = examine(data_dir, host, port)
    if chosen(output, json=json) is Output.JSON:
        Screen(Output.JSON).show([finding._asdict() for finding in found])
    else:
        for finding in found:
            print_out("\n".join(_lines(finding)))
    if any(finding.state == "fail" for finding in found):
        raise typer.Exit(Ends.FAILED_CHECK)


def examine(data_dir: Path, host: str, port: int) -> list[checkup.Finding]:
    """Run every check."""
    today = datetime.fromtimestamp(SystemClock().now() / 1000, UTC).date()
    return [
        checkup.python_version(),
        checkup.locked_packages(),
        checkup.sqlite_version(),
        *checkup.data_directory(data_dir),
        checkup.port_free(host, port),
        checkup.database_revision(data_dir),
        *checkup.calendar_horizon(today),
        checkup.time_zones(),
        checkup.clock_in_step(today),
    ]


def _lines(finding: checkup.Finding) -> list[str]:
    mark = f"{_SHAPES[finding.state]} {finding.state:<5}"
    lines = [f"{mark} {finding.check:<15} {printable(finding.found)}"]
    if finding.fix:
        lines.append(f"  {'':<5} {'':<15} fix: {printable(finding.fix)}")
    return lines
