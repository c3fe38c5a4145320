"""What works at a broker, as it is asked about: an order, and the name that it has there. Pure.

The trap is to ask about orders one by one as they come to mind: a page says where the next begins.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from app.domain.messages import Found
from app.domain.records import PendingCancel


class WorkingOrder(NamedTuple):
    """An order that works at a broker, and the attempt by which it got there."""

    accept_sequence: int
    order_id: str
    broker_order_key: str
    quantity: Decimal


class WorkingPage(NamedTuple):
    """Some orders of one trade date that work at a broker, the oldest first."""

    orders: list[WorkingOrder]
    after: int | None  # behind which accept_sequence to go on; None: that was the last page
    ended_to: int  # every order behind the page's beginning, up to this one, has ended


class ShownOrders(NamedTuple):
    """What a broker shows on one question about all of our orders, by the keys of their attempts.

    It says what is there and never what is not: an order that it leaves out is asked about alone.
    """

    orders: Mapping[str, Found]
    ended: bool  # it said itself that this was all


NOTHING_SHOWN: Final = ShownOrders({}, ended=False)


class CancelPage(NamedTuple):
    """Some of the cancels that wait at one broker."""

    cancels: Sequence[PendingCancel]
    after: str  # behind which order the next page begins; empty: this was the last one
