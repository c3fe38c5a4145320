"""Turns a wall time that was written down without its zone into an instant.

Impala stores a TIMESTAMP as it stood on the wall, so the zone has to be told (`--source-tz`).
The trap is the night when the clocks change: an hour that stands twice on the wall is two
instants, and one that was left out is none. Neither is guessed: a row that says so is refused,
unless the mapping says which of the two it means.
"""

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Ambiguous = Literal["reject", "earlier", "later"]
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a wall has no zone: that is the point
_SECOND: Final = timedelta(seconds=1)


class NoSuchTime(ValueError):
    """A wall time that is no instant of this zone, or two."""


def zone_of(name: str) -> ZoneInfo:
    """Return the zone, or raise `ValueError` for a name that nobody knows."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise ValueError(f"expected a zone such as Asia/Seoul, was {name!r}") from e


def instant_of(wall_ms: int, zone: ZoneInfo, ambiguous: Ambiguous) -> int:
    """Return the instant (milliseconds since 1970 UTC) at which the wall showed this time.

    `wall_ms` counts milliseconds from the wall's own 1970.
    """
    second, milliseconds = divmod(wall_ms, 1000)
    earlier, later = _instants(second, zone)
    if earlier == later or ambiguous == "earlier":
        chosen = earlier
    elif ambiguous == "later":
        chosen = later
    else:
        raise NoSuchTime(f"{_shown(second)} stands twice on the wall of {zone}")
    return chosen * 1000 + milliseconds


# Orders come in bursts: most share their second with thousands of others.
@lru_cache(maxsize=65_536)
def _instants(second: int, zone: ZoneInfo) -> tuple[int, int]:
    try:
        wall = (_EPOCH + timedelta(seconds=second)).replace(tzinfo=zone)
        first, second_time = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    except OverflowError as e:
        raise NoSuchTime(f"no calendar has a second {second}") from e
    assert first is not None
    assert second_time is not None
    # In the hour that is left out, the second reading is ahead of the first (PEP 495).
    if first < second_time:
        raise NoSuchTime(f"{_shown(second)} never stood on the wall of {zone}")
    return second - first // _SECOND, second - second_time // _SECOND


def _shown(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat(" ")
