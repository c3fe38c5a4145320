"""The closed vocabularies and the ids. Words are FIX values spelled out, tags beside them."""

import re
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

CLIENT_ORDER_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class Side(StrEnum):
    """Tag 54."""

    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Tag 40."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """Tag 59. `OPG` takes part in the opening auction only."""

    DAY = "day"
    OPG = "opg"
    IOC = "ioc"


class Status(StrEnum):
    """Where an order stands; `domain/order.py` says where it may go from there."""

    RESERVED = "reserved"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    DENIED = "denied"


class PendingRequest(StrEnum):
    """What the client has asked of an order that may be at a broker; an overlay on status."""

    NONE = "none"
    CANCEL = "cancel"
    REPLACE = "replace"


class CancelOrigin(StrEnum):
    """Who ended a canceled order."""

    CLIENT = "client"
    OPERATOR = "operator"
    BROKER = "broker"
    SESSION_END = "session_end"
    SYSTEM = "system"


class Via(StrEnum):
    """Which door a change came through, as far as its request shows."""

    API = "api"
    CLI = "cli"
    CONSOLE = "console"
    HOOK = "hook"
    AUTO = "auto"  # nobody asked: the gateway did it by itself


class Outcome(StrEnum):
    """What is known of one attempt. `OPEN` and `UNKNOWN` are exposure; the rest is history."""

    OPEN = "open"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    THROTTLED = "throttled"
    NOT_RECEIVED = "not_received"


# Settled as "no broker has it": what a broker still says of such an attempt is stray evidence.
GONE: Final = frozenset({Outcome.NOT_SENT, Outcome.THROTTLED, Outcome.NOT_RECEIVED})


class ReplaceState(StrEnum):
    """What is known of one request to replace. The first three stand; the rest is history."""

    WAITING = "waiting"  # asked for; no byte has left
    OPEN = "open"  # claimed; bytes may be out
    UNKNOWN = "unknown"  # out, and no evidence yet: it is asked about
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_SENT = "not_sent"
    NOT_RECEIVED = "not_received"
    DENIED = "denied"  # refused by us before it left
    WITHDRAWN = "withdrawn"  # a cancel or the order's end came before it left
    ENDED = "ended"  # the order did while it was out, so it no longer matters


CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LETTERS: Final = frozenset(CROCKFORD)
# What Python's own base 32 calls the same digits: each order's day is asked for at every move.
_AS_DIGITS: Final = str.maketrans(CROCKFORD, "0123456789abcdefghijklmnopqrstuv")
EPOCH: Final = date(1970, 1, 1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS: Final = 86_400_000
ORDER_ID_LENGTH: Final = 26
# Two digits in the key; the hundredth try of one order is a person's business, not ours.
ATTEMPT_NUMBER_MAX: Final = 99
ATTEMPT_KEY_LENGTH: Final = ORDER_ID_LENGTH + 2
# Three digits: who moves his price with the market does so hundreds of times a day. With them a
# key has 32 letters, and the strictest broker that we know takes 36.
REPLACE_NUMBER_MAX: Final = 999
_REPLACE: Final = re.compile(r"R[0-9]{3}", re.ASCII)


def new_order_id(trade_date: date, now: int, random80: int) -> str:
    """Return a ULID whose time is the trade date at 00:00 UTC plus the millisecond of the day.

    It sorts by trade date and names its partition; its time is *not* the acceptance time.
    """
    return ulid((trade_date - EPOCH).days * DAY_MS + now % DAY_MS, random80)


def ulid(milliseconds: int, random80: int) -> str:
    """Return 26 letters that sort by time and meet no others by chance."""
    assert 0 <= random80 < 1 << 80
    number = milliseconds << 80 | random80
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))


def trade_date_of(order_id: str) -> date | None:
    """Return the trade date inside an order id, or None if the text is no order id."""
    if len(order_id) != ORDER_ID_LENGTH or order_id[0] > "7":
        return None
    if not _LETTERS.issuperset(order_id):
        return None
    milliseconds = int(order_id[:10].translate(_AS_DIGITS), 32)
    return _date_of(milliseconds // DAY_MS)


@lru_cache(maxsize=4_096)  # a stranger may ask for any day at all
def _date_of(days: int) -> date | None:
    try:
        return EPOCH + timedelta(days=days)
    except OverflowError:
        return None


def broker_order_key(order_id: str, attempt_number: int) -> str:
    """Return what leaves as ClOrdID (11): 28 characters, unique per attempt, never the client's."""
    assert 1 <= attempt_number <= ATTEMPT_NUMBER_MAX
    return f"{order_id}{attempt_number:02d}"


def order_id_of(key: str) -> str | None:
    """Return the order id inside a `broker_order_key`, or None if the text is no key of ours."""
    number, replace = key[ORDER_ID_LENGTH:ATTEMPT_KEY_LENGTH], key[ATTEMPT_KEY_LENGTH:]
    if len(number) != 2 or not (number.isascii() and number.isdigit()):  # noqa: PLR2004 - two digits
        return None
    if replace and not _REPLACE.fullmatch(replace):
        return None
    return None if trade_date_of(key[:ORDER_ID_LENGTH]) is None else key[:ORDER_ID_LENGTH]


def replace_key(attempt_key: str, number: int) -> str:
    """Return what a replace leaves under: the key of its attempt, an R and three digits.

    So every key of a chain begins with the key of the attempt that it changes.
    """
    assert 1 <= number <= REPLACE_NUMBER_MAX
    return f"{attempt_key}R{number:03d}"


def attempt_key_of(key: str) -> str:
    """Return the key of the attempt that a key of its chain belongs to: its own, or a replace's."""
    return key[:ATTEMPT_KEY_LENGTH]


def is_replace_key(key: str) -> bool:
    """Whether a key of ours names a request to replace, and not an attempt."""
    return len(key) > ATTEMPT_KEY_LENGTH


def legible(text: str) -> str:
    """Return a stranger's text as it can be stored: no NUL, no half of a surrogate pair.

    SQLite's JSON ends a text at its first NUL, and no encoder takes a lone surrogate.
    """
    if text.isprintable():
        return text
    whole = text.encode("utf-8", "replace").decode()
    return whole.replace("\0", "\N{REPLACEMENT CHARACTER}")


def rfc3339(now: int) -> str:
    """Write an instant (milliseconds since 1970, UTC) as the doors show it: `…T14:30:00.004Z`."""
    at = _EPOCH + timedelta(milliseconds=now)  # whole numbers: a float would lose some
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
