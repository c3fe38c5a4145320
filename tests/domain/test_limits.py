"""The second judgement, right before an order leaves: the world may have moved."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import Code
from app.domain.instruments import Instrument
from app.domain.limits import Limits, recheck
from app.domain.values import Status
from tests.builders import an_order

AAPL = Instrument("AAPL", "XNAS", "USD", reference_price=Decimal(200))
ORDER = an_order(limit_price=Decimal("185.50"), status=Status.QUEUED, version=2)


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
