"""What an order of history must be: the kind of each field, what may be left out, and its laws.

Impala's tables are older than our order model, so some of what it wants was never written down.
Each default stands in the table below and is derived from what is there. Version 0 is none of
them: it is what makes a live event win, so a source may not choose it.

The trap is a silent default: an order with a quantity that somebody's loader made up. What is in
neither table is read, or is a constant of the mapping, or the row is refused with the reason.
"""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, cast

from app.accounts.history.readings import Kind
from app.domain.order import Order
from app.domain.reports import average
from app.domain.session import trading_session_id
from app.domain.trades import AMOUNT_END, EXACT, is_amount
from app.domain.values import OrderType, PendingRequest, rfc3339

_K = Kind
KINDS: Final[dict[str, Kind]] = {
    "accept_sequence": _K.COUNT,  # an account's pages go by it, the highest first
    "order_id": _K.TEXT,
    "trade_date": _K.DATE,
    "session_date": _K.DATE,
    "trading_session_id": _K.TEXT,
    "account_id": _K.TEXT,
    "client_order_id": _K.TEXT,
    "list_id": _K.TEXT,
    "symbol": _K.TEXT,
    "market": _K.TEXT,
    "side": _K.WORD,
    "order_type": _K.WORD,
    "quantity": _K.AMOUNT,
    "limit_price": _K.AMOUNT,
    "currency": _K.TEXT,
    "time_in_force": _K.WORD,
    "text": _K.TEXT,
    "accepted_at": _K.INSTANT,
    "status": _K.WORD,
    "pending_request": _K.WORD,
    "filled_quantity": _K.AMOUNT,
    "overfilled_quantity": _K.AMOUNT,
    "filled_value": _K.AMOUNT,
    "average_price": _K.AMOUNT,
    "broker_id": _K.TEXT,
    "broker_order_id": _K.TEXT,
    "reason_code": _K.TEXT,
    "cancel_origin": _K.WORD,
    "done_for_day": _K.FLAG,
    "released_at": _K.INSTANT,
    "updated_at": _K.INSTANT,
}
assert {*KINDS, "version"} == set(Order._fields), "every field but the version says what it is"
MAY_BE_NULL: Final = frozenset(
    {"list_id", "limit_price", "text", "average_price", "broker_id", "broker_order_id"}
    | {"reason_code", "cancel_origin", "released_at"}
)
Fields = dict[str, Any]


def _value_of(order: Fields) -> Decimal | None:
    if order["filled_quantity"] == 0:
        return Decimal(0)
    price = order["average_price"]
    return None if price is None else EXACT.multiply(price, order["filled_quantity"])


def _average_of(order: Fields) -> Decimal | None:
    value = order["filled_value"]
    return None if value is None else average(order["filled_quantity"], value)


# What may be left out, or be NULL, and what it then is. In this order: the later may use the
# earlier, and all of them what has no default.
DEFAULTS: Final[dict[str, Callable[[Fields], object]]] = {
    "accept_sequence": lambda o: sequence_of(o["accepted_at"], o["order_id"]),
    "session_date": lambda order: order["trade_date"],
    "trading_session_id": lambda o: trading_session_id(o["market"], o["session_date"]),
    "client_order_id": lambda order: order["order_id"],
    "pending_request": lambda _: PendingRequest.NONE,
    "overfilled_quantity": lambda _: Decimal(0),
    "filled_value": _value_of,
    "average_price": _average_of,
    "done_for_day": lambda _: False,
    "updated_at": lambda order: order["accepted_at"],
}
OPTIONAL: Final = MAY_BE_NULL | DEFAULTS.keys()
REQUIRED: Final = tuple(name for name in KINDS if name not in OPTIONAL)
_AMOUNTS: Final = tuple(name for name, kind in KINDS.items() if kind is _K.AMOUNT)
_INSTANTS: Final = tuple(name for name, kind in KINDS.items() if kind is _K.INSTANT)
_NOT_BELOW_ZERO: Final = ("filled_quantity", "overfilled_quantity", "filled_value", "average_price")


# A ledger counts from one, so what came before it counts below zero: 41 bits of milliseconds up
# to the year 2039, and 22 bits of the order's name for those of one millisecond.
_SEQUENCE_NAME_BITS: Final = 22
_SEQUENCE_END: Final = (1 << 41) - 1


def sequence_of(accepted_at: int, order_id: str) -> int:
    """Return a place among an account's orders: by time, below every order of a ledger of ours."""
    name = hashlib.blake2b(order_id.encode(), digest_size=4).digest()
    tail = int.from_bytes(name, "big") >> 32 - _SEQUENCE_NAME_BITS
    return (min(accepted_at, _SEQUENCE_END - 1) - _SEQUENCE_END << _SEQUENCE_NAME_BITS) + tail


class BadRow(ValueError):
    """A row of which no order can be made, and why."""


def complete(order: Fields) -> None:
    """Fill in what may be left out, and refuse what lacks more. Every field is named, or NULL."""
    for name in REQUIRED:
        if order[name] is None:
            raise BadRow(f"{name}: expected {KINDS[name].value}, was NULL")
    for name, default in DEFAULTS.items():
        if order[name] is None:
            order[name] = default(order)
    if order["filled_value"] is None:
        raise BadRow("filled_value: without it a filled order needs its average_price")


def judge(order: Fields) -> None:
    """Refuse what no order of ours can be, whatever its words and dates."""
    if not is_amount(order["quantity"]):
        raise BadRow(f"quantity: expected a positive quantity, was {order['quantity']}")
    price = order["limit_price"]
    if price is not None and not is_amount(price):
        raise BadRow(f"limit_price: expected a positive price, was {price}")
    if price is None and order["order_type"] == OrderType.LIMIT:
        raise BadRow("limit_price: a limit order needs one, was NULL")
    for name in _NOT_BELOW_ZERO:
        amount = order[name]
        if amount is not None and not 0 <= amount < AMOUNT_END**2:
            raise BadRow(f"{name}: expected zero or more, was {amount}")


def published(order: Fields) -> Fields:
    """Return the fields as the ledger publishes them: amounts as text, instants in RFC 3339."""
    order["version"] = 0
    for name in _AMOUNTS:
        if order[name] is not None:
            order[name] = format(cast("Decimal", order[name]), "f")
    for name in _INSTANTS:
        if order[name] is not None:
            order[name] = rfc3339(order[name])
    return {name: order[name] for name in Order._fields}
