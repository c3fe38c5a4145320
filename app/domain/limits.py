"""The limits that no order may break, judged when it is taken and again when it is sent.

One function judges both times, so the two checks cannot drift apart; intake adds what only a
newcomer can get wrong (`intake/checks.py`), and the sender runs `recheck` right before each
claim (P13), because a limit, a listing or a reference price may have moved since.
"""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol

from app.domain.errors import Code
from app.domain.instruments import ONE, Instrument, Instruments, on_tick, tick_size
from app.domain.order import Order
from app.domain.values import OrderType

ZERO: Final = Decimal(0)
# No share anywhere costs a trillion; above it the arithmetic itself would fail first.
PRICE_MAX: Final = Decimal(10) ** 12
# Ten times 100,000,000 KRW, from which on a large Korean broker asks its customers to confirm,
# and about the same in dollars: a typing error of two digits stops here, a rich customer's
# order does not. A currency that is not named has no market here.
NOTIONAL_MAX: Final[Mapping[str, Decimal]] = MappingProxyType(
    {"USD": Decimal(1_000_000), "KRW": Decimal(1_000_000_000)}
)


class Limits(NamedTuple):
    """What one order may be at most. An operator may replace the values while we run."""

    # A million shares: far above a retail order even of a penny stock, and below an account
    # number or a price in won times a quantity typed into the wrong field.
    quantity_max: Decimal = Decimal(1_000_000)
    # By currency, because no single number is right for both dollars and won.
    notional_max: Mapping[str, Decimal] = NOTIONAL_MAX
    # A fraction on each side of the reference price. 30 % is Korea's own daily price limit, and
    # wider than any US limit-up band of a large stock: what lies outside is a slip of the pen.
    price_band: Decimal = Decimal("0.30")


class Terms(Protocol):
    """What an order and a request for one have in common, as far as limits care."""

    @property
    def market(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def order_type(self) -> OrderType: ...
    @property
    def quantity(self) -> Decimal: ...
    @property
    def limit_price(self) -> Decimal | None: ...
    @property
    def currency(self) -> str: ...


class Breach(NamedTuple):
    """The first limit that an order breaks: what was found, against what."""

    code: Code
    detail: str
    context: Mapping[str, object]


def recheck(order: Order, *, instruments: Instruments, limits: Limits) -> Code | None:
    """Return why this order may not leave now, or None. The sender asks right before a claim."""
    instrument = instruments.get((order.market, order.symbol))
    if instrument is None:
        return Code.UNKNOWN_SYMBOL
    breach = breach_of(order, instrument, limits)
    return None if breach is None else breach.code


def breach_of(terms: Terms, instrument: Instrument, limits: Limits) -> Breach | None:
    """Return the first limit that these terms break, or None."""
    if terms.currency != instrument.currency:
        return Breach(
            Code.BAD_CURRENCY,
            f"{instrument.market} trades {instrument.symbol} in {instrument.currency},"
            f" was {terms.currency}",
            {"currency": terms.currency, "expected": instrument.currency},
        )
    return (
        _quantity(terms.quantity, instrument, limits)
        or _price(terms, instrument, limits)
        or _notional(terms, instrument, limits)
    )


def notional(terms: Terms, instrument: Instrument, limits: Limits) -> Decimal | None:
    """Return what the order may cost at most, or None if nobody knows.

    A market order counts at the upper edge of the band: the worst price that it should meet.
    """
    if terms.limit_price is not None:
        return terms.limit_price * terms.quantity
    if instrument.reference_price is None:
        return None
    return instrument.reference_price * (ONE + limits.price_band) * terms.quantity


def _quantity(quantity: Decimal, instrument: Instrument, limits: Limits) -> Breach | None:
    # What is no number at all is caught first: comparing it would raise.
    if not quantity.is_finite() or quantity <= ZERO:
        detail = f"expected a positive quantity, was {quantity}"
        return Breach(Code.BAD_QUANTITY, detail, {"quantity": str(quantity)})
    # The size before the lot: the remainder of an enormous number cannot be computed.
    if quantity > limits.quantity_max:
        return Breach(
            Code.QUANTITY_TOO_LARGE,
            f"quantity {quantity} is above {limits.quantity_max}",
            {"quantity": str(quantity), "quantity_max": str(limits.quantity_max)},
        )
    # Below one lot the remainder may underflow to zero, as if it were a multiple.
    if quantity < instrument.lot_size or quantity % instrument.lot_size:
        return Breach(
            Code.BAD_QUANTITY,
            f"expected a multiple of {instrument.lot_size}, was {quantity}",
            {"quantity": str(quantity), "lot_size": str(instrument.lot_size)},
        )
    return None


def _price(terms: Terms, instrument: Instrument, limits: Limits) -> Breach | None:
    price = terms.limit_price
    if terms.order_type is OrderType.MARKET:
        if price is None:
            return None
        detail = f"a market order takes no limit_price, was {price}"
        return Breach(Code.PRICE_NOT_ALLOWED, detail, {"limit_price": str(price)})
    if price is None:
        return Breach(Code.PRICE_REQUIRED, f"a {terms.order_type} order needs limit_price", {})
    if not price.is_finite() or price <= ZERO:
        detail = f"expected a positive limit_price, was {price}"
        return Breach(Code.VALIDATION_FAILED, detail, {"limit_price": str(price)})
    return _band(price, instrument, limits) or _tick(price, instrument)


def _band(price: Decimal, instrument: Instrument, limits: Limits) -> Breach | None:
    reference = instrument.reference_price
    if reference is None:
        low, high = ZERO, PRICE_MAX
    else:
        low = reference * (ONE - limits.price_band)
        high = reference * (ONE + limits.price_band)
    if low <= price <= high:
        return None
    side, edge = ("below", low) if price < low else ("above", high)
    return Breach(
        Code.PRICE_OUT_OF_BAND,
        f"limit_price {price} is {side} {edge}",
        {"limit_price": str(price), "band_low": str(low), "band_high": str(high)},
    )


def _tick(price: Decimal, instrument: Instrument) -> Breach | None:
    if on_tick(instrument, price):
        return None
    tick = tick_size(instrument.market, price)
    return Breach(
        Code.PRICE_OFF_TICK,
        f"expected a multiple of {tick}, was {price}",
        {"limit_price": str(price), "tick_size": str(tick)},
    )


def _notional(terms: Terms, instrument: Instrument, limits: Limits) -> Breach | None:
    value = notional(terms, instrument, limits)
    allowed = limits.notional_max.get(terms.currency, ZERO)
    if value is None or value <= allowed:
        return None
    return Breach(
        Code.NOTIONAL_TOO_LARGE,
        f"notional {value} {terms.currency} is above {allowed}",
        {"notional": str(value), "notional_max": str(allowed)},
    )
