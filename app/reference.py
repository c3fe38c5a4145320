"""Reads what we trade and when, once, at the start.

Two files come with the program, `data/sessions.json` (made by `openbell calendar build`) and
`data/instruments.json` (illustrative: name your own in `instruments_file`). Bells stand there
in UTC, so that no time zone database of the machine decides when a million orders leave. The
trap is a file that is half right: whatever cannot be read exactly stops the start.
"""

import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.domain.instruments import TICK_MARKETS, Instrument, Instruments, on_tick
from app.domain.session import Calendar, Hours, Overrides
from app.domain.values import DAY_MS, EPOCH

MINUTE_MS: Final = 60_000
# Sydney opens before midnight UTC, so on the date before: -2:30 is half an hour after -2:00.
_CLOCK: Final = re.compile(r"(-?[0-9]{1,2}):([0-5][0-9])")


class BadReference(Exception):
    """A reference file that we will not start on."""


class Reference(NamedTuple):
    """What every check of an order needs to know of the world."""

    calendar: Calendar
    instruments: Instruments


def load_reference(
    *,
    sessions_file: Path | None = None,
    instruments_file: Path | None = None,
    overrides: Overrides | None = None,
) -> Reference:
    """Load both files, or raise `BadReference` saying which one is wrong, and where."""
    calendar = load_calendar(sessions_file, overrides=overrides)
    instruments = load_instruments(instruments_file)
    strange = {market for market, _ in instruments}.difference(calendar.markets)
    if strange:
        raise BadReference(f"instruments of {sorted(strange)}: the calendar lacks the market")
    return Reference(calendar, instruments)


def load_calendar(path: Path | None = None, *, overrides: Overrides | None = None) -> Calendar:
    """Load the sessions, with the operators' overrides laid over them."""
    name, document = _document(path, "sessions.json")
    try:
        calendar = Calendar(read_hours(document))
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise BadReference(f"{name}: {_said(e)}") from e
    try:
        return calendar.with_overrides(overrides) if overrides else calendar
    except ValueError as e:  # the file is sound; an operator's row is not
        raise BadReference(str(e)) from e


def load_instruments(path: Path | None = None) -> Instruments:
    """Load the listed symbols by (market, symbol)."""
    name, document = _document(path, "instruments.json")
    found: dict[tuple[str, str], Instrument] = {}
    try:
        for market, listing in document["markets"].items():
            if market not in TICK_MARKETS:
                raise ValueError(f"expected a market among {sorted(TICK_MARKETS)}, was {market}")
            for symbol, price in listing["reference_prices"].items():
                found[market, symbol] = _instrument(market, symbol, price, listing)
    except (KeyError, TypeError, ValueError, AttributeError) as e:
        raise BadReference(f"{name}: {_said(e)}") from e
    if not found:
        raise BadReference(f"{name}: expected at least one symbol")
    return found


def read_hours(document: Mapping[str, Any]) -> Hours:
    """Return each market's sessions in order of their dates, from a document as built.

    A market is a list of hours that never overlap, `{"opens": "14:30", "closes": "21:00",
    "days": {"2026-01": "02 05 …"}}`: times of the date in UTC, where 25:00 is on the next day.
    """
    return {
        market: sorted(
            (day, _instant(day, hours["opens"]), _instant(day, hours["closes"]))
            for hours in listing
            for month, days in hours["days"].items()
            for day in (date.fromisoformat(f"{month}-{number}") for number in days.split())
        )
        for market, listing in document["markets"].items()
    }


def _instant(day: date, clock: str) -> int:
    found = _CLOCK.fullmatch(clock)
    if found is None:
        raise ValueError(f"{day}: expected a time such as 14:30, was {clock}")
    minutes = int(found[1]) * 60 + int(found[2])
    return (day - EPOCH).days * DAY_MS + minutes * MINUTE_MS


def _instrument(
    market: str, symbol: str, price: str | None, listing: Mapping[str, Any]
) -> Instrument:
    try:
        lot_size = Decimal(listing.get("lot_size", "1"))
        reference_price = None if price is None else Decimal(price)
    except InvalidOperation as e:
        raise ValueError(f"{market} {symbol}: expected decimals, found {price!r}") from e
    instrument = Instrument(symbol, market, listing["currency"], lot_size, reference_price)
    # Written so that a NaN fails as well.
    if not (lot_size.is_finite() and lot_size > 0):
        raise ValueError(f"{market} {symbol}: expected a positive lot size, was {lot_size}")
    if reference_price is not None:
        if not (reference_price.is_finite() and reference_price > 0):
            raise ValueError(f"{market} {symbol}: expected a positive price, was {price}")
        if not on_tick(instrument, reference_price):
            raise ValueError(f"{market} {symbol}: expected a price on its tick, was {price}")
    return instrument


def _document(path: Path | None, default: str) -> tuple[str, Mapping[str, Any]]:
    source = files("app") / "data" / default if path is None else path
    try:
        document = json.loads(
            source.read_text("utf-8"), object_pairs_hook=_unique, parse_float=Decimal
        )
    except OSError as e:
        raise BadReference(f"{source}: {e.strerror}") from e
    except ValueError as e:  # not JSON, not UTF-8, or a name twice
        raise BadReference(f"{source}: {e}") from e
    if not isinstance(document, dict) or not isinstance(document.get("markets"), dict):
        raise BadReference(f'{source}: expected an object with "markets"')
    return str(source), document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: JSON would drop the first in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"expected each name once, found twice: {', '.join(twice)}")
    return found


def _said(e: Exception) -> str:
    match e:
        case KeyError():
            return f"expected {e.args[0]!r}"
        case TypeError() | AttributeError():
            return f"expected the shape of the shipped file ({e})"
        case _:
            return str(e)
