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
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from app import crash
from app.accounts.projector import Projector, differences, rebuild
from app.alarms.alarms import Alarms
from app.alarms.opening import open_alarms
from app.brokers.fault_line import SimulatorLine
from app.brokers.registry import load
from app.bus.log import LogBus
from app.clock import Clock, SystemClock
from app.dispatch.adviser import Adviser
from app.dispatch.bell import Bell
from app.dispatch.board import Board
from app.dispatch.inbound import inbound_of
from app.dispatch.lane import Lane
from app.dispatch.live import sessions_of
from app.dispatch.reports import Reports
from app.dispatch.shown import Showing, ShownFloor
from app.domain.anomaly import Severity
from app.domain.daybook import DayBook
from app.domain.errors import Code
from app.domain.limits import Limits, recheck
from app.domain.order import Order
from app.domain.signs import DaysKept
from app.ending import ended
from app.failover.drills import SimulatedDrills
from app.failover.switch import Grounds, Switch
from app.intake.desk import Desk
from app.intake.writer import Writer
from app.ledger.anomaly_store import AnomalyLedger
from app.ledger.day_book import day_book
from app.ledger.partition_job import PartitionJob
from app.ledger.relay import Relay
from app.ledger.session_store import SessionLedger
from app.ledger.store import Ledger
from app.ledger.webhook_store import WebhookLedger
from app.mishaps import Mishaps
from app.ports.accounts import AccountBook
from app.ports.brokers import Broker
from app.ports.bus import Bus
from app.ports.dispatch import Floor
from app.reference import Reference, load_reference
from app.sending import Ground, Loop, Sending, send_through
from app.settings import Settings
from app.stores import Stores, drop_gate, open_stores
from app.watching import Kept, Sent, Watching, watch_over
from app.webhooks.opening import open_webhooks
from app.webhooks.webhooks import Webhooks

# What each role of `serve` runs. A part that stands in no other role is in `all`.
PARTS: Final[dict[str, frozenset[str]]] = {
    "api": frozenset({"intake"}),
    "dispatcher": frozenset({"dispatch", "watch", "partitions"}),
    "relay": frozenset({"relay"}),
    "projector": frozenset({"projector"}),
    "failover": frozenset({"failover"}),
    "throttle": frozenset({"throttle"}),
    "alarms": frozenset({"alarms", "webhooks"}),
    "all": frozenset({"intake", "dispatch", "watch", "partitions", "relay", "projector"})
    | {"failover", "throttle", "alarms", "webhooks"},
}
TRIM_EVERY_S: Final = 5.0
FLUSH_S_MAX: Final = 5.0
# A million orders take about 7 GB with their events; below this, take none rather than lose one.
DISK_FLOOR_BYTES: Final = 256 << 20


