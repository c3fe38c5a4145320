"""One line to a counterpart, on a ledger in memory: what every story of a session needs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from app.brokers.fix.commands import Identity, Message
from app.brokers.fix.line import Line
from app.brokers.fix.options import read_line
from app.brokers.fix.outbox import Post
from app.clock import SystemClock
from app.domain.messages import ExecutionReport
from app.ledger.schema import upgrade
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ports.brokers import Standing
from app.ports.sessions import Unread
from app.sqlite import Database
from tests.brokers.fix.counterpart import SENDER, TARGET, Book, Counterpart
from tests.eventually import eventually

IDENTITY: Final = Identity(sender=TARGET, target=SENDER, heartbeat_s=1)


class Owner:
    """The lane's lease, as far as a session sees it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.epoch = 0
        self.sure = True

    async def take(self) -> None:
        self.epoch = await self._ledger.take_lease("north", "me", 10_000)


class Stage:
    """A ledger, a lease, a bus that is a list; and a counterpart."""

    def __init__(self, counterpart: Counterpart) -> None:
        self.clock = SystemClock()
        self.database = Database(None)
        upgrade(self.database)
        self.ledger = Ledger(self.database, self.clock)
        self.ledger.declare({"north": 100}, {})
        self.sessions = SessionLedger(self.database, self.clock)
        self.owner = Owner(self.ledger)
        self.counterpart = counterpart
        self.book = counterpart.book
        self.published: list[ExecutionReport] = []
        self.parked: list[Unread] = []
        self.heard: list[Message] = []
        self.lost: list[tuple[str | None, bool, str]] = []
        self.stopped: dict[str, str] = {}  # why an order may not leave, by its key

    @property
    def standing(self) -> Standing:
        return Standing(
            self.sessions,
            self.publish,
            self.park,
            lambda: self.owner.epoch,
            lambda: self.owner.sure,
            self.stopped.get,
        )

    async def park(self, unread: Sequence[Unread]) -> None:
        self.parked += unread

    async def publish(self, reports: Sequence[ExecutionReport]) -> None:
        self.published += reports

    def hear(self, message: Message) -> list[ExecutionReport]:
        self.heard.append(message)
        return []

    def line(self, **options: Any) -> Line:
        given: dict[str, Any] = {
            "hosts": f"127.0.0.1:{self.counterpart.port}",
            "per_second_max": 1_000,
        }
        given |= {"back_off_s_min": 0.02, "back_off_s_max": 0.05}
        identity = options.pop("identity", IDENTITY)
        hours = options.pop("hours", ())
        read = replace(read_line(identity, **(given | options)), windows=hours)
        return Line("north", identity, read, self.clock, self.hear)

    def order(self, key: str) -> Post:
        fields = ((11, key), (1, "A-1"), (55, "AAPL"), (54, "1"), (38, "10"), (40, "2"))
        return Post("D", (*fields, (44, "185.5"), (60, "20260302-14:30:00.000")), key, self.gone)

    def gone(self, post: Post, why: str) -> None:
        self.lost.append((post.key, post.written, why))

    def close(self) -> None:
        self.database.close()


@asynccontextmanager
async def staged(book: Book | None = None) -> AsyncIterator[Stage]:
    """Set a stage whose lease is ours."""
    async with Counterpart(book) as counterpart:
        stage = Stage(counterpart)
        await stage.owner.take()
        try:
            yield stage
        finally:
            stage.close()


@asynccontextmanager
async def running(line: Line, standing: Standing, *, up: bool = True) -> AsyncIterator[Line]:
    """Run the line meanwhile; by default once it is logged on."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(line.run(standing))
        if up:
            await eventually(lambda: line.is_up or task.done())
        yield line
        task.cancel()
