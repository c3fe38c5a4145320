"""Alpaca's words, and what each of them proves. Pure.

A reply is believed when it speaks of the order that was asked about. The trap is the status code: a
403 may refuse our key (nobody looked at the order), our account (nor then), or this very order; a
422 may say that the order is there already. So the body decides, and what it does not say is
`Unknown`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from app.brokers.alpaca.shapes import (
    ENDED,
    Fill,
    Order,
    Trouble,
    Unreadable,
    amount,
    milliseconds,
    read_order,
    trouble_in,
)
from app.brokers.exchange import OK, Failure, Reply
from app.brokers.wire import AMOUNT, RETRY_AFTER_MAX_S, TEXT_MAX, retry_after_s
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import EPOCH, Status

NEW_YORK: Final = ZoneInfo("America/New_York")
SECOND_MS: Final = 1_000
# Refusals of the account as a whole, in the words that its users report. Nobody looked at the
# order, and the next one would fare no better: a million of them must not be rejected for it.
OF_THE_ACCOUNT: Final = (
    "rejected by user request",
    "account is not authorized to trade",
    "orders not allowed for account",
)
# "client_order_id must be unique", written with underscores or blanks: it is there already.
DUPLICATE: Final = re.compile(r"client[ _-]?order[ _-]?id", re.IGNORECASE)
# A refusal of one order has a code of this family; one of a key ("forbidden.") has none.
BUSINESS_REFUSALS: Final = range(40_310_000, 40_320_000)

_ENDS: Final[Mapping[str, Status]] = {
    "filled": Status.FILLED,
    "canceled": Status.CANCELED,
    "expired": Status.EXPIRED,
    "rejected": Status.REJECTED,
}
# What a status is as a report. A fill is never one: only an activity tells how much, at what price.
_REPORTED: Final[Mapping[str, ExecutionType]] = {
    "done_for_day": ExecutionType.DONE_FOR_DAY,
    "canceled": ExecutionType.CANCELED,
    "expired": ExecutionType.EXPIRED,
    "rejected": ExecutionType.REJECTED,
}
assert set(_ENDS) == ENDED, "every end has its word"


def submit_answer(reply: Reply, key: str, now: int) -> Answer:
    """Return what a reply to a new order proves about it."""
    if reply.status not in OK:
        return refusal(reply, now)
    order = order_in(reply.body, key)
    if isinstance(order, Unknown):
        return order
    if order.status == "rejected":
        return Rejected("rejected", "the order was shown as rejected at once")
    return Accepted(order.id)


def replace_answer(reply: Reply, key: str, now: int) -> Answer:
    """Return what a reply to a replace proves: that it is decided on, never that it is in force."""
    if reply.status in OK:
        order = order_in(reply.body, key)
        return order if isinstance(order, Unknown) else Accepted(order.id)
    if is_absent(reply):
        return Rejected("unknown-order")
    answer = refusal(reply, now)
    # Users saw this refusal, and then the new order: so it proves nothing.
    if isinstance(answer, Rejected) and "sent to exchange" in answer.detail:
        return Unknown(answer.detail)
    return answer


def cancel_answer(reply: Reply, order_id: str, now: int) -> Answer:
    """Return what a reply to a cancel proves; what became of it is asked for, not guessed."""
    if reply.status in OK:
        return Accepted(order_id)
    if is_absent(reply):
        return Rejected("unknown-order")
    if reply.status == 422:  # noqa: PLR2004 - documented: the order status is not cancelable
        trouble = trouble_in(reply.body)
        if trouble is None:
            return Unknown("HTTP 422 without a code")
        pending = "pending" in trouble.message.lower()
        return Rejected("already-pending" if pending else "too-late", trouble.message[:TEXT_MAX])
    answer = refusal(reply, now)
    # A refusal that is judged elsewhere on this page is one of an order, not of its cancel.
    return Unknown(f"HTTP {reply.status}") if isinstance(answer, Rejected) else answer


def refusal(reply: Reply, now: int) -> Answer:
    """Return what a reply that is no 2xx proves about the one order that was asked for."""
    trouble = trouble_in(reply.body)
    match reply.status:
        case 429:
            return Throttled(_wait_s(reply.headers, now))
        case 401:
            return NotSent("HTTP 401", credentials=True)
        case 403 if trouble is None or trouble.code not in BUSINESS_REFUSALS:
            return NotSent("HTTP 403", credentials=True)
        case 400 | 403 | 422 if trouble is not None:
            return _judged(trouble)
        case status:
            return Unknown(f"HTTP {status}")


def _judged(trouble: Trouble) -> Answer:
    words = trouble.message.lower()
    if DUPLICATE.search(words):
        return Unknown("duplicate id: the broker has seen it")
    if any(account in words for account in OF_THE_ACCOUNT):
        return NotSent(f"{trouble.code}: {words[:TEXT_MAX]}", credentials=True)
    return Rejected(str(trouble.code), trouble.message[:TEXT_MAX])


def is_absent(reply: Reply) -> bool:
    """Whether Alpaca itself, and no proxy before it, says that there is no such order."""
    trouble = trouble_in(reply.body) if reply.status == 404 else None  # noqa: PLR2004
    return trouble is not None and "not found" in trouble.message.lower()


def shown(reply: Reply | Failure, key: str) -> Order | Absent | Unknown:
    """Return the order that a look-up by our key shows."""
    if not isinstance(reply, Reply):
        return Unknown(reply.cause)
    if is_absent(reply):
        return Absent()
    if reply.status not in OK:
        return Unknown(f"HTTP {reply.status}")
    return order_in(reply.body, key)


def order_in(body: bytes, key: str | None = None) -> Order | Unknown:
    """Return the order in a body, if it is readable and of that key."""
    try:
        order = read_order(body)
    except Unreadable as e:
        return Unknown(f"unreadable reply: {e}")
    if key is not None and order.client_order_id != key:
        return Unknown("the reply speaks of another order")
    return order


def status_of(order: Order) -> Status:
    """Return where an order stands there, in our words."""
    if order.status in _ENDS:
        return _ENDS[order.status]
    return Status.PARTIALLY_FILLED if amount(order.filled_qty) else Status.NEW


def execution_report(broker_id: str, fill: Fill, key: str) -> ExecutionReport:
    """Return a fill as a report. Its date is New York's, because the same fill must have one."""
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=key,
        broker_order_id=fill.order_id,
        execution_id=fill.id,
        execution_type=ExecutionType.TRADE,
        trade_date=fill.transaction_time.astimezone(NEW_YORK).date(),
        at=milliseconds(fill.transaction_time),
        last_quantity=amount(fill.qty),
        last_price=amount(fill.price),
    )


