"""Makes MongoDB's document of an account's, and the account's bytes of MongoDB's, exactly.

    {"limit_price":"187.25","trade_date":"2026-03-09",…,"desk":{"$new":1}}         what `fold` made
     │ pack                                                                       ▲ unpack
     ▼                                                                            │
    {_id: "01KK…", limit_price: Decimal128, trade_date: Date, …, more: '{"desk":{"$new":1}}'}

Money is stored as Decimal128 and time as dates, so that people and loaders can ask the store
about them, but only where the text comes back letter by letter: what has more than 34 digits, an
exponent or another zone stays the text that it is. A field that this release does not know (a
newer ledger's) travels as JSON in `more`: MongoDB has opinions of its own about names that begin
with `$` or hold a dot, about nesting and about large numbers, and we want none of them. A
document that does not say all of this in this way is kept whole, as bytes in `verbatim`.

The trap it avoids is a view that is nearly equal: "100.00" that comes back as "100" cannot be
told from a lost update, and a rebuild could no longer be compared by its bytes.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from bson.decimal128 import Decimal128
from bson.int64 import Int64

from app import codec
from app.domain.order import Order
from app.domain.values import EPOCH, trade_date_of
from app.ports.accounts import AccountDocument

DATES: Final = frozenset({"trade_date", "session_date"})
INSTANTS: Final = frozenset({"accepted_at", "released_at", "updated_at"})
AMOUNTS: Final = frozenset(
    {"quantity", "limit_price", "filled_quantity", "overfilled_quantity", "filled_value"}
    | {"average_price", "remaining_quantity"}
)
PLAIN: Final = frozenset(
    {"accept_sequence", "trading_session_id", "account_id", "client_order_id", "list_id"}
    | {"symbol", "market", "side", "order_type", "currency", "time_in_force", "text"}
    | {"version", "status", "pending_request", "broker_id", "broker_order_id", "reason_code"}
    | {"cancel_origin", "done_for_day", "order_status", "in_doubt", "working_indicator"}
)
assert set(Order._fields) - {"order_id"} <= DATES | INSTANTS | AMOUNTS | PLAIN, (
    "every field of an order says how it is kept"
)
_KNOWN: Final = DATES | INSTANTS | AMOUNTS | PLAIN
# What a book knows of a document besides its id and its bytes.
_FACTS: Final = [name for name in AccountDocument._fields if name not in ("order_id", "document")]
_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
# A market has a few thousand prices and sizes at a time; 16,384 of them are about 4 MB.
_REMEMBERED: Final = 1 << 14


def pack(document: AccountDocument) -> dict[str, Any]:
    """Return what MongoDB stores. `_id`, the account and the day's date are always there."""
    fields = _fields_of(document.document)
    if _is_whole(fields, document):
        packed = _packed(fields)
        if isinstance(packed["trade_date"], datetime):
            return packed
    facts = {name: _stored(name, getattr(document, name)) for name in _FACTS}
    kept = {"trade_date": _trade_date(fields, document.order_id), "verbatim": document.document}
    return {"_id": document.order_id} | facts | kept


def unpack(stored: Mapping[str, Any]) -> bytes:
    """Return the bytes that `pack` was given."""
    verbatim = stored.get("verbatim")
    if verbatim is not None:
        return bytes(verbatim)
    fields = {name: _told(name, value) for name, value in stored.items()}
    fields["order_id"] = fields.pop("_id")
    more = fields.pop("more", None)
    if more is not None:
        fields |= codec.decode(more)
    return codec.encode({name: fields[name] for name in sorted(fields)})


def amount_of(value: Decimal128 | str) -> str:
    """Return the text of a stored amount."""
    return _amount_text(value.bid) if isinstance(value, Decimal128) else value


def _fields_of(raw: bytes) -> dict[str, Any]:
    """Return the fields of a JSON object if they alone say every byte of it, else none."""
    try:
        fields = codec.decode(raw)
        if not isinstance(fields, dict) or list(fields) != sorted(fields):
            return {}
        return fields if codec.encode(fields) == raw else {}
    except (codec.Malformed, RecursionError):
        return {}


def _is_whole(fields: Mapping[str, Any], document: AccountDocument) -> bool:
    """Tell whether a book's own facts stand in the document: then they are stored once."""
    if fields.get("order_id") != document.order_id or "trade_date" not in fields:
        return False
    facts = document[1:-1]
    told = [fields.get(name) for name in _FACTS]
    return told == list(facts) and [*map(type, told)] == [*map(type, facts)]


def _packed(fields: Mapping[str, Any]) -> dict[str, Any]:
    packed: dict[str, Any] = {"_id": fields["order_id"]}
    more = {}
    for name, value in fields.items():
        if name in _KNOWN and _is_plain(value):
            packed[name] = _stored(name, value)
        elif name != "order_id":
            more[name] = value
    if more:
        packed["more"] = codec.text(more)
    return packed


def _is_plain(value: object) -> bool:
    if value is None or isinstance(value, str | bool):
        return True
    return isinstance(value, int) and _INT64_MIN <= value <= _INT64_MAX


def _stored(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if name in AMOUNTS:
        return _amount(value)
    if name in DATES:
        return _date(value)
    return _instant(value) if name in INSTANTS else value


def _told(name: str, value: Any) -> Any:
    """Return the JSON value of a stored one.

    It goes by the kind of value and not by a list of names, so that this release shows what a
    newer one has stored.
    """
    if isinstance(value, Decimal128):
        return _amount_text(value.bid)
    if isinstance(value, datetime):
        return value.date().isoformat() if name.endswith("_date") else _instant_text(value)
    return int(value) if isinstance(value, Int64) else value


@lru_cache(_REMEMBERED)
def _amount(text: str) -> Decimal128 | str:
    try:
        stored = Decimal128(text)
        exact = format(stored.to_decimal(), "f") == text
    except ArithmeticError:  # more digits or more zeros than it holds
        return text
    return stored if exact else text


@lru_cache(_REMEMBERED)
def _amount_text(bid: bytes) -> str:
    return format(Decimal128.from_bid(bid).to_decimal(), "f")


@lru_cache(_REMEMBERED)
def _date(text: str) -> datetime | str:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return text
    return _midnight(day) if day.isoformat() == text else text


def _instant(text: str) -> datetime | str:
    try:
        at = datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the zone of a time at the end of all days
        return text
    return at if _instant_text(at) == text else text


def _instant_text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trade_date(fields: Mapping[str, Any], order_id: str) -> datetime:
    """Return the day that an odd document belongs to: one order's must always be the same."""
    try:
        return _midnight(date.fromisoformat(fields["trade_date"]))
    except (LookupError, TypeError, ValueError):
        return _midnight(trade_date_of(order_id) or EPOCH)


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
