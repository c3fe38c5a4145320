"""What runs in this process, and how it stops: recover, take, send, drain, hand over, let go.

Start-up is recovery: a broker's lane takes its lease, declares what a former owner left open in
doubt, and only then sends. Taking orders does not wait for that. A loop that dies takes the
process down, because the next start knows how to go on and a half-dead process does not. The trap
is an end that waits for one loop for ever, so what does not hear is told again.
"""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from app.accounts.projector import differences, rebuild
from app.alarms.alarms import Alarms
from app.brokers.fault_line import SimulatorLine
from app.clock import Clock
from app.dispatch.bell import Bell
from app.dispatch.board import Board
from app.dispatch.lane import Lane
from app.dispatch.reports import Reports
from app.domain.daybook import DayBook
from app.domain.signs import DaysKept
from app.ending import ended
from app.failover.drills import SimulatedDrills
from app.failover.switch import Grounds
from app.intake.desk import Desk
from app.intake.writer import Writer
from app.ledger.outbox.relay import Relay
from app.ledger.partitions.day_book import day_book
from app.ledger.partitions.job import PartitionJob
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ledger.webhooks.store import WebhookLedger
from app.ports.accounts import AccountBook
from app.ports.brokers import Broker
from app.ports.bus import Bus
from app.ports.dispatch import Floor
from app.reference import Reference
from app.sending import Loop
from app.settings import Settings
from app.stores import Stores
from app.watching import Watching
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
