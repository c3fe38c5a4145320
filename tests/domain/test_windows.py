"""When a broker takes messages: its own zone, over midnight, over a clock change, with a guard."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.capabilities import Capabilities
from app.domain.windows import Hours, read_window, read_windows

SETTLEMENT = {"days": "mon-fri", "opens": "16:30", "closes": "16:45", "zone": "Asia/Seoul"}
DAY = {"days": "mon-fri", "opens": "07:00", "closes": "17:30", "zone": "America/New_York"}
NIGHT = {"days": "mon-fri", "opens": "18:00", "closes": "02:00", "zone": "Asia/Seoul"}
GUARD = 2_000


def at(day: int, hour: int, minute: int = 0, *, month: int = 3) -> int:
    return int(datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


# Monday 2 March 2026: 16:30 in Seoul is 07:30 UTC.
BEGINS, ENDS = at(2, 7, 30), at(2, 7, 45)


def hours(
    windows: list[dict[str, str]] | None = None, blackouts: list[dict[str, str]] | None = None
) -> Hours:
    return Hours(read_windows(windows or []), read_windows(blackouts or []), GUARD)


def test_a_blackout_begins_early_and_ends_late() -> None:
    shut = hours(blackouts=[SETTLEMENT])
    edges = (BEGINS - 2_001, BEGINS - 2_000, ENDS + 1_999, ENDS + 2_000)

    assert [shut.are_shut(t) for t in edges] == [False, True, True, False]
    assert shut.change(BEGINS - 3_600_000) == BEGINS - GUARD
    assert shut.change(BEGINS) == ENDS + GUARD
    assert shut.change(ENDS + GUARD) == at(3, 7, 30) - GUARD


def test_a_window_opens_late_and_closes_early() -> None:
    open_by_day = hours(windows=[DAY])
    opens, closes = at(2, 12), at(2, 22, 30)  # 07:00 and 17:30 in New York, in winter

    assert open_by_day.change(opens - 60_000) == opens + GUARD
    assert open_by_day.change(opens + GUARD) == closes - GUARD
    assert open_by_day.are_shut(at(7, 15)), "it is Saturday"
    assert open_by_day.change(at(7, 15)) == at(9, 11) + GUARD, "Monday, and the clocks went on"


def test_without_hours_nothing_ever_changes() -> None:
    assert not hours().are_shut(BEGINS)
    assert hours().change(BEGINS) is None


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    night = hours(windows=[NIGHT])

    assert night.change(at(2, 10)) == at(2, 17) - GUARD, "02:00 on Tuesday in Seoul"
    assert night.are_shut(at(1, 16)), "01:00 on Monday: Sunday has no night"


def test_settings_write_hours_as_they_stand_in_a_contract() -> None:
    written: dict[str, Any] = {
        "blackouts": [SETTLEMENT],
        "rate_profile": [{"at": "open", "tps": 3}],
    }
    able = Capabilities(**written)

    assert able.blackouts == (read_window(SETTLEMENT),)
    assert str(able.blackouts[0]) == "mon,tue,wed,thu,fri 16:30-16:45 Asia/Seoul"
    assert able.rate_profile == (("open", 3),)
    assert able.hours.are_shut(BEGINS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_cost": "per_dozen"},
        {"batch_cost": "one_plus_floor", "batch_cost_step": 1},
        {"blackouts": [{**SETTLEMENT, "zone": "Seoul"}]},
        {"intake_windows": [{**SETTLEMENT, "opens": "25:00"}]},
    ],
)
def test_a_capability_that_makes_no_sense_stops_the_start(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        Capabilities(**wrong)
