"""The shapes of Alpaca's messages, written and read. Pure.

Amounts are decimal strings; a number where a string belongs makes the whole text unreadable, and so
does an instant without its zone or a status that the documentation does not know. What is read
here is whole and well-formed, or it raises `Unreadable`: the trap is half a list of fills.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from app.brokers.wire import AMOUNT, Malformed
from app.domain.messages import Replacement, Submission
from app.domain.values import EPOCH, OrderType

# 36 for its own ids, up to 128 for a client's; an activity's has a stamp, two colons and an id.
IDENTIFIER: Final = re.compile(r"[\x21-\x7e]{1,128}")
# Received, routed, or on its way to be changed: it may trade. (Then: it will not trade today, and
# its end is told by a later word. Then: what it was goes on under another id.)
WORKING: Final = frozenset(
    {"new", "accepted", "pending_new", "accepted_for_bidding", "held", "stopped", "suspended"}
    | {"pending_cancel", "pending_replace", "partially_filled"}
    | {"done_for_day", "calculated"}
    | {"replaced"}
)
ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected"})
_BEGINNING: Final = datetime.combine(EPOCH, datetime.min.time(), UTC)


class Unreadable(ValueError):
    """A text that is not what the documentation says."""


class Order(msgspec.Struct, frozen=True):
    """One order, in every reply that shows one."""

    id: str
    client_order_id: str
    status: str
    filled_qty: str = "0"
    qty: str | None = None
    limit_price: str | None = None
    submitted_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None


class Fill(msgspec.Struct, frozen=True):
    """One execution, as an account activity of the type FILL."""

    id: str
    order_id: str
    price: str
    qty: str
    transaction_time: datetime


class Trouble(msgspec.Struct, frozen=True):
    """The body of a refusal."""

    code: int
    message: str


class Account(msgspec.Struct, frozen=True):
    """What a ping looks at."""

    trading_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False


class Frame(msgspec.Struct, frozen=True):
    """One message of the stream."""

    stream: str
    data: msgspec.Raw = msgspec.Raw(b"{}")


class Standing(msgspec.Struct, frozen=True):
    """The stream's word on our key."""

    status: str = ""


class Listening(msgspec.Struct, frozen=True):
    """Which streams we are told."""

    streams: list[str] = []


class Update(msgspec.Struct, frozen=True):
    """A trade update; of what it says, only the order is believed."""

    event: str
    order: Order


_encode: Final = msgspec.json.Encoder().encode
_order: Final = msgspec.json.Decoder(Order).decode
_orders: Final = msgspec.json.Decoder(list[Order]).decode
_fills: Final = msgspec.json.Decoder(list[Fill]).decode
_trouble: Final = msgspec.json.Decoder(Trouble).decode
_account: Final = msgspec.json.Decoder(Account).decode
_frame: Final = msgspec.json.Decoder(Frame).decode
_standing: Final = msgspec.json.Decoder(Standing).decode
_listening: Final = msgspec.json.Decoder(Listening).decode
_update: Final = msgspec.json.Decoder(Update).decode


def order_body(submission: Submission) -> bytes:
    """Write a new order. Times in force go as they are: day, opg and ioc are Alpaca's words too."""
    price = submission.limit_price
    order = {
        "symbol": submission.symbol,
        "qty": f"{submission.quantity:f}",
        "side": submission.side,
        "type": submission.order_type,
        "time_in_force": submission.time_in_force,
        "client_order_id": submission.broker_order_key,
    }
    if submission.order_type is OrderType.LIMIT and price is not None:
        order["limit_price"] = f"{price:f}"
    return _encode(order)


def replace_body(replacement: Replacement) -> bytes:
    """Write new terms: whatever is not named stays as it was."""
    terms = {"qty": f"{replacement.quantity:f}", "client_order_id": replacement.broker_order_key}
    if replacement.limit_price is not None:
        terms["limit_price"] = f"{replacement.limit_price:f}"
    return _encode(terms)


def authentication(key_id: str, secret_key: str) -> bytes:
    data = {"key_id": key_id, "secret_key": secret_key}
    return _encode({"action": "authenticate", "data": data})


LISTEN: Final = _encode({"action": "listen", "data": {"streams": ["trade_updates"]}})


def rfc3339(at: int) -> str:
    """Write an instant for a query: `…T14:30:00.004Z`."""
    moment = _BEGINNING + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_order(body: bytes) -> Order:
    """Return one order, or raise `Unreadable`."""
    try:
        return _checked(_order(body))
    except Malformed as e:
        raise Unreadable(str(e)) from e


def orders_in(body: bytes) -> list[Order]:
    """Return a list of orders, or raise `Unreadable`."""
    try:
        return [_checked(order) for order in _orders(body)]
    except Malformed as e:
        raise Unreadable(str(e)) from e


def fills_in(body: bytes) -> list[Fill]:
    """Return a page of activities, or raise `Unreadable`."""
    try:
        fills = _fills(body)
    except Malformed as e:
        raise Unreadable(str(e)) from e
    for fill in fills:
        if not IDENTIFIER.fullmatch(fill.id) or not IDENTIFIER.fullmatch(fill.order_id):
            raise Unreadable(f"no id, {fill.id[:80]!r} of order {fill.order_id[:80]!r}")
        if not amount(fill.qty) or not amount(fill.price):
            raise Unreadable(f"activity {fill.id}: a trade without quantity or price")
        milliseconds(fill.transaction_time)
    return fills


def is_well(body: bytes) -> bool:
    """Whether the account may trade."""
    try:
        account = _account(body)
    except Malformed:
        return False
    blocked = account.trading_blocked or account.account_blocked
    return not (blocked or account.trade_suspended_by_user)


def frame_in(raw: str | bytes) -> Standing | Listening | Update | None:
    """Return what a message of the stream says; None for one that is none of ours.

    Raises `Unreadable`. Paper accounts send binary frames and live ones text, both JSON.
    """
    try:
        frame = _frame(raw)
        match frame.stream:
            case "authorization":
                return _standing(frame.data)
            case "listening":
                return _listening(frame.data)
            case "trade_updates":
                update = _update(frame.data)
                _checked(update.order)
                return update
            case _:
                return None
    except Malformed as e:
        raise Unreadable(str(e)) from e


def trouble_in(body: bytes) -> Trouble | None:
    """Return the refusal in a body; None where there is none, so where anybody may speak."""
    try:
        return _trouble(body)
    except Malformed:
        return None


def milliseconds(at: datetime) -> int:
    """Return an instant as the house writes it, or raise `Unreadable` where it has no zone."""
    if at.tzinfo is None:
        raise Unreadable(f"expected an instant with its zone, was {at.isoformat()}")
    return (at - _BEGINNING) // timedelta(milliseconds=1)


def amount(text: str) -> Decimal:
    """Return a decimal without sign or exponent, or raise `Unreadable`."""
    if not AMOUNT.fullmatch(text):
        raise Unreadable(f"expected a decimal without sign or exponent, was {text[:40]!r}")
    return Decimal(text)


def _checked(order: Order) -> Order:
    for text in (order.id, order.client_order_id):
        if not IDENTIFIER.fullmatch(text):
            raise Unreadable(f"expected an id of 1 to 128 printable characters, was {text[:80]!r}")
    if order.status not in WORKING | ENDED:
        raise Unreadable(f"no such status: {order.status[:32]!r}")
    for number in (order.filled_qty, order.qty, order.limit_price):
        if number is not None:
            amount(number)
    for at in (order.submitted_at, order.created_at, order.updated_at):
        if at is not None:
            milliseconds(at)
    return order
