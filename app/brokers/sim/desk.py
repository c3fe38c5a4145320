"""Judges orders and cancels, and makes things happen to them. No await, no network.

Every function returns the audit lines of what it did; the caller puts them on disk before
anybody hears of it.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from app.brokers.sim import fills
from app.brokers.sim.book import TERMINAL, Book, execution_of
from app.brokers.sim.enforcer import Enforcer
from app.brokers.sim.faults import Faults
from app.brokers.sim.judging import (
    cancel_decision,
    is_positive,
    kind_of,
    new_line,
    terms_decision,
    terms_line,
)
from app.brokers.sim.messages import (
    AuditLine,
    Decision,
    Execution,
    NewOrder,
    NewTerms,
    Order,
    Result,
)
from app.brokers.sim.world import World

# A judgement this long after the receipt was held back by a fault, and the record says so.
LATE_NS: Final = 10_000_000


class Desk:
    """One broker's judgement."""

    def __init__(
        self, name: str, world: World, faults: Faults, tps: int | None, *, dedupe: bool
    ) -> None:
        self.name = name
        self.world = world
        self.faults = faults
        self.enforcer = Enforcer(tps)
        self.book = Book()
        self.dedupe = dedupe

    def place(
        self, orders: Sequence[NewOrder], arrived_ns: int, conn: int
    ) -> tuple[list[Result], list[AuditLine], list[Order]]:
        """Judge new orders; return the answers, the record, and what was accepted."""
        now = self.world.ns()
        free = self.enforcer.admit(now, len(orders))
        late = now if now - arrived_ns > LATE_NS else None
        results, lines, accepted = [], [], []
        for index, new in enumerate(orders):
            line = new_line(new, arrived_ns, conn, late)
            if index < free:
                self._judge(new, line)
            else:
                line.decision, line.code = "throttled", "rate-limit"
            self.book.decisions[str(line.decision)] += 1
            if line.decision == "accepted":
                accepted.append(self.book.add(line))
            elif line.decision == "rejected":
                self.book.add(line)
            lines.append(line)
            results.append(self._result(line, now))
        return results, lines, accepted

    def throttle_all(
        self, orders: Sequence[NewOrder], arrived_ns: int, conn: int
    ) -> list[AuditLine]:
        """Write down that a whole request was refused by rate."""
        lines = [new_line(new, arrived_ns, conn, None) for new in orders]
        for line in lines:
            line.decision, line.code = "throttled", "http-429"
        self.book.decisions["throttled"] += len(lines)
        return lines

    def cancel(
        self, keys: Sequence[str], arrived_ns: int, conn: int
    ) -> tuple[list[Result], list[AuditLine], list[Order]]:
        """Judge cancels; what is accepted is pending until `end` is called for it."""
        now = self.world.ns()
        free = self.enforcer.admit(now, len(keys))
        results, lines, pending = [], [], []
        for index, key in enumerate(keys):
            line = AuditLine(ns=arrived_ns, kind="CANCEL", conn=conn, client_order_id=key)
            order = self.book.find(key)
            if index >= free:
                line.decision, line.code = "throttled", "rate-limit"
            else:
                line.decision, line.code = cancel_decision(order)
            if order is not None and line.decision == "accepted":
                order.cancel_pending = True
                line.order_id = order.order_id
                pending.append(order)
            lines.append(line)
            results.append(self._result(line, now))
        return results, lines, pending

    def replace(
        self, wanted: Sequence[NewTerms], arrived_ns: int, conn: int
    ) -> tuple[list[Result], list[AuditLine], list[Order]]:
        """Judge replaces; what is accepted is pending until `change` is called for it."""
        now = self.world.ns()
        free = self.enforcer.admit(now, len(wanted))
        results, lines, pending = [], [], []
        for index, terms in enumerate(wanted):
            line = terms_line(terms, arrived_ns, conn)
            order = self.book.find(terms.original_client_order_id)
            if index >= free:
                line.decision, line.code = "throttled", "rate-limit"
            else:
                line.decision, line.code = self._replace_decision(order, terms)
                self.book.replaces.add(terms.client_order_id)
            if order is not None and line.decision == "accepted":
                self.book.ask(order, terms)
                line.order_id = order.order_id
                pending.append(order)
            lines.append(line)
            results.append(self._result(line, now))
        return results, lines, pending

    def change(self, order: Order) -> AuditLine | None:
        """Let the pending terms stand, amended to what has traded, or refuse them: too late."""
        terms = order.replacing
        if terms is None:
            return None
        late = order.status in TERMINAL
        line = self._line(order, "replace_rejected" if late else "replaced", None, None)
        line.client_order_id = terms.client_order_id
        if late:
            line.reason = "too-late"
        else:
            line.quantity = f"{max(Decimal(terms.quantity), order.filled):f}"
            line.limit_price = terms.limit_price
        return self._noted(order, line)

    def _replace_decision(
        self, order: Order | None, terms: NewTerms
    ) -> tuple[Decision, str | None]:
        key = terms.client_order_id
        if key in self.book.replaces or self.book.find(key) is not None:
            return "duplicate", "duplicate-client-order-id"
        decision = terms_decision(order, terms)
        if decision[0] == "rejected":
            return decision
        if self.faults.draw("reject_random"):
            return "rejected", "rejected-at-random"
        return "accepted", None

    def trade(self, order: Order, quantity: Decimal | None, price: str | None) -> AuditLine | None:
        """Fill up to so much of what is open; None if nothing is."""
        open_quantity = Decimal(order.quantity) - order.filled
        size = open_quantity if quantity is None else min(quantity, open_quantity)
        if size <= 0:
            return None
        return self._happens(order, "trade", f"{size:f}", price or fills.price(order))

    def bust(self, order: Order, trade: Execution) -> AuditLine:
        """Take a trade back."""
        line = self._line(order, "trade_cancel", trade.last_quantity, trade.last_price)
        line.referenced_execution_id = trade.execution_id
        return self._noted(order, line)

    def correct(
        self, order: Order, trade: Execution, quantity: str, price: str | None
    ) -> AuditLine:
        """Change a trade's amounts."""
        line = self._line(order, "trade_correct", quantity, price or trade.last_price)
        line.referenced_execution_id = trade.execution_id
        return self._noted(order, line)

    def end(self, order: Order, how: str, reason: str | None = None) -> AuditLine | None:
        """Cancel or expire it; None if it has ended already. `done_for_day` only tells."""
        if order.status in TERMINAL:
            order.cancel_pending = False
            return None
        return self._happens(order, how, reason=reason)

    def _judge(self, new: NewOrder, line: AuditLine) -> None:
        line.decision, line.code = self._decision(new)
        if line.decision in {"accepted", "rejected"}:  # a refusal has an order id too (tag 37)
            self.book.last_order += 1
            line.order_id = f"{self.name}-{self.book.last_order}"

    def _decision(self, new: NewOrder) -> tuple[Decision, str | None]:
        if self.dedupe and self.book.holds(new.client_order_id):
            return "duplicate", "duplicate-client-order-id"
        if not is_positive(new.quantity):
            return "rejected", "bad-quantity"
        if new.type == "limit" and (new.limit_price is None or not is_positive(new.limit_price)):
            return "rejected", "bad-price"
        if self.faults.draw("reject_random"):
            return "rejected", "rejected-at-random"
        return "accepted", None

    def _result(self, line: AuditLine, now: int) -> Result:
        status = "rejected" if line.decision == "duplicate" else line.decision
        assert status is not None
        wait = self.enforcer.retry_after_s(now) if status == "throttled" else None
        return Result(
            client_order_id=line.client_order_id or "",
            status=status,
            order_id=line.order_id,
            code=line.code,
            retry_after=wait,
        )

    def _happens(
        self,
        order: Order,
        what: str,
        quantity: str | None = None,
        price: str | None = None,
        reason: str | None = None,
    ) -> AuditLine:
        line = self._line(order, what, quantity, price)
        line.reason = reason
        return self._noted(order, line)

    def _line(self, order: Order, what: str, quantity: str | None, price: str | None) -> AuditLine:
        self.book.last_execution += 1
        at_ms = self.world.now_ms()
        return AuditLine(
            ns=self.world.ns(),
            kind=kind_of(what),
            client_order_id=order.key,
            type=what,
            order_id=order.order_id,
            execution_id=f"{self.name}-E{self.book.last_execution}",
            trade_date=self.world.trade_date(order.market, at_ms),
            at_ms=at_ms,
            last_quantity=quantity,
            last_price=price,
        )

    def _noted(self, order: Order, line: AuditLine) -> AuditLine:
        self.book.apply(order, execution_of(line))
        return line
