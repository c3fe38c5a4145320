"""Builds the house in the order in which data flows; the only place that constructs anything.

    desk ─► writer ─► ledger ─► lanes ─► brokers ─► bus ─► reports ─► ledger
                        └─► relay ─► bus ─► projector ─► book

Start-up is recovery: a broker's lane takes its lease, declares what a former owner left open in
doubt, and only then sends. Taking orders does not wait for that. A loop that dies takes the
process down, because the next start knows how to go on and a half-dead process does not.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, NamedTuple

from app import crash
from app.accounts.projector import Projector, differences, rebuild
from app.accounts.sqlite import SqliteAccountBook
from app.brokers.registry import load
from app.bus.log import LogBus
from app.clock import Clock, SystemClock
from app.dispatch.bell import Bell
from app.dispatch.board import Board
from app.dispatch.cancels import Cancels
from app.dispatch.floor import DispatchFloor
from app.dispatch.gate import GatedBroker
from app.dispatch.lane import Lane
from app.dispatch.reconciler import Reconciler
from app.dispatch.reports import Reports
from app.domain.errors import Code
from app.domain.limits import Limits, recheck
from app.domain.order import Order
from app.intake.desk import Desk
from app.intake.writer import Writer
from app.ledger.relay import Relay
from app.ledger.schema import upgrade
from app.ledger.store import SqliteLedger
from app.ports import Broker, Recheck
from app.reference import Reference, load_reference
from app.settings import Settings
from app.sqlite import Database

Loop = Callable[[], Awaitable[None]]
TRIM_EVERY_S: Final = 5.0
FLUSH_S_MAX: Final = 5.0
# A million orders take about 7 GB with their events; below this, take none rather than lose one.
DISK_FLOOR_BYTES: Final = 256 << 20


@dataclass(slots=True, kw_only=True)
class Gateway:
    """Everything that runs, and how it stops."""

    settings: Settings
    clock: Clock
    ledger: SqliteLedger
    bus: LogBus
    book: SqliteAccountBook
    board: Board
    desk: Desk
    writer: Writer
    floor: DispatchFloor
    brokers: dict[str, Broker]
    lanes: list[Lane]
    bell: Bell
    reports: Reports
    relay: Relay
    forever: list[Loop]
    databases: list[Database]
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Recover, then run every loop until drained; the first that fails ends all."""
        async with asyncio.TaskGroup() as loops:
            eternal = [loops.create_task(_loop(loop)) for loop in self.forever]
            async with asyncio.TaskGroup() as drained:
                drained.create_task(self.writer.run())
                for lane in self.lanes:
                    await lane.open()
                    drained.create_task(lane.run())
                self.ready.set()
            for task in eternal:
                task.cancel()
            await self._flush()

    def drain(self) -> None:
        """Take and send nothing new; `run` returns when every answer is on disk."""
        self.writer.drain()
        for lane in self.lanes:
            lane.stop()

    async def _flush(self) -> None:
        """Hand the last events to the bus; what does not go now goes at the next start."""
        if not self.settings.view:
            return
        try:
            async with asyncio.timeout(FLUSH_S_MAX):
                while await self.relay.step():
                    pass
        except TimeoutError:
            return

    async def close(self) -> None:
        """Let go of the brokers and the files."""
        for broker in self.brokers.values():
            await broker.close()
        for database in reversed(self.databases):
            database.close()

    def not_ready(self) -> list[str]:
        """Return why no order can be made durable now; brokers and view are not asked."""
        free = shutil.disk_usage(self.settings.data_dir).free
        reasons = [] if free >= DISK_FLOOR_BYTES else [f"{free >> 20} MiB of disk are left"]
        return reasons if self.writer.running else ["the writer does not run", *reasons]

    def reference(self) -> Reference:
        """Return the calendar, with its overrides, and the instruments of this moment."""
        return self.board.reference

    async def rebuild_view(self) -> int:
        """Forget the account view and make it again from the ledger; return its size."""
        return await rebuild(self.ledger.payloads(), self.book)

    async def verify_view(self) -> list[str]:
        """Return the orders whose view differs from the ledger."""
        return await differences(self.ledger.payloads(), self.book)


async def _loop(run: Loop) -> None:
    await run()


