"""The orders that this broker holds, kept in memory and rebuilt from its record.

A move here and its audit line are made together by `desk`; a restart replays the lines
through the same functions, so that memory and record cannot tell two stories.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from app.brokers.sim.messages import AuditLine, Execution, NewTerms, Order

TERMINAL: Final = frozenset({"filled", "canceled", "expired", "rejected"})
ENDS: Final = frozenset({"canceled", "expired"})
SIGNS: Final = {"trade": 1, "trade_cancel": -1}


class Book:
    """Orders by the client's key; the copies that a switched-off dedupe let in; the counters."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.copies: dict[str, list[Order]] = {}  # by key, after the first
        self.renamed: dict[str, Order] = {}  # by the keys of replaces that took effect
        self.changing: dict[str, Order] = {}  # by the keys of replaces that are not decided yet
        self.replaces: set[str] = set()  # the keys of all replaces that were judged
        self.decisions: Counter[str] = Counter()
        self.last_order = 0
        self.last_execution = 0

    def holds(self, key: str) -> bool:
        """Return whether this key was accepted; one that was refused is free to come again."""
        order = self.orders.get(key)
        return order is not None and order.status != "rejected"

    def find(self, key: str) -> Order | None:
        """Return the order that is, or was, called so."""
        return self.orders.get(key) or self.renamed.get(key)

    def pending(self, key: str) -> bool:
        """Whether a replace of this key is neither in effect nor refused."""
        return key in self.changing

    def add(self, line: AuditLine) -> Order:
        """Take in a judged order."""
        order = Order(
            client_order_id=_text(line.client_order_id),
            order_id=line.order_id or "",
            market=sys.intern(_text(line.market)),
            quantity=sys.intern(_text(line.quantity)),
            limit_price=None if line.limit_price is None else sys.intern(line.limit_price),
            accepted_ns=line.decided_ns or line.ns,
        )
        if line.decision == "rejected":
            order.status, order.reason = "rejected", line.code
            if self.holds(order.client_order_id):
                return order
        if self.holds(order.client_order_id):
            self.copies.setdefault(order.client_order_id, []).append(order)
        else:
            self.orders[order.client_order_id] = order
        return order

    def by_order_id(self, key: str, order_id: str) -> Order | None:
        """Return the order, or that copy of it."""
        first = self.find(key)
        if first is not None and first.order_id == order_id:
            return first
        copies = self.copies.get(key, [])
        return next((copy for copy in copies if copy.order_id == order_id), None)

    def apply(self, order: Order, execution: Execution) -> None:
        """Note what happened to an order, and where it stands now."""
        order.executions = (*order.executions, execution)
        if execution.type in ENDS:
            order.status, order.cancel_pending = execution.type, False
            order.reason = execution.reason
        elif execution.type in {"replaced", "replace_rejected"}:
            self._changed(order, execution)
        elif execution.type in {"trade", "trade_cancel", "trade_correct"}:
            order.filled += self._amount(order, execution)
            order.status = _status(order)

    def ask(self, order: Order, terms: NewTerms) -> None:
        """Note that an order is about to be changed."""
        order.replacing = terms
        self.changing[terms.client_order_id] = order

    def _changed(self, order: Order, execution: Execution) -> None:
        """Let the new terms, or the old ones, stand; it is one order before and after."""
        order.replacing = None
        self.changing.pop(execution.client_order_id, None)
        if execution.type == "replaced":
            order.live = execution.client_order_id
            order.quantity = sys.intern(_text(execution.quantity))
            order.limit_price = execution.limit_price
            order.status = _status(order)
            self.renamed[order.live] = order

    def _amount(self, order: Order, execution: Execution) -> Decimal:
        amount = Decimal(_text(execution.last_quantity))
        if execution.type != "trade_correct":
            return SIGNS[execution.type] * amount
        referenced = execution.referenced_execution_id
        before = next(e for e in order.executions if e.execution_id == referenced)
        return amount - Decimal(_text(before.last_quantity))


def _status(order: Order) -> str:
    if order.filled >= Decimal(order.quantity):
        return "filled"
    if order.status in ENDS:
        return order.status
    return "partially_filled" if order.filled else "new"


def rebuild(book: Book, lines: Iterable[AuditLine]) -> list[Execution]:
    """Replay the record into an empty book; return the executions that were never told."""
    untold: dict[str, Execution] = {}
    for line in lines:
        match line.kind:
            case "NEW":
                _replay_order(book, line)
            case "CANCEL" | "REPLACE":
                _replay_request(book, line)
            case "FILL" | "END" | "CHANGE":
                execution = _replay_execution(book, line)
                untold[execution.execution_id] = execution
            case "TOLD":
                for execution_id in line.told or ():
                    untold.pop(execution_id, None)
            case _:
                pass
    for execution in untold.values():
        execution.possible_duplicate = True  # the process may have died before it wrote TOLD
    return list(untold.values())


def _replay_order(book: Book, line: AuditLine) -> None:
    book.decisions[_text(line.decision)] += 1
    if line.decision in {"accepted", "rejected"}:
        book.add(line)
        book.last_order = max(book.last_order, _number(line.order_id))


def _replay_request(book: Book, line: AuditLine) -> None:
    key = _text(line.client_order_id)
    order = book.find(line.original or key)
    accepted = line.decision == "accepted"
    if line.kind == "CANCEL":
        if accepted and order is not None:
            order.cancel_pending = True
        return
    book.replaces.add(key)
    if accepted and order is not None:
        terms = NewTerms(key, _text(line.original), _text(line.quantity), line.limit_price)
        book.ask(order, terms)


def _replay_execution(book: Book, line: AuditLine) -> Execution:
    execution = execution_of(line)
    book.last_execution = max(book.last_execution, _number(execution.execution_id))
    key = execution.client_order_id
    order = book.by_order_id(key, execution.order_id) or book.changing.get(key)
    if order is not None:
        # A copy, because the order's own list is not marked as told twice.
        book.apply(order, execution_of(line))
    return execution


def execution_of(line: AuditLine) -> Execution:
    return Execution(
        client_order_id=_text(line.client_order_id),
        order_id=_text(line.order_id),
        execution_id=_text(line.execution_id),
        type=sys.intern(_text(line.type)),
        trade_date=sys.intern(_text(line.trade_date)),
        at_ms=line.at_ms or 0,
        last_quantity=line.last_quantity,
        last_price=line.last_price,
        referenced_execution_id=line.referenced_execution_id,
        reason=line.reason,
        quantity=line.quantity,
        limit_price=line.limit_price,
    )


def _number(identifier: str | None) -> int:
    """Return the running number at the end of `north-17` or `north-E17`."""
    return int(_text(identifier).rpartition("-")[2].lstrip("E"))


def _text(value: str | None) -> str:
    assert value is not None
    return value