def status_reports(
    broker_id: str, order: Order, before: Decimal | None, now: int
) -> list[ExecutionReport]:
    """Return an order's status as reports: its end, or else evidence that it is there.

    `before`: of one that has replaced another, how much was filled under the earlier ids.
    """
    told = _status_report(broker_id, order, now)
    if order.replaces is None:
        return [told]
    if before is None:
        return [replace(told, execution_type=ExecutionType.REPLACE_REJECTED)]
    terms = replace(
        told,
        execution_type=ExecutionType.REPLACED,
        execution_id=f"{order.id}-replaces",
        quantity=None if order.qty is None else amount(order.qty) + before,
        limit_price=None if order.limit_price is None else amount(order.limit_price),
    )
    return [terms, told] if order.status in _REPORTED else [terms]


def _status_report(broker_id: str, order: Order, now: int) -> ExecutionReport:
    at = now if order.updated_at is None else milliseconds(order.updated_at)
    return ExecutionReport(
        broker_id=broker_id,
        broker_order_key=order.client_order_id,
        broker_order_id=order.id,
        execution_id=f"{order.id}-{order.status}",
        execution_type=_REPORTED.get(order.status, ExecutionType.ORDER_STATUS),
        trade_date=trade_date(at),
        at=at,
    )


def trade_date(at: int) -> date:
    """Return the exchange's date of an instant."""
    moment = datetime.combine(EPOCH, datetime.min.time(), UTC)
    return (moment + timedelta(milliseconds=at)).astimezone(NEW_YORK).date()


def begun_at(order: Order) -> int | None:
    """Return since when an order can have traded; None where it does not say."""
    begun = [at for at in (order.submitted_at, order.created_at) if at is not None]
    return milliseconds(min(begun)) if begun else None


def filled(chain: Sequence[Order]) -> Decimal:
    """Return how much of an order was filled under all of its ids."""
    return sum((amount(order.filled_qty) for order in chain), Decimal(0))


def terms(chain: Sequence[Order]) -> tuple[Decimal | None, Decimal | None]:
    """Return quantity and limit price as they stand there now, earlier fills counted."""
    last = chain[-1]
    quantity = None if last.qty is None else amount(last.qty) + filled(chain[:-1])
    return quantity, None if last.limit_price is None else amount(last.limit_price)


def together(fills: Sequence[ExecutionReport]) -> Decimal:
    return sum((fill.last_quantity for fill in fills), Decimal(0))


def _wait_s(headers: Mapping[str, str], now: int) -> float | None:
    """Return for how long a 429 holds: `Retry-After`, or until `X-RateLimit-Reset` (seconds)."""
    given = retry_after_s(headers)
    reset = headers.get("X-RateLimit-Reset", "").strip()
    if given is not None or not AMOUNT.fullmatch(reset):
        return given
    wait = float(reset) - now / SECOND_MS
    return min(wait, RETRY_AFTER_MAX_S) if wait > 0 else None
