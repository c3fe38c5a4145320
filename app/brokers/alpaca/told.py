"""What has been told of an account's orders, so that nothing is told twice or left out.

An order shows how much of it was filled, and only the activities show the fills; so a gap between
the two is a fill that is still owed. This is memory, not record: after a start the last day is told
again, and applying is idempotent. The trap is a memory without end: the orders that were not heard
of for longest are forgotten, and then told again should they come back.
"""

from collections import OrderedDict
from decimal import Decimal
from typing import Final

from app.brokers.alpaca.shapes import Fill, Order, amount

# More orders than Alpaca's default rate lets anybody place in a day: 200 a minute, for 390 minutes.
ORDERS_MAX: Final = 100_000


class _Heard:
    """One order, as far as it was told."""

    __slots__ = ("before", "fills", "key", "status")

    def __init__(self) -> None:
        self.key: str | None = None
        self.fills: dict[str, Decimal] = {}
        self.status: str | None = None
        self.before: Decimal | None = None


class Told:
    """The orders of one account, by Alpaca's ids."""

    def __init__(self, orders_max: int = ORDERS_MAX) -> None:
        self._orders_max = orders_max
        self._heard: OrderedDict[str, _Heard] = OrderedDict()

    def learn(self, order: Order) -> None:
        """Note whose order this is."""
        self.know(order.id, order.client_order_id)

    def know(self, order_id: str, key: str) -> None:
        self._of(order_id).key = key

    def key_of(self, order_id: str) -> str | None:
        heard = self._heard.get(order_id)
        return None if heard is None else heard.key

    def has_fill(self, fill: Fill) -> bool:
        heard = self._heard.get(fill.order_id)
        return heard is not None and fill.id in heard.fills

    def note_fill(self, fill: Fill) -> None:
        """Note that this fill was published."""
        self._of(fill.order_id).fills[fill.id] = amount(fill.qty)

    def status_of(self, order_id: str) -> str | None:
        """Return the last status that was published."""
        heard = self._heard.get(order_id)
        return None if heard is None else heard.status

    def note_status(self, order: Order) -> None:
        self._of(order.id).status = order.status

    def note_successor(self, order: Order) -> None:
        """Note that an order goes on under another id, and how much was filled until then."""
        if order.replaced_by is not None:
            earlier = self.before(order.id) or Decimal(0)
            self._of(order.replaced_by).before = earlier + amount(order.filled_qty)

    def before(self, order_id: str) -> Decimal | None:
        """Return how much was filled under earlier ids; None where none is known to be over."""
        heard = self._heard.get(order_id)
        return None if heard is None else heard.before

    def owes(self, order: Order) -> bool:
        """Whether the order shows more as filled than its fills that were told."""
        heard = self._heard.get(order.id)
        told = Decimal(0) if heard is None else sum(heard.fills.values(), Decimal(0))
        return amount(order.filled_qty) > told

    def _of(self, order_id: str) -> _Heard:
        heard = self._heard.setdefault(order_id, _Heard())
        self._heard.move_to_end(order_id)
        if len(self._heard) > self._orders_max:
            self._heard.popitem(last=False)
        return heard
