"""How long after its bell each reserved order left for a broker: what an open is judged by.

Only orders that had waited for the latest bell are counted, because one that comes in at noon
and leaves at once would make a slow open look fast by the afternoon. Times are kept as counts of
rounded milliseconds, so that a million of them take a few hundred numbers. A second try counts
again: the order did leave that late. The trap is a percentile of the last few seconds: at the end
of a burst it says how the end was, and not how the open was.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Final

from app.clock import Clock
from app.domain.order import Order
from app.domain.session import Calendar

# Six leading bits of a time are kept: it is told two parts in a hundred too short, at most.
BITS_KEPT: Final = 6


class SinceBell:
    """One broker's orders of the latest bell."""

    def __init__(self, calendar: Callable[[], Calendar], clock: Clock) -> None:
        self._calendar = calendar
        self._clock = clock
        self._bell = 0
        self._counts: Counter[int] = Counter()
        self._told: tuple[int, tuple[int, int]] = (0, (0, 0))

    def left(self, orders: Iterable[Order]) -> None:
        """Note that these leave at this moment."""
        now = self._clock.now()
        calendar = self._calendar()
        for order in orders:
            session = calendar.session(order.trading_session_id)
            if session is None or not order.accepted_at < session.opens_at <= now:
                continue
            if session.opens_at > self._bell:
                self._bell = session.opens_at
                self._counts.clear()
            if session.opens_at == self._bell:
                self._counts[rounded(now - session.opens_at)] += 1

    def quantiles_ms(self) -> tuple[int | None, int | None]:
        """Return p50 and p99 of the latest bell's orders; None before the first has left."""
        total = self._counts.total()
        if not total:
            return None, None
        if self._told[0] != total:
            times = sorted(self._counts)
            sums = list(accumulate(self._counts[time] for time in times))
            p50, p99 = (times[bisect_left(sums, total * share)] for share in (0.5, 0.99))
            self._told = (total, (p50, p99))
        return self._told[1]


def rounded(ms: int) -> int:
    """Return a time with its leading bits alone."""
    spare = max(0, ms.bit_length() - BITS_KEPT)
    return ms >> spare << spare
