"""Our adapter at a counterparty or at the fake, with short waits; and what it publishes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from app.brokers.alpaca.broker import AlpacaBroker
from app.clock import Clock, SystemClock
from app.domain.messages import ExecutionReport, ExecutionType
from app.ports.brokers import Standing
from app.ports.sessions import SessionStore, Unread
from tests.brokers.alpaca.fake import KEY_ID, SECRET, FakeAlpaca, alpaca
from tests.eventually import eventually

# Ten milliseconds each: five times the gap between two looks.
QUIET_ASKS = 10


class FakeTime(SystemClock):
    """The fake's wall clock, and the machine's monotonic one."""

    def __init__(self, fake: FakeAlpaca) -> None:
        self._fake = fake

    def now(self) -> int:
        return self._fake.now_ms()


class Published:
    """Everything that was published, and whether the bus takes more."""

    def __init__(self) -> None:
        self.reports: list[ExecutionReport] = []
        self.away = 0  # so many publications fail

    async def park(self, unread: Sequence[Unread]) -> None:
        raise AssertionError(unread)

    async def publish(self, reports: Sequence[ExecutionReport]) -> None:
        if self.away:
            self.away -= 1
            raise ConnectionError("the bus is away")
        self.reports += reports

    @property
    def fills(self) -> list[tuple[str, int]]:
        """Whose fills, and of how much, in the order in which they were published."""
        trades = [r for r in self.reports if r.execution_type is ExecutionType.TRADE]
        return [(r.broker_order_key, int(r.last_quantity)) for r in trades]

    def words(self, key: str) -> list[str]:
        return [r.execution_type.value for r in self.reports if r.broker_order_key == key]


class Account(NamedTuple):
    """One account there, our adapter on it, and what that publishes."""

    fake: FakeAlpaca
    broker: AlpacaBroker
    published: Published

    def standing(self, epoch: Callable[[], int] = lambda: 1) -> Standing:
        """Return what the adapter runs on; the numbers of a FIX session are not among it."""
        store = cast("SessionStore", None)
        return Standing(store, self.published.publish, self.published.park, epoch, lambda: True)


def alpaca_at(url: str, *, clock: Clock | None = None, **options: Any) -> AlpacaBroker:
    """Return our adapter, pointed at a counterparty."""
    given: dict[str, Any] = {"name": "alpaca", "key_id": KEY_ID, "secret": SECRET}
    given |= {"look_gap_s": 0.02, "silence_s": 0.4, "patience_s": 0.3}
    return AlpacaBroker(**{**given, **options}, url=url, clock=clock or SystemClock())


@asynccontextmanager
async def an_account(**options: Any) -> AsyncIterator[Account]:
    """Open an account at the fake; nothing listens yet."""
    async with alpaca() as fake:
        broker = alpaca_at(fake.url, clock=FakeTime(fake), **options)
        try:
            yield Account(fake, broker, Published())
        finally:
            await broker.close()


async def quiet(fake: FakeAlpaca) -> None:
    """Return when nothing has been asked for a while, so that a look has a cause of its own."""
    seen, still = -1, 0

    def nothing_was_asked() -> bool:
        nonlocal seen, still
        still = still + 1 if len(fake.requests) == seen else 0
        seen = len(fake.requests)
        return still >= QUIET_ASKS

    await eventually(nothing_was_asked)


@asynccontextmanager
async def listening(account: Account) -> AsyncIterator[None]:
    """Let the adapter hear and publish meanwhile."""
    async with asyncio.TaskGroup() as loops:
        task = loops.create_task(account.broker.run(account.standing()))
        try:
            yield
        finally:
            task.cancel()
