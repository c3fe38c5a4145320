"""What can be traded, in which steps of price.

The trap is the tick: it depends on the market and on the price itself, so a price can be a
multiple of a tick that is not its own (KRX: 50,050 is a multiple of 50, and its tick is 100).
"""

from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

ONE: Final = Decimal(1)


class Instrument(NamedTuple):
    """One listed symbol. The reference price is yesterday's close, or fresher; None: unknown."""

    symbol: str  # 55
    market: str  # 207, a MIC
    currency: str  # 15
    lot_size: Decimal = ONE  # 561
    reference_price: Decimal | None = None  # 140


Instruments = Mapping[tuple[str, str], Instrument]  # by (market, symbol)

# From this price on, this tick. Rule 612 in the US; Korea's table for shares since January 2023.
_US: Final = (("0", "0.0001"), ("1", "0.01"))
_KRX: Final = (
    ("0", "1"),
    ("2000", "5"),
    ("5000", "10"),
    ("20000", "50"),
    ("50000", "100"),
    ("200000", "500"),
    ("500000", "1000"),
)
_TABLES: Final = {"XNYS": _US, "XNAS": _US, "XKRX": _KRX}
_FLOORS: Final = {
    market: [Decimal(floor) for floor, _ in table] for market, table in _TABLES.items()
}
_TICKS: Final = {market: [Decimal(tick) for _, tick in table] for market, table in _TABLES.items()}
TICK_MARKETS: Final = frozenset(_TABLES)


def tick_size(market: str, price: Decimal) -> Decimal:
    """Return the smallest step at this positive price; `KeyError` if the market has no table."""
    return _TICKS[market][bisect_right(_FLOORS[market], price) - 1]


def on_tick(instrument: Instrument, price: Decimal) -> bool:
    """Return whether this positive price can be quoted for the instrument."""
    tick = tick_size(instrument.market, price)
    # The remainder of a price far below the tick underflows to zero, as if it were a multiple.
    return price >= tick and not price % tick
