"""What leaves for a broker: every tag of it, and ids that lead back to their order."""

from decimal import Decimal
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from app.brokers.fix import words
from app.brokers.fix.words import Dialect, Part
from app.domain.messages import Cancellation
from app.domain.values import (
    CROCKFORD,
    OrderType,
    Side,
    TimeInForce,
    broker_order_key,
    replace_key,
    ulid,
)
from tests.brokers.builders import a_replacement, a_submission
from tests.brokers.fix.peer import NOW

DIALECT: Final = Dialect()
KEY: Final = "01JD3Z0K8V6W2Q4T000000000101"
STAMP: Final = "20260303-14:30:00.000"


def test_a_new_order_says_every_term() -> None:
    send = words.new_order(DIALECT, a_submission(KEY), NOW)

    assert send.type == "D"
    assert dict(send.fields) == {
        11: KEY,
        1: "A-1001",
        21: "1",
        55: "AAPL",
        207: "XNAS",
        54: "1",
        60: STAMP,
        38: "10",
        40: "2",
        44: "185.50",
        15: "USD",
        59: "0",
    }


def test_a_market_order_names_no_price_and_amounts_have_no_exponent() -> None:
    order = a_submission(
        KEY,
        side=Side.SELL,
        order_type=OrderType.MARKET,
        limit_price=None,
        quantity=Decimal("1E+3"),
        time_in_force=TimeInForce.OPG,
    )
    fields = dict(words.new_order(DIALECT, order, NOW).fields)

    assert 44 not in fields
    assert (fields[38], fields[40], fields[54], fields[59]) == ("1000", "1", "2", "2")


def test_a_capacity_is_named_where_the_broker_wants_one() -> None:
    assert dict(words.new_order(Dialect(capacity="A"), a_submission(), NOW).fields)[47] == "A"


def test_a_list_counts_its_orders_and_each_begins_with_its_own_id() -> None:
    orders = [a_submission() for _ in range(3)]
    send = words.new_list(DIALECT, orders, Part("L-1"), NOW)

    assert send.type == "E"
    assert send.fields[:4] == ((66, "L-1"), (394, "3"), (68, "3"), (73, "3"))
    assert [v for tag, v in send.fields if tag == 11] == [o.broker_order_key for o in orders]
    assert [v for tag, v in send.fields if tag == 67] == ["1", "2", "3"]
    assert send.fields[4] == (11, orders[0].broker_order_key)


def test_a_fragment_says_of_how_many_it_is_and_whether_it_is_the_last() -> None:
    orders = [a_submission() for _ in range(3)]
    first = words.new_list(DIALECT, orders[:2], Part("L-1", 0, 3), NOW)
    last = words.new_list(DIALECT, orders[2:], Part("L-1", 2, 3), NOW)

    assert first.fields[:5] == ((66, "L-1"), (394, "3"), (68, "3"), (893, "N"), (73, "2"))
    assert last.fields[:5] == ((66, "L-1"), (394, "3"), (68, "3"), (893, "Y"), (73, "1"))
    said = [v for send in (first, last) for tag, v in send.fields if tag == 67]
    assert said == ["1", "2", "3"]


def test_a_cancel_has_an_id_of_its_own_and_names_what_it_cancels() -> None:
    send = words.cancel(Cancellation(KEY, "N1"), a_submission(KEY), NOW)
    fields = dict(send.fields)

    assert send.type == "F"
    assert fields[41] == KEY
    assert fields[11] != KEY
    assert words.order_key_in(fields[11]) == KEY
    assert (fields[37], fields[55], fields[54], fields[38]) == ("N1", "AAPL", "1", "10")


def test_a_cancel_of_an_order_whose_terms_are_gone_is_still_one() -> None:
    fields = dict(words.cancel(Cancellation(KEY, None), None, NOW).fields)

    assert set(fields) == {41, 11, 60}


def test_a_repeated_cancel_is_another_request() -> None:
    assert words.cancel_id(KEY, NOW) != words.cancel_id(KEY, NOW + 1)


def test_a_cancel_of_a_replaced_order_has_no_longer_id_than_any_other() -> None:
    key = f"{KEY}R001"
    fields = dict(words.cancel(Cancellation(key, "N1"), a_submission(key), NOW).fields)

    assert fields[41] == key
    assert words.order_key_in(fields[11]) == KEY
    assert len(fields[11]) <= 36


def test_the_id_of_a_replace_is_its_key_and_no_other_id_is_one() -> None:
    key = replace_key(KEY, 1)

    assert words.order_key_in(key) == key
    assert words.is_replace(key)
    for other in (None, KEY, words.cancel_id(KEY, NOW), words.cancel_id(key, NOW), "k" * 32):
        assert not words.is_replace(other)


def test_a_replace_says_the_whole_order_as_it_shall_stand() -> None:
    new = a_replacement(a_submission(KEY), f"{KEY}R001", quantity=Decimal(12))
    send = words.replace(DIALECT, new._replace(broker_order_id="N1"), NOW)
    fields = dict(send.fields)

    assert send.type == "G"
    assert (fields[41], fields[11], fields[37]) == (KEY, f"{KEY}R001", "N1")
    assert (fields[38], fields[44], fields[40], fields[55]) == ("12", "186", "2", "AAPL")


def test_a_question_names_the_order_and_itself() -> None:
    send = words.status(KEY, "Q-1", a_submission(KEY))

    assert send.type == "H"
    assert dict(send.fields) == {
        11: KEY,
        1: "A-1001",
        55: "AAPL",
        207: "XNAS",
        54: "1",
        790: "Q-1",
    }


def test_all_orders_are_asked_for_at_once() -> None:
    assert words.mass_status("M-1") == ("AF", ((584, "M-1"), (585, "7")))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1), st.integers(1, 99), st.integers(0))
def test_every_key_is_its_own_and_every_cancel_leads_back(
    at: int, chance: int, attempt: int, now: int
) -> None:
    key = broker_order_key(ulid(at, chance), attempt)

    assert words.order_key_in(key) == key
    assert words.order_key_in(words.cancel_id(key, now)) == key
    assert words.order_key_in(words.cancel_id(f"{key}R001", now)) == f"{key}R001"


def test_a_key_that_looks_like_a_cancel_of_another_is_none() -> None:
    key = "01JD3Z0K8V6W2Q4T00000C000101"

    assert words.order_key_in(key) == key


@given(st.text(CROCKFORD + "UIL-", max_size=50))
def test_a_strangers_id_is_left_as_it_is_or_led_back(text: str) -> None:
    key = words.order_key_in(text)

    assert text.startswith(key)
    assert len(text) - len(key) in {0, 7}
