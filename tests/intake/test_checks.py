"""Every reason to refuse a new order, and the session of each that is taken."""

from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from app.domain.errors import Code, Refused
from app.domain.instruments import Instrument
from app.domain.limits import Limits
from app.domain.request import OrderRequest
from app.domain.session import Calendar, TradingSession
from app.domain.values import OrderType, Side, TimeInForce
from app.intake.checks import Admission, admit
from app.reference import load_calendar

MONDAY = "XNAS-2026-11-23-REG"
TUESDAY = "XNAS-2026-11-24-REG"
HOUR = 3_600_000
INSTRUMENTS = {
    (i.market, i.symbol): i
    for i in (
        Instrument("AAPL", "XNAS", "USD", reference_price=Decimal(200)),
        Instrument("PENNY", "XNAS", "USD", reference_price=Decimal("0.5")),
        Instrument("UNPRICED", "XNAS", "USD"),
        Instrument("005930", "XKRX", "KRW", Decimal(10), Decimal(96_700)),
    )
}


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
    trading_session_id=None,
    list_id=None,
    text=None,
)


@cache
def calendar() -> Calendar:
    return load_calendar()


def monday() -> TradingSession:
    session = calendar().session(MONDAY)
    assert session is not None
    return session


def a_request(**fields: Any) -> OrderRequest:
    for name in ("quantity", "limit_price"):
        if fields.get(name) is not None:
            fields[name] = Decimal(fields[name])
    return REQUEST._replace(**fields)


MARKET_ORDER = {"order_type": OrderType.MARKET, "limit_price": None}
KOREAN = {"market": "XKRX", "symbol": "005930", "currency": "KRW", "limit_price": "96700"}


def admitted(request: OrderRequest, now: int | None = None, **limits: Any) -> Admission:
    return admit(
        request,
        instruments=INSTRUMENTS,
        calendar=calendar(),
        limits=Limits(**limits),
        now=monday().opens_at if now is None else now,
    )


def refusal(request: OrderRequest, now: int | None = None, **limits: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        admitted(request, now, **limits)
    return caught.value


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        (Code.UNKNOWN_MARKET, {"market": "XLON"}),
        (Code.UNKNOWN_SYMBOL, {"symbol": "APPL"}),
        (Code.UNKNOWN_SYMBOL, {"symbol": "005930"}),  # listed, but elsewhere
        (Code.BAD_CURRENCY, {"currency": "KRW"}),
        (Code.BAD_QUANTITY, {"quantity": "0"}),
        (Code.BAD_QUANTITY, {"quantity": "-3"}),
        (Code.BAD_QUANTITY, {"quantity": "0.5"}),
        (Code.BAD_QUANTITY, {"quantity": "10.5"}),
        (Code.BAD_QUANTITY, {**KOREAN, "quantity": "15"}),
        (Code.BAD_QUANTITY, {"quantity": "NaN"}),
        (Code.BAD_QUANTITY, {"quantity": "sNaN"}),
        (Code.BAD_QUANTITY, {"quantity": "Infinity"}),
        (Code.BAD_QUANTITY, {"quantity": "1E-999999999999"}),
        (Code.QUANTITY_TOO_LARGE, {"quantity": "1000001"}),
        (Code.QUANTITY_TOO_LARGE, {"quantity": "1E+999999"}),
        (Code.PRICE_REQUIRED, {"limit_price": None}),
        (Code.PRICE_NOT_ALLOWED, {"order_type": OrderType.MARKET}),
        (Code.VALIDATION_FAILED, {"limit_price": "0"}),
        (Code.VALIDATION_FAILED, {"limit_price": "-1"}),
        (Code.VALIDATION_FAILED, {"limit_price": "sNaN"}),
        (Code.PRICE_OFF_TICK, {"limit_price": "185.505"}),
        (Code.PRICE_OFF_TICK, {**KOREAN, "limit_price": "96750"}),
        (Code.PRICE_OFF_TICK, {"symbol": "UNPRICED", "limit_price": "1E-999999999999"}),
        (Code.PRICE_OUT_OF_BAND, {"limit_price": "139.99"}),
        (Code.PRICE_OUT_OF_BAND, {"limit_price": "260.01"}),
        (Code.PRICE_OUT_OF_BAND, {"symbol": "UNPRICED", "limit_price": "1E+999999"}),
        (Code.NOTIONAL_TOO_LARGE, {"quantity": "5391"}),
        (Code.NOTIONAL_TOO_LARGE, {"quantity": "3847", **MARKET_ORDER}),  # at 260, the band's edge
        (Code.UNKNOWN_SESSION, {"trading_session_id": "XNAS-2026-11-26-REG"}),  # a holiday
        (Code.UNKNOWN_SESSION, {"trading_session_id": "XNYS-2026-11-24-REG"}),
        (Code.UNKNOWN_SESSION, {"trading_session_id": ""}),
        (Code.SESSION_OVER, {"trading_session_id": "XNAS-2026-11-20-REG"}),
        (Code.SESSION_OVER, {"time_in_force": TimeInForce.OPG}),
        (Code.SESSION_CLOSED, KOREAN),  # Seoul sleeps when New York opens
    ],
)
def test_what_breaks_a_rule_is_refused_by_its_code(code: Code, fields: dict[str, Any]) -> None:
    assert refusal(a_request(**fields)).code is code


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"limit_price": "140"},  # the edges of the band belong to it
        {"limit_price": "260"},
        {"symbol": "PENNY", "limit_price": "0.5001"},
        {"quantity": "5390"},
        {"quantity": "3846", **MARKET_ORDER},
        {"quantity": "1E+1"},
        {"symbol": "UNPRICED", "limit_price": "7"},
        {"symbol": "UNPRICED", "quantity": "1000000", **MARKET_ORDER},
        {"time_in_force": TimeInForce.IOC},
        {"trading_session_id": MONDAY},
        {"trading_session_id": TUESDAY, "time_in_force": TimeInForce.OPG},
    ],
)
def test_what_keeps_every_rule_is_taken(fields: dict[str, Any]) -> None:
    admitted(a_request(**fields))


