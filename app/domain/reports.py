"""Folds a broker's reports into an order: every fill once, in any order, none dropped.

A report may come before the answer to the send, twice, late, or after the order has ended;
a bust may come before the trade that it undoes. The caller drops what it has applied before
(an execution's key is unique in the ledger); here each remaining report becomes legal moves.
The trap: gating reports on the state one expects. A fill is a fact, whatever we thought of
the order.
"""

from decimal import Decimal
from typing import Final

from app.domain.errors import Code, InvalidTransition
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import (
    TERMINAL,
    UNSENT,
    Order,
    acknowledged,
    ended_at_broker,
    moved,
    rejected,
)
from app.domain.values import PendingRequest, Status

_S = Status
_E = ExecutionType
ZERO: Final = Decimal(0)
# An average is shown, never settled on: eight decimals are finer than any tick here.
AVERAGE_PLACES: Final = Decimal("0.00000001")


def applied(order: Order, report: ExecutionReport, other: ExecutionReport | None) -> list[Order]:
    """Return the versions that this report leads through, oldest first; empty if it says nothing.

    `other` is the second half of a pair: the trade that a bust or a correction refers to, or
    the bust or correction that came before this trade. Raises `InvalidTransition` if the
    report contradicts the order: keep it, raise an anomaly, stop nothing.
    """
    now = max(report.at, order.updated_at)
    match report.execution_type:
        case _E.NEW | _E.ORDER_STATUS:
            return _acknowledged(order, report, now)
        case _E.TRADE:
            return _traded(order, report, other, now)
        case _E.TRADE_CANCEL | _E.TRADE_CORRECT:
            return [_corrected(order, report, other, now)] if other else []
        case _E.REJECTED:
            ended = order.status in {_S.REJECTED, _S.DENIED}
            return [] if ended else [rejected(order, report.reason, now)]
        case _E.DONE_FOR_DAY:
            if order.done_for_day:
                return []
            return [moved(order, order.status, now)._replace(done_for_day=True)]
        case _E.CANCELED:
            return _ended(order, report, _S.CANCELED, now)
        case _E.EXPIRED:
            return _ended(order, report, _S.EXPIRED, now)


def _acknowledged(order: Order, report: ExecutionReport, now: int) -> list[Order]:
    if order.status in UNSENT:
        return [_stray(order, now)]
    after = acknowledged(order, report.broker_order_id, now)
    return [] if after is order else [after]


def _stray(order: Order, now: int) -> Order:
    """Stop an order that we held to be nowhere: a broker has just shown a copy of it."""
    return moved(order, _S.HELD, now)._replace(reason_code=Code.STRAY_EVIDENCE.code)


def _ended(order: Order, report: ExecutionReport, to: Status, now: int) -> list[Order]:
    if order.status in TERMINAL or order.status in UNSENT:
        return []
    steps = []
    if order.status is _S.SENDING:  # it ended before its acknowledgement reached us
        steps.append(acknowledged(order, report.broker_order_id, now))
    steps.append(ended_at_broker(steps[-1] if steps else order, to, now))
    return steps


def _traded(
    order: Order, trade: ExecutionReport, undo: ExecutionReport | None, now: int
) -> list[Order]:
    filled = order.filled_quantity + order.overfilled_quantity + trade.last_quantity
    value = order.filled_value + _value(trade)
    after = _with_amounts(order, filled, value, now)
    if after.broker_order_id is None:
        after = after._replace(broker_order_id=trade.broker_order_id)
    return [after] if undo is None else [after, _corrected(after, undo, trade, now)]


def _corrected(
    order: Order, correction: ExecutionReport, trade: ExecutionReport, now: int
) -> Order:
    filled = order.filled_quantity + order.overfilled_quantity - trade.last_quantity
    value = order.filled_value - _value(trade)
    if correction.execution_type is _E.TRADE_CORRECT:
        filled += correction.last_quantity
        value += _value(correction)
    if filled < ZERO:
        raise InvalidTransition(f"order {order.order_id}: more undone than filled")
    return _with_amounts(order, filled, value, now)


def _value(report: ExecutionReport) -> Decimal:
    if report.last_price is None or report.last_quantity <= ZERO:
        raise InvalidTransition(
            f"execution {report.execution_id}: expected a price and a positive quantity,"
            f" were {report.last_price} and {report.last_quantity}"
        )
    return report.last_price * report.last_quantity


def _with_amounts(order: Order, filled: Decimal, value: Decimal, now: int) -> Order:
    """Put the amounts in, and the status that they mean."""
    capped = min(filled, order.quantity)
    after = moved(order, _status_for(order, capped), now)
    complete = after.status is _S.FILLED
    return after._replace(
        filled_quantity=capped,
        overfilled_quantity=filled - capped,
        filled_value=value,
        average_price=(value / filled).quantize(AVERAGE_PLACES) if filled else None,
        pending_request=PendingRequest.NONE if complete else order.pending_request,
        cancel_origin=None if complete else order.cancel_origin,
        reason_code=Code.STRAY_EVIDENCE.code if order.status in UNSENT else order.reason_code,
    )


def _status_for(order: Order, filled: Decimal) -> Status:
    if order.status in UNSENT:
        return _S.HELD
    if order.status in {_S.REJECTED, _S.DENIED}:
        return order.status  # T21: a person decides; the amounts are kept
    if filled == order.quantity:
        return _S.FILLED
    if order.status in {_S.CANCELED, _S.EXPIRED}:
        return order.status  # T20
    return _S.PARTIALLY_FILLED if filled else _S.NEW
