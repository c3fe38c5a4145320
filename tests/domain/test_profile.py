"""What a profile says at an instant: early down, late up, over the night, several markets."""

from datetime import UTC, date, datetime

import pytest

from app.domain.profile import BadEdge, Drain, drain, next_turn, offset_of, tps_at
from app.domain.records import BrokerControl
from app.domain.session import Calendar
from app.domain.tuning import Edge, with_facts

TOSS = (Edge("open-60m", 6), Edge("open", 3), Edge("open+10m", 6))
MINUTE = 60_000


def at(day: int, hour: int, minute: int = 0) -> int:
    return int(datetime(2026, 3, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


# Monday and Tuesday, 00:00 to 06:30 UTC: Seoul's hours. The other market opens at 14:30.
SEOUL = [(date(2026, 3, day), at(day, 0), at(day, 6, 30)) for day in (2, 3)]
NEW_YORK = [(date(2026, 3, day), at(day, 14, 30), at(day, 21)) for day in (2, 3)]
CALENDAR = Calendar({"XKRX": SEOUL, "XNYS": NEW_YORK})
OPEN = at(2, 0)


def said(now: int, *markets: str, schedule: tuple[Edge, ...] = TOSS) -> int:
    return tps_at(schedule, CALENDAR, markets or ("XKRX",), now)


def test_an_edge_counts_from_its_instant_to_the_next_one() -> None:
    assert said(OPEN - 61 * MINUTE) == 0
    assert said(OPEN - 30 * MINUTE) == 6
    assert said(OPEN + MINUTE) == 3
    assert said(OPEN + 11 * MINUTE) == said(at(2, 5)) == said(at(2, 12)) == 6


def test_a_lower_number_acts_early_and_a_higher_one_late() -> None:
    assert (said(OPEN - 2_001), said(OPEN - 2_000)) == (6, 3)
    assert (said(OPEN + 10 * MINUTE + 1_999), said(OPEN + 10 * MINUTE + 2_000)) == (3, 6)


def test_edges_closer_than_the_guard_end_with_the_later_one() -> None:
    close = (Edge("open", 3), Edge("open+5s", 9), Edge("open+6s", 2))

    assert said(OPEN + 4_000, schedule=close) == said(OPEN + 60_000, schedule=close) == 2


def test_the_lowest_of_the_markets_counts() -> None:
    both = (Edge("open", 3), Edge("close-10m", 1), Edge("close", 9))

    assert said(at(2, 15), "XKRX", "XNYS", schedule=both) == 3
    assert said(at(2, 20, 55), "XKRX", "XNYS", schedule=both) == 1
    assert said(at(2, 23), "XKRX", "XNYS", schedule=both) == 9


def test_the_next_change_is_told_with_the_instant_that_was_written() -> None:
    turn = next_turn(TOSS, CALENDAR, ["XKRX"], OPEN + MINUTE)
    assert turn is not None
    assert (turn.at, turn.from_ms, turn.tps) == (OPEN + 10 * MINUTE, OPEN + 10 * MINUTE + 2_000, 6)

    tomorrow = next_turn(TOSS, CALENDAR, ["XKRX"], at(2, 5))
    assert tomorrow is not None
    assert (tomorrow.at, tomorrow.tps) == (at(3, 0) - 60 * MINUTE, 6)
    assert next_turn(TOSS, CALENDAR, ["XKRX"], at(3, 5)) is None


def test_a_closed_day_has_no_edges_and_a_moved_bell_moves_them() -> None:
    closed = CALENDAR.with_overrides({"XKRX-2026-03-02-REG": (OPEN, OPEN)})
    moved = CALENDAR.with_overrides({"XKRX-2026-03-02-REG": (OPEN + 60 * MINUTE, at(2, 6))})

    assert tps_at(TOSS, closed, ["XKRX"], OPEN + MINUTE) == 0
    assert tps_at(TOSS, moved, ["XKRX"], OPEN + MINUTE) == 6
    assert tps_at(TOSS, moved, ["XKRX"], OPEN + 61 * MINUTE) == 3


@pytest.mark.parametrize(
    "wrong", ["", "noon", "open+", "open+10", "open+10d", "close-13h", " open"]
)
def test_an_instant_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(BadEdge):
        offset_of(wrong)


# --- how a backlog leaves ---------------------------------------------------------------

CLOSE = at(2, 6, 30)
PLAIN = BrokerControl("b1", 1, 10, "running", "auto", "kim", 0, "first", None, None, None)
SCHEDULED = with_facts(PLAIN, {"schedule": [edge._asdict() for edge in TOSS]})


def drained(control: BrokerControl, orders: int, since: int = OPEN, until: int = CLOSE) -> Drain:
    return drain(control, CALENDAR, ["XKRX"], orders, (since, until))


def test_without_a_schedule_a_backlog_leaves_at_the_number() -> None:
    assert drained(PLAIN, 0) == Drain(OPEN, 0)
    assert drained(PLAIN, 600) == Drain(OPEN + MINUTE, 0)
    assert drained(PLAIN, 601, until=OPEN + MINUTE) == Drain(OPEN + MINUTE + 100, 1)
    assert drained(PLAIN, 7, since=CLOSE + 1).left == 7


def test_a_backlog_leaves_at_the_numbers_that_come() -> None:
    slow = 602 * 3  # in the ten minutes and two seconds of the lower number

    assert drained(SCHEDULED, 300) == Drain(OPEN + 100_000, 0)
    assert drained(SCHEDULED, slow + 600) == Drain(OPEN + 602_000 + 100_000, 0)
    assert drained(SCHEDULED, slow + 600, until=OPEN + 602_000) == Drain(OPEN + 702_000, 600)


def test_before_the_bell_the_number_of_that_time_counts() -> None:
    early = OPEN - 60_000
    sent_before = 58 * 6  # two seconds early it is the lower one

    assert drained(SCHEDULED, sent_before + 30, since=early) == Drain(OPEN - 2_000 + 10_000, 0)


def test_a_number_that_holds_for_a_while_ends_in_the_plan() -> None:
    brief = PLAIN._replace(tps=100, expires_at=OPEN + 1_000, reverts_to='{"tps": 10}')
    held = with_facts(SCHEDULED, {"held": True, "tps": 100})._replace(
        expires_at=OPEN + 1_000, reverts_to='{"held": false}'
    )

    assert drained(brief, 200) == Drain(OPEN + 1_000 + 10_000, 0)
    assert drained(held, 130) == Drain(OPEN + 1_000 + 10_000, 0)
