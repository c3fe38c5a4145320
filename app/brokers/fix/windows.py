"""When a broker's session may be up: hours of a week in the broker's own zone. Pure.

Windows are data, as the contract writes them: `{"days": "mon-fri", "opens": "07:00", "closes":
"17:30", "zone": "America/New_York"}`. One that closes before it opens runs past midnight and
belongs to the day on which it opens. The trap is a zone written as an offset: it is an hour wrong
for half of the year, so zones have names.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_A_DAY: Final = 24 * 60


class Window(NamedTuple):
    """Minutes of some days; `closes` is after midnight where it is not after `opens`."""

    days: frozenset[int]
    opens: int
    closes: int
    zone: ZoneInfo

    def is_open(self, now: int) -> bool:
        """Whether the session may be up at this instant (milliseconds since 1970)."""
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.closes > self.opens:
            return local.weekday() in self.days and self.opens <= minute < self.closes
        if minute >= self.opens:
            return local.weekday() in self.days
        yesterday = (local - timedelta(days=1)).weekday()
        return minute < self.closes and yesterday in self.days


def read_window(given: Mapping[str, str]) -> Window:
    """Read one window of the options, or raise `ValueError` that says what is wrong."""
    strange = sorted(set(given) - {"days", "opens", "closes", "zone"})
    if strange:
        raise ValueError(f"window: expected days, opens, closes and zone, found {strange}")
    try:
        zone = ZoneInfo(given["zone"])
        return Window(
            _days(given.get("days", "mon-fri")),
            _minute(given["opens"]),
            _minute(given["closes"]),
            zone,
        )
    except KeyError as e:
        raise ValueError(f"window: expected {e.args[0]}, found {sorted(given)}") from e
    except ZoneInfoNotFoundError as e:
        raise ValueError(f"window: expected a zone by name, was {given['zone']!r}") from e


def any_open(windows: Sequence[Window], now: int) -> bool:
    """Whether one of them is open; without windows a session is always up."""
    return not windows or any(window.is_open(now) for window in windows)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"window: expected days like mon-fri or sat, was {text!r}")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found.update(day % len(DAYS) for day in range(begin, end + 1 + 7 * (end < begin)))
    return frozenset(found)


def _minute(text: str) -> int:
    hour, colon, minute = text.partition(":")
    if colon and hour.isdecimal() and minute.isdecimal() and int(minute) < 60:  # noqa: PLR2004
        total = int(hour) * 60 + int(minute)
        if total <= MINUTES_A_DAY:
            return total
    raise ValueError(f"window: expected a time like 07:30, was {text!r}")
