"""Ids that say what they are, instants as the doors show them, texts that can be stored."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import Code
from app.domain.values import (
    ATTEMPT_NUMBER_MAX,
    CLIENT_ORDER_ID,
    DAY_MS,
    broker_order_key,
    legible,
    new_order_id,
    order_id_of,
    rfc3339,
    trade_date_of,
)
from tests.builders import NOW, TODAY

DATES = st.dates(min_value=date(1970, 1, 1))
INSTANTS = st.integers(0, 253_402_300_799_999)
BITS = st.integers(0, 2**80 - 1)


@given(DATES, INSTANTS, BITS)
def test_an_order_id_carries_its_trade_date(day: date, now: int, bits: int) -> None:
    order_id = new_order_id(day, now, bits)

    assert len(order_id) == 26
    assert trade_date_of(order_id) == day
    assert CLIENT_ORDER_ID.fullmatch(order_id)


@given(DATES, DATES, INSTANTS, INSTANTS, BITS)
def test_order_ids_sort_by_trade_date_then_by_time_of_day(
    one: date, two: date, now: int, later: int, bits: int
) -> None:
    first, second = sorted([(one, now % DAY_MS), (two, later % DAY_MS)])
    ids = [new_order_id(day, at, bits) for day, at in (first, second)]

    assert ids == sorted(ids)
    assert (ids[0] == ids[1]) is (first == second)


@given(st.text(max_size=30))
def test_any_other_text_is_no_order_id_and_no_key(text: str) -> None:
    assert trade_date_of(text) is None or new_order_id(TODAY, NOW, 0)[0] <= "7"
    assert order_id_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8" + "0" * 25,  # beyond 128 bits
        "7" + "Z" * 25,  # a date that no calendar has
        "0" * 25,
        "0" * 25 + "I",  # Crockford leaves out I, L, O and U
        "0" * 25 + "a",
        new_order_id(TODAY, NOW, 1).lower(),
    ],
)
def test_near_misses_are_no_order_ids(text: str) -> None:
    assert trade_date_of(text) is None


@pytest.mark.parametrize("number", [1, 9, 10, ATTEMPT_NUMBER_MAX])
def test_a_key_carries_its_order_and_its_number(number: int) -> None:
    order_id = new_order_id(TODAY, NOW, 1)
    key = broker_order_key(order_id, number)

    assert len(key) == 28
    assert order_id_of(key) == order_id
    assert int(key[-2:]) == number


@pytest.mark.parametrize("number", [0, 100])
def test_the_hundredth_attempt_has_no_key(number: int) -> None:
    with pytest.raises(AssertionError):
        broker_order_key(new_order_id(TODAY, NOW, 1), number)


@pytest.mark.parametrize("tail", ["", "1", "1x", "001", "²³", "\u0660\u0661"])
def test_a_key_ends_in_two_plain_digits(tail: str) -> None:
    assert order_id_of(new_order_id(TODAY, NOW, 1) + tail) is None


@given(INSTANTS)
def test_an_instant_survives_being_shown(now: int) -> None:
    shown = rfc3339(now)

    assert len(shown) == len("2026-03-02T14:31:00.000Z")
    since = datetime.fromisoformat(shown) - datetime(1970, 1, 1, tzinfo=UTC)
    assert since == timedelta(milliseconds=now)


@given(st.text())
def test_every_text_that_utf8_can_carry_is_kept_as_it_is_but_for_nul(text: str) -> None:
    assert legible(text) == text.replace("\0", "\N{REPLACEMENT CHARACTER}")


@given(st.text(st.characters(categories=["Cs", "Lu"])))
def test_half_a_surrogate_pair_becomes_something_that_can_be_stored(text: str) -> None:
    kept = legible(text)

    assert kept.encode().decode() == kept
    assert len(kept) == len(text)


def test_each_code_is_found_by_its_word_and_no_word_is_used_twice() -> None:
    assert [Code.of(code.code) for code in Code] == list(Code)