@dataclass(slots=True, kw_only=True)
class Gateway:
    """Everything that runs in this process, and how it stops."""

    settings: Settings
    clock: Clock
    stores: Stores
    ledger: Ledger
    board: Board
    desk: Desk
    writer: Writer
    floor: Floor
    seen: Floor  # every lane, also those of other processes
    brokers: dict[str, Broker]
    lanes: list[Lane]
    bell: Bell
    reports: Reports
    relay: Relay
    partitions: PartitionJob
    alarms: Alarms
    webhooks: Webhooks | None  # who tells customers, where this process does
    forever: list[Loop]
    farewells: list[Loop] = field(default_factory=list)  # what a clean stop says, at its end
    watching: Watching | None = None  # where lanes run
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    draining: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def bus(self) -> Bus:
        return self.stores.bus

    @property
    def book(self) -> AccountBook:
        return self.stores.book

    @property
    def anomalies(self) -> AnomalyLedger:
        return AnomalyLedger(self.stores.ledger, self.clock, lambda: self.board.reference.calendar)

    @property
    def endpoints(self) -> WebhookLedger:
        return WebhookLedger(self.stores.ledger, self.clock)

    @property
    def sessions(self) -> SessionLedger:
        return SessionLedger(self.stores.ledger, self.clock)

    @property
    def grounds(self) -> Grounds:
        return Grounds(
            record=self.ledger,
            anomalies=self.anomalies.open_anomalies,
            floor=self.seen,
            clock=self.clock,
            calendar=lambda: self.board.reference.calendar,
            on_moved=self.board.changed,
            able={name: broker.capabilities for name, broker in self.brokers.items()},
            stands_by=self.stores.ledger.is_shared,
        )

    @property
    def drills(self) -> SimulatedDrills | None:
        """Drills, where the settings name a simulated broker's control address."""
        lines = {
            name: SimulatorLine(b.drill_url, str(b.options.get("secret", "")))
            for name, b in self.settings.brokers.items()
            if b.drill_url is not None
        }
        on = self.grounds
        return SimulatedDrills(self.ledger, lines, on.clock, on.calendar) if lines else None

    async def run(self) -> None:
        """Recover, then run every loop until drained; the first that fails ends all."""
        await self.board.refresh()
        if self._does("partitions"):
            await self.partitions.prepare()
        async with asyncio.TaskGroup() as loops:
            eternal = [loops.create_task(_loop(loop)) for loop in self.forever]
            try:
                await self._until_drained()
            finally:
                await ended(*eternal)
            await self._flush()
            for farewell in self.farewells:
                await farewell()

    async def _until_drained(self) -> None:
        async with asyncio.TaskGroup() as loops:
            loops.create_task(_loop(self.draining.wait))
            if self._does("intake"):
                loops.create_task(self.writer.run())
            for lane in self.lanes:
                await lane.open()
                loops.create_task(lane.run())
            self.ready.set()

    def _does(self, part: str) -> bool:
        return part in PARTS[self.settings.role]

    def drain(self) -> None:
        """Take and send nothing new; `run` returns when every answer is on disk."""
        self.draining.set()
        self.writer.drain()
        for lane in self.lanes:
            lane.stop()

    async def _flush(self) -> None:
        """Hand the last events to the bus; what does not go now goes at the next start."""
        if not (self.settings.view and self._does("relay")):
            return
        try:
            async with asyncio.timeout(FLUSH_S_MAX):
                while await self.relay.step():
                    pass
        except (TimeoutError, OSError):
            return

    async def close(self) -> None:
        """Let go of every broker and every store, whatever one of them raises."""
        async with AsyncExitStack() as opened:
            opened.push_async_callback(self.stores.close)
            opened.push_async_callback(self.alarms.close)
            if self.webhooks is not None:
                opened.push_async_callback(self.webhooks.close)
            for broker in self.brokers.values():
                opened.push_async_callback(broker.close)

    def not_ready(self) -> list[str]:
        """Return why no order can be made durable now; brokers and view are not asked."""
        reasons = []
        if not self.stores.ledger.is_shared:
            free = shutil.disk_usage(self.settings.data_dir).free
            reasons += [] if free >= DISK_FLOOR_BYTES else [f"{free >> 20} MiB of disk are left"]
        if self._does("intake") and not self.writer.running:
            reasons.insert(0, "the writer does not run")
        return reasons

    def days_kept(self) -> DaysKept:
        """Return how the tables of trade dates stand, as this process last saw them."""
        job = self.partitions
        late = self.ledger.days_made_late
        return DaysKept(job.attached, job.days_ahead, late, job.last_error)

    async def daybook(self) -> DayBook:
        """Return which days stand, and what is done next; closely while no market is open."""
        scan = not self.board.reference.calendar.open_now(self.clock.now())
        return await day_book(self.partitions, self.stores.ledger.read, scan=scan)

    def reference(self) -> Reference:
        """Return the calendar, with its overrides, and the instruments of this moment."""
        return self.board.reference

    async def rebuild_view(self) -> int:
        """Forget the account view and make it again from the ledger; return its size."""
        return await rebuild(self.ledger.payloads(), self.book, await self.ledger.spans())

    async def verify_view(self) -> list[str]:
        """Return the orders whose view differs from the ledger."""
        return await differences(self.ledger.payloads(), self.book, await self.ledger.spans())


async def _loop(run: Callable[[], Awaitable[object]]) -> None:
    await run()


async def open_gateway(settings: Settings, clock: Clock | None = None) -> Gateway:
    """Build what this process is to be; nothing runs yet."""
    clock = clock or SystemClock()
    if settings.crash_at is not None:
        name, _, passes = settings.crash_at.partition(":")
        crash.arm(name, int(passes))
    reference = load_reference(instruments_file=settings.instruments_file)
    speaks = not PARTS[settings.role].isdisjoint({"intake", "dispatch"})
    async with AsyncExitStack() as opened:
        brokers = {}
        for name, b in settings.brokers.items() if speaks else ():
            brokers[name] = load(b.adapter, {"name": name, "clock": clock, **b.options})
            opened.push_async_callback(brokers[name].close)
        stores = await open_stores(settings, clock)
        opened.push_async_callback(stores.close)
        gateway = await furnish(settings, clock, stores, brokers, reference)
        opened.pop_all()  # from here on it is the gateway's to close
    return gateway


