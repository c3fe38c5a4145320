"""A place of its own on a Kafka that others use too: topics and groups under a fresh name.

What it makes it removes. A test opens the bus there as often as it likes, each time as a
process that has just started would.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]

from app.bus.cluster import ensure_topics, led
from app.bus.kafka import KafkaBus
from app.bus.site import Patience
from app.clock import SystemClock
from app.ports.bus import Bus, Event, Record
from app.settings import KafkaSettings
from tests.servers.server import Server, fresh_name

ORDERS: Final = "openbell.orders.v1"
AUDIT: Final = "openbell.audit.v1"
# Several, so that order within a key and order over all are not the same.
PARTITIONS: Final = 3
SOON_S: Final = 30.0


class KafkaHouse:
    """Where one test lives on a shared cluster."""

    def __init__(self, server: Server, *topics: str) -> None:
        self.server = server
        self.prefix = fresh_name("bus") + "."
        self.topics = topics or (ORDERS, f"{ORDERS}.dlq", AUDIT)
        self.settings = KafkaSettings(
            bootstrap=server.bootstrap, partitions=PARTITIONS, replication=1, min_insync=1
        )
        self._made = False

    @asynccontextmanager
    async def open(self, patience: Patience | None = None) -> AsyncIterator[KafkaBus]:
        """Open the bus as a process that has just started would."""
        if not self._made:
            await ensure_topics(self.settings, prefix=self.prefix, topics=self.topics)
            self._made = True
        bus = KafkaBus(self.settings, SystemClock(), prefix=self.prefix, patience=patience)
        try:
            yield bus
        finally:
            await bus.close()

    def run(self, story: Callable[[], Awaitable[None]], timeout_s: float = 60) -> None:
        """Run a test's story, with an end, and remove its topics."""

        async def limited() -> None:
            try:
                async with asyncio.timeout(timeout_s):
                    await story()
            finally:
                await self.clear()

        asyncio.run(limited())

    async def clear(self) -> None:
        """Remove this house's topics; a server that is down keeps them."""
        if not self._made or not self._is_up():
            return
        admin = AIOKafkaAdminClient(bootstrap_servers=self.server.bootstrap)
        try:
            await admin.start()
            async with asyncio.timeout(SOON_S):
                await led(admin)  # one that has just thawed may still look for it
            await admin.delete_topics([self.prefix + topic for topic in self.topics])
        finally:
            await admin.close()
        self._made = False

    def _is_up(self) -> bool:
        return self.server.process is None or self.server.process.lives()


def an_event(number: int, key: str = "acc-1", topic: str = ORDERS) -> Event:
    """Return the event of one version of one order."""
    return Event(
        topic=topic,
        key=key,
        event_id=f"{key}-{number}",
        type="io.openbell.order.new.v1",
        payload=b'{"number":%d}' % number,
    )


async def read(
    bus: Bus, count: int, *, topic: str = ORDERS, group: str = "accounts", limit: int = 1_000
) -> list[Record]:
    """Poll until so many have come, and fail when they do not come."""
    found: list[Record] = []
    async with asyncio.timeout(SOON_S):
        while len(found) < count:
            batch = await bus.poll(topic, group, limit)
            assert len(batch) <= limit
            found += batch
            if not batch:
                await bus.wait(topic, group, 0.2)
    return found


def ids(records: Sequence[Record]) -> list[str]:
    return [record.event.event_id for record in records]


def first_of_each(names: Sequence[str]) -> list[str]:
    """Return what came, each when it came first: repetition is allowed, disorder is not."""
    return list(dict.fromkeys(names))
