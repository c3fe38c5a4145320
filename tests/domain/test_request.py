"""The fingerprint: one meaning, one hash; two meanings, two hashes; the same for ever."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.request import OrderRequest, request_hash
from app.domain.values import OrderType, Side, TimeInForce

REQUEST = OrderRequest(
    account_id="A-1001",
    client_order_id="app-1",
    symbol="AAPL",
    market="XNAS",
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    quantity=Decimal(10),
    limit_price=Decimal("185.50"),
    currency="USD",
    time_in_force=TimeInForce.DAY,
    trading_session_id="XNAS-2026-11-23-REG",
    list_id=None,
    text=None,
)
numbers = st.decimals(allow_nan=False, allow_infinity=False)


def test_the_hash_on_disk_lives_for_ever() -> None:
    # If this fails, every replay of an order that is on disk becomes a conflict.
    assert (
        request_hash(REQUEST) == "b6bcd6007bb665d662fa97fdf88e46d161bfcc552fa0bbb2daf6f491ad7bb0ca"
    )


@pytest.mark.parametrize("quantity", ["10", "10.0", "1E+1", "010.000", "+10"])
def test_one_quantity_however_written_is_one_request(quantity: str) -> None:
    assert request_hash(REQUEST._replace(quantity=Decimal(quantity))) == request_hash(REQUEST)


@given(numbers, st.integers(min_value=0, max_value=40))
def test_trailing_zeros_change_nothing(number: Decimal, zeros: int) -> None:
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    padded = Decimal((sign, digits + (0,) * zeros, exponent - zeros))
    one, other = REQUEST._replace(limit_price=number), REQUEST._replace(limit_price=padded)

    assert request_hash(one) == request_hash(other)


@example(Decimal("-0"), Decimal("0E+3"))
@given(numbers, numbers)
def test_hashes_are_equal_exactly_when_the_numbers_are(one: Decimal, other: Decimal) -> None:
    hashes = {request_hash(REQUEST._replace(quantity=number)) for number in (one, other)}

    assert (len(hashes) == 1) == (one == other)


def test_numbers_that_differ_in_the_fiftieth_digit_stay_apart() -> None:
    one, other = (Decimal("0." + "3" * 49 + digit) for digit in "34")

    assert request_hash(REQUEST._replace(limit_price=one)) != request_hash(
        REQUEST._replace(limit_price=other)
    )


@pytest.mark.parametrize("name", OrderRequest._fields)
def test_every_field_counts(name: str) -> None:
    different = {
        "side": Side.SELL,
        "order_type": OrderType.MARKET,
        "time_in_force": TimeInForce.IOC,
        "quantity": Decimal(11),
        "limit_price": None,
    }
    changed = REQUEST._replace(**{name: different.get(name, "another")})  # type: ignore[arg-type]

    assert request_hash(changed) != request_hash(REQUEST)


texts = st.none() | st.text(alphabet="a=:1\ntexlis_d\ud800", max_size=24)


@given(st.tuples(texts, texts, texts), st.tuples(texts, texts, texts))
def test_no_text_can_imitate_another_field(
    one: tuple[str | None, ...], other: tuple[str | None, ...]
) -> None:
    hashes = {
        request_hash(REQUEST._replace(list_id=a, text=b, trading_session_id=c))
        for a, b, c in (one, other)
    }

    assert (len(hashes) == 1) == (one == other)


def test_a_field_border_cannot_move() -> None:
    one = REQUEST._replace(list_id="a\ntext=1:b", text=None)
    other = REQUEST._replace(list_id="a", text="b")

    assert request_hash(one) != request_hash(other)
