"""What every `Bus` keeps, whichever machine carries it.

A new implementation adds a house to `HOUSES`: how to open the bus as a fresh process would.
Offsets are only handed back to the bus that gave them; their arithmetic belongs to no contract.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from app.bus.log import LogBus
from app.clock import SystemClock
from app.ports import Bus, Event, Record
from app.sqlite import Database

TOPIC = "openbell.orders.v1"


class House(Protocol):
    """Where one implementation lives during one test."""

    def open(self) -> AbstractAsyncContextManager[Bus]:
        """Open the bus as a process that has just started would."""


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


HOUSES: dict[str, Callable[[Path], House]] = {"log": LogHouse}


@pytest.fixture(params=HOUSES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return HOUSES[request.param](tmp_path)


def within(house: House, *lives: Callable[[Bus], Awaitable[None]]) -> None:
    """Run each life in a process of its own, on the same bus."""

    async def live() -> None:
        for life in lives:
            async with house.open() as bus:
                await life(bus)

    asyncio.run(live())


def events(*names: str, key: str = "acc-1", topic: str = TOPIC) -> list[Event]:
    return [
        Event(topic, key, name, "order.new.v1", b'{"name":"%s"}' % name.encode()) for name in names
    ]


async def names(bus: Bus, group: str = "accounts", limit: int = 100) -> list[str]:
    return [record.event.event_id for record in await bus.poll(TOPIC, group, limit)]


async def last(bus: Bus, count: int, group: str = "accounts") -> Record:
    return (await bus.poll(TOPIC, group, count))[-1]


def test_an_event_arrives_as_it_was_published(house: House) -> None:
    sent = Event(
        TOPIC, "acc-1 \"'", "e-1", "order.new.v1", '{"text":"한 \\"x\\" \\u0000"}'.encode()
    )

    async def life(bus: Bus) -> None:
        await bus.publish([sent])
        assert [record.event for record in await bus.poll(TOPIC, "accounts", 10)] == [sent]

    within(house, life)


def test_events_of_one_key_keep_their_order_over_publishes_and_polls(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c"))
        await bus.publish(events("d", "e"))
        assert [*await names(bus, limit=2), *await names(bus, limit=2), *await names(bus)] == [
            "a", "b", "c", "d", "e",
        ]  # fmt: skip

    within(house, life)


def test_a_poll_of_nothing_is_empty_and_publishing_nothing_is_fine(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish([])
        assert await names(bus) == []
        await bus.publish(events("a"))
        assert await names(bus) == ["a"]
        assert await names(bus) == []

    within(house, life)


def test_what_was_published_survives_its_process(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b"))

    async def second(bus: Bus) -> None:
        assert await names(bus) == ["a", "b"]

    within(house, first, second)


def test_what_was_polled_and_not_committed_comes_again(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c", "d"))
        done = await last(bus, 2)
        await bus.commit(TOPIC, "accounts", [done])
        assert await names(bus) == ["c", "d"]

    async def second(bus: Bus) -> None:
        assert await names(bus, limit=1) == ["c"]

    async def third(bus: Bus) -> None:
        assert await names(bus) == ["c", "d"]

    within(house, first, second, third)


def test_a_commit_never_moves_back(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b", "c"))
        early = await last(bus, 1)
        late = await last(bus, 1)
        await bus.commit(TOPIC, "accounts", [late])
        await bus.commit(TOPIC, "accounts", [early])

    async def second(bus: Bus) -> None:
        assert await names(bus) == ["c"]

    within(house, first, second)


def test_groups_do_not_disturb_each_other(house: House) -> None:
    async def first(bus: Bus) -> None:
        await bus.publish(events("a", "b"))
        await bus.commit(TOPIC, "accounts", [await last(bus, 2)])
        assert await names(bus, "webhooks") == ["a", "b"]

    async def second(bus: Bus) -> None:
        assert await names(bus) == []
        assert await names(bus, "webhooks") == ["a", "b"]

    within(house, first, second)


def test_topics_do_not_mix(house: House) -> None:
    async def life(bus: Bus) -> None:
        await bus.publish([*events("a"), *events("x", topic="openbell.audit.v1"), *events("b")])
        assert await names(bus) == ["a", "b"]

    within(house, life)


def test_lag_counts_what_is_not_committed(house: House) -> None:
    async def life(bus: Bus) -> None:
        assert await bus.lag(TOPIC, "accounts") == 0
        await bus.publish(events("a", "b", "c"))
        assert await bus.lag(TOPIC, "accounts") == 3
        polled = await last(bus, 2)
        assert await bus.lag(TOPIC, "accounts") == 3
        await bus.commit(TOPIC, "accounts", [polled])
        assert await bus.lag(TOPIC, "accounts") == 1

    within(house, life)
