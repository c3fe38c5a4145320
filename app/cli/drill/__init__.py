"""Drills: a fault on simulated brokers, and how long each step took until orders flowed again.

It starts its own gateway and touches no other: the trap is a rehearsal in the theatre of the
evening. The exit status is 1 if it took longer than it may, or if anything does not balance.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.drill.doors import declare_doors
from app.domain.drill import DrillFault

app = typer.Typer(no_args_is_help=True, help="Drills: rehearse a broker's death, and measure it.")

# What issue and design promise with the default confirmation of 8 s.
SECONDS_MAX: Final = 15.0
RATE: Final = 100
ALERT_SECONDS_MAX: Final = 5.0


declare_doors(app)


@app.callback()
def _root() -> None:
    """Rehearse a broker's death, and measure it."""


@app.command(
    "failover",
    epilog="\b\nExamples:\n  openbell drill failover\n"
    "  openbell drill failover --fault hangs --json",
)
def failover(
    fault: Annotated[DrillFault, typer.Option(help="What the broker does.")] = DrillFault.DIES,
    rate: Annotated[int, typer.Option(min=10, help="Each broker's rate.")] = RATE,
    keep: Annotated[Path | None, typer.Option(help="Keep all files in this directory.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Let a simulated broker die under load, and time how openbell leaves it."""
    from app.cli.drill.rehearsal import Rehearsal

    directory = keep or Path(tempfile.mkdtemp(prefix="openbell-drill-"))
    try:
        told = Rehearsal(directory, fault.value, rate, _say).play()
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        typer.echo(json.dumps(told.shown()))
    else:
        _print(told)
    good = told.incident.times.first_accepted <= SECONDS_MAX and told.report.balanced
    raise typer.Exit(0 if good else 1)


@app.command(
    "alerts",
    epilog="\b\nExamples:\n  openbell drill alerts --causes 50\n"
    "  openbell drill alerts --rate 100 --json",
)
def alerts(
    causes: Annotated[int, typer.Option(min=1, help="How many, some thirty a minute.")] = 1_000,
    rate: Annotated[int, typer.Option(min=1, help="Orders a second, at each of two.")] = 50,
    keep: Annotated[Path | None, typer.Option(help="Keep all files in this directory.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Make brokers ill again and again under load, and time how soon each alert is an event."""
    from app.cli.drill.alerts import AlertDrill

    directory = keep or Path(tempfile.mkdtemp(prefix="openbell-drill-"))
    try:
        told = AlertDrill(directory, causes, rate, _say).play()
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        typer.echo(json.dumps(told.shown()))
    else:
        for line in told.lines():
            typer.echo(line)
    raise typer.Exit(0 if told.whole.at(0.999) <= ALERT_SECONDS_MAX else 1)


def _say(text: str) -> None:
    typer.echo(f"· {text}", err=True)


def _print(told: Any) -> None:
    out = typer.echo
    for line in told.incident.lines():
        out(line)
    out(f"orders live twice, by the brokers' own files: {told.live_twice}")
    for invariant, examples in told.report.shown().items():
        out(f"VIOLATED {invariant}: {'; '.join(examples)}")
    out("everything balances" if told.report.balanced else "DOES NOT BALANCE")
