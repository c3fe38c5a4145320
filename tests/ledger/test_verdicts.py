"""A person's word on a doubt leads through the moves that the broker's own would have."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import ExecutionType, Unknown
from app.domain.records import Claimed
from app.domain.values import Status, replace_key
from tests.builders import a_report
from tests.ledger.books import ME, Books, on


@pytest.fixture
def doubt(books: Books) -> Claimed:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    return claimed


def resolve(books: Books, key: str, verdict: str, **terms: str) -> Any:
    return books.run(books.ledger.resolve_doubt(key, verdict, terms, ME))


@pytest.mark.parametrize(
    ("verdict", "terms", "status", "outcome"),
    [
        ("not_received", {}, Status.QUEUED, "not_received"),
        ("accepted", {"broker_order_id": "N-7"}, Status.NEW, "accepted"),
        ("rejected", {}, Status.REJECTED, "rejected"),
        ("canceled", {}, Status.CANCELED, "accepted"),
        ("filled", {"price": "187.25"}, Status.FILLED, "accepted"),
    ],
)
def test_a_verdict_ends_the_doubt(
    books: Books,
    doubt: Claimed,
    verdict: str,
    terms: dict[str, str],
    status: Status,
    outcome: str,
) -> None:
    order = resolve(books, doubt.broker_order_key, verdict, **terms)

    assert order == books.order(order.order_id)
    assert order.status is status
    assert books.outcomes(order.order_id) == [outcome]
    ((settled_by,),) = books.sql("SELECT settled_by FROM attempts")
    assert settled_by == ME.name


def test_the_brokers_own_trades_take_the_place_of_a_persons_filled(
    books: Books, doubt: Claimed
) -> None:
    resolve(books, doubt.broker_order_key, "filled", price="190")
    books.report(on(doubt, ExecutionType.TRADE, "E-1", last_quantity=Decimal(4)))

    order = books.order(doubt.order.order_id)
    assert (order.status, order.filled_quantity) == (Status.PARTIALLY_FILLED, Decimal(4))
    assert order.filled_value == 4 * Decimal("187.25")


@pytest.mark.parametrize("why", ["no price", "another order's id", "no replace of ours"])
def test_a_trade_that_is_kept_apart_takes_no_word_back(
    books: Books, doubt: Claimed, why: str
) -> None:
    other = books.working("c-2")
    books.report(on(other, ExecutionType.TRADE, "E-1"))
    resolve(books, doubt.broker_order_key, "filled", price="187.25")
    trade = on(doubt, ExecutionType.TRADE, "E-2", last_quantity=Decimal(4))
    if why == "no price":
        trade = replace(trade, last_price=None)
    elif why == "another order's id":
        trade = replace(trade, execution_id="E-1")
    else:
        trade = replace(trade, broker_order_key=replace_key(doubt.broker_order_key, 1))
    applied = books.report(trade)

    assert applied.quarantined == 1
    order = books.order(doubt.order.order_id)
    assert (order.status, order.filled_quantity) == (Status.FILLED, order.quantity)


def test_a_verdict_is_audited_in_its_own_commit(books: Books, doubt: Claimed) -> None:
    """Nobody may write another verdict into the log than the one that he gave."""
    terms = {"broker_order_id": "N-7", "verdict": "rejected", "status": "filled"}
    books.run(books.ledger.resolve_doubt(doubt.broker_order_key, "accepted", terms, ME))

    (row,) = books.run(books.ledger.audit(0, 10))
    assert (row["action"], row["actor"]) == ("doubt.resolve", ME.name)
    assert json.loads(str(row["before"])) == {
        "status": "in_doubt",
        "attempt": doubt.broker_order_key,
    }
    assert json.loads(str(row["after"])) == {
        "status": "new",
        "verdict": "accepted",
        "broker_order_id": "N-7",
    }


def test_evidence_that_came_first_wins(books: Books, doubt: Claimed) -> None:
    books.report(on(doubt, ExecutionType.NEW))
    with pytest.raises(Refused, match=Code.DOUBT_SETTLED.code):
        resolve(books, doubt.broker_order_key, "not_received")

    assert books.run(books.ledger.audit(0, 10)) == []


def test_an_earlier_attempt_is_in_doubt_no_more(books: Books, doubt: Claimed) -> None:
    books.absent(doubt.broker_order_key)
    (second,) = books.claim()
    books.settle({second.broker_order_key: Unknown("timeout")})
    with pytest.raises(Refused, match=Code.DOUBT_SETTLED.code):
        resolve(books, doubt.broker_order_key, "accepted")

    assert books.order(doubt.order.order_id).status is Status.IN_DOUBT


@pytest.mark.parametrize("key", ["", "nobody's", "0" * 28])
def test_nobody_knows_an_unknown_attempt(books: Books, key: str) -> None:
    with pytest.raises(Refused, match=Code.NOT_FOUND.code):
        resolve(books, key, "accepted")


@pytest.mark.parametrize("doubted_number", ["03", "99"])
def test_an_attempt_that_was_never_made_is_not_in_doubt(
    books: Books, doubt: Claimed, doubted_number: str
) -> None:
    with pytest.raises(Refused):
        resolve(books, doubt.order.order_id + doubted_number, "accepted")


@pytest.mark.parametrize(
    ("verdict", "terms"),
    [
        ("lost", {}),
        ("filled", {}),
        ("filled", {"price": "much"}),
        ("filled", {"price": "NaN"}),
        ("filled", {"price": "0"}),
        ("filled", {"price": "-1"}),
        ("filled", {"price": "1E+30"}),
        ("filled", {"price": "1E-30"}),
    ],
)
def test_a_verdict_that_says_nothing_is_refused_and_changes_nothing(
    books: Books, doubt: Claimed, verdict: str, terms: dict[str, str]
) -> None:
    before = books.sql("SELECT * FROM orders")
    with pytest.raises(Refused, match=Code.VALIDATION_FAILED.code):
        resolve(books, doubt.broker_order_key, verdict, **terms)

    assert books.sql("SELECT * FROM orders") == before
    assert books.run(books.ledger.audit(0, 10)) == []


def test_doubts_are_listed_with_their_age(books: Books, doubt: Claimed) -> None:
    (listed,) = books.run(books.ledger.doubts())

    assert listed.broker_order_key == doubt.broker_order_key
    assert listed.since == books.clock.at


def test_the_brokers_own_fills_take_the_place_of_an_operators_word(
    books: Books, doubt: Claimed
) -> None:
    """He said that it filled at 187.25; the broker, back on the line, tells how it really did."""
    key = doubt.broker_order_key
    resolve(books, key, "filled", price="187.25")
    quantity = doubt.order.quantity
    half = quantity / 2

    first = a_report(broker_order_key=key, last_quantity=half, last_price=Decimal(187))
    second = replace(first, execution_id="e-2", last_price=Decimal(188))
    books.report(first)
    books.report(first, second)

    order = books.order(doubt.order.order_id)
    assert (order.status, order.filled_quantity) == (Status.FILLED, quantity)
    assert order.overfilled_quantity == 0
    assert order.filled_value == half * 187 + half * 188
