"""How a value of a source becomes a value of an order, by what it is there and here.

The table below is all there is: a pair that does not stand in it is refused before the first
row is read. The trap is a price in a DOUBLE. It looks right on every screen, and its sum is
wrong by a cent; so no amount is ever made of a float, and the export has to cast it.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from app.accounts.history.zone import Ambiguous, instant_of
from app.domain.trades import AT_END, EXACT
from app.domain.values import DAY_MS, EPOCH


class Kind(Enum):
    """What an order's field is."""

    TEXT = "text"
    WORD = "one of our words"
    AMOUNT = "an exact amount"
    COUNT = "a count"
    DATE = "a date"
    INSTANT = "an instant"
    FLAG = "true or false"


class Form(Enum):
    """What a column of the source holds."""

    TEXT = "STRING"
    DECIMAL = "DECIMAL"
    INTEGER = "an integer"
    DATE = "DATE"  # days since 1970
    WALL = "TIMESTAMP"  # milliseconds of a wall without a zone
    INSTANT = "a timestamp with its zone"
    FLAG = "BOOLEAN"
    OTHER = "a type that no field is made of"


class Reading(NamedTuple):
    """What a reading may need beside the value."""

    zone: ZoneInfo
    ambiguous: Ambiguous
    words: Mapping[str, str] | None = None


Read = Callable[[Any, Reading], object]
TRUE_OR_FALSE: Final = {0: False, 1: True}


def text(value: bytes | str | int) -> str:
    """Return a text. Impala's strings are bytes that say nothing of their encoding: UTF-8."""
    return value.decode() if isinstance(value, bytes) else str(value)


def exact(value: Decimal) -> Decimal:
    """Return the amount without the zeros that only its column's scale has put there."""
    if not value.is_finite():
        raise ValueError(f"expected an amount, was {value}")
    return EXACT.normalize(EXACT.plus(value))


def _word(value: bytes | str | int, reading: Reading) -> str:
    found = text(value)
    if reading.words is None:
        return found.lower()
    try:
        return reading.words[found]
    except KeyError:
        raise ValueError(f"the mapping has no word for {found!r}") from None


def _count(value: Decimal | bytes | str) -> int:
    number = value if isinstance(value, Decimal) else Decimal(text(value))
    if number != number.to_integral_value():
        raise ValueError(f"expected a whole number, was {number}")
    return int(number)


def _day(value: bytes | str | int) -> date:
    return date.fromisoformat(text(value))


def _midnight(wall_ms: int) -> date:
    days, rest = divmod(wall_ms, DAY_MS)
    if rest:
        raise ValueError("expected a date, was a time of the day")
    return EPOCH + timedelta(days=days)


def _spoken_instant(value: bytes | str, reading: Reading) -> int:
    at = datetime.fromisoformat(text(value))
    wall_ms = (at.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(milliseconds=1)  # noqa: DTZ001 - a wall
    zone = at.utcoffset()
    if zone is None:
        return instant_of(wall_ms, reading.zone, reading.ambiguous)
    return wall_ms - zone // timedelta(milliseconds=1)


def _flag(value: int) -> bool:
    if value not in TRUE_OR_FALSE:
        raise ValueError(f"expected 0 or 1, was {value}")
    return TRUE_OR_FALSE[value]


def _dated(at: int) -> int:
    if not 0 <= at < AT_END:
        raise ValueError(f"expected an instant after 1970, was {at} ms")
    return at


_K, _F = Kind, Form
READINGS: Final[dict[tuple[Kind, Form], Read]] = {
    (_K.TEXT, _F.TEXT): lambda value, _: text(value),
    (_K.TEXT, _F.INTEGER): lambda value, _: text(value),
    (_K.WORD, _F.TEXT): _word,
    (_K.WORD, _F.INTEGER): _word,
    (_K.AMOUNT, _F.DECIMAL): lambda value, _: exact(value),
    (_K.AMOUNT, _F.INTEGER): lambda value, _: exact(Decimal(value)),
    (_K.AMOUNT, _F.TEXT): lambda value, _: exact(Decimal(text(value))),
    (_K.COUNT, _F.INTEGER): lambda value, _: value,
    (_K.COUNT, _F.DECIMAL): lambda value, _: _count(value),
    (_K.COUNT, _F.TEXT): lambda value, _: _count(value),
    (_K.DATE, _F.DATE): lambda value, _: EPOCH + timedelta(days=value),
    (_K.DATE, _F.TEXT): lambda value, _: _day(value),
    (_K.DATE, _F.INTEGER): lambda value, _: _day(value),  # 20260102
    (_K.DATE, _F.WALL): lambda value, _: _midnight(value),  # Impala before 3.3 has no DATE
    (_K.INSTANT, _F.WALL): lambda value, r: _dated(instant_of(value, r.zone, r.ambiguous)),
    (_K.INSTANT, _F.INSTANT): lambda value, _: _dated(value),
    (_K.INSTANT, _F.TEXT): lambda value, reading: _dated(_spoken_instant(value, reading)),
    (_K.FLAG, _F.FLAG): lambda value, _: value,
    (_K.FLAG, _F.INTEGER): lambda value, _: _flag(value),
}
