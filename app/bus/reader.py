"""One consumer of one topic for one group; its partitions come and go as members do.

    assigned ──► poll ──► commit ──► poll …
       ▲                    │
       └── revoked ◄────────┘   whatever was fetched and not committed comes again, to its
                                new owner; what is committed for it from here is passed over

Members join and leave behind our back: aiokafka rebalances in tasks of its own, never in a poll
of ours. So nothing is believed across a rebalance: what was fetched ahead is dropped, and a
commit first asks whether its partition is still here and lies ahead of what the group has
committed, because a batch that we held while another member was the owner would else set the
group back.

Edges of aiokafka 0.14, filed off here: a broker that is away looks like a topic at rest (so after
some quiet seconds we ask for the end of the topic); a fetch task that has died looks the same
(so a consumer that delivers nothing though there is something is `Stuck`); `getmany` waits for
ever during a rebalance (so it is not called then); a member that does not poll for minutes leaves
its group, and two that do so take turns for ever (aiokafka#848; so it may pause for a day).
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka import ConsumerRebalanceListener  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    CommitFailedError,
    IllegalStateError,
    KafkaError,
)

from app.bus.away import bounded
from app.bus.envelope import Arrived, event_of
from app.bus.hand import GRACE_S, Hand, Stuck
from app.bus.site import Site, stopped
from app.ports.bus import Record

# To read an event takes some 10 us: give the loop back every millisecond.
BREATH: Final = 100


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    def __init__(self, reader: "Reader") -> None:
        self._reader = reader

    def on_partitions_revoked(self, _revoked: object) -> None:
        self._reader.revoked()

    def on_partitions_assigned(self, _assigned: object) -> None:
        self._reader.assigned()


class Reader:
    """What one process reads of a topic for a group, each partition in order."""

    def __init__(self, consumer: Any, site: Site, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._places = {place.partition: place for place in site.places(topic)}
        self._patience = site.patience
        self._hand = Hand(consumer, topic)
        self._has_partitions = asyncio.Event()
        # Counts rebalances: what began in one era says nothing about the next.
        self._era = 0
        # Where each partition began for us in this era, or what was committed last.
        self._floor: dict[Any, int] = {}
        # Partitions with something to read that do not move: at what position, since when.
        self._still: dict[Any, tuple[int, float]] = {}
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._without_since = self._loop.time()

    def revoked(self) -> None:
        """Forget everything: whatever is not committed comes again, here or elsewhere."""
        self._has_partitions.clear()
        self._without_since = self._loop.time()
        self._era += 1
        self._hand.drop()
        self._floor.clear()
        self._still.clear()

    def assigned(self) -> None:
        self._has_partitions.set()

    async def poll(self, limit: int) -> list[Record]:
        """Return what is here by now, at most `limit`; raise `BusAway` when nobody answers."""
        found = await self._hand.take(limit) if self._has_partitions.is_set() else []
        if not found:
            await self._ask_why_nothing_comes()
            return []
        self._heard_at = self._loop.time()
        for raw in found:
            place = self._places[raw.partition]
            # Lower than what was committed: the topic was made anew, and counts from zero.
            self._floor[place] = min(self._floor.get(place, raw.offset), raw.offset)
        return await self._read(found)

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something to poll, or the time is over."""
        give_up_at = self._loop.time() + timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                await self._has_partitions.wait()
        except TimeoutError:
            return
        await self._hand.wait(max(0.0, give_up_at - self._loop.time()))

    async def commit(self, records: Sequence[Record]) -> None:
        """Note how far the group has come in the partitions that are ours by now."""
        era = self._era
        async with bounded(f"commit {self._topic}", self._patience.answer_s):
            try:
                done = await self._ahead_of_the_group(records)
                # In the midst of a rebalance a commit costs us our membership, for some seconds.
                if done and era == self._era:
                    await self._consumer.commit(done)
            except (CommitFailedError, IllegalStateError):
                return  # a rebalance came between: whoever is the owner now gets them again
        if era == self._era:
            self._floor.update(done)

    async def close(self) -> None:
        """Leave the group, so that others need not wait until we are believed dead."""
        await stopped(self._consumer, self._patience.answer_s)

    async def _read(self, found: Sequence[Any]) -> list[Record]:
        records = []
        for count, raw in enumerate(found, 1):
            arrived = Arrived(
                self._topic, raw.partition, raw.offset, raw.key, raw.value, raw.headers
            )
            records.append(Record(raw.partition, raw.offset, event_of(arrived)))
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return records

    async def _ahead_of_the_group(self, records: Sequence[Record]) -> dict[Any, int]:
        """Return what to commit: of partitions that are ours, and only if that is progress."""
        if not self._has_partitions.is_set():
            return {}
        last: dict[int, int] = {}
        for record in records:
            last[record.partition] = max(last.get(record.partition, -1), record.offset)
        ours = self._consumer.assignment()
        done = {}
        for partition, offset in last.items():
            place = self._places[partition]
            if place in ours and offset + 1 > await self._floor_of(place):
                done[place] = offset + 1
        return done

    async def _floor_of(self, place: Any) -> int:
        if place not in self._floor:
            era, committed = self._era, await self._consumer.committed(place)
            if era != self._era:
                raise IllegalStateError(f"{place} was revoked meanwhile")
            self._floor[place] = committed or 0
        return self._floor[place]

    async def _ask_why_nothing_comes(self) -> None:
        """Find out, now and then: nothing to read, nobody who answers, or our own failure."""
        if self._loop.time() < self._heard_at + self._patience.quiet_s:
            return
        async with bounded(f"read {self._topic}", self._patience.answer_s):
            ends = await self._consumer.end_offsets(list(self._places.values()))
            self._heard_at = self._loop.time()
            if not self._has_partitions.is_set():
                await self._must_get_partitions()
                return
            try:
                still = {
                    place: position
                    for place in self._consumer.assignment()
                    if (position := await self._consumer.position(place)) < ends[place]
                }
            except IllegalStateError:
                return  # a rebalance came between
        self._must_move(still)

    async def _must_get_partitions(self) -> None:
        if self._heard_at < self._without_since + self._patience.stuck_s:
            return
        why = f"no partitions within {self._patience.stuck_s:g} s"
        try:
            async with asyncio.timeout(GRACE_S):
                await self._consumer.getmany()  # it raises what keeps us out, if it knows
        except TimeoutError:
            pass
        except KafkaError as e:
            why = str(e)
        raise Stuck(f"read {self._topic}: {why}")

    def _must_move(self, positions: dict[Any, int]) -> None:
        now, before = self._heard_at, self._still
        self._still = {}
        for place, position in positions.items():
            known, since = before.get(place, (position, now))
            self._still[place] = (position, since if known == position else now)
            if now - self._still[place][1] >= self._patience.stuck_s:
                raise Stuck(f"read {self._topic}: nothing comes after {position} of {place}")


async def join(site: Site, topic: str, group: str) -> Reader:
    """Return a reader that joins its group in the background, or raise `BusAway`."""
    consumer = await site.consumer(group)
    reader = Reader(consumer, site, topic)
    consumer.subscribe([site.topic(topic)], listener=_Listener(reader))
    return reader
