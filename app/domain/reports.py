"""Folds a broker's reports into an order: every fill once, in any order, none dropped.

A report may come before the answer to the send, twice, late, or after the order has ended;
what executions come to is `domain/trades.py`'s business, and here each report becomes legal
moves. The trap: gating reports on the state one expects. A fill is a fact, whatever we thought
of the order.

A *stray* report speaks of an attempt that was settled as not there (not sent, throttled, never
received). Its fills count; its words are not about the attempt that is out now, so they never
move that; and an order that waits to be sent again is held, because a broker may have it.
"""

from decimal import Decimal
from typing import Final

from app.domain.errors import Code
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import (
    MAYBE_OUT,
    TERMINAL,
    UNSENT,
    Order,
    acknowledged,
    ended_at_broker,
    is_stray,
    moved,
    rejected,
)
from app.domain.replacing import WORDS, Chain
from app.domain.trades import EXACT, NOTHING, TRADES, Amounts
from app.domain.values import PendingRequest, Status

_S = Status
_E = ExecutionType
STRAY: Final = Code.STRAY_EVIDENCE.code
NO_CHAIN: Final = Chain()  # of an order that was never replaced: nothing is ever noted in it
# An average is shown, never settled on: eight decimals are finer than any tick here.
AVERAGE_PLACES: Final = Decimal("0.00000001")
# An average is rounded, and that is not an error: a context of its own, which does not say so.
_ROUNDED: Final = EXACT.copy()
_ROUNDED.clear_traps()


def applied(
    order: Order,
    report: ExecutionReport,
    change: Amounts,
    now: int,
    *,
    stray: bool = False,
    chain: Chain = NO_CHAIN,
) -> list[Order]:
    """Return the versions that this report leads through, oldest first; empty if it says nothing.

    `change` is what an execution moves (`Trades.add`), `NOTHING` for any other report. `chain`
    are the requests to replace of an order that has any; it is brought up to date. Raises
    `InvalidTransition` if the report contradicts the order: keep it, raise an anomaly, stop
    nothing.
    """
    if report.execution_type in TRADES:
        steps = [chain.seen(order, s) for s in _traded(order, report, change, now, stray=stray)]
    elif stray:
        steps = _strayed(order, report, now)
    elif report.execution_type in WORDS:
        steps = chain.apply(order, report, now)
    else:
        steps = _told(order, report, now)
    chain.follow(steps[-1] if steps else order)
    return steps


def _told(order: Order, report: ExecutionReport, now: int) -> list[Order]:
    """Act on a word about where the order stands."""
    match report.execution_type:
        case _E.REJECTED:
            ended = order.status in {_S.REJECTED, _S.DENIED}
            return [] if ended else [rejected(order, report.reason, now)]
        case _E.DONE_FOR_DAY:
            return _done_for_day(order, report, now)
        case _E.CANCELED:
            return _ended(order, report, _S.CANCELED, now)
        case _E.EXPIRED:
            return _ended(order, report, _S.EXPIRED, now)
        case _E.PENDING_CANCEL | _E.PENDING_REPLACE if order.status not in MAYBE_OUT:
            return []  # heard: it says nothing of the outcome
        case _:
            after = acknowledged(order, report.broker_order_id, now)
            return [] if after is order else [after]


def _done_for_day(order: Order, report: ExecutionReport, now: int) -> list[Order]:
    if order.done_for_day or order.status in TERMINAL:
        return []
    steps = []
    if order.status in MAYBE_OUT:  # it is there, whatever the answer to the send will be
        steps.append(acknowledged(order, report.broker_order_id, now))
    last = steps[-1] if steps else order
    return [*steps, moved(last, last.status, now)._replace(done_for_day=True)]


def _ended(order: Order, report: ExecutionReport, to: Status, now: int) -> list[Order]:
    raised = order.status is _S.FILLED and order.pending_request is PendingRequest.REPLACE
    if order.status in TERMINAL and not raised:
        return []
    steps = []
    if order.status is _S.SENDING:  # it ended before its acknowledgement reached us
        steps.append(acknowledged(order, report.broker_order_id, now))
    last = steps[-1] if steps else order
    if last.status in TERMINAL and not raised:  # fills of an earlier attempt had completed it
        return steps
    return [*steps, ended_at_broker(last, to, now)]


def _strayed(order: Order, report: ExecutionReport, now: int) -> list[Order]:
    """Note a word about a copy that we held to be nowhere. It says nothing of other attempts."""
    match report.execution_type:
        case _E.REJECTED | _E.REPLACE_REJECTED:  # it is not there: as we thought
            return []
        case _E.CANCELED | _E.EXPIRED:
            if order.status is not _S.HELD or not is_stray(order):
                return []
            expired = report.execution_type is _E.EXPIRED
            return [ended_at_broker(order, _S.EXPIRED if expired else _S.CANCELED, now)]
        case _:
            if is_stray(order):
                return []
            to = _S.HELD if order.status in UNSENT else order.status
            return [moved(order, to, now)._replace(reason_code=STRAY)]


def _traded(
    order: Order, report: ExecutionReport, change: Amounts, now: int, *, stray: bool
) -> list[Order]:
    """Put the amounts in, and the status that they mean."""
    shown = order.status in MAYBE_OUT or stray
    if change == NOTHING and (is_stray(order) if stray else not shown):
        return []
    total = EXACT.add(EXACT.add(order.filled_quantity, order.overfilled_quantity), change.quantity)
    value = EXACT.add(order.filled_value, change.value)
    capped = min(total, order.quantity)
    after = moved(order, _status_for(order, capped, stray=stray), now)
    complete = after.status is _S.FILLED
    return [
        after._replace(
            filled_quantity=capped,
            overfilled_quantity=EXACT.subtract(total, capped),
            filled_value=value,
            average_price=average(total, value),
            pending_request=PendingRequest.NONE if complete else order.pending_request,
            cancel_origin=None if complete else order.cancel_origin,
            reason_code=STRAY if stray else order.reason_code,
            broker_order_id=_broker_order_id(order, report, stray=stray),
        )
    ]


def _broker_order_id(order: Order, report: ExecutionReport, *, stray: bool) -> str | None:
    if stray or order.broker_order_id is not None:
        return order.broker_order_id
    return report.broker_order_id


def average(quantity: Decimal, value: Decimal) -> Decimal | None:
    """Return the average price (6) of what was traded, None of nothing."""
    if not quantity:
        return None
    return _ROUNDED.divide(value, quantity).quantize(AVERAGE_PLACES, context=_ROUNDED)


def _status_for(order: Order, filled: Decimal, *, stray: bool) -> Status:
    if order.status in UNSENT:
        return _S.HELD
    if stray and order.status in MAYBE_OUT:
        return order.status  # of the attempt that is out now, nothing has been said
    if order.status in {_S.REJECTED, _S.DENIED}:
        return order.status  # T21: a person decides; the amounts are kept
    if filled == order.quantity:
        return _S.FILLED
    if order.status in {_S.CANCELED, _S.EXPIRED}:
        return order.status  # T20
    return _S.PARTIALLY_FILLED if filled else _S.NEW
