"""Makes an account's document of an order's event: the same bytes in, the same bytes out.

The ledger publishes the whole order at each version, so the fold of an order's history is the
newest event of it: `fold` reads one, `newest` chooses. What is derived (tag 39, what remains,
whether it is in doubt) is derived by the laws of `domain`, from an `Order` that was read in
full: an event that is no order is poison, and is found here rather than on a customer's page.
A field that a newer ledger adds passes through untouched.

The trap it avoids is a second opinion: a view with rules of its own drifts from the ledger.
"""

from collections.abc import Callable, Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from app import codec
from app.domain.order import WORKING, Order, order_status
from app.domain.values import CancelOrigin, OrderType, PendingRequest, Side, Status, TimeInForce
from app.ports.accounts import AccountDocument

INTEGER_MAX: Final = 2**63 - 1  # what SQL can hold
# What a stranger's bytes can do to a reader; the recursion is a thousand brackets and more.
_UNREADABLE: Final = (
    codec.Malformed,
    LookupError,
    TypeError,
    ValueError,
    ArithmeticError,
    RecursionError,
)


class NotAnOrder(Exception):
    """A payload that no ledger of ours has written: poison, to be parked and looked at."""


def fold(payload: bytes) -> AccountDocument:
    """Return the document of one event, or raise `NotAnOrder`."""
    try:
        fields = codec.decode(payload)
        # Read in the order of the tuple, so that no name is matched twice.
        order = Order(*[read(fields[name]) for name, read in _READ])
        document = codec.encode(_canonical(fields, order))
    except _UNREADABLE as e:
        raise NotAnOrder(f"{type(e).__name__}: {e}") from e
    return AccountDocument(
        order_id=order.order_id,
        account_id=order.account_id,
        accept_sequence=order.accept_sequence,
        version=order.version,
        status=order.status.value,
        symbol=order.symbol,
        filled_quantity=fields["filled_quantity"],
        filled_value=fields["filled_value"],
        currency=order.currency,
        document=document,
    )


def newest(documents: Iterable[AccountDocument]) -> list[AccountDocument]:
    """Return the highest version of each order: what a batch of them comes down to."""
    best: dict[str, AccountDocument] = {}
    for document in documents:
        known = best.get(document.order_id)
        if known is None or document.version > known.version:
            best[document.order_id] = document
    return list(best.values())


def _canonical(fields: dict[str, Any], order: Order) -> dict[str, Any]:
    """Return the payload and what is derived, sorted: a rebuild is equal byte for byte."""
    shown = fields | {
        "order_status": order_status(order),  # 39
        "remaining_quantity": format(order.remaining_quantity, "f"),  # 151
        "in_doubt": order.status is Status.IN_DOUBT,
        "working_indicator": order.status in WORKING,  # 636: a broker has said that it has it
    }
    return {name: shown[name] for name in sorted(shown)}


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, was {value!r}")
    return value


def _name(value: object) -> str:
    text = _words(value)
    # SQL ends a text at its first NUL, and half an account_id is another account.
    if not text or "\0" in text:
        raise ValueError(f"expected a name, was {text!r}")
    return text


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= INTEGER_MAX:
        raise ValueError(f"expected a count, was {value!r}")
    return value


def _place(value: object) -> int:
    if type(value) is not int or not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise ValueError(f"expected a place in a sequence, was {value!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, was {value!r}")
    return value


def _amount(value: object) -> Decimal:
    amount = Decimal(_words(value))
    if not amount.is_finite():
        raise ValueError(f"expected a finite amount, was {value!r}")
    return amount


def _date(value: object) -> date:
    return date.fromisoformat(_words(value))


def _instant(value: object) -> int:
    at = datetime.fromisoformat(_words(value))
    if at.tzinfo is None:
        raise ValueError(f"expected an instant with its zone, was {value!r}")
    return round(at.timestamp() * 1000)


def _or_null(read: Callable[[Any], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else read(value)


_READS: Final[dict[str, Callable[[Any], Any]]] = {
    "accept_sequence": _place,  # history, which was before the ledger, counts below zero
    "order_id": _name,
    "trade_date": _date,
    "session_date": _date,
    "trading_session_id": _name,
    "account_id": _name,
    "client_order_id": _name,
    "list_id": _or_null(_words),
    "symbol": _name,
    "market": _name,
    "side": Side,
    "order_type": OrderType,
    "quantity": _amount,
    "limit_price": _or_null(_amount),
    "currency": _name,
    "time_in_force": TimeInForce,
    "text": _or_null(_words),
    "accepted_at": _instant,
    "version": _count,
    "status": Status,
    "pending_request": PendingRequest,
    "filled_quantity": _amount,
    "overfilled_quantity": _amount,
    "filled_value": _amount,
    "average_price": _or_null(_amount),
    "broker_id": _or_null(_words),
    "broker_order_id": _or_null(_words),
    "reason_code": _or_null(_words),
    "cancel_origin": _or_null(CancelOrigin),
    "done_for_day": _flag,
    "released_at": _or_null(_instant),
    "updated_at": _instant,
}
assert set(_READS) == set(Order._fields), "every field of an order says how it is read"
_READ: Final = tuple((name, _READS[name]) for name in Order._fields)
