"""Whether a book that waits for a bell would be through before its session ends. Pure.

Before the bell there is no pace to measure, only numbers: the operator's, the schedule's, the
contract's. The plan at the door and this reckon alike (`domain/forecast`). The trap is to say it
when the pace shows it: then the session runs, and every minute of warning is gone.
"""

from collections.abc import Iterable
from typing import Final

from app.domain.forecast import Line, leave_before, stretches
from app.domain.session import Calendar, TradingSession

# An operator needs minutes to find a number and a broker to allow it; a book of yesterday evening
# is still being written.
SOON_MS: Final = 3_600_000


def opens_soon(calendar: Calendar, market: str, now: int) -> TradingSession | None:
    """Return the market's next session if it opens within the hour."""
    session = calendar.next(market, now)
    return session if session is not None and session.opens_at - now <= SOON_MS else None


def any_opens_soon(calendar: Calendar, markets: Iterable[str], now: int) -> bool:
    return any(opens_soon(calendar, market, now) for market in markets)


def left_over(line: Line, session: TradingSession, waiting: int) -> int:
    """Return how many of those that wait the close would find, at the numbers to come."""
    found = stretches(line, session.opens_at)
    return max(0, waiting - leave_before(found, session.closes_at))
