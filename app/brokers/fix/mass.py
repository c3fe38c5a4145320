"""One OrderMassStatusRequest (35=AF) and the reports that answer it. Pure.

Each report is an answer about one order. The last one says so (912), or their number is told in
advance (911); some brokers tell neither, and simply fall silent. The trap is the end: a list that
has ended says that no more is coming, and not that there is nothing more. So whatever it leaves
out, or shows twice, or shows in a way that nobody can read, is no answer at all; nor is a refused
replace, which some brokers list among the orders.
"""

from typing import Final

from app.brokers.fix.said import Said
from app.domain.messages import Found
from app.domain.values import attempt_key_of, order_id_of
from app.domain.working import ShownOrders

# Of orders that are kept at once, some 30 MB. What is beyond is asked about one by one.
SHOWN_MAX: Final = 50_000
_DIGITS_MAX: Final = 10


class Mass:
    """What was heard of one question so far."""

    def __init__(self) -> None:
        self._orders: dict[str, Found | None] = {}  # None: it was shown twice
        self.heard = 0
        self.ended = False

    @property
    def shown(self) -> ShownOrders:
        orders = {key: found for key, found in self._orders.items() if found is not None}
        return ShownOrders(orders, ended=self.ended and len(self._orders) < SHOWN_MAX)

    def hear(self, said: Said, total: str | None) -> None:
        """Take one report; `total` (911) is how many there are, if it says so."""
        self.heard += 1
        is_count = total is not None and total.isdecimal() and len(total) <= _DIGITS_MAX
        self.ended |= said.is_last or (is_count and self.heard >= int(total or 0))
        key = attempt_key_of(said.key or "")
        if order_id_of(key) is None or not isinstance(said.shown, Found):
            return
        if said.is_refused_replace:
            return
        if key in self._orders:
            self._orders[key] = None
        elif len(self._orders) < SHOWN_MAX:
            self._orders[key] = said.shown
