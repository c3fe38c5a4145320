"""What a profile says at an instant: early down, late up, over the night, several markets."""

from datetime import UTC, date, datetime

import pytest

from app.domain.profile import BadEdge, next_turn, offset_of, tps_at
from app.domain.session import Calendar
from app.domain.tuning import Edge

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