@pytest.mark.parametrize(
    ("named", "offset", "reserved"),
    [
        (MONDAY, -20 * HOUR, True),
        (MONDAY, -1, True),
        (MONDAY, 0, False),
        (None, 0, False),
        (None, 6 * HOUR, False),
    ],
)
def test_an_order_is_reserved_until_its_bell(
    named: str | None,
    offset: int,
    reserved: bool,  # noqa: FBT001
) -> None:
    admission = admitted(a_request(trading_session_id=named), monday().opens_at + offset)

    assert admission.session == monday()
    assert admission.reserved is reserved


def test_an_order_may_wait_for_a_later_session_while_the_market_is_open() -> None:
    admission = admitted(a_request(trading_session_id=TUESDAY))

    assert admission.session.trading_session_id == TUESDAY
    assert admission.reserved


def test_a_closed_market_names_the_session_to_reserve_for() -> None:
    refused = refusal(a_request(), monday().opens_at - 1)

    assert refused.code is Code.SESSION_CLOSED
    assert refused.context == {"next_trading_session_id": MONDAY}


def test_an_order_at_the_closing_bell_is_late() -> None:
    request = a_request(trading_session_id=MONDAY)
    admitted(request, monday().closes_at - 1)
    refused = refusal(request, monday().closes_at)

    assert refused.code is Code.SESSION_OVER
    assert refused.context == {"next_trading_session_id": TUESDAY}


def test_an_opening_order_must_come_before_the_bell() -> None:
    request = a_request(trading_session_id=MONDAY, time_in_force=TimeInForce.OPG)

    assert admitted(request, monday().opens_at - 1).reserved
    assert refusal(request, monday().opens_at).code is Code.SESSION_OVER


def test_a_day_that_an_operator_closed_takes_no_order() -> None:
    bell = monday().opens_at
    with pytest.raises(Refused) as caught:
        admit(
            a_request(trading_session_id=MONDAY),
            instruments=INSTRUMENTS,
            calendar=calendar().with_overrides({MONDAY: (bell, bell)}),
            limits=Limits(),
            now=bell - HOUR,
        )

    assert caught.value.code is Code.UNKNOWN_SESSION


def test_the_admission_says_what_the_order_may_cost() -> None:
    assert admitted(a_request()).notional == Decimal(1855)
    assert admitted(a_request(**MARKET_ORDER)).notional == Decimal(2600)
    assert admitted(a_request(symbol="UNPRICED", **MARKET_ORDER)).notional is None


def test_a_refusal_tells_what_was_found_and_what_would_do() -> None:
    refused = refusal(a_request(limit_price="1855"))

    assert refused.detail == "limit_price 1855 is above 260.00"
    assert refused.context == {
        "limit_price": "1855",
        "band_low": "140.00",
        "band_high": "260.00",
    }


def test_a_currency_without_a_limit_may_not_trade() -> None:
    refused = refusal(a_request(), notional_max={"KRW": Decimal(1)})

    assert refused.code is Code.NOTIONAL_TOO_LARGE
