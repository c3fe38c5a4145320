"""The command line of the simulated broker, as one frozen value."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from app.brokers.sim.faults import BadFault, Faults, read_switches
from app.brokers.sim.fills import NO_FILLS, Mode, Plan
from app.brokers.sim.messages import Malformed
from app.brokers.sim.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that one run is started with."""

    audit: Path
    secret: str
    name: str = "north"
    host: str = "127.0.0.1"
    port: int = 0
    callback: str | None = None
    seed: int = 0
    tps: int | None = None
    dedupe: bool = True
    plan: Plan = NO_FILLS
    faults: bytes = b"{}"
    cancel_delay_ms: int = 0
    replace_delay_ms: int = 0
    acks: bool = False
    trade_date: str | None = None
    with_parent: bool = False


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Read the command line, or end the process with what is wrong with it."""
    parser = argparse.ArgumentParser(
        prog="python -m app.brokers.sim",
        description="A broker that answers, fills, throttles and fails on command.",
    )
    _add_service(parser)
    _add_behaviour(parser)
    given = parser.parse_args(arguments)
    if given.secret_file is not None:
        given.secret = given.secret_file.read_text().strip()
    if not given.secret:
        parser.error("--secret or --secret-file is needed")
    try:
        Faults(World(0)).set(read_switches(given.faults))
    except (*Malformed, BadFault) as e:
        parser.error(f"--faults: {e}")
    return Options(
        audit=given.audit,
        secret=given.secret,
        name=given.name,
        host=given.host,
        port=given.port,
        callback=given.callback,
        seed=given.seed,
        tps=given.tps,
        dedupe=given.dedupe == "on",
        plan=Plan(cast("Mode", given.fills), given.fill_ratio, given.fill_delay_ms),
        faults=given.faults.encode(),
        cancel_delay_ms=given.cancel_delay_ms,
        replace_delay_ms=given.replace_delay_ms,
        acks=given.acks == "on",
        trade_date=given.trade_date,
        with_parent=given.with_parent,
    )


def _add_service(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--port", type=int, default=0, help="0 picks a free one; the ready line says which")
    add("--host", default="127.0.0.1")
    add("--audit", type=Path, required=True, help="the record; an existing one is taken up")
    add("--secret", help="bearer token of calls, key of callback signatures")
    add("--secret-file", type=Path, help="the same, out of sight of the process list")
    add("--callback", metavar="URL", help="where reports go; without it there are none")
    add("--name", default="north", help="what it calls itself in ids and callbacks")
    add("--with-parent", action="store_true", help="end when the process that started it ends")


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--seed", type=int, default=0)
    add("--tps", type=int, help="messages a second, orders and cancels; none: no limit")
    add("--fills", choices=["none", "instant", "partial"], default="none")
    add("--fill-ratio", type=float, default=1.0, help="share of orders that fill")
    add("--fill-delay-ms", type=int, default=500, help="partial: the last part is in by then")
    add("--cancel-delay-ms", type=int, default=0, help="a cancel is pending for so long")
    add("--replace-delay-ms", type=int, default=0, help="a replace is pending for so long")
    add("--dedupe", choices=["on", "off"], default="on", help="off: a repeated id is accepted")
    add("--acks", choices=["on", "off"], default="off", help="on: a `new` report each order")
    add("--faults", metavar="JSON", default="{}", help="as POST /sim/faults takes it")
    add("--trade-date", metavar="YYYY-MM-DD", help="default: today at the order's exchange")
