"""The bus on Kafka: one producer a process, one consumer for each topic and group.

    publish ─► Publisher ─► topic, by key to a partition ─► Hand ─► Reader ─► poll, commit
                                   └─► a scout, who is no member of the group ─► lag

At least once, in order per key; exactly once is claimed nowhere, so no transactions. Each call
ends in bounded time: done, or `BusAway`, which is an `OSError` and means "later". aiokafka has
sharp edges: `publisher`, `reader` and `hand` say which they file off.

The trap is a consumer that cannot go on and does not say so: one that is `Stuck` is replaced,
and begins where its group has committed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from app.bus.away import BusAway, bounded
from app.bus.cluster import ensure_topics
from app.bus.hand import Stuck
from app.bus.publisher import Publisher
from app.bus.reader import Reader, join
from app.bus.site import Patience, Site, stopped
from app.clock import Clock
from app.ports.bus import Event, Record
from app.settings import KafkaSettings


class KafkaBus:
    """A `Bus` on a cluster. Of one topic and group, one task polls at a time."""

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        *,
        prefix: str = "",
        patience: Patience | None = None,
    ) -> None:
        self._site = Site(settings, prefix, patience or Patience())
        self._publisher = Publisher(self._site, clock)
        self._readers: dict[tuple[str, str], Reader] = {}
        self._scouts: dict[str, Any] = {}
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Make or verify the topics and connect, or raise `BusAway` or `WrongTopic`."""
        await ensure_topics(self._site.settings, prefix=self._site.prefix)
        await self._publisher.start()

    async def close(self) -> None:
        """Leave every group and let go of every connection."""
        while self._readers:
            _, reader = self._readers.popitem()
            await reader.close()
        while self._scouts:
            _, scout = self._scouts.popitem()
            await stopped(scout, self._site.patience.answer_s)
        await self._publisher.close()

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when all of them are on as many copies as the topics ask for.

        What is larger than its topic takes is parked in the dead letters with its cause: it
        would fail for ever, and hold up all that follows.
        """
        if events:
            await self._publisher.publish(events)

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        """Return what has arrived since the last poll; empty while the group rebalances."""
        reader = await self._reader(topic, group)
        try:
            return await reader.poll(limit)
        except Stuck:
            await self._replace(topic, group)
            raise

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        """Return when there is something to poll, or the time is over."""
        reader = await self._reader(topic, group)
        try:
            await reader.wait(timeout_s)
        except Stuck:
            await self._replace(topic, group)
            raise

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        """Note that these are done. It never moves back, nor touches a partition of others."""
        if records:
            reader = await self._reader(topic, group)
            await reader.commit(records)

    async def lag(self, topic: str, group: str) -> int:
        """Return how many records lie between what the group has committed and the ends."""
        scout = await self._scout(group)
        places = self._site.places(topic)
        try:
            async with bounded(f"lag of {topic}", self._site.patience.answer_s):
                ends = await scout.end_offsets(places)
                begins = await scout.beginning_offsets(places)
                committed = await asyncio.gather(*map(scout.committed, places))
        except BusAway:
            self._scouts.pop(group, None)
            await stopped(scout, self._site.patience.answer_s)
            raise
        done = dict(zip(places, committed, strict=True))
        return sum(max(0, ends[p] - max(begins[p], done[p] or 0)) for p in places)

    async def _reader(self, topic: str, group: str) -> Reader:
        reader = self._readers.get((topic, group))
        if reader is None:
            async with self._opening:
                reader = self._readers.get((topic, group))
                if reader is None:
                    reader = await join(self._site, topic, group)
                    self._readers[topic, group] = reader
        return reader

    async def _replace(self, topic: str, group: str) -> None:
        """Let go of a reader that cannot go on; the next call joins anew."""
        reader = self._readers.pop((topic, group), None)
        if reader is not None:
            await reader.close()

    async def _scout(self, group: str) -> Any:
        """Return a client that asks about a group and is no member of it."""
        async with self._opening:
            if group not in self._scouts:
                self._scouts[group] = await self._site.consumer(group)
            return self._scouts[group]
