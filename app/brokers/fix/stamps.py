"""UTC timestamps as FIX writes them: 20260302-14:30:00.004. Pure.

Whole numbers only: a float of seconds loses milliseconds in 2026. Brokers send none, three,
six or nine digits of a second; what is finer than a millisecond is cut off.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final

from app.domain.values import DAY_MS, EPOCH

_SECOND: Final = re.compile(r"([0-9]{8})-([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)", re.ASCII)
_SECOND_LENGTH: Final = 17
_FRACTION: Final = re.compile(r"\.[0-9]{1,12}", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{8}", re.ASCII)
_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def written(at_ms: int) -> str:
    """Write an instant (milliseconds since 1970, UTC) as a UTCTimestamp."""
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{_second(seconds)}.{milliseconds:03d}"


@lru_cache(maxsize=256)  # a message names its instant three times, and others share it
def read(text: str) -> int | None:
    """Return the instant that a UTCTimestamp names, or None if it is none."""
    whole = _whole_second(text[:_SECOND_LENGTH])
    fraction = text[_SECOND_LENGTH:]
    if whole is None or (fraction and not _FRACTION.fullmatch(fraction)):
        return None
    return whole + int(fraction[1:4].ljust(3, "0"))


@lru_cache(maxsize=64)  # a session's stamps name very few days
def read_date(text: str) -> date | None:
    """Return the date that a LocalMktDate or UTCDateOnly names, or None."""
    if not _DATE.fullmatch(text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


@lru_cache(maxsize=64)  # messages of one second come together
def _whole_second(text: str) -> int | None:
    match = _SECOND.fullmatch(text)
    day = None if match is None else read_date(match[1])
    if match is None or day is None:
        return None
    # A leap second is the first of the next minute: no clock here can write it.
    seconds = int(match[2]) * 3600 + int(match[3]) * 60 + int(match[4])
    return (day - EPOCH).days * DAY_MS + seconds * 1000


@lru_cache(maxsize=8)  # within one second, all but the milliseconds stays
def _second(seconds: int) -> str:
    return (_ZERO + timedelta(seconds=seconds)).strftime("%Y%m%d-%H:%M:%S")
