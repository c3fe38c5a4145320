"""Asking about all working orders at once: what that spares, and what it never takes for proof."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from app.dispatch.rounds import Rhythm
from app.domain.capabilities import Capabilities
from app.domain.messages import Absent, Found, Lookup, Unknown
from app.domain.records import Settlement
from app.domain.values import Status
from app.domain.working import ShownOrders
from tests.dispatch.test_catchup import BATCH, Desk, Shown
from tests.virtual import Virtual

WORKING = Found("N-1", Status.NEW)
FILLED = Found("N-1", Status.FILLED, filled_quantity=Decimal(10))


class ShowsAll(Shown):
    """Shows all orders on one question, as the story says."""

    capabilities = Capabilities(
        find_batch_max=BATCH, visibility_window_s=5.0, mass_status=True, max_in_flight=1
    )

    def __init__(self, virtual: Virtual) -> None:
        super().__init__(virtual)
        self.book: dict[str, Found] = {}
        self.ends = True
        self.is_broken = False
        self.questions: list[float] = []

    async def find_all(self) -> ShownOrders:
        await asyncio.sleep(0.01)
        self.questions.append(self.virtual.loop.now_ns / 1e9)
        if self.is_broken:
            raise RuntimeError("a bug")
        return ShownOrders(dict(self.book), ended=self.ends)


class Hall(Desk):
    """A desk at such a broker."""

    broker: ShowsAll

    def __init__(self, virtual: Virtual, orders: int, rhythm: Rhythm | None = None) -> None:
        super().__init__(virtual, orders, ShowsAll(virtual), rhythm)
        self.broker.book = dict.fromkeys(self.keys, WORKING)

    def alone(self) -> list[str]:
        """Return whom it asked about one by one."""
        return [key for _, keys in self.broker.found for key in keys]

    def status(self, key: str) -> Status:
        return self.virtual.run(self.ledger.orders_of([key]))[key].status


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with Virtual() as virtual:
        yield virtual


def test_all_are_asked_about_in_one_question_when_one_takes_over(virtual: Virtual) -> None:
    hall = Hall(virtual, 250)
    ended = Found("N-1", Status.CANCELED)
    hall.broker.book[hall.keys[123]] = ended
    hall.passes(5)

    assert len(hall.broker.questions) == 1
    assert hall.alone() == []
    assert hall.status(hall.keys[123]) is Status.CANCELED
    assert hall.status(hall.keys[124]) is Status.NEW
    assert hall.asks.missed == 1
    assert hall.gaps() == []


def test_what_is_left_out_is_asked_about_alone_and_is_not_gone(virtual: Virtual) -> None:
    hall = Hall(virtual, 30)
    del hall.broker.book[hall.keys[7]], hall.broker.book[hall.keys[20]]
    hall.broker.shows[hall.keys[7]] = Found("N-1", Status.EXPIRED)
    hall.passes(60)

    assert sorted(hall.alone()) == sorted([hall.keys[7], hall.keys[20]])
    assert hall.status(hall.keys[7]) is Status.EXPIRED
    assert hall.status(hall.keys[20]) is Status.NEW
    assert hall.gaps() == []


def test_a_list_that_does_not_end_is_no_less_than_what_it_shows_and_no_more(
    virtual: Virtual,
) -> None:
    hall = Hall(virtual, 30)
    hall.broker.ends = False
    hall.broker.book = dict.fromkeys(hall.keys[:10], WORKING)
    hall.passes(5)

    assert sorted(hall.alone()) == sorted(hall.keys[10:])
    assert {hall.status(key) for key in hall.keys} == {Status.NEW}


@pytest.mark.parametrize("is_broken", [True, False])
def test_where_nothing_is_shown_each_is_asked_about(virtual: Virtual, *, is_broken: bool) -> None:
    hall = Hall(virtual, 30)
    hall.broker.book, hall.broker.ends, hall.broker.is_broken = {}, False, is_broken
    hall.passes(5)

    assert sorted(hall.alone()) == sorted(hall.keys)
    assert {hall.status(key) for key in hall.keys} == {Status.NEW}


def test_silence_is_one_question_about_all_and_not_a_sample(virtual: Virtual) -> None:
    hall = Hall(virtual, 40)
    hall.passes(10)
    hall.broker.book[hall.keys[39]] = Found("N-1", Status.CANCELED)
    hall.passes(70)

    assert hall.status(hall.keys[39]) is Status.CANCELED
    assert len(hall.broker.questions) == 2
    assert hall.alone() == []


def test_of_a_large_book_silence_asks_about_a_sample(virtual: Virtual) -> None:
    hall = Hall(virtual, 40, Rhythm(shown_max=39))
    hall.passes(130)

    assert len(hall.broker.questions) == 1
    assert 20 <= len(hall.alone()) <= 40
    assert set(hall.alone()) == set(hall.keys[:20])


def test_the_slow_round_asks_about_each_and_finds_what_a_list_hides(virtual: Virtual) -> None:
    hall = Hall(virtual, 40, Rhythm(silence_s=10_000.0))
    hall.broker.shows[hall.keys[3]] = Found("N-1", Status.CANCELED)
    hall.passes(590)
    assert hall.status(hall.keys[3]) is Status.NEW
    hall.passes(60)

    assert sorted(hall.alone()) == sorted(hall.keys)
    assert hall.status(hall.keys[3]) is Status.CANCELED
    assert len(hall.broker.questions) == 1


def test_what_looks_wrong_in_a_list_is_asked_about_alone_before_anybody_is_told(
    virtual: Virtual,
) -> None:
    hall = Hall(virtual, 3)
    hall.broker.book[hall.keys[0]] = FILLED
    hall.broker.book[hall.keys[1]] = FILLED
    execution = hall.fill(hall.keys[0], last_quantity=Decimal(10))
    hall.broker.shows = {
        hall.keys[0]: replace(FILLED, executions=(execution,)),
        hall.keys[1]: FILLED,
    }
    hall.passes(5)
    assert hall.alone() == []
    hall.passes(30)

    assert sorted(hall.alone()) == sorted(hall.keys[:2])
    assert hall.status(hall.keys[0]) is Status.FILLED
    # A status names no execution, so the other's fills are missing, and not made up.
    assert hall.status(hall.keys[1]) is Status.NEW
    assert hall.gaps() == [("fills.missing", "open")]


@pytest.mark.parametrize("lookup", [WORKING, Found("N-1", Status.REJECTED, reason="why")])
def test_an_order_in_doubt_that_is_shown_is_in_doubt_no_more(
    virtual: Virtual, lookup: Lookup
) -> None:
    hall = Hall(virtual, 3)
    assert isinstance(lookup, Found)
    (key,) = virtual.run(hall.sent(1))
    virtual.run(hall.ledger.settle([Settlement(key, Unknown("silence"), 1)]))
    assert hall.status(key) is Status.IN_DOUBT
    hall.passes(5)
    assert hall.status(key) is Status.IN_DOUBT  # it was left out, which says nothing
    hall.broker.book[key] = lookup
    hall.passes(70)

    assert hall.status(key) is lookup.status


def test_a_copy_that_was_held_to_be_nowhere_is_seen(virtual: Virtual) -> None:
    hall = Hall(virtual, 1)
    (key,) = virtual.run(hall.sent(1))
    virtual.run(hall.ledger.settle([Settlement(key, Unknown("silence"), 1)]))
    virtual.run(hall.ledger.never_received([key], "lookup"))
    hall.broker.book[key] = WORKING
    hall.passes(5)

    assert hall.status(key) is Status.HELD


def test_no_list_makes_an_order_absent(virtual: Virtual) -> None:
    hall = Hall(virtual, 5)
    hall.broker.book = {}
    hall.broker.shows = dict.fromkeys(hall.keys, Absent())
    hall.passes(5)
    assert hall.gaps() == []
    hall.passes(30)  # twice, and each by its own answer

    assert hall.gaps() == [("orders.absent", "open")]
    assert {hall.status(key) for key in hall.keys} == {Status.NEW}
