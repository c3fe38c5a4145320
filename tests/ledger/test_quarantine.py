"""What a stranger reports and cannot be is kept apart, and stops nothing."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.records import Applied, Claimed
from tests.builders import TODAY, a_report
from tests.ledger.books import Books, on

E: Final = ExecutionType


def trade(claimed: Claimed, execution_id: str = "e-1", quantity: object = 4) -> ExecutionReport:
    report = on(claimed, E.TRADE, execution_id, last_quantity=Decimal(str(quantity)))
    assert isinstance(report, ExecutionReport)
    return report


def filled(books: Books, claimed: Claimed) -> tuple[object, object]:
    order = books.order(claimed.order.order_id)
    return order.filled_quantity, order.overfilled_quantity


def refused(books: Books, *reports: ExecutionReport) -> str:
    """Apply what must be kept apart; return why."""
    before = books.sql("SELECT * FROM orders"), books.sql("SELECT * FROM executions")
    assert books.report(*reports) == Applied(0, 0, len(reports))
    assert (books.sql("SELECT * FROM orders"), books.sql("SELECT * FROM executions")) == before
    return " ".join(books.quarantined())


@pytest.mark.parametrize(
    "facts",
    [
        {"broker_order_key": "nobody's"},
        {"broker_order_key": ""},
        {"broker_order_key": a_report().broker_order_key},
        {"broker_id": "south"},
    ],
)
def test_a_report_on_no_attempt_of_ours_at_that_broker_is_kept_apart(
    books: Books, facts: dict[str, Any]
) -> None:
    claimed = books.working()

    assert "no attempt of ours" in refused(books, replace(trade(claimed), **facts))


def test_one_execution_id_for_two_orders_is_kept_apart_and_stops_nothing(books: Books) -> None:
    """It once broke the primary key, at this start and at each one after it."""
    one, two, three = (books.working(f"c-{n}") for n in range(3))
    books.report(trade(one, "e-1"))

    assert books.report(trade(two, "e-1"), trade(three, "e-3")) == Applied(1, 0, 1)
    assert [filled(books, c) for c in (one, two, three)] == [(4, 0), (0, 0), (4, 0)]
    assert "another one" in books.quarantined()[0]


def test_one_execution_id_for_two_orders_in_one_batch(books: Books) -> None:
    one, two = books.working("c-1"), books.working("c-2")

    assert books.report(trade(one, "e-1"), trade(two, "e-1")) == Applied(1, 0, 1)


def test_one_execution_id_for_two_facts_is_kept_apart(books: Books) -> None:
    claimed = books.working()
    books.report(trade(claimed, quantity=4))

    assert "another one" in refused(books, trade(claimed, quantity=5))


def test_an_execution_id_is_for_one_day_and_one_broker(books: Books) -> None:
    claimed = books.working()
    books.report(trade(claimed))
    books.report(replace(trade(claimed), trade_date=TODAY + timedelta(days=1)))

    assert filled(books, claimed) == (8, 0)


@pytest.mark.parametrize("number", ["NaN", "sNaN", "Infinity", "-1", "0", "1E+999999", "1E+18"])
@pytest.mark.parametrize("field", ["last_quantity", "last_price"])
def test_a_number_that_is_none_is_kept_apart(books: Books, field: str, number: str) -> None:
    claimed = books.working()
    bad = replace(trade(claimed), **{field: Decimal(number)})  # type: ignore[arg-type]

    assert "expected a price and a positive quantity" in refused(books, bad)


def test_a_bad_correction_costs_no_fill(books: Books) -> None:
    """It came first, was kept, and took the good trade into quarantine with it."""
    claimed = books.working()
    bad = on(claimed, E.TRADE_CORRECT, "g-1", referenced_execution_id="e-1", last_price=None)

    assert books.report(bad, trade(claimed)) == Applied(1, 0, 1)
    assert filled(books, claimed) == (4, 0)


def test_a_refusal_after_a_fill_is_kept_apart(books: Books) -> None:
    claimed = books.working()
    books.report(trade(claimed))

    assert "rejected in partially_filled" in refused(books, on(claimed, E.REJECTED))


def test_what_is_kept_apart_is_kept_once(books: Books) -> None:
    claimed = books.working()
    bad = on(claimed, E.TRADE, last_price=None)
    books.report(bad, bad)
    books.report(bad)

    assert len(books.quarantined()) == 1


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\ud83d\0\udc00", 'it\'s "q" \\ \N{BELL}'])
@pytest.mark.parametrize("field", ["execution_id", "broker_order_id", "reason"])
def test_what_cannot_be_written_does_not_stop_the_book(books: Books, field: str, text: str) -> None:
    claimed = books.sending()
    report = replace(trade(claimed), **{field: text})  # type: ignore[arg-type]

    assert books.report(report, report) == Applied(1, 1, 0)
    assert books.report(report) == Applied(0, 1, 0)
    assert filled(books, claimed) == (4, 0)


def test_a_nul_makes_no_two_ids_one(books: Books) -> None:
    """SQL ends a text at its first NUL."""
    claimed = books.working()
    books.report(trade(claimed, "e-1"), trade(claimed, "e-1\0x"))

    assert filled(books, claimed) == (8, 0)


def test_nothing_at_all_is_a_batch_too(books: Books) -> None:
    assert books.report() == Applied(0, 0, 0)
