"""What a request deserves by itself, and the line that the record keeps of it. Pure."""

import re
from decimal import Decimal
from typing import Final, Literal

from app.brokers.sim.book import TERMINAL
from app.brokers.sim.messages import AuditLine, Decision, NewOrder, NewTerms, Order

AMOUNT: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,10})?")
Judgement = tuple[Decision, str | None]


def terms_decision(order: Order | None, terms: NewTerms) -> Judgement:
    """Judge new terms of an order; what it is called now must be what they name."""
    decision = cancel_decision(order)
    if decision[0] == "rejected" or order is None:
        return decision
    if order.replacing is not None:
        return "rejected", "already-pending"
    if terms.original_client_order_id != order.key:
        return "rejected", "unknown-order"
    if not is_positive(terms.quantity):
        return "rejected", "bad-quantity"
    return _price_decision(order, terms)


def _price_decision(order: Order, terms: NewTerms) -> Judgement:
    limited = order.limit_price is not None
    good = terms.limit_price is not None and is_positive(terms.limit_price)
    if good if limited else terms.limit_price is None:
        return "accepted", None
    return "rejected", "bad-price"


def kind_of(what: str) -> Literal["FILL", "CHANGE", "END"]:
    if what.startswith("trade"):
        return "FILL"
    return "CHANGE" if what.startswith("replace") else "END"


def terms_line(terms: NewTerms, ns: int, conn: int) -> AuditLine:
    return AuditLine(
        ns=ns,
        kind="REPLACE",
        conn=conn,
        client_order_id=terms.client_order_id,
        original=terms.original_client_order_id,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
    )


def cancel_decision(order: Order | None) -> tuple[Decision, str | None]:
    if order is None or order.status == "rejected":
        return "rejected", "unknown-order"
    if order.status in TERMINAL:
        return "rejected", "too-late"
    if order.cancel_pending:
        return "rejected", "already-pending"
    return "accepted", None


def new_line(new: NewOrder, ns: int, conn: int, late: int | None) -> AuditLine:
    return AuditLine(
        ns=ns,
        kind="NEW",
        conn=conn,
        client_order_id=new.client_order_id,
        account=new.account,
        symbol=new.symbol,
        market=new.market,
        side=new.side,
        type=new.type,
        quantity=new.quantity,
        limit_price=new.limit_price,
        currency=new.currency,
        time_in_force=new.time_in_force,
        decided_ns=late,
    )


def is_positive(amount: str) -> bool:
    return AMOUNT.fullmatch(amount) is not None and Decimal(amount) > 0
