"""What a broker's refusals prove: of an order, of a cancel, of a replace, of a question. Pure.

A refusal is judged by what it refuses. That a message could not be read or served proves that
nothing was done about it; that an order's id is a duplicate proves that the order *is* there.
The trap is to read every refusal as "rejected": a report that kills a live order in our books.
What no table here names stays `Unknown`.
"""

from collections.abc import Mapping
from typing import Final

from app.brokers.fix import tags
from app.brokers.fix.words import Dialect
from app.brokers.wire import TEXT_MAX
from app.domain.messages import (
    Absent,
    Answer,
    Lookup,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import legible

# OrdRejReason (103).
REASONS: Final = {
    "0": "broker-option",
    "1": "unknown-symbol",
    "2": "exchange-closed",
    "3": "order-exceeds-limit",
    "4": "too-late-to-enter",
    "5": "unknown-order",
    "6": "duplicate-order",
    "7": "duplicate-of-spoken-order",
    "8": "stale-order",
    "9": "trade-along-required",
    "10": "invalid-investor-id",
    "11": "unsupported-order",
    "12": "surveillance",
    "13": "incorrect-quantity",
    "14": "incorrect-allocated-quantity",
    "15": "unknown-account",
    "99": "other",
}
DUPLICATE_ORDER: Final = "6"
DUPLICATE_REQUEST: Final = "6"  # CxlRejReason (102)
# CxlRejReason (102). A repeated cancel's duplicate id means that one is on its way.
CANCEL_REASONS: Final = {
    "0": "too-late",
    "1": "unknown-order",
    "2": "broker-option",
    "3": "already-pending",
    "4": "unable-to-mass-cancel",
    "5": "changed-meanwhile",
    "6": "already-pending",
    "99": "other",
}
# BusinessRejectReason (380), where it speaks of the order and not of us.
JUDGED: Final = {"2": "unknown-security", "5": "field-missing"}
# SessionRejectReason (373), where it speaks of our session and not of the order.
OURS: Final = frozenset({str(tags.COMP_ID_PROBLEM), str(tags.TIME_PROBLEM)})


def reason_of(values: Mapping[int, str]) -> str | None:
    """Return why an order was refused or ended, in a code and the broker's own words."""
    number, text = values.get(tags.ORDER_REJECT_REASON), values.get(tags.TEXT)
    if not number and not text:
        return None
    code = None if number is None else REASONS.get(number, f"reason-{number}"[:40])
    said = ": ".join(part for part in (code, text) if part)
    return legible(said)[:TEXT_MAX] or None


def order_refused(values: Mapping[int, str]) -> Answer:
    """Return what an ExecutionReport with 150=8 proves about a new order."""
    number = values.get(tags.ORDER_REJECT_REASON, "")
    if number == DUPLICATE_ORDER:
        return Unknown("duplicate id: the broker has seen it")
    return Rejected(REASONS.get(number, "broker-refused"), text_of(values))


def list_refused(values: Mapping[int, str]) -> Answer:
    """Return what a ListStatus (35=N) with 431=7 that names no order proves about each of it."""
    reason = values.get(tags.LIST_REJECT_REASON, "")
    text = values.get(tags.TEXT) or values.get(tags.LIST_STATUS_TEXT, "")
    return order_refused({tags.ORDER_REJECT_REASON: reason, tags.TEXT: text})


def cancel_refused(values: Mapping[int, str]) -> Answer:
    """Return what an OrderCancelReject (35=9) proves about a cancel."""
    number = values.get(tags.CANCEL_REJECT_REASON, "")
    return Rejected(CANCEL_REASONS.get(number, "other"), text_of(values))


def replace_refused(values: Mapping[int, str]) -> Answer:
    """Return what an OrderCancelReject (35=9) proves about a replace: as of a cancel, but for one.

    A replace is sent once, so an id that the broker has seen before is this very request.
    """
    if values.get(tags.CANCEL_REJECT_REASON) == DUPLICATE_REQUEST:
        return Unknown("duplicate id: the broker has seen this replace")
    return cancel_refused(values)


def business_answer(dialect: Dialect, values: Mapping[int, str]) -> Answer:
    """Return what a BusinessMessageReject (35=j) proves about what it refused."""
    number, text = values.get(tags.BUSINESS_REASON, ""), text_of(values)
    if number in JUDGED:
        return Rejected(JUDGED[number], text)
    if number == tags.NOT_AUTHORIZED:
        return NotSent(text or "not authorized", credentials=True)
    if number == tags.NOT_AVAILABLE and dialect.business_rejects_prove:
        return NotSent(text or "the broker's application is not available")
    if number == tags.THROTTLED and dialect.business_rejects_prove:
        return Throttled()
    return Unknown(f"business reject {number[:8]}: {text}")


def business_answer_to_change(dialect: Dialect, values: Mapping[int, str]) -> Answer:
    """Return what a BusinessMessageReject proves about a cancel or a replace."""
    number = values.get(tags.BUSINESS_REASON)
    if number == tags.UNKNOWN_ID:
        return Rejected("unknown-order", text_of(values))
    if number == tags.UNSUPPORTED_TYPE:  # nobody there can do it, now or later
        return Rejected("unsupported", text_of(values))
    return business_answer(dialect, values)


def business_lookup(values: Mapping[int, str]) -> Lookup:
    """Return what a BusinessMessageReject proves about the order that we asked for."""
    if values.get(tags.BUSINESS_REASON) == tags.UNKNOWN_ID:
        return Absent()
    return Unknown(f"the question was refused: {text_of(values)}")


def session_answer(values: Mapping[int, str]) -> Answer:
    """Return what a session Reject (35=3) proves about the message that it cites.

    Our message was malformed, and nobody looked at what it meant; it would be so again.
    """
    number = values.get(tags.REJECT_REASON, "")
    if number in OURS:
        return NotSent(f"session reject {number}: {text_of(values)}", credentials=True)
    tag = values.get(tags.REFERENCED_TAG)
    which = "" if tag is None else f"tag {tag[:12]}: "
    return Rejected(f"session-reject-{legible(number)[:8]}", legible(which) + text_of(values))


def text_of(values: Mapping[int, str]) -> str:
    """Return the broker's own words (58), as they may be stored."""
    return legible(values.get(tags.TEXT, ""))[:TEXT_MAX]
