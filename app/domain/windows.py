"""When a broker takes what we send: hours of a week in the broker's own zone. Pure.

Windows are data, as the contract writes them: `{"days": "mon-fri", "opens": "07:00", "closes":
"17:30", "zone": "America/New_York"}`. One that closes before it opens runs past midnight and
belongs to the day on which it opens. The trap is a zone written as an offset: it is an hour wrong
for half of the year, so zones have names.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
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
        """Whether this instant (milliseconds since 1970) lies in it."""
        local = datetime.fromtimestamp(now / 1000, UTC).astimezone(self.zone)
        minute = local.hour * 60 + local.minute
        if self.closes > self.opens:
            return local.weekday() in self.days and self.opens <= minute < self.closes
        if minute >= self.opens:
            return local.weekday() in self.days
        yesterday = (local - timedelta(days=1)).weekday()
        return minute < self.closes and yesterday in self.days

    def edges(self, now: int) -> Iterator[int]:
        """Return the instants at which it opens or closes, from yesterday to next week."""
        today = datetime.fromtimestamp(now / 1000, UTC).astimezone(self.zone).date()
        for offset in range(-1, len(DAYS) + 1):
            midnight = datetime.combine(today + timedelta(days=offset), time.min, self.zone)
            for minute in (self.opens, self.closes):
                # Added by the wall: on the day of a clock change midnight is not 24 hours away.
                yield round((midnight + timedelta(minutes=minute)).timestamp() * 1000)

    def __str__(self) -> str:
        days = ",".join(DAYS[day] for day in sorted(self.days))
        opens, closes = (f"{m // 60:02d}:{m % 60:02d}" for m in (self.opens, self.closes))
        return f"{days} {opens}-{closes} {self.zone}"


class Hours(NamedTuple):
    """When a broker takes messages at all: within its windows, and in no blackout.

    `guard_ms` belongs to neither side of an edge: clocks differ, and so do ideas of a minute.
    """

    windows: tuple[Window, ...]
    blackouts: tuple[Window, ...]
    guard_ms: int

    def are_shut(self, now: int) -> bool:
        """Whether nothing may leave at this instant."""
        around = (now - self.guard_ms, now, now + self.guard_ms)
        if any(blackout.is_open(at) for blackout in self.blackouts for at in around):
            return True
        return not all(any_open(self.windows, at) for at in around)

    def change(self, now: int) -> int | None:
        """Return the next instant at which they shut or open; None if they never do."""
        edges = {e for window in (*self.windows, *self.blackouts) for e in window.edges(now)}
        guarded = {edge + shift for edge in edges for shift in (-self.guard_ms, 0, self.guard_ms)}
        shut = self.are_shut(now)
        return next((e for e in sorted(guarded) if e > now and self.are_shut(e) != shut), None)


def read_windows(given: Sequence[Window | Mapping[str, str]]) -> tuple[Window, ...]:
    """Read windows as options or code write them."""
    return tuple(w if isinstance(w, Window) else read_window(w) for w in given)


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
    """Whether one of them is open; without windows it is always open."""
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
