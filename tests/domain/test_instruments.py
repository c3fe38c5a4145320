"""Ticks: the table by price, and what is a multiple of it."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instruments import Instrument, on_tick, tick_size
from app.reference import load_instruments


@pytest.mark.parametrize(
    ("market", "price", "tick"),
    [
        ("XNYS", "0.9999", "0.0001"),
        ("XNYS", "1", "0.01"),
        ("XNAS", "4710", "0.01"),
        ("XKRX", "1", "1"),
        ("XKRX", "1999", "1"),
        ("XKRX", "2000", "5"),
        ("XKRX", "4995", "5"),
        ("XKRX", "5000", "10"),
        ("XKRX", "19990", "10"),
        ("XKRX", "20000", "50"),
        ("XKRX", "49950", "50"),
        ("XKRX", "50000", "100"),
        ("XKRX", "199900", "100"),
        ("XKRX", "200000", "500"),
        ("XKRX", "499500", "500"),
        ("XKRX", "500000", "1000"),
        ("XKRX", "1225000", "1000"),
    ],
)
def test_the_tick_follows_the_price(market: str, price: str, tick: str) -> None:
    assert tick_size(market, Decimal(price)) == Decimal(tick)


@pytest.mark.parametrize(
    ("market", "price", "quotable"),
    [
        ("XNYS", "185.50", True),
        ("XNYS", "185.505", False),
        ("XNYS", "1.0001", False),
        ("XNYS", "0.9999", True),
        ("XNYS", "0.00001", False),
        ("XKRX", "50050", False),  # a multiple of 50, which is the tick only below 50,000
        ("XKRX", "49950", True),
        ("XKRX", "96700.5", False),
        # So small that the remainder underflows to zero.
        ("XNYS", "1E-999999999999", False),
    ],
)
def test_a_price_is_a_multiple_of_its_own_tick(market: str, price: str, quotable: bool) -> None:  # noqa: FBT001
    instrument = Instrument("ANY", market, "USD")

    assert on_tick(instrument, Decimal(price)) is quotable


@given(
    st.sampled_from(["XNYS", "XNAS", "XKRX"]),
    st.decimals(min_value="0.0001", max_value=2_000_000, places=4),
)
def test_rounding_down_to_the_tick_lands_on_it_and_half_a_tick_more_does_not(
    market: str, price: Decimal
) -> None:
    instrument = Instrument("ANY", market, "USD")
    tick = tick_size(market, price)
    rounded = price - price % tick

    if rounded > 0:
        assert on_tick(instrument, rounded)
        assert not on_tick(instrument, rounded + tick / 2)


def test_the_shipped_listing_is_of_real_size_and_currency() -> None:
    instruments = load_instruments()
    by_market = {
        market: [i for i in instruments.values() if i.market == market]
        for market in ("XNYS", "XNAS", "XKRX")
    }

    assert len(by_market["XNYS"]) >= 170
    assert len(by_market["XNAS"]) >= 170
    assert len(by_market["XKRX"]) >= 60
    assert {i.currency for i in by_market["XNYS"] + by_market["XNAS"]} == {"USD"}
    assert {i.currency for i in by_market["XKRX"]} == {"KRW"}
    assert all(len(i.symbol) == 6 and i.symbol.isdigit() for i in by_market["XKRX"])
