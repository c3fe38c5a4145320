"""The embedded bus beyond the port: contiguous offsets, waking, trimming, exact bytes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from app.bus.log import LETTERS_KEPT_MS, TRIM_RECORDS_MAX, LogBus
from app.ports.bus import Event, Record
from app.sqlite import Database
from tests.virtual import Virtual, VirtualClock, run_virtual

T = TypeVar("T")

TOPIC = "openbell.orders.v1"
HOUR_MS = 3_600_000


def events(count: int, topic: str = TOPIC, start: int = 0) -> list[Event]:
    return [
        Event(topic, "acc-1", f"e-{number}", "order.new.v1", b'{"n":%d}' % number)
        for number in range(start, start + count)
    ]


async def offsets(bus: LogBus, group: str = "all", topic: str = TOPIC) -> list[int]:
    return [record.offset for record in await bus.poll(topic, group, 100_000)]


@settings(deadline=None, max_examples=40)
@given(payloads=st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_bytes_come_back_as_they_were_whatever_they_are(payloads: list[bytes]) -> None:
    sent = [Event(TOPIC, "k", str(n), "t", payload) for n, payload in enumerate(payloads)]

    async def scenario(clock: VirtualClock) -> list[Event]:
        bus = LogBus(Database(None), clock)
        await bus.publish(sent)
        return [record.event for record in await bus.poll(TOPIC, "all", 100)]

    assert run_virtual(scenario) == sent


def test_offsets_of_each_topic_have_no_gaps(virtual: Virtual) -> None:
    bus = LogBus(Database(None), virtual.clock)
    mixed = [event for pair in zip(events(3), events(3, "b"), strict=True) for event in pair]
    virtual.run(bus.publish(mixed))
    virtual.run(bus.publish(events(2)))

    assert virtual.run(offsets(bus)) == [0, 1, 2, 3, 4]
    assert virtual.run(offsets(bus, topic="b")) == [0, 1, 2]


def test_publishers_side_by_side_get_offsets_of_their_own(tmp_path: Path) -> None:
    async def scenario(bus: LogBus) -> None:
        await asyncio.gather(*[bus.publish(events(7, start=100 * each)) for each in range(20)])
        assert await offsets(bus) == list(range(140))

    with Virtual() as virtual:
        database = Database(tmp_path / "bus.db")
        bus = LogBus(database, virtual.clock)
        asyncio.run(scenario(bus))
        database.close()


def upto(offset: int) -> list[Record]:
    """Return a record as a consumer of this topic hands it back."""
    return [Record(0, offset, events(1)[0])]


def test_a_commit_beyond_the_end_is_a_bug_and_changes_nothing(virtual: Virtual) -> None:
    bus = LogBus(Database(None), virtual.clock)
    virtual.run(bus.publish(events(3)))
    with pytest.raises(AssertionError, match="which is not there"):
        virtual.run(bus.commit(TOPIC, "all", upto(3)))

    assert virtual.run(bus.lag(TOPIC, "all")) == 3


def test_a_waiter_wakes_at_the_moment_of_publishing(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        async with asyncio.TaskGroup() as tasks:
            for group in ("a", "b"):
                tasks.create_task(bus.wait(TOPIC, group, 60))
            await asyncio.sleep(1)
            await bus.publish(events(1, "another"))
            await asyncio.sleep(1)
            await bus.publish(events(1))
        assert clock.monotonic_ns() == 2_000_000_000

    virtual.run(scenario(virtual.clock))


def test_a_waiter_returns_at_once_for_what_is_there_and_late_for_nothing(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        await bus.publish(events(1))
        await bus.wait(TOPIC, "all", 60)
        assert clock.monotonic_ns() == 0

        await bus.poll(TOPIC, "all", 10)
        await bus.wait(TOPIC, "all", 60)
        assert clock.monotonic_ns() == 60_000_000_000

    virtual.run(scenario(virtual.clock))


class SlowToAnswer(Database):
    """A database whose reader has looked long before its answer arrives."""

    async def read(self, work: Callable[[sa.Connection], T]) -> T:
        answer = await super().read(work)
        await asyncio.sleep(1)
        return answer


def test_what_is_published_while_a_waiter_looks_is_not_slept_through(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(SlowToAnswer(None), clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(bus.wait(TOPIC, "all", 60))
            await asyncio.sleep(0.5)
            await bus.publish(events(1))
        assert clock.monotonic_ns() == 1_000_000_000

    virtual.run(scenario(virtual.clock))


def test_trim_keeps_what_is_young_and_what_any_group_has_not_done(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        await bus.publish(events(10))
        await bus.poll(TOPIC, "slow", 3)  # known from its first poll, with nothing committed
        await bus.poll(TOPIC, "fast", 10)
        await bus.commit(TOPIC, "fast", upto(9))
        clock.set_now(clock.now() + 2 * HOUR_MS)
        await bus.publish(events(5, start=10))
        await bus.commit(TOPIC, "fast", upto(12))

        assert await bus.trim(HOUR_MS) == 0
        await bus.commit(TOPIC, "slow", upto(3))
        assert await bus.trim(HOUR_MS) == 4
        await bus.commit(TOPIC, "slow", upto(11))
        assert await bus.trim(HOUR_MS) == 6
        assert await bus.lag(TOPIC, "slow") == 3
        assert await bus.lag(TOPIC, "new") == 5
        assert await offsets(bus, "new") == [10, 11, 12, 13, 14]

    virtual.run(scenario(virtual.clock))


def test_an_offset_is_never_given_twice_though_all_was_trimmed(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        for topic in (TOPIC, "nobody.reads.this"):
            await bus.publish(events(TRIM_RECORDS_MAX + 50, topic))
        await bus.poll(TOPIC, "all", 100_000)
        await bus.commit(TOPIC, "all", upto(TRIM_RECORDS_MAX + 49))
        clock.set_now(clock.now() + HOUR_MS)

        assert await bus.trim(1_000) == 2 * (TRIM_RECORDS_MAX + 49)
        await bus.publish(events(1))
        assert await offsets(bus) == [TRIM_RECORDS_MAX + 50]

    virtual.run(scenario(virtual.clock))


def test_dead_letters_outlive_the_events_though_nobody_has_looked_at_them(
    virtual: Virtual,
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        for topic in (TOPIC, f"{TOPIC}.dlq"):
            await bus.publish(events(3, topic))
        clock.set_now(clock.now() + 30 * 24 * HOUR_MS)

        assert await bus.trim(1_000) == 2
        assert await offsets(bus, topic=f"{TOPIC}.dlq") == [0, 1, 2]

        clock.set_now(clock.now() + LETTERS_KEPT_MS)
        await bus.commit(f"{TOPIC}.dlq", "all", upto(2))
        assert await bus.trim(1_000) == 2

    virtual.run(scenario(virtual.clock))


def test_a_wall_that_steps_back_makes_no_gap(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        await bus.publish(events(2))
        clock.set_now(clock.now() - 10 * HOUR_MS)
        await bus.publish(events(2))  # stamped older than the two before it
        clock.set_now(clock.now() + 10 * HOUR_MS)

        assert await bus.trim(HOUR_MS) == 0
        assert await offsets(bus) == [0, 1, 2, 3]

    virtual.run(scenario(virtual.clock))


def test_a_compacted_topic_keeps_the_last_of_each_key_while_it_is_young(virtual: Virtual) -> None:
    bus = LogBus(Database(None), virtual.clock)
    state = "openbell.anomaly-state.v1"

    def told(*keys: str) -> list[Event]:
        return [Event(state, key, f"{key}-{n}", "t", b"{}") for n, key in enumerate(keys)]

    async def keys(group: str) -> list[str]:
        return [record.event.key for record in await bus.poll(state, group, 100)]

    async def scenario() -> None:
        await bus.publish(told("a", "b", "a", "c", "a", "b"))
        assert await keys("old") == ["a", "b", "a", "c", "a", "b"]
        assert await bus.trim(HOUR_MS) == 3  # at once, though nobody has committed
        assert await keys("new") == ["c", "a", "b"]
        assert await bus.lag(state, "old") == 3
        await asyncio.sleep(31 * 86_400)
        await bus.publish(told("d"))
        assert await bus.trim(HOUR_MS) == 3
        assert await keys("newer") == ["d"]
        assert await bus.lag(state, "newer") == 1

    virtual.run(scenario())
