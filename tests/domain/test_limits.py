"""The second judgement, right before an order leaves: the world may have moved."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import Code
from app.domain.instruments import Instrument
from app.domain.limits import Limits, recheck
from app.domain.order import Order
from app.domain.values import OrderType, PendingRequest, Side, Status, TimeInForce

AAPL = Instrument("AAPL", "XNAS", "USD", reference_price=Decimal(200))
ORDER = Order(
    accept_sequence=1,
    order_id="01JD3Z0K8V6W2Q4T9YB5R7XN1C",
    trade_date=date(2026, 11, 23),
    session_date=date(2026, 11, 23),
    trading_session_id="XNAS-2026-11-23-REG",
    account_id="A-1001",
    client_order_id="app-1",
    list_id=None,
    symbol="AAPL",
    market="XNAS",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal(10),
    limit_price=Decimal("185.50"),
    currency="USD",
    time_in_force=TimeInForce.DAY,
    text=None,
    accepted_at=0,
    version=2,
    status=Status.QUEUED,
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
    released_at=0,
    updated_at=0,
)


@pytest.mark.parametrize(
    ("instrument", "limits", "code"),
    [
        (AAPL, {}, None),
        (None, {}, Code.UNKNOWN_SYMBOL),  # delisted overnight
        (AAPL._replace(reference_price=Decimal(100)), {}, Code.PRICE_OUT_OF_BAND),
        (AAPL, {"price_band": Decimal("0.05")}, Code.PRICE_OUT_OF_BAND),
        (AAPL, {"quantity_max": Decimal(9)}, Code.QUANTITY_TOO_LARGE),
        (AAPL, {"quantity_max": Decimal(10)}, None),
        (AAPL, {"notional_max": {"USD": Decimal("1854.99")}}, Code.NOTIONAL_TOO_LARGE),
        (AAPL, {"notional_max": {"USD": Decimal(1855)}}, None),
        (AAPL._replace(currency="KRW"), {}, Code.BAD_CURRENCY),
        (AAPL._replace(lot_size=Decimal(100)), {}, Code.BAD_QUANTITY),
    ],
)
def test_an_order_is_judged_by_the_limits_in_force_when_it_leaves(
    instrument: Instrument | None, limits: dict[str, Any], code: Code | None
) -> None:
    listed = {} if instrument is None else {("XNAS", "AAPL"): instrument}

    assert recheck(ORDER, instruments=listed, limits=Limits(**limits)) is code
