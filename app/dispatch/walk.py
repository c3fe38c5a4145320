"""A walk through the orders that work at one broker, a page at a time, the latest day first.

No index says which orders work: it would be paid for with each change of each order. So a walk
reads the record in the order of its key, so many rows a page, and remembers up to where all have
ended: an order that has ended does not come back, so the next walk begins behind it. (But for a
bust, which is itself a report.) The trap is a day of a million ended orders that is read at each
question.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

from app.domain.working import WorkingOrder
from app.ports.dispatch import DispatchStore

# Some milliseconds of one core a page, and at most so many pages between two looks at the clock.
PAGES_MAX: Final = 8
ORDERS_A_PAGE: Final = 100


class Start(NamedTuple):
    """Where a sample begins: the oldest order of a day that was seen to work there."""

    day: date
    after: int


class Trail:
    """What walks through one broker's orders remember of one another."""

    def __init__(self, store: DispatchStore, broker_id: str) -> None:
        self.store = store
        self.broker_id = broker_id
        self.ended_to: dict[date, int] = {}
        self.oldest: Start | None = None


class Walk:
    """One walk. `done` when there is no order behind the last one that it gave."""

    def __init__(self, trail: Trail, start: Start | None = None) -> None:
        self._trail = trail
        self._start = start
        self._days: list[date] | None = None
        self._after: int | None = None
        self._ready: list[WorkingOrder] = []
        self._seen = False
        self._pages = 0

    @property
    def done(self) -> bool:
        return self._days == [] and not self._ready

    def tick(self) -> None:
        """Let some more pages be read."""
        self._pages = PAGES_MAX

    async def take(self, count: int) -> Sequence[WorkingOrder]:
        """Return the next ones, fewer when nothing is left or enough was read for now."""
        if self._days is None:
            self._days = await self._trail.store.standing_days()
            if self._start is not None:
                self._days = [day for day in self._days if day <= self._start.day]
        while len(self._ready) < count and self._days and self._pages:
            self._pages -= 1
            await self._turn_page(self._days)
        taken, self._ready = self._ready[:count], self._ready[count:]
        return taken

    async def _turn_page(self, days: list[date]) -> None:
        trail, day = self._trail, days[0]
        if self._after is None:
            low = trail.ended_to.get(day, 0)
            starts_here = self._start is not None and self._start.day == day
            self._after = max(low, self._start.after) if starts_here and self._start else low
        after = self._after
        page = await trail.store.working(trail.broker_id, day, after, ORDERS_A_PAGE)
        if after == trail.ended_to.get(day, 0):
            trail.ended_to[day] = max(after, page.ended_to)
        if page.orders and not self._seen:
            self._seen = True
            trail.oldest = Start(day, page.orders[0].accept_sequence - 1)
        self._ready += page.orders
        self._after = page.after
        if page.after is None:
            days.pop(0)
            if not days and not self._seen:
                trail.oldest = None
