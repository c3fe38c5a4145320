"""The outbox reaches the bus at least once, in order per order, whatever breaks in between."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from app.domain.messages import Accepted
from app.ledger.outbox import relay as relay_module
from app.ledger.outbox.queue import EmbeddedOutbox
from app.ledger.outbox.relay import BATCH_MAX, Relay
from app.ports.bus import Event, Record
from tests.builders import a_taking
from tests.ledger.books import Books
from tests.virtual import Virtual


class Cut(Exception):
    """The process ends here."""


def fail(told: list[BaseException | None]) -> None:
    failure = told.pop() if told else None
    if failure is not None:
        raise failure


class FlakyBus:
    """Keeps what it is given, and then or before that fails as it was told."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.before: list[BaseException | None] = []
        self.after: list[BaseException | None] = []
        self.sizes: list[int] = []
        self.busy = False
        self.meanwhile: list[Any] = []

    async def publish(self, events: Sequence[Event]) -> None:
        assert not self.busy, "a batch goes when the one before it is durable"
        self.busy = True
        try:
            await self._publish(events)
        finally:
            self.busy = False

    async def _publish(self, events: Sequence[Event]) -> None:
        fail(self.before)
        self.kept += events
        self.sizes.append(len(events))
        for work in self.meanwhile:
            await work
        self.meanwhile = []
        await asyncio.sleep(0)  # what the relay does beside it has its turn
        fail(self.after)

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        raise NotImplementedError

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        raise NotImplementedError

    async def lag(self, topic: str, group: str) -> int:
        raise NotImplementedError

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        raise NotImplementedError


@pytest.fixture
def bus() -> FlakyBus:
    return FlakyBus()


@pytest.fixture
def relay(books: Books, bus: FlakyBus) -> Relay:
    return Relay(EmbeddedOutbox(books.database), bus)


def written(books: Books) -> list[str]:
    return [e for (e,) in books.sql("SELECT event_id FROM outbox ORDER BY id")]


def test_what_is_durable_on_the_bus_leaves_the_outbox(
    books: Books, bus: FlakyBus, relay: Relay
) -> None:
    books.working()
    expected = written(books)

    assert books.run(relay.step()) == len(expected) == 3
    assert [event.event_id for event in bus.kept] == expected
    assert written(books) == []
    assert books.run(relay.step()) == 0


def test_an_event_says_whose_it_is_and_what_happened(
    books: Books, bus: FlakyBus, relay: Relay
) -> None:
    order = books.working().order
    books.run(relay.step())

    assert {(e.topic, e.key) for e in bus.kept} == {("openbell.orders.v1", order.account_id)}
    assert [e.type for e in bus.kept] == [
        "io.openbell.order.queued.v1",
        "io.openbell.order.sending.v1",
        "io.openbell.order.new.v1",
    ]
    assert [e.event_id for e in bus.kept] == [f"{order.order_id}-{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_between_publish_and_delete_repeats_and_loses_nothing(
    books: Books, bus: FlakyBus, relay: Relay, moment: str
) -> None:
    books.take(*(a_taking(f"c-{n}") for n in range(5)))
    expected = written(books)
    getattr(bus, moment).append(Cut())
    with pytest.raises(Cut):
        books.run(relay.step())
    assert written(books) == expected

    books.run(Relay(EmbeddedOutbox(books.database), bus).step())

    ids = [event.event_id for event in bus.kept]
    assert ids == expected * (2 if moment == "after" else 1)
    assert written(books) == []


def test_what_commits_while_it_publishes_waits_for_the_next_turn(
    books: Books, bus: FlakyBus, relay: Relay
) -> None:
    first = books.queued("c-1")
    bus.meanwhile = [books.ledger.take([a_taking("c-2")])]
    books.run(relay.step())

    assert [event.event_id for event in bus.kept] == [f"{first.order_id}-1"]
    assert len(written(books)) == 1
    books.run(relay.step())
    assert len(bus.kept) == 2


def test_each_order_keeps_its_order_over_many_batches(
    books: Books, bus: FlakyBus, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_MAX", 7)
    books.take(*(a_taking(f"c-{n}", account_id=f"A-{n % 3}") for n in range(20)))
    claimed = books.claim()
    books.settle({c.broker_order_key: Accepted(f"N-{n}") for n, c in enumerate(claimed)})
    while books.run(relay.step()):
        pass

    versions: dict[str, list[int]] = {}
    for event in bus.kept:
        order_id, version = event.event_id.split("-")
        versions.setdefault(order_id, []).append(int(version))
    assert len(versions) == 20
    assert all(found == [1, 2, 3] for found in versions.values())


def test_a_bus_that_is_away_is_waited_for(
    virtual: Virtual, books: Books, bus: FlakyBus, relay: Relay
) -> None:
    books.queued()
    bus.before = [OSError("away"), OSError("away")]

    async def a_while() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await relay.run()

    virtual.run(a_while())

    assert len(bus.kept) == 1
    assert written(books) == []


def test_any_other_failure_ends_the_process(
    virtual: Virtual, books: Books, bus: FlakyBus, relay: Relay
) -> None:
    books.queued()
    bus.before = [Cut()]
    with pytest.raises(Cut):
        virtual.run(relay.run())


def many(books: Books, count: int) -> list[str]:
    """Let so many events wait; return their ids."""
    books.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)"
        " INSERT INTO outbox SELECT i, 'e-' || i, 'audit', 'k', 't', '{}' FROM n",
        count=count,
    )
    return written(books)


def test_a_batch_is_bounded_and_one_goes_at_a_time(
    books: Books, bus: FlakyBus, relay: Relay
) -> None:
    expected = many(books, 2 * BATCH_MAX + 10)

    assert books.run(relay.step()) == len(expected)
    assert bus.sizes == [BATCH_MAX, BATCH_MAX, 10]
    assert [event.event_id for event in bus.kept] == expected
    assert written(books) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_was_read_ahead_of_a_failure_is_read_again_behind_it(
    books: Books, bus: FlakyBus, relay: Relay, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(relay_module, "BATCH_MAX", 4)
    expected = many(books, 10)
    # Told backwards: the first goes well, the second fails while the third is being read.
    getattr(bus, moment).extend([OSError("away"), None])
    with pytest.raises(OSError, match="away"):
        books.run(relay.step())
    assert written(books) == expected[4:]
    assert relay.carried == 4

    assert books.run(relay.step()) == 6
    ids = [event.event_id for event in bus.kept]
    assert ids == expected[:4] + (expected[4:8] if moment == "after" else []) + expected[4:]
