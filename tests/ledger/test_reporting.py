"""Every execution once; and nothing that a stranger reports stops the loop that applies it."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Final

import pytest

from app.domain.messages import ExecutionReport, ExecutionType, Rejected, Unknown
from app.domain.records import Applied, Claimed
from app.domain.values import Status
from tests.builders import TODAY
from tests.ledger.books import Books, on

S: Final = Status
E: Final = ExecutionType


def trade(claimed: Claimed, execution_id: str = "e-1", quantity: object = 4) -> ExecutionReport:
    report = on(claimed, E.TRADE, execution_id, last_quantity=Decimal(str(quantity)))
    assert isinstance(report, ExecutionReport)
    return report


def filled(books: Books, claimed: Claimed) -> tuple[object, object]:
    order = books.order(claimed.order.order_id)
    return order.filled_quantity, order.overfilled_quantity


# --- once -------------------------------------------------------------------------------


def test_a_fill_is_applied_once_in_one_batch_and_in_two(books: Books) -> None:
    claimed = books.working()
    fill = trade(claimed)

    assert books.report(fill, fill, replace(fill, possible_duplicate=True)) == Applied(1, 2, 0)
    assert books.report(fill) == Applied(0, 1, 0)
    assert filled(books, claimed) == (4, 0)
    assert books.run(books.ledger.executions(claimed.order.order_id)) == [fill]


def test_many_fills_of_many_orders_in_one_batch(books: Books) -> None:
    claimed = [books.working(f"c-{n}") for n in range(5)]
    batch = [trade(c, f"e-{n}-{c.order.order_id}", 2) for n in range(5) for c in claimed]

    assert books.report(*batch) == Applied(25, 0, 0)
    for c in claimed:
        order = books.order(c.order.order_id)
        assert (order.status, order.version) == (S.FILLED, 8)


def test_each_version_of_a_batch_is_published_as_it_was(books: Books) -> None:
    claimed = books.working()
    books.report(trade(claimed, "e-1"), trade(claimed, "e-2"), trade(claimed, "e-3", 2))

    payloads = books.sql("SELECT payload FROM outbox WHERE aggregatetype = 'orders' ORDER BY id")
    seen = [json.loads(payload) for (payload,) in payloads]
    assert [(o["version"], o["filled_quantity"], o["status"]) for o in seen[3:]] == [
        (4, "4", "partially_filled"),
        (5, "8", "partially_filled"),
        (6, "10", "filled"),
    ]


def test_each_execution_leaves_a_copy_for_the_world(books: Books) -> None:
    claimed = books.working()
    books.report(trade(claimed), trade(claimed))

    ((event_id, key, kind, payload),) = books.sql(
        "SELECT event_id, aggregateid, type, payload FROM outbox WHERE aggregatetype = 'executions'"
    )
    assert (event_id, key) == (f"north-{TODAY}-e-1", claimed.order.account_id)
    assert kind == "io.openbell.execution.trade.v1"
    assert json.loads(payload)["last_quantity"] == "4"


def test_a_bust_before_its_trade(books: Books) -> None:
    claimed = books.working()
    bust = on(claimed, E.TRADE_CANCEL, "b-1", referenced_execution_id="e-1")

    assert books.report(bust) == Applied(1, 0, 0)
    books.report(trade(claimed))
    assert filled(books, claimed) == (0, 0)
    assert len(books.run(books.ledger.executions(claimed.order.order_id))) == 2


def test_a_bust_and_its_trade_in_one_batch(books: Books) -> None:
    claimed = books.working()
    bust = on(claimed, E.TRADE_CANCEL, "b-1", referenced_execution_id="e-1")
    books.report(bust, trade(claimed), trade(claimed, "e-2"), bust)

    assert filled(books, claimed) == (4, 0)


def test_a_bust_first_of_all_ends_the_doubt(books: Books) -> None:
    """It once closed the attempt and left the order `sending` for ever."""
    claimed = books.sending()
    books.report(on(claimed, E.TRADE_CANCEL, "b-1", referenced_execution_id="e-1"))

    assert books.order(claimed.order.order_id).status is S.NEW
    assert books.outcomes(claimed.order.order_id) == ["accepted"]


@pytest.mark.parametrize("doubted", [True, False])
def test_done_for_day_first_of_all_ends_the_doubt(books: Books, *, doubted: bool) -> None:
    claimed = books.sending()
    if doubted:
        books.settle({claimed.broker_order_key: Unknown("timeout")})
    books.report(on(claimed, E.DONE_FOR_DAY))

    order = books.order(claimed.order.order_id)
    assert (order.status, order.done_for_day) == (S.NEW, True)
    assert books.outcomes(order.order_id) == ["accepted"]


def test_a_refusal_by_report_closes_the_attempt_as_one(books: Books) -> None:
    claimed = books.sending()
    books.report(on(claimed, E.REJECTED, reason="no-cash"), on(claimed, E.REJECTED))

    assert books.order(claimed.order.order_id).reason_code == "no-cash"
    assert books.outcomes(claimed.order.order_id) == ["rejected"]


def test_a_fill_of_a_refused_order_is_still_a_fill(books: Books) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: Rejected("no-cash")})
    books.report(trade(claimed))

    assert books.order(claimed.order.order_id).status is S.REJECTED
    assert filled(books, claimed) == (4, 0)


def test_a_late_fill_of_a_canceled_order_is_applied(books: Books) -> None:
    claimed = books.working()
    books.report(on(claimed, E.CANCELED), trade(claimed))
    assert books.order(claimed.order.order_id).status is S.CANCELED
    books.report(trade(claimed, "e-2", 6))

    assert books.order(claimed.order.order_id).status is S.FILLED


def test_whose_clock_is_wrong_moves_no_time_of_ours(books: Books) -> None:
    """An instant of the year 20,000 once became ours, and no view could read it."""
    claimed = books.working()
    books.report(on(claimed, E.ORDER_STATUS, at=568_971_820_800_000, broker_order_id="N-2"))

    order = books.order(claimed.order.order_id)
    assert (order.broker_order_id, order.updated_at) == ("N-2", books.clock.at)
