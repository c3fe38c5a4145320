"""Valid by default; a story names only what matters to it."""

from decimal import Decimal
from typing import Any, Final

from app.domain.request import OrderRequest
from app.domain.values import OrderType, Side, TimeInForce
from app.reference import load_reference

MARKET: Final = "XNAS"
SESSION: Final = "XNAS-2026-03-02-REG"
REFERENCE: Final = load_reference()


def a_request(name: str, quantity: int, symbol: str, **terms: Any) -> OrderRequest:
    """Return a request that is valid unless the terms say otherwise."""
    request = OrderRequest(
        account_id="A-1",
        client_order_id=name,
        symbol=symbol,
        market=MARKET,
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(quantity),
        limit_price=REFERENCE.instruments[MARKET, symbol].reference_price,
        currency="USD",
        time_in_force=TimeInForce.DAY,
        trading_session_id=SESSION,
        list_id=None,
        text=None,
    )
    return request._replace(**terms)
