"""What every `Bus` keeps, whichever machine carries it.

A new implementation adds a house to `HOUSES`: how to open the bus as a fresh process would. On
some, a key has a partition of its own and partitions know nothing of each other, so order holds
within a key and nowhere else; and what was published is polled as soon as it has arrived, which
need not be at once. Offsets are only handed back to the bus that gave them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from app.bus.log import LogBus
from app.clock import SystemClock
from app.ports.bus import Bus, Event
from app.sqlite import Database
from tests.bus.kafka_house import AUDIT, KafkaHouse, ids, read
from tests.bus.kafka_house import ORDERS as TOPIC

TIMEOUT_S = 60.0
A_MOMENT_S = 0.2


class House(Protocol):
    """Where one implementation lives during one test."""

    def open(self) -> AbstractAsyncContextManager[Bus]:
        """Open the bus as a process that has just started would."""

    async def clear(self) -> None:
        """Leave nothing behind."""


class LogHouse:
    def __init__(self, home: Path) -> None:
        self._path = home / "bus.db"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Bus]:
        database = Database(self._path)
        try:
            yield LogBus(database, SystemClock())
        finally:
            database.close()

    async def clear(self) -> None:
        """Leave it to pytest, whose directory it is."""


HOUSES: dict[str, Callable[[pytest.FixtureRequest], House]] = {
    "log": lambda request: LogHouse(request.getfixturevalue("tmp_path")),
    "kafka": lambda request: KafkaHouse(request.getfixturevalue("kafka"), TOPIC, AUDIT),
}


@pytest.fixture(params=HOUSES)
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    house = HOUSES[request.param](request)
    yield house
    asyncio.run(house.clear())


def within(house: House, *lives: Callable[[Bus], Awaitable[None]]) -> None:
    """Run each life in a process of its own, on the same bus."""

    async def live() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            for life in lives:
                async with house.open() as bus:
                    await life(bus)

    asyncio.run(live())


def events(*names: str, key: str = "acc-1", topic: str = TOPIC) -> list[Event]:
    return [
        Event(topic, key, name, "order.new.v1", b'{"name":"%s"}' % name.encode()) for name in names
    ]


async def names(bus: Bus, count: int, group: str = "accounts", limit: int = 100) -> list[str]:
    return ids(await read(bus, count, group=group, limit=limit))


async def nothing_more(bus: Bus, group: str = "accounts") -> None:
    await bus.wait(TOPIC, group, A_MOMENT_S)
    assert await bus.poll(TOPIC, group, 100) == []


def test_an_event_arrives_as_it_was_published(house: House) -> None:
    sent = Event(
        TOPIC, "acc-1 \"'", "e-1", "order.new.v1", '{"text":"한 \\"x\\" \\u0000 \0"}'.encode()
    )

    async def life(bus: Bus) -> None:
        await bus.publish([sent])
        assert [record.event for record in await read(bus, 1)] == [sent]

    within(house, life)


def test_events_of_one_key_keep_their_order_over_publishes_and_polls(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c"))
        await bus.publish(events("d", "e"))
        assert await names(bus, 5, limit=2) == ["a", "b", "c", "d", "e"]

    within(house, life)


def test_many_keys_side_by_side_all_arrive_each_in_its_order(house: House) -> None:
    keys = [f"acc-{number}" for number in range(12)]

    async def life(bus: Bus) -> None:
        for turn in range(4):
            await bus.publish([event for key in keys for event in events(f"{key}-{turn}", key=key)])
        arrived = await names(bus, 4 * len(keys), limit=7)
        for key in keys:
            of_key = [name for name in arrived if name.rpartition("-")[0] == key]
            assert of_key == [f"{key}-{turn}" for turn in range(4)]
        await nothing_more(bus)

    within(house, life)


def test_a_poll_of_nothing_is_empty_and_publishing_nothing_is_fine(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish([])
        await nothing_more(bus)
        await bus.publish(events("a"))
        assert await names(bus, 1) == ["a"]
        await nothing_more(bus)

    within(house, life)


def test_what_was_published_survives_its_process(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b"))

    async def second(bus: Bus) -> None:
        assert await names(bus, 2) == ["a", "b"]

    within(house, first, second)


def test_what_was_polled_and_not_committed_comes_again(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c", "d"))
        done = await read(bus, 2, limit=2)
        await bus.commit(TOPIC, "accounts", done)
        assert await names(bus, 2) == ["c", "d"]

    async def second(bus: Bus) -> None:
        assert await names(bus, 1, limit=1) == ["c"]

    async def third(bus: Bus) -> None:
        assert await names(bus, 2) == ["c", "d"]

    within(house, first, second, third)


def test_a_commit_never_moves_back(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c"))
        early = await read(bus, 1, limit=1)
        late = await read(bus, 1, limit=1)
        await bus.commit(TOPIC, "accounts", late)
        await bus.commit(TOPIC, "accounts", early)

    async def second(bus: Bus) -> None:
        assert await names(bus, 1) == ["c"]

    within(house, first, second)


def test_a_commit_speaks_of_all_keys_that_it_names(house: House) -> None:
    keys = [f"acc-{number}" for number in range(12)]

    async def first(bus: Bus) -> None:
        await bus.publish([event for key in keys for event in events(key, key=key)])
        await bus.commit(TOPIC, "accounts", await read(bus, len(keys), limit=5))
        assert await bus.lag(TOPIC, "accounts") == 0

    async def second(bus: Bus) -> None:
        await bus.publish(events("new"))
        assert await names(bus, 1) == ["new"]

    within(house, first, second)


def test_groups_do_not_disturb_each_other(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b"))
        await bus.commit(TOPIC, "accounts", await read(bus, 2))
        assert await names(bus, 2, "webhooks") == ["a", "b"]

    async def second(bus: Bus) -> None:
        await bus.publish(events("c"))
        assert await names(bus, 1) == ["c"]
        assert await names(bus, 3, "webhooks") == ["a", "b", "c"]

    within(house, first, second)


def test_topics_do_not_mix(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish([*events("a"), *events("x", topic=AUDIT), *events("b")])
        assert await names(bus, 2) == ["a", "b"]
        assert ids(await read(bus, 1, topic=AUDIT)) == ["x"]

    within(house, life)


def test_lag_counts_what_is_not_committed(house: House) -> None:
    async def life(bus: Bus) -> None:
        assert await bus.lag(TOPIC, "accounts") == 0
        await bus.publish([*events("a", "b"), *events("c", key="acc-2")])
        assert await bus.lag(TOPIC, "accounts") == 3
        polled = await read(bus, 3)
        assert await bus.lag(TOPIC, "accounts") == 3
        await bus.commit(TOPIC, "accounts", [r for r in polled if r.event.key == "acc-1"])
        assert await bus.lag(TOPIC, "accounts") == 1
        assert await bus.lag(TOPIC, "nobody yet") == 3

    within(house, life)


def test_who_waits_hears_of_the_next_event_and_loses_none(house: House) -> None:
    async def life(bus: Bus) -> None:
        await nothing_more(bus)  # it listens from here on
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(bus.wait(TOPIC, "accounts", TIMEOUT_S / 2))
            await bus.publish(events("a", "b", "c"))
            async with asyncio.timeout(TIMEOUT_S / 4):
                await waiting
        await bus.wait(TOPIC, "accounts", TIMEOUT_S)  # it is still there
        assert await names(bus, 3, limit=2) == ["a", "b", "c"]

    within(house, life)
