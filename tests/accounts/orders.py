"""Orders as the ledger publishes them: whole, instants as RFC 3339, decimals as strings."""

from datetime import date
from decimal import Decimal
from typing import Any, Final

from app import codec
from app.domain.order import Order
from app.domain.values import OrderType, PendingRequest, Side, Status, TimeInForce, rfc3339
from app.ports.bus import Event

TOPIC: Final = "openbell.orders.v1"

ORDER: Final = Order(
    accept_sequence=1,
    order_id="01KK8WF00000000000000000A1",
    trade_date=date(2026, 3, 9),
    session_date=date(2026, 3, 9),
    trading_session_id="XNAS:2026-03-09:RTH",
    account_id="acc-1",
    client_order_id="c-1",
    list_id=None,
    symbol="AAPL",
    market="XNAS",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal(100),
    limit_price=Decimal("187.25"),
    currency="USD",
    time_in_force=TimeInForce.DAY,
    text=None,
    accepted_at=1_773_063_000_004,
    version=1,
    status=Status.RESERVED,
    pending_request=PendingRequest.NONE,
    filled_quantity=Decimal(0),
    overfilled_quantity=Decimal(0),
    filled_value=Decimal(0),
    average_price=None,
    broker_id=None,
    broker_order_id=None,
    reason_code=None,
    cancel_origin=None,
    done_for_day=False,
    released_at=None,
    updated_at=1_773_063_000_004,
)


def an_order(number: int = 1, **facts: Any) -> Order:
    """Return a valid order; `number` makes it another one."""
    return ORDER._replace(
        accept_sequence=number,
        order_id=f"01KK8WF000000000000000{number:04d}",
        client_order_id=f"c-{number}",
        **facts,
    )


def payload(order: Order, **more: object) -> bytes:
    """Return the order as the ledger publishes it, with fields changed or added."""
    fields = order._asdict()
    for name in ("accepted_at", "released_at", "updated_at"):
        fields[name] = None if fields[name] is None else rfc3339(fields[name])
    return codec.encode(fields | more)


def event(order: Order) -> Event:
    """Return the event of this version of the order."""
    return Event(
        topic=TOPIC,
        key=order.account_id,
        event_id=f"{order.order_id}-{order.version}",
        type=f"io.openbell.order.{order.status}.v1",
        payload=payload(order),
    )


def poison(name: str, raw: bytes = b'{"not":"an order"}') -> Event:
    """Return an event that nobody can apply."""
    return Event(TOPIC, "acc-1", name, "io.openbell.order.new.v1", raw)
