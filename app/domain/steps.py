"""Where a step of an order stands among those of all others, so that a reader can go on from it.

The trap is to take the place for the order of commits: a step may appear behind another that was
read already, for its instant was taken before its commit.
"""

from datetime import date, timedelta
from typing import Final, NamedTuple

from app.domain.order import Order
from app.domain.records import OrderEvent
from app.domain.values import EPOCH

# A bust or a late fill may come days after the trade; a week later people talk, not programs.
FOLLOWED: Final = timedelta(days=7)


def earliest_day(now: int) -> date:
    """Return the first trade date whose orders may still move."""
    return EPOCH + timedelta(milliseconds=now) - FOLLOWED


class Place(NamedTuple):
    """Where a step stands among those of all orders: by its instant, then by its order."""

    at: int
    order_id: str = ""
    sequence: int = 0


class Step(NamedTuple):
    """One line of an order's history, and the order as it stands now, perhaps further on."""

    order: Order
    event: OrderEvent

    @property
    def place(self) -> Place:
        """Return its place, by which a reader goes on."""
        return Place(self.event.at, self.order.order_id, self.event.sequence)
