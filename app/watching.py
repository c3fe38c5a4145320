"""Puts the watch together: what it reads of the lanes, the board and the stores.

It stands beside `stores`, below `wiring`, because it knows two rooms that must not know each
other: those who send, and those who watch them.
"""

import socket
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple, Protocol

from app.accounts import projector
from app.clock import Clock
from app.diagnostics.distance import Asked, Distance
from app.diagnostics.gathering import Sources
from app.diagnostics.health import HealthWitness
from app.diagnostics.meters import WatchMeters
from app.diagnostics.outlook import any_opens_soon
from app.diagnostics.pings import Pings
from app.diagnostics.watch import Watch
from app.dispatch.board import Board
from app.dispatch.floor import DispatchFloor
from app.dispatch.reports import Reports
from app.domain.halts import Halts
from app.domain.records import Backlog
from app.ports.brokers import Broker
from app.ports.control import ControlStore
from app.ports.trouble import AnomalyStore, RuleStore
from app.stores import Stores


class Sent(NamedTuple):
    """What there is to watch: those who send."""

    witness: HealthWitness
    board: Board
    floor: DispatchFloor
    reports: Reports
    brokers: Mapping[str, Broker]


class Remembered(AnomalyStore, RuleStore, Protocol):
    """Trouble, and the rules that find it, in one store."""


class Kept(NamedTuple):
    """Where it is asked and told."""

    control: ControlStore
    anomalies: Remembered
    stores: Stores


class Watching(NamedTuple):
    """The watch, and how it is counted."""

    watch: Watch
    meters: WatchMeters


def watch_over(kept: Kept, sent: Sent, clock: Clock, *, view: bool) -> Watching:
    """Return the watch over the brokers of this process; `view`: somebody keeps the accounts'."""
    bus, shared = kept.stores.bus, kept.stores.ledger.is_shared
    asked = Asked(
        vitals=kept.control.vitals,
        shown=kept.control.shown_lanes if shared else None,
        behind=partial(bus.lag, projector.TOPIC, projector.GROUP) if view else None,
        carried=view,
        book=partial(_book, kept.control, sent.board, clock),
    )
    board, floor, reports = sent.board, sent.floor, sent.reports
    sources = Sources(
        clock=clock,
        witness=sent.witness,
        distance=Distance(asked, clock),
        lanes=floor.owned,
        controls=lambda: board.controls,
        calendar=lambda: board.reference.calendar,
        halted=lambda: board.standing != Halts(),
        able=lambda name: sent.brokers[name].capabilities,
        strays=lambda: reports.strays,
        # Its pod's name, where it has one: the same after a restart, and no other's.
        instance=socket.gethostname(),
    )
    pings = Pings(sent.brokers, sent.witness, floor.owns)

    async def rules() -> list[Mapping[str, object]]:
        return [rule.document for rule in await kept.anomalies.rules()]

    watch = Watch(sources, kept.anomalies, pings, rules)
    return Watching(watch, WatchMeters(watch, sent.witness))


async def _book(control: ControlStore, board: Board, clock: Clock) -> Backlog | None:
    """Count what waits, in the hour before a bell: counting it all night would be for nobody."""
    calendar = board.reference.calendar
    near = any_opens_soon(calendar, calendar.markets, clock.now())
    return await control.backlog() if near else None
