"""Kafka as a stranger sees it: what lies in the topics, who reads them, how far behind.

It reads with a client of its own and shares no code with the bus of the gateway, so that one
mistake cannot be made on both sides. The trap is to judge order by the last that was seen: what
is delivered at least once comes again, so the law is about the first time that each version is
seen.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from tests.faults.storm_stage import until

T = TypeVar("T")

ORDERS: Final = "openbell.orders.v1"
VIEW: Final = "accounts"  # the group of the projector
READ_S_MAX: Final = 300.0
ASK_S_MAX: Final = 10.0
SHOWN_MAX: Final = 5


@dataclass(slots=True)
class Told:
    """What one topic tells, from its beginning."""

    records: int = 0
    ids: set[str] = field(default_factory=set)
    versions: dict[str, int] = field(default_factory=dict)  # the highest seen, by order
    wrong: list[str] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        return self.records - len(self.ids)

    def note(self, raw: Any) -> None:
        self.records += 1
        headers = dict(raw.headers)
        name = headers["ce_id"].decode()
        if name in self.ids:
            return
        self.ids.add(name)
        if raw.topic != ORDERS:
            return
        order_id, _, version = name.rpartition("-")
        expected = self.versions.get(order_id, 0) + 1
        if int(version) != expected:
            self.wrong.append(f"{order_id}: version {version} came where {expected} was due")
        self.versions[order_id] = max(int(version), expected)


class Topics:
    """The cluster of the storm."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions

    def read(self, topic: str) -> Told:
        """Read a topic from its beginning to its end."""
        return asyncio.run(self._read(topic))

    async def _read(self, topic: str) -> Told:
        told = Told()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            enable_auto_commit=False,
            # A seek to the beginning races with the library's own search for a place to begin.
            auto_offset_reset="earliest",
        )
        async with asyncio.timeout(READ_S_MAX):
            await consumer.start()
            try:
                places = self._places(topic)
                consumer.assign(places)
                ends = await consumer.end_offsets(places)
                while any([await consumer.position(p) < ends[p] for p in places]):
                    for records in (await consumer.getmany(timeout_ms=500)).values():
                        for raw in records:
                            told.note(raw)
            finally:
                await consumer.stop()
        return told

    def lag(self, topic: str, group: str) -> int:
        """Return how many records the group has not committed."""
        return asyncio.run(self._lag(topic, group))

    async def _lag(self, topic: str, group: str) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False)
        async with asyncio.timeout(ASK_S_MAX):
            await consumer.start()
            try:
                places = self._places(topic)
                ends = await consumer.end_offsets(places)
            finally:
                await consumer.stop()
            done = await self._asked(lambda a: a.list_consumer_group_offsets(group))
        return sum(
            end - max(0, done[place].offset if place in done else 0) for place, end in ends.items()
        )

    def members(self, group: str) -> int:
        """Return how many members the group has, dead ones not yet noticed included."""

        async def ask() -> int:
            (answer,) = await self._asked(lambda a: a.describe_consumer_groups([group]))
            (told,) = answer.groups
            state, members = told[2], told[5]
            return len(members) if state == "Stable" else 0

        try:
            return asyncio.run(ask())
        except (KafkaError, TimeoutError, OSError):
            return 0  # a cluster that is away has none

    def drop(self, topics: Sequence[str]) -> None:
        """Delete topics that are there, and return when none of them is."""

        async def drop() -> None:
            wanted = sorted(set(await self._asked(lambda a: a.list_topics())) & set(topics))
            if wanted:
                await self._asked(lambda a: a.delete_topics(wanted))

        asyncio.run(drop())
        until(lambda: not set(self.names()) & set(topics), "the topics are gone", ASK_S_MAX)

    def names(self) -> list[str]:
        """Return the topics that are the gateway's."""
        found = asyncio.run(self._asked(lambda a: a.list_topics()))
        return sorted(name for name in found if name.startswith("openbell."))

    async def _asked(self, ask: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        async with asyncio.timeout(ASK_S_MAX):
            try:
                await admin.start()
                return await ask(admin)
            finally:
                await admin.close()

    def _places(self, topic: str) -> list[Any]:
        return [TopicPartition(topic, number) for number in range(self._partitions)]
