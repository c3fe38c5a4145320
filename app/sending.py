"""Puts every broker's sending together: its gate, its lane, and the loops that ask beside it.

It stands beside `watching`, below `wiring`: all of it is of the process that owns the broker, and
of no other. The trap is a second holder of one lease: one name is drawn for the whole process.
"""

import platform
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple

from app.clock import Clock
from app.diagnostics.health import HealthWitness
from app.dispatch.board import Board
from app.dispatch.cancels import Cancels
from app.dispatch.catchup import CatchUp, signs_of
from app.dispatch.floor import DispatchFloor
from app.dispatch.gate import GatedBroker
from app.dispatch.lane import Lane
from app.dispatch.live import let_heed, live
from app.dispatch.reconciler import Reconciler
from app.dispatch.replaces import Replaces
from app.domain.capabilities import Capabilities
from app.domain.errors import Code
from app.domain.order import Order
from app.ledger.store import Ledger
from app.ports.brokers import Broker, LiveBroker
from app.ports.dispatch import Recheck
from app.ports.trouble import AnomalyStore

Loop = Callable[[], Awaitable[None]]


class Ground(NamedTuple):
    """What every lane stands on."""

    clock: Clock
    ledger: Ledger
    board: Board
    recheck: Recheck
    anomalies: AnomalyStore
    unlimited: bool  # for a bench: no rate at all


class Sending(NamedTuple):
    """Every broker's lane, and the loops that ask beside it."""

    lanes: list[Lane]
    replaces: dict[str, Replaces]
    asking: list[Loop]
    floor: DispatchFloor
    gates: dict[str, GatedBroker]
    witness: HealthWitness

    def wake(self) -> None:
        for lane in self.lanes:
            lane.wake()


def send_through(on: Ground, brokers: dict[str, Broker], *, shared: bool) -> Sending:
    """Return what sends to these brokers; nothing runs yet. `shared`: others may own them."""
    witness = HealthWitness(on.clock, brokers)
    gates = {n: GatedBroker(b, on.clock, witness=witness) for n, b in brokers.items()}
    # The machine stands in it for the people who look for an owner; the rest makes it one process.
    holder = f"{platform.node()}:{on.clock.random_bits(64):016x}"
    lanes = {
        name: Lane(
            broker=gate,
            store=on.ledger,
            clock=on.clock,
            board=on.board,
            recheck=_fitting(gate.capabilities, on.recheck),
            holder=holder,
            unlimited=on.unlimited,
            stands_by=shared,
        )
        for name, gate in gates.items()
    }
    reconcilers = {
        name: Reconciler(gate, on.ledger, on.clock, partial(_owns, lanes[name], shared=shared))
        for name, gate in gates.items()
    }
    cancels = [
        Cancels(
            broker=gates[name],
            store=on.ledger,
            clock=on.clock,
            permits=lane.permits,
            ownership=lane.ownership,
            reconciler=reconcilers[name],
        )
        for name, lane in lanes.items()
    ]
    replaces = {
        name: Replaces(
            broker=gates[name],
            store=on.ledger,
            clock=on.clock,
            board=on.board,
            recheck=on.recheck,
            permits=lane.permits,
            ownership=lane.ownership,
            reconciler=reconcilers[name],
        )
        for name, lane in lanes.items()
    }
    for name, lane in lanes.items():
        let_heed(brokers[name], lane, replaces[name])
    alive = live(brokers)
    asking: list[Loop] = [r.run for r in reconcilers.values()]
    asking += [*(c.run for c in cancels), *(r.run for r in replaces.values())]
    asking += [_asks(on, gates[n], lanes[n], witness, alive.get(n)).run for n in lanes]
    floor = DispatchFloor(on.board, lanes, reconcilers, witness, alive)
    return Sending(list(lanes.values()), replaces, asking, floor, gates, witness)


def _fitting(able: Capabilities, recheck: Recheck) -> Recheck:
    return partial(_fits, able, recheck) if able.is_choosy else recheck


def _fits(able: Capabilities, recheck: Recheck, order: Order) -> Code | None:
    """Check an order right before its claim: for its limits, and for the broker that claims it."""
    lacking = able.lacks(order.market, order.order_type, order.time_in_force, order.account_id)
    return Code.BROKER_LACKS if lacking is not None else recheck(order)


def _asks(
    on: Ground, gate: GatedBroker, lane: Lane, witness: HealthWitness, alive: LiveBroker | None
) -> CatchUp:
    """Return who asks about the orders that work at this broker."""
    return CatchUp(
        broker=gate,
        store=on.ledger,
        anomalies=on.anomalies,
        clock=on.clock,
        ownership=lane.ownership,
        signs=signs_of(gate, witness, partial(_reports, witness, gate.name), alive),
    )


def _reports(witness: HealthWitness, name: str) -> int:
    return witness.tally(name).reports


def _owns(lane: Lane, *, shared: bool) -> bool:
    return lane.ownership.is_sure() or not shared
