"""`openbell demo`: an opening bell on this machine, with everything that can go wrong in it.

It ends with an account of every order, made by a checker that reads only files and shares no
code with the gateway; the exit status is 1 if anything does not balance.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

# Beside two brokers, their callbacks and this watcher, two cores carry this many a second.
TPS: Final = 700
TPS_TURNED: Final = 1_000
CONTRACT: Final = 1_200
ORDERS: Final = 200_000
PLAIN_EVERY_S: Final = 5.0
ACTS: Final = (0.15, 0.30, 0.45, 0.60)


def demo(
    orders: Annotated[int, typer.Option(min=1_000, help="How many reserved orders.")] = ORDERS,
    tps: Annotated[int, typer.Option(min=1, help="Each broker's rate at the bell.")] = TPS,
    keep: Annotated[Path | None, typer.Option(help="Keep all files in this directory.")] = None,
    *,
    stack: Annotated[
        bool,
        typer.Option("--stack", help="In five processes, on the stores of the environment."),
    ] = False,
) -> None:
    r"""Play an opening bell on this machine.

    \b
    Examples:
      openbell demo
      openbell demo --orders 1000000 --keep /tmp/night
      make demo STACK=1

    """
    directory = keep or Path(tempfile.mkdtemp(prefix="openbell-demo-"))
    try:
        balanced = play(directory, orders, tps, stack=stack)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    raise typer.Exit(0 if balanced else 1)


def play(directory: Path, orders: int, tps: int, *, stack: bool = False) -> bool:
    """Play the whole night; return whether everything balances."""
    from app.cli.stage.checker import check
    from app.cli.stage.night import Night, kept_files

    turned = max(tps + 1, tps * TPS_TURNED // TPS)
    stage = _stage(directory, tps, max(CONTRACT, turned), stack=stack)
    try:
        say(f"gateway ready in {stage.open():.2f} s on {stage.url}; brokers north and south")
        stage.client("client").get("/readyz")
        show = shower()
        night = Night(stage, orders, show, say)
        night.load(loader(orders))
        night.allow()
        night.ring()
        dial = partial(night.turn_the_dial, "north", turned)
        swallow = partial(night.swallow, "north")
        acts: list[Callable[[], None]] = [dial, swallow, night.kill, night.dies]
        night.drain(list(zip(ACTS, acts, strict=True)))
        night.mends()
        night.settle()
        differences = night.view_differs()
        stage.stop()
        ledger, audits = kept_files(stage)
        report = check(ledger, audits, night.history, night.rates)
        switched = second_act(night, ledger, audits, stage.log)
    finally:
        stage.close()
    account(night, report, differences)
    return switched and report.balanced and not differences and report.orders == orders


def second_act(night: Any, ledger: Path, audits: dict[str, Path], log: Path) -> bool:
    """Print the timeline of the incident; return whether the route was switched at all."""
    from app.cli.stage.incident import incident

    typer.echo("")
    failover = night.failover
    if failover is None or failover["to_broker"] is None:
        typer.echo(f"{night.dead} died, and nothing was switched")
        return False
    try:
        told = incident(ledger, audits[failover["to_broker"]], failover, night.died_ms).lines()
    except ValueError as e:  # a small book has left before the broker dies
        told = [f"{night.dead} died, and the route was switched; {e}, so nothing is timed"]
    for line in (*told, *_said_to_people(log, failover["incident_id"])):
        typer.echo(line)
    return True


def _said_to_people(log: Path, incident_id: str) -> list[str]:
    """Return the last that the alarms said of it, as it would stand in Slack."""
    import json

    said = []
    for line in log.read_text().splitlines() if log.exists() else []:
        if line.startswith('{"event":"alarm"') and incident_id in line:
            told = json.loads(line)
            said = [f"alarm: {told['title']}", f"    {told['did']}", f"    {told['left']}"]
    return said


def _stage(directory: Path, tps: int, contract: int, *, stack: bool) -> Any:
    from app.cli.stage.processes import Stage
    from app.cli.stage.roles import RoleStage

    return (RoleStage if stack else Stage)(
        directory,
        rates={"north": tps, "south": tps},
        contract=contract,
        arguments=("--fills", "partial"),
    )


def say(text: str) -> None:
    typer.echo(f"· {text}", err=True)


def loader(orders: int) -> Callable[[int], None]:
    """Return what shows the loading: a line for each tenth."""
    state = {"taken": 0, "shown": 0}

    def took(count: int) -> None:
        state["taken"] += count
        tenth = state["taken"] * 10 // orders
        if tenth > state["shown"]:
            state["shown"] = tenth
            say(f"{state['taken']:>10,} of {orders:,} orders taken")

    return took


def shower() -> Callable[[Any], None]:
    """Return what shows the drain: one line rewritten on a terminal, else one now and then."""
    live = sys.stderr.isatty()
    state = {"at": -PLAIN_EVERY_S}

    def show(now: Any) -> None:
        if not live and now.at_s - state["at"] < PLAIN_EVERY_S:
            return
        state["at"] = now.at_s
        line = told(now)
        typer.echo(f"\r\x1b[2K{line}" if live else line, err=True, nl=not live)

    return show


def told(now: Any) -> str:
    """Write one moment on one line."""
    if not now.reachable:
        return f"{now.at_s:6.1f} s  the gateway does not answer"
    lanes = "  ".join(
        f"{lane['broker_id']} {lane['sent_last_second']:>5}/{lane['tps_effective']}"
        f" {lane['circuit']}"
        for lane in now.lanes
    )
    eta = "-" if now.eta_s is None else f"{now.eta_s:.0f} s"
    return (
        f"{now.at_s:6.1f} s  left {now.left:>9,} of {now.orders:,}  {lanes}"
        f"  in doubt {now.in_doubt:>4}  filled {now.filled:>9,}  ETA {eta}"
    )


def account(night: Any, report: Any, differences: list[str]) -> None:
    """Print the report of the night."""
    out = typer.echo
    out("")
    out(f"{report.orders:,} orders in the ledger, {report.acked:,} answered 201")
    for status, count in sorted(report.by_status.items()):
        out(f"    {status:<18}{count:>12,}")
    out(f"{sum(report.attempts.values()):,} attempts: " + _counts(report.attempts))
    out(f"settled by: {_counts(report.settled_by)}")
    out(f"{report.executions:,} executions applied, each once")
    for broker, limit in night.rates.items():
        out(
            f"{broker}: accepted {report.broker_accepted[broker]:,};"
            f" worst second sent {report.worst_second_sent[broker]},"
            f" arrived {report.worst_second_arrived[broker]}, limit {limit};"
            f" refused as too fast {report.refused_as_too_fast.get(broker, 0)}"
        )
    doubled = len(report.violations.get("P3 live at one broker at most", []))
    out(f"orders live twice, by the brokers' own files: {doubled}")
    out(f"orders whose account view differs from the ledger: {len(differences)}")
    for invariant, examples in report.shown().items():
        out(f"VIOLATED {invariant}: {'; '.join(examples)}")
    out(
        f"loaded at {report.orders / night.load_s:,.0f}/s, drained at"
        f" {report.orders / night.drain_s:,.0f}/s, back after kill -9 in {night.recovery_s:.2f} s"
    )
    out("everything balances" if report.balanced and not differences else "DOES NOT BALANCE")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items())) or "none"
