"""What works at a broker, as it is asked about: an order, and the name that it has there. Pure.

The trap is to ask about orders one by one as they come to mind: a page says where the next begins.
"""

from decimal import Decimal
from typing import NamedTuple


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
