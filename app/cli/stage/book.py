"""A reserved book for a demonstration: many accounts, real symbols, prices near the last ones.

Seeded, so that the same number of orders is the same book. One account is a whale that comes
first with a fortieth of all orders: who stands behind it must not notice.
"""

import json
import random
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from importlib.resources import files
from typing import Any, Final

CENT: Final = Decimal("0.01")
ORDERS_PER_ACCOUNT: Final = 20
WHALE: Final = "A-WHALE"
WHALE_SHARE: Final = 40
US: Final = ("XNYS", "XNAS")


def symbols() -> list[tuple[str, str, Decimal]]:
    """Return (market, symbol, reference price) of the US instruments that come with us."""
    document = json.loads(files("app").joinpath("data/instruments.json").read_text())
    return [
        (market, symbol, Decimal(price))
        for market in US
        for symbol, price in document["markets"][market]["reference_prices"].items()
        if price is not None and Decimal(price) > 1
    ]


def reserved_book(count: int, sessions: dict[str, str], seed: int = 7) -> Iterator[dict[str, Any]]:
    """Yield order requests for the sessions (by market), the whale's first."""
    chance = random.Random(seed)
    listed = symbols()
    accounts = max(1, count // ORDERS_PER_ACCOUNT)
    for number in range(count):
        market, symbol, reference = listed[chance.randrange(len(listed))]
        moved = reference * (1 + Decimal(chance.randint(-200, 200)) / 10_000)
        whale = number < count // WHALE_SHARE
        yield {
            "account_id": WHALE if whale else f"A-{1 + number % accounts:06d}",
            "client_order_id": f"night-{number:08d}",
            "symbol": symbol,
            "market": market,
            "side": "buy" if chance.random() < 0.6 else "sell",  # noqa: PLR2004 - a bullish night
            "order_type": "limit",
            "quantity": str(chance.randint(1, 100)),
            "limit_price": str(moved.quantize(CENT, ROUND_HALF_UP)),
            "currency": "USD",
            "time_in_force": "day",
            "trading_session_id": sessions[market],
        }
