"""When a session may be up: days, nights past midnight, and the clock's change in its own zone."""

from datetime import UTC, datetime

import pytest

from app.domain.windows import any_open, read_window

NEW_YORK = {"days": "mon-fri", "opens": "07:00", "closes": "17:30", "zone": "America/New_York"}
SEOUL = {"days": "sun-thu", "opens": "22:00", "closes": "06:30", "zone": "Asia/Seoul"}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-03-06T11:59", False),  # 06:59 in New York, in winter
        ("2026-03-06T12:00", True),
        ("2026-03-06T22:29", True),
        ("2026-03-06T22:30", False),
        ("2026-03-07T15:00", False),  # a Saturday
        ("2026-03-09T11:00", True),  # the same hour in summer time
    ],
)
def test_a_window_follows_its_own_zone(instant: str, *, is_open: bool) -> None:
    assert read_window(NEW_YORK).is_open(at(instant)) is is_open


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-03-01T13:00", True),  # Sunday 22:00 in Seoul
        ("2026-03-01T21:29", True),  # Monday 06:29: of the window that opened on Sunday
        ("2026-03-01T21:30", False),
        ("2026-03-06T13:30", False),  # Friday 22:30
        ("2026-03-05T21:00", True),  # Friday 06:00: of Thursday's
    ],
)
def test_a_window_past_midnight_is_of_the_day_on_which_it_opens(
    instant: str, *, is_open: bool
) -> None:
    assert read_window(SEOUL).is_open(at(instant)) is is_open


def test_without_windows_it_is_always_open() -> None:
    assert any_open((), 0)
    assert not any_open((read_window(NEW_YORK),), at("2026-03-07T15:00"))


@pytest.mark.parametrize(
    "change",
    [
        {"zone": "UTC+9"},
        {"days": "weekday"},
        {"opens": "7"},
        {"closes": "17:60"},
        {"closes": "25:00"},
        {"until": "x"},
    ],
)
def test_what_is_no_window_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="window: expected"):
        read_window(NEW_YORK | change)
    with pytest.raises(ValueError, match="window: expected"):
        read_window({"opens": "07:00", "closes": "09:00"})
