"""How late after the bell orders left: over the whole open, and of nothing but the open."""

import pytest

from app.dispatch.since_bell import SinceBell, rounded
from tests.builders import OPENS_AT, an_order
from tests.web.house import CALENDAR, SESSION
from tests.web.stand_ins import SteadyClock

RESERVED = an_order(accepted_at=OPENS_AT - 1, trading_session_id=SESSION)


def a_bell() -> tuple[SinceBell, SteadyClock]:
    clock = SteadyClock(OPENS_AT)
    return SinceBell(lambda: CALENDAR, clock), clock


def test_half_and_nearly_all_of_an_open_are_told_apart() -> None:
    since, clock = a_bell()
    assert since.quantiles_ms() == (None, None)

    for second in range(1, 101):
        clock.at = OPENS_AT + second * 1_000
        since.left([RESERVED])
    p50, p99 = since.quantiles_ms()
    assert p50 == pytest.approx(50_000, rel=0.04)
    assert p99 == pytest.approx(99_000, rel=0.04)

    # What came after the bell leaves at once, and says nothing of the open.
    since.left([RESERVED._replace(accepted_at=OPENS_AT)] * 1_000)
    assert since.quantiles_ms() == (p50, p99)


def test_a_later_bell_begins_anew_and_an_earlier_one_is_over() -> None:
    since, clock = a_bell()
    today = CALENDAR.session(RESERVED.trading_session_id)
    assert today is not None
    tomorrow = CALENDAR.next(today.market, today.opens_at)
    assert tomorrow is not None
    clock.at = today.opens_at + 5_000
    since.left([RESERVED])
    clock.at = tomorrow.opens_at + 40
    since.left([RESERVED._replace(trading_session_id=tomorrow.trading_session_id)])

    assert since.quantiles_ms() == (40, 40)
    since.left([RESERVED, RESERVED._replace(trading_session_id="of no calendar")])
    assert since.quantiles_ms() == (40, 40)


def test_a_time_is_told_hardly_too_short() -> None:
    for ms in (0, 1, 63, 64, 999, 1_000, 86_399_999):
        assert ms - ms // 32 <= rounded(ms) <= ms
    assert len({rounded(ms) for ms in range(0, 3_600_000, 100)}) < 600
