"""A wall time becomes the instant that it was, or is refused: it is never guessed."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app.accounts.history.zone import Ambiguous, NoSuchTime, instant_of, zone_of
from app.domain.values import rfc3339

NEW_YORK = ZoneInfo("America/New_York")


def wall(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def read(text: str, zone: ZoneInfo = NEW_YORK, ambiguous: Ambiguous = "reject") -> str:
    return rfc3339(instant_of(wall(text), zone, ambiguous))


def test_a_wall_in_seoul_is_nine_hours_ahead() -> None:
    assert read("2026-01-05 23:30:00.007", ZoneInfo("Asia/Seoul")) == "2026-01-05T14:30:00.007Z"


def test_a_wall_in_new_york_follows_its_summer() -> None:
    assert read("2026-01-05 09:30:00") == "2026-01-05T14:30:00.000Z"
    assert read("2026-07-06 09:30:00") == "2026-07-06T13:30:00.000Z"


def test_an_hour_that_stands_twice_is_refused_unless_the_mapping_says_which() -> None:
    twice = "2026-11-01 01:30:00"

    with pytest.raises(NoSuchTime, match="twice"):
        read(twice)
    assert read(twice, ambiguous="earlier") == "2026-11-01T05:30:00.000Z"
    assert read(twice, ambiguous="later") == "2026-11-01T06:30:00.000Z"


@pytest.mark.parametrize("ambiguous", ["reject", "earlier", "later"])
def test_an_hour_that_was_left_out_is_refused_whatever_the_mapping_says(
    ambiguous: Ambiguous,
) -> None:
    with pytest.raises(NoSuchTime, match="never"):
        read("2026-03-08 02:30:00", ambiguous=ambiguous)


@pytest.mark.parametrize("wall_ms", [-(10**15), 10**15])
def test_a_year_that_no_calendar_has_is_refused(wall_ms: int) -> None:
    with pytest.raises(NoSuchTime):
        instant_of(wall_ms, NEW_YORK, "reject")


@pytest.mark.parametrize("name", ["", "Seoul/Asia", "../etc/passwd", "KST"])
def test_a_zone_that_nobody_knows_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected a zone"):
        zone_of(name)
