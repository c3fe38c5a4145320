"""When each market's bell rings, and which session an instant belongs to.

A session is half-open: an order that comes at `closes_at` is late. The trap is the date. The
US session crosses midnight in Seoul, so a session carries the exchange's date, and nobody
here ever asks what day it is. An operator's override moves one session's bells anywhere (a
drill opens Monday's session on Sunday) and wins over whatever else is open then; an
override with both bells at one instant is a closed day. Look-ups cost O(log n).
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from itertools import accumulate
from typing import Final, NamedTuple

# How long a session counts as opening, and how long before its end as closing: the minutes in
# which brokers' limits, latencies and rejects are unlike those of the day.
OPENING_MS: Final = 600_000
CLOSING_MS: Final = 600_000


class Phase(StrEnum):
    """Where in its session an instant lies."""

    PRE_OPEN = "pre_open"
    OPENING = "opening"
    REGULAR = "regular"
    CLOSING = "closing"
    CLOSED = "closed"


class TradingSession(NamedTuple):
    """One session of one market; instants are milliseconds since 1970 UTC."""

    trading_session_id: str  # 336: XNYS-2026-11-23-REG
    market: str  # 207, a MIC
    trade_date: date  # 75, the exchange's
    opens_at: int
    closes_at: int

    @property
    def is_closed_day(self) -> bool:
        """Whether an operator has closed the whole day: both bells at one instant."""
        return self.opens_at == self.closes_at

    def phase(self, now: int) -> Phase:
        """Return where in this session an instant lies; a short one has no regular hours."""
        if now < self.opens_at:
            return Phase.PRE_OPEN
        if now >= self.closes_at:
            return Phase.CLOSED
        if now < self.opens_at + OPENING_MS:
            return Phase.OPENING
        return Phase.CLOSING if now >= self.closes_at - CLOSING_MS else Phase.REGULAR


Hours = Mapping[str, Sequence[tuple[date, int, int]]]
Overrides = Mapping[str, tuple[int, int]]


class SessionPause(NamedTuple):
    """Whether an operator holds a session's release back: its bell has rung, and nothing leaves.

    `version` is its ETag; 0 was never paused.
    """

    trading_session_id: str
    version: int = 0
    paused: bool = False
    changed_by: str = ""
    changed_at: int = 0
    reason: str = "never paused"
    expires_at: int | None = None


def trading_session_id(market: str, trade_date: date) -> str:
    """Return the id of a market's regular session on a date."""
    return f"{market}-{trade_date.isoformat()}-REG"


class Calendar:
    """All sessions that we know, with the operators' overrides laid over them. Never changes."""

    def __init__(self, hours: Hours, overrides: Overrides | None = None) -> None:
        self._hours = hours
        self._sessions = {
            session.trading_session_id: session
            for market, days in hours.items()
            for session in _scheduled(market, days)
        }
        moved = {
            name: _overridden(name, self._sessions.get(name), hours, bells)
            for name, bells in (overrides or {}).items()
        }
        scheduled = [s for name, s in self._sessions.items() if name not in moved]
        self._sessions.update(moved)
        self._scheduled = {market: _Line(scheduled, market) for market in hours}
        self._moved = {market: _Line(moved.values(), market) for market in hours}

    @property
    def markets(self) -> tuple[str, ...]:
        return tuple(self._hours)

    def with_overrides(self, overrides: Overrides) -> "Calendar":
        """Return the schedule under these overrides alone, or raise `ValueError` for a bad one."""
        return Calendar(self._hours, overrides)

    def session(self, trading_session_id: str) -> TradingSession | None:
        return self._sessions.get(trading_session_id)

    def last_date(self, market: str) -> date:
        """Return the last trade date of the schedule: after it we know nothing."""
        return self._hours[market][-1][0]

    def current(self, market: str, now: int) -> TradingSession | None:
        """Return the session that is open now; of several an overridden one, the last opened."""
        if market not in self._hours:
            return None
        opened = self._moved[market].open_at(now) or self._scheduled[market].open_at(now)
        return opened[0] if opened else None

    def next(self, market: str, now: int) -> TradingSession | None:
        """Return the first session that opens after now."""
        if market not in self._hours:
            return None
        moved = self._moved[market].after(now)
        scheduled = self._scheduled[market].after(now)
        if moved is None or scheduled is None:
            return moved or scheduled
        return moved if moved.opens_at <= scheduled.opens_at else scheduled

    def open_now(self, now: int) -> list[TradingSession]:
        """Return every session that is open, two of one market where an override overlaps."""
        return [
            session
            for market in self._hours
            for line in (self._moved[market], self._scheduled[market])
            for session in line.open_at(now)
        ]

    def ended(self, now: int, since: int) -> list[TradingSession]:
        """Return the sessions that closed in (since, now], the earliest first.

        Consecutive calls share no session and miss none: pass the last `now` as `since`. After
        an override that moved a close into the past, ask once more from before it.
        """
        found = [
            session
            for market in self._hours
            for line in (self._moved[market], self._scheduled[market])
            for session in line.closed_in(since, now)
        ]
        return sorted(found, key=lambda session: session.closes_at)


