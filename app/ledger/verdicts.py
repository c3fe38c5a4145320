"""A person's word on a doubt, as the evidence that it stands for.

An operator does not set a status: he says what he has found out, and the same moves follow
that a broker's own report would have led through.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from sqlalchemy import Connection

from app.domain.errors import Code, Refused
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import Order
from app.domain.records import Actor, Change
from app.domain.trades import is_amount
from app.domain.values import Outcome, Status, order_id_of
from app.ledger import attempts, audit, outcomes, reporting, rows

REPORT_OF: Final = {
    "accepted": ExecutionType.NEW,
    "rejected": ExecutionType.REJECTED,
    "canceled": ExecutionType.CANCELED,
    "filled": ExecutionType.TRADE,
}
VERDICTS: Final = frozenset({"not_received", *REPORT_OF})


def resolve(
    connection: Connection,
    key: str,
    verdict: str,
    terms: Mapping[str, str],
    by: Actor,
    now: int,
) -> Order:
    """Settle one doubt, with its audit row, or raise `Refused`."""
    order_id = order_id_of(key)
    before = rows.locked(connection, [order_id]).get(order_id) if order_id else None
    if order_id is None or before is None:
        raise Refused(Code.NOT_FOUND, f"no attempt {key}")
    attempt = attempts.by_keys(connection, [key]).get(key)
    if attempt is None or attempt.outcome is not Outcome.UNKNOWN:
        raise Refused(Code.DOUBT_SETTLED, f"the order is {before.status}", status=before.status)
    if verdict == "not_received":
        outcomes.never_received(connection, [key], by.name, now)
    else:
        report = _report(before, attempt.broker_id, key, verdict, terms, now)
        reporting.apply(connection, [report], by.name, now)
    after = rows.by_ids(connection, [order_id])[order_id]
    assert after.status is not Status.IN_DOUBT, f"{verdict} left {order_id} in doubt"
    change = Change(
        "doubt.resolve",
        f"order/{order_id}",
        {"status": before.status, "attempt": key},
        {**terms, "status": after.status, "verdict": verdict},
    )
    audit.append(connection, by, change, now)
    return after


def _report(
    order: Order, broker_id: str, key: str, verdict: str, terms: Mapping[str, str], now: int
) -> ExecutionReport:
    kind = REPORT_OF.get(verdict)
    if kind is None:
        raise Refused(Code.VALIDATION_FAILED, f"expected one of {sorted(VERDICTS)}, was {verdict}")
    trade = kind is ExecutionType.TRADE
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=key,
        broker_order_id=terms.get("broker_order_id", "by-operator"),
        execution_id=reporting.BY_OPERATOR + key,
        execution_type=kind,
        trade_date=order.trade_date,
        at=now,
        last_quantity=order.quantity if trade else Decimal(0),
        last_price=_price(terms) if trade else None,
        reason=Code.OPERATOR_VERDICT.code,
    )


def _price(terms: Mapping[str, str]) -> Decimal:
    try:
        price = Decimal(terms["price"])
    except (KeyError, InvalidOperation):
        raise Refused(Code.VALIDATION_FAILED, "filled needs the price, a decimal string") from None
    if not is_amount(price):
        raise Refused(Code.VALIDATION_FAILED, f"expected a positive price, was {price}")
    return price