async def furnish(
    settings: Settings,
    clock: Clock,
    stores: Stores,
    brokers: dict[str, Broker],
    reference: Reference,
) -> Gateway:
    """Build the rooms on stores whose schema stands; a test in virtual time brings its own."""
    parts = PARTS[settings.role]
    ledger = Ledger(stores.ledger, clock)
    rates = {name: broker.orders_per_second for name, broker in settings.brokers.items()}
    ledger.declare(rates, settings.routes)
    board = Board(ledger, reference, shared=stores.ledger.is_shared)
    await board.refresh()
    limits = Limits()

    def check(order: Order) -> Code | None:
        return recheck(order, instruments=board.reference.instruments, limits=limits)

    anomalies = AnomalyLedger(stores.ledger, clock, lambda: board.reference.calendar)
    on = Ground(clock, ledger, board, check, anomalies, settings.unlimited)
    lanes = brokers if "dispatch" in parts else {}
    sending = send_through(on, lanes, shared=stores.ledger.is_shared)
    shown = ShownFloor(ledger, clock)
    writer = Writer(ledger, clock)
    desk = Desk(
        store=ledger,
        writer=writer,
        clock=clock,
        reference=lambda: board.reference,
        halts=lambda: board.standing,
        limits=limits,
        on_queued=sending.wake,
        replaces=frozenset(n for n, b in brokers.items() if b.capabilities.replaces),
    )
    gateway = Gateway(
        settings=settings,
        clock=clock,
        stores=stores,
        ledger=ledger,
        board=board,
        desk=desk,
        writer=writer,
        floor=sending.floor if "dispatch" in parts else shown,
        seen=shown if stores.ledger.is_shared or "dispatch" not in parts else sending.floor,
        brokers=brokers,
        lanes=sending.lanes,
        bell=_bell(on, sending),
        reports=Reports(stores.bus, ledger, sending.witness),
        relay=Relay(stores.outbox, stores.bus),
        partitions=_partitions(settings, clock, stores, board),
        alarms=open_alarms(settings, stores.bus, clock, AnomalyLedger(stores.ledger, clock)),
        webhooks=_webhooks(settings, clock, stores),
        forever=[],
    )
    gateway.forever += _forever(gateway, sending, shown)
    return gateway


def _bell(on: Ground, sending: Sending) -> Bell:
    return Bell(
        store=on.ledger,
        control=on.ledger,
        board=on.board,
        clock=on.clock,
        recheck=on.recheck,
        on_released=sending.wake,
    )


def _watching(gateway: Gateway, sending: Sending) -> list[Loop]:
    if "watch" not in PARTS[gateway.settings.role]:
        return []
    kept = Kept(gateway.ledger, gateway.anomalies, gateway.stores)
    sent = Sent(sending.witness, gateway.board, sending.floor, gateway.reports, sending.gates)
    gateway.watching = watch_over(kept, sent, gateway.clock, view=gateway.settings.view)
    return [gateway.watching.watch.run]


def _webhooks(settings: Settings, clock: Clock, stores: Stores) -> Webhooks | None:
    if "webhooks" not in PARTS[settings.role]:
        return None
    kept, anomalies = WebhookLedger(stores.ledger, clock), AnomalyLedger(stores.ledger, clock)
    return open_webhooks(settings, stores.bus, kept, anomalies, clock)


def _partitions(settings: Settings, clock: Clock, stores: Stores, board: Board) -> PartitionJob:
    return PartitionJob(
        stores.ledger,
        lambda: board.reference.calendar,
        clock,
        settings.data_dir / "archive",
        gate=drop_gate(settings.mongo),
    )


def _forever(gateway: Gateway, sending: Sending, shown: ShownFloor) -> list[Loop]:
    """Return the loops of this role."""
    parts, stores = PARTS[gateway.settings.role], gateway.stores
    loops: list[Loop] = []
    if "dispatch" in parts:
        showing = [Showing(sending.floor, gateway.ledger).run] if stores.ledger.is_shared else []
        loops += [gateway.bell.run, gateway.reports.run, *sending.asking, *showing]
        loops += [inbound.run for inbound in inbound_of(gateway.brokers, stores.bus)]
        loops += sessions_of(
            gateway.brokers, gateway.lanes, sending.replaces, gateway.sessions, stores.bus
        )
    # Whoever lets people lead a route, leads it, or advises, sees the lanes of all processes.
    if gateway.seen is shown and parts & {"intake", "throttle", "failover"}:
        loops.append(shown.run)
    if "failover" in parts:
        # A route that nobody leads away from a dead broker does not wait until the morning.
        mishaps = Mishaps(gateway.anomalies, "failover", Severity.CRITICAL)
        switch = Switch(gateway.grounds, mishaps)
        loops.append(switch.run)
        gateway.farewells.append(switch.leadership.leave)
    if loops:
        loops.insert(0, gateway.board.run)
    loops += _watching(gateway, sending)
    if gateway.settings.view:
        loops += [run for part, run in _subscribers(gateway).items() if part in parts]
    if "partitions" in parts:
        loops.append(gateway.partitions.run)
    if isinstance(stores.bus, LogBus):
        loops.append(partial(_trim, stores.bus, gateway.settings.bus_keep_s))
    return loops


def _subscribers(gateway: Gateway) -> dict[str, Loop]:
    """Return by its part what hears of what has happened, and the relay that tells it."""
    stores, advice = gateway.stores, Mishaps(gateway.anomalies, "throttle")
    adviser = Adviser(stores.bus, gateway.ledger, gateway.floor, gateway.clock, advice)
    told = {} if gateway.webhooks is None else {"webhooks": gateway.webhooks.run}
    return {
        "relay": gateway.relay.run,
        "projector": Projector(stores.bus, stores.book).run,
        "throttle": adviser.run,
        "alarms": gateway.alarms.run,
        **told,
    }


async def _trim(bus: LogBus, keep_s: int) -> None:
    while True:
        await asyncio.sleep(TRIM_EVERY_S)
        await bus.trim(keep_s * 1_000)