class Stores(NamedTuple):
    """Where the house keeps things: three, so that none waits for another's disk."""

    ledger: Database
    bus: Database
    book: Database


async def open_gateway(settings: Settings, clock: Clock | None = None) -> Gateway:
    """Build a gateway on the embedded twins; nothing runs yet."""
    clock = clock or SystemClock()
    if settings.crash_at is not None:
        name, _, passes = settings.crash_at.partition(":")
        crash.arm(name, int(passes))
    reference = load_reference(instruments_file=settings.instruments_file)
    brokers = {
        name: load(b.adapter, {"name": name, "clock": clock, **b.options})
        for name, b in settings.brokers.items()
    }
    stores = Stores(*(Database(settings.data_dir / f"{name}.db") for name in Stores._fields))
    upgrade(stores.ledger)
    return await furnish(settings, clock, stores, brokers, reference)


async def furnish(
    settings: Settings,
    clock: Clock,
    stores: Stores,
    brokers: dict[str, Broker],
    reference: Reference,
) -> Gateway:
    """Build the rooms on stores whose schema stands; a test in virtual time brings its own."""
    ledger = SqliteLedger(stores.ledger, clock)
    rates = {name: broker.orders_per_second for name, broker in settings.brokers.items()}
    ledger.declare(rates, settings.routes)
    bus = LogBus(stores.bus, clock)
    book = SqliteAccountBook(stores.book)
    board = Board(ledger, reference)
    await board.refresh()
    limits = Limits()

    def check(order: Order) -> Code | None:
        return recheck(order, instruments=board.reference.instruments, limits=limits)

    trim = partial(_trim, bus, settings.bus_keep_s)
    sending = _dispatch(settings, clock, ledger, board, brokers, check)
    bell = Bell(
        store=ledger,
        control=ledger,
        board=board,
        clock=clock,
        recheck=check,
        on_released=sending.wake,
    )
    writer = Writer(ledger, clock)
    desk = Desk(
        store=ledger,
        writer=writer,
        clock=clock,
        reference=lambda: board.reference,
        halts=lambda: board.standing,
        limits=limits,
        on_queued=sending.wake,
    )
    reports, relay = Reports(bus, ledger), Relay(stores.ledger, bus)
    view: list[Loop] = [relay.run, Projector(bus, book).run] if settings.view else []
    return Gateway(
        settings=settings,
        clock=clock,
        ledger=ledger,
        bus=bus,
        book=book,
        board=board,
        desk=desk,
        writer=writer,
        floor=sending.floor,
        brokers=brokers,
        lanes=sending.lanes,
        bell=bell,
        reports=reports,
        relay=relay,
        forever=[board.run, bell.run, reports.run, *sending.asking, *view, trim],
        databases=list(stores),
    )


async def _trim(bus: LogBus, keep_s: int) -> None:
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await bus.trim(keep_s * 1_000)


class _Dispatch(NamedTuple):
    """Every broker's lane, and the loops that ask beside it."""

    lanes: list[Lane]
    asking: list[Loop]
    floor: DispatchFloor

    def wake(self) -> None:
        for lane in self.lanes:
            lane.wake()


def _dispatch(
    settings: Settings,
    clock: Clock,
    ledger: SqliteLedger,
    board: Board,
    brokers: dict[str, Broker],
    check: Recheck,
) -> _Dispatch:
    gates = {name: GatedBroker(broker, clock) for name, broker in brokers.items()}
    holder = f"{clock.random_bits(64):016x}"
    lanes = {
        name: Lane(
            broker=gate,
            store=ledger,
            clock=clock,
            board=board,
            recheck=check,
            holder=holder,
            unlimited=settings.unlimited,
        )
        for name, gate in gates.items()
    }
    reconcilers = {name: Reconciler(gate, ledger, clock) for name, gate in gates.items()}
    cancels = [
        Cancels(
            broker=gates[name],
            store=ledger,
            clock=clock,
            permits=lane.permits,
            ownership=lane.ownership,
            reconciler=reconcilers[name],
        )
        for name, lane in lanes.items()
    ]
    asking: list[Loop] = [r.run for r in reconcilers.values()]
    asking += [c.run for c in cancels]
    return _Dispatch(list(lanes.values()), asking, DispatchFloor(board, lanes, reconcilers))