class _Line:
    """Sessions of one market in the order in which they open, ready for bisection."""

    def __init__(self, sessions: Iterable[TradingSession], market: str) -> None:
        own = [session for session in sessions if session.market == market]
        self._by_close = sorted(own, key=lambda session: session.closes_at)
        self._closes = [session.closes_at for session in self._by_close]
        self._by_open = sorted(
            (session for session in own if not session.is_closed_day),
            key=lambda session: session.opens_at,
        )
        self._opens = [session.opens_at for session in self._by_open]
        # Overridden sessions may overlap; this says how far back one may still be open.
        self._latest_close = list(accumulate((s.closes_at for s in self._by_open), max))

    def open_at(self, now: int) -> list[TradingSession]:
        """Return the open sessions, the last opened first."""
        found = []
        index = bisect_right(self._opens, now) - 1
        while index >= 0 and self._latest_close[index] > now:
            if self._by_open[index].closes_at > now:
                found.append(self._by_open[index])
            index -= 1
        return found

    def after(self, now: int) -> TradingSession | None:
        index = bisect_right(self._opens, now)
        return self._by_open[index] if index < len(self._by_open) else None

    def closed_in(self, since: int, now: int) -> list[TradingSession]:
        first, last = bisect_right(self._closes, since), bisect_right(self._closes, now)
        return self._by_close[first:last]


def _scheduled(market: str, days: Sequence[tuple[date, int, int]]) -> list[TradingSession]:
    """Return the market's scheduled sessions, or raise `ValueError` if the days make no sense."""
    if not days:
        raise ValueError(f"expected sessions for {market}, found none")
    sessions = []
    previous: tuple[date, int] | None = None
    for day, opens_at, closes_at in days:
        if opens_at >= closes_at:
            raise ValueError(f"{market} {day}: expected a close after the open")
        if previous is not None and (day <= previous[0] or opens_at < previous[1]):
            raise ValueError(f"{market} {day}: expected a session after that of {previous[0]}")
        previous = (day, closes_at)
        name = trading_session_id(market, day)
        sessions.append(TradingSession(name, market, day, opens_at, closes_at))
    return sessions


def _overridden(
    name: str, session: TradingSession | None, hours: Hours, bells: tuple[int, int]
) -> TradingSession:
    """Return the session with its bells moved; one that the schedule lacks is added."""
    opens_at, closes_at = bells
    if opens_at > closes_at:
        raise ValueError(f"override of {name}: expected a close at or after the open")
    if session is None:
        market, trade_date = _named(name)
        if market not in hours:
            raise ValueError(f"override of {name}: expected a market among {sorted(hours)}")
        return TradingSession(name, market, trade_date, opens_at, closes_at)
    return session._replace(opens_at=opens_at, closes_at=closes_at)


def _named(name: str) -> tuple[str, date]:
    market, _, rest = name.partition("-")
    try:
        trade_date = date.fromisoformat(rest.removesuffix("-REG"))
    except ValueError:
        trade_date = None
    if trade_date is None or trading_session_id(market, trade_date) != name:
        raise ValueError(f"override of {name}: expected an id such as XNYS-2026-11-23-REG")
    return market, trade_date
