"""Totals add up like numbers, in any order, and one changed byte changes them."""

import random
from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from app.accounts.fold import fold
from app.accounts.history.totals import DayTotals, Tally, Totals, totals_of
from app.domain.values import OrderType, Side, Status
from tests.accounts.orders import an_order, payload

MONDAY = date(2026, 3, 9)
DOCUMENTS = [
    fold(
        payload(
            an_order(
                number,
                side=Side.BUY if number % 2 else Side.SELL,
                status=Status.FILLED if number % 3 else Status.CANCELED,
                quantity=Decimal("0.1") * number,
                limit_price=Decimal("187.25") if number % 5 else None,
                order_type=OrderType.LIMIT if number % 5 else OrderType.MARKET,
                accepted_at=1_773_063_000_000 + number,
                trade_date=date(2026, 3, 9 + number % 3),
            )
        )
    ).document
    for number in range(1, 41)
]


def test_a_day_adds_up_by_side_and_status_and_as_a_whole() -> None:
    documents = [
        fold(payload(an_order(number, quantity=Decimal(quantity), **facts))).document
        for number, quantity, facts in (
            (1, "0.1", {"accepted_at": 1_773_063_000_009}),
            (2, "0.2", {"accepted_at": 1_773_063_000_004}),
            (3, "7", {"side": Side.SELL, "limit_price": None, "order_type": OrderType.MARKET}),
        )
    ]

    day = totals_of(documents)[MONDAY]
    bought = day.groups["buy", "reserved"]

    assert set(day.groups) == {("buy", "reserved"), ("sell", "reserved")}
    assert (bought.orders, bought.quantity) == (2, Decimal("0.3"))
    assert bought.notional == Decimal("56.175")
    assert (bought.accepted_first, bought.accepted_last) == (1_773_063_000_004, 1_773_063_000_009)
    assert (day.whole.orders, day.whole.quantity) == (3, Decimal("7.3"))
    assert day.whole.notional == Decimal("56.175")


@given(st.randoms(use_true_random=False), st.integers(0, 40))
@settings(max_examples=25)
def test_parts_in_any_order_add_up_to_the_whole(chance: random.Random, cut: int) -> None:
    shuffled = DOCUMENTS[:]
    chance.shuffle(shuffled)

    parts = Tally(totals_of(shuffled[:cut]).values())
    for day in totals_of(shuffled[cut:]).values():
        parts.merge(DayTotals.from_json(day.as_json()))

    assert parts.days == totals_of(DOCUMENTS)


def test_a_changed_byte_changes_the_checksum_and_no_sum() -> None:
    one = totals_of([fold(payload(an_order(1, text="a"))).document])[MONDAY].whole
    other = totals_of([fold(payload(an_order(1, text="b"))).document])[MONDAY].whole

    assert one.checksum != other.checksum
    assert one._replace(checksum=0) == other._replace(checksum=0)


def test_sums_stay_exact_where_a_float_and_34_digits_would_not() -> None:
    huge = Totals(1, Decimal(10**38 - 1), Decimal("1E-18"))

    total = huge + Totals(1, Decimal("0.000000000000000001"), Decimal("1E+36"))

    assert total.quantity == Decimal("99999999999999999999999999999999999999.000000000000000001")
    assert total.notional == Decimal("1000000000000000000000000000000000000.000000000000000001")


def test_totals_are_written_and_read_without_a_loss() -> None:
    days = totals_of(DOCUMENTS)

    assert {DayTotals.from_json(day.as_json()).trade_date for day in days.values()} == set(days)
    assert [DayTotals.from_json(day.as_json()) for day in days.values()] == list(days.values())
