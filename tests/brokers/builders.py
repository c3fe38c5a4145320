"""Valid by default; a test names only what matters to it."""

from decimal import Decimal
from itertools import count
from typing import Any

from app.domain.messages import Cancellation, Replacement, Submission
from app.domain.values import OrderType, Side, TimeInForce

_numbers = count(1)


def a_key() -> str:
    """Return a broker_order_key that no other test uses."""
    return f"01JD3Z0K8V6W2Q4T{next(_numbers):010d}01"


def a_submission(key: str | None = None, **changes: Any) -> Submission:
    submission = Submission(
        broker_order_key=key or a_key(),
        account_id="A-1001",
        symbol="AAPL",
        market="XNAS",
        side=Side.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(10),
        limit_price=Decimal("185.50"),
        currency="USD",
        time_in_force=TimeInForce.DAY,
    )
    return submission._replace(**changes)


def a_cancellation(key: str) -> Cancellation:
    return Cancellation(key, None)


def a_replacement(
    order: Submission, key: str, original: str | None = None, **terms: Any
) -> Replacement:
    """Return a request to change an order under a key of its own; by default to 20 at 186."""
    changed = {"quantity": Decimal(20), "limit_price": Decimal(186)} | terms
    return Replacement(
        key, original or order.broker_order_key, None, *order._replace(**changed)[1:]
    )


def an_order(key: str | None = None, **changes: object) -> dict[str, object]:
    """Return one item of POST /v1/orders."""
    order: dict[str, object] = {
        "client_order_id": key or a_key(),
        "account": "A-1001",
        "symbol": "AAPL",
        "market": "XNAS",
        "side": "buy",
        "type": "limit",
        "quantity": "10",
        "limit_price": "185.50",
        "currency": "USD",
        "time_in_force": "day",
    }
    return {**order, **changes}
