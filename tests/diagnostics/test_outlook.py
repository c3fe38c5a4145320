"""Before the bell: what waits, at the numbers to come, and an anomaly while there is time."""

from collections.abc import Iterator

import pytest

from app.domain.records import Backlog
from tests.diagnostics.rig import CALENDAR, Watched
from tests.virtual import Virtual

SESSION_S = 23_400  # of XNAS
RATE = 10


@pytest.fixture
def watched(virtual: Virtual) -> Iterator[Watched]:
    watched = Watched(virtual)
    yield watched
    watched.database.close()


def book(watched: Watched, waiting: int) -> None:
    session = CALENDAR.next("XNAS", watched.clock.now())
    assert session is not None
    watched.book = Backlog({session.trading_session_id: waiting}, {}, {}, 0)


def test_a_book_that_no_number_carries_is_told_before_the_bell(watched: Watched) -> None:
    book(watched, RATE * SESSION_S)
    assert watched.passes(5) == {}
    book(watched, RATE * SESSION_S + 700)

    (missed,) = watched.passes(31).values()

    assert (missed.rule_id, str(missed.subject)) == ("plan.misses_cut_off", "route/XNAS")
    assert (missed.observed.value, missed.recommended.action) == (700, "raise_tps")


def test_a_better_number_ends_it(watched: Watched) -> None:
    book(watched, RATE * SESSION_S + 1)
    assert watched.passes(5)

    watched.control(tps=RATE + 1)
    book(watched, RATE * SESSION_S + 1)

    assert watched.passes(31) == {}


def test_when_no_bell_is_near_the_risk_is_over(watched: Watched) -> None:
    book(watched, RATE * SESSION_S + 1)
    assert watched.passes(5)
    watched.book = None

    assert watched.passes(31) == {}


def test_a_book_is_counted_twice_a_minute(watched: Watched) -> None:
    watched.passes(59)

    assert watched.books_counted == 2
