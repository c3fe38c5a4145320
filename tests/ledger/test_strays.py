"""A copy that turns up after all: its fills count, nothing is sent again, and a person is told."""

from decimal import Decimal
from typing import Any, Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import (
    Accepted,
    ExecutionReport,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.records import Claimed
from app.domain.values import PendingRequest, Status
from tests.builders import a_taking
from tests.ledger.books import Books, on

S: Final = Status
E: Final = ExecutionType
STRAY: Final = Code.STRAY_EVIDENCE.code


def trade(claimed: Claimed, execution_id: str = "e-1", quantity: object = 4) -> ExecutionReport:
    report = on(claimed, E.TRADE, execution_id, last_quantity=Decimal(str(quantity)))
    assert isinstance(report, ExecutionReport)
    return report


def filled(books: Books, claimed: Claimed) -> tuple[object, object]:
    order = books.order(claimed.order.order_id)
    return order.filled_quantity, order.overfilled_quantity


def gone_again(books: Books, client_order_id: str = "c-1") -> Claimed:
    """Send an order into silence, prove that it never arrived, and let it wait again."""
    claimed = books.sending(client_order_id)
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    books.absent(claimed.broker_order_key)
    return claimed


@pytest.mark.parametrize("kind", [E.NEW, E.ORDER_STATUS, E.DONE_FOR_DAY])
def test_a_copy_that_turns_up_after_all_holds_the_order(books: Books, kind: ExecutionType) -> None:
    """It once stayed in the queue, and the next claim stopped on it, at each start."""
    claimed = gone_again(books)
    books.report(on(claimed, kind))

    order = books.order(claimed.order.order_id)
    assert (order.status, order.reason_code) == (S.HELD, STRAY)
    assert books.claim() == []
    assert books.outcomes(order.order_id) == ["not_received"]


def test_a_late_fill_of_what_was_never_received_holds_the_order_with_its_amounts(
    books: Books,
) -> None:
    claimed = gone_again(books)
    books.report(trade(claimed), trade(claimed, "e-2", 6))

    order = books.order(claimed.order.order_id)
    assert (order.status, order.reason_code) == (S.HELD, STRAY)
    assert filled(books, claimed) == (10, 0)
    assert books.claim() == []


@pytest.mark.parametrize("answer", [NotSent("refused"), Throttled()])
def test_so_does_a_copy_of_what_was_not_sent(books: Books, answer: Any) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: answer})
    books.report(on(claimed, E.NEW))

    assert books.order(claimed.order.order_id).status is S.HELD


@pytest.mark.parametrize("kind", [E.REJECTED, E.CANCELED, E.EXPIRED])
def test_the_end_of_an_earlier_attempt_does_not_end_the_one_that_is_out(
    books: Books, kind: ExecutionType
) -> None:
    """It once rejected an order whose second attempt was then accepted, live and unseen."""
    first = gone_again(books)
    (second,) = books.claim()
    books.report(on(first, kind))
    assert books.order(second.order.order_id) == second.order
    books.settle({second.broker_order_key: Accepted("N-2")})

    order = books.order(second.order.order_id)
    assert (order.status, order.broker_order_id) == (S.NEW, "N-2")


def test_the_receipt_of_an_earlier_attempt_does_not_answer_for_the_one_that_is_out(
    books: Books,
) -> None:
    first = gone_again(books)
    (second,) = books.claim()
    books.report(on(first, E.NEW))

    order = books.order(second.order.order_id)
    assert (order.status, order.reason_code) == (S.SENDING, STRAY)
    assert books.outcomes(order.order_id) == ["not_received", "open"]


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Accepted("N-2"), S.PARTIALLY_FILLED),
        (Rejected("no-cash"), S.REJECTED),
        (NotSent("refused"), S.HELD),
        (Throttled(), S.HELD),
        (Unknown("timeout"), S.IN_DOUBT),
    ],
)
def test_a_fill_of_the_first_attempt_while_the_second_is_out(
    books: Books, answer: Any, status: Status
) -> None:
    """The fill counts, the second attempt keeps its own fate, and there is no third."""
    first = gone_again(books)
    (second,) = books.claim()
    books.report(trade(first))
    assert books.order(second.order.order_id).status is S.SENDING
    books.settle({second.broker_order_key: answer})

    order = books.order(second.order.order_id)
    assert (order.status, order.reason_code) == (status, STRAY)
    assert filled(books, second) == (4, 0)
    assert books.claim() == []
    if status is S.IN_DOUBT:
        books.absent(second.broker_order_key)
        assert books.order(order.order_id).status is S.HELD


def test_fills_of_two_attempts_are_added_up_and_flagged(books: Books) -> None:
    first = gone_again(books)
    (second,) = books.claim()
    books.report(trade(first, "e-1", 8), trade(second, "e-2", 8))

    assert filled(books, second) == (10, 6)
    assert books.order(second.order.order_id).status is S.FILLED


def test_nobody_says_of_a_stray_copy_that_it_never_left(books: Books) -> None:
    """Its cancel is a wish that goes to the broker, and the broker's word ends it."""
    claimed = gone_again(books)
    books.report(on(claimed, E.NEW))
    order = books.order(claimed.order.order_id)
    with pytest.raises(Refused, match=Code.ORDER_NOT_EDITABLE.code):
        books.run(books.ledger.amend(order.order_id, order.version, Decimal(7), None))
    asked = books.cancel(order.order_id)
    assert (asked.status, asked.pending_request) == (S.HELD, PendingRequest.CANCEL)

    (pending,) = books.run(books.ledger.pending_cancels("north", 10)).cancels
    assert pending.broker_order_key == claimed.broker_order_key
    books.report(on(claimed, E.CANCELED))
    assert books.order(order.order_id).status is S.CANCELED
    assert books.run(books.ledger.pending_cancels("north", 10)).cancels == []


def test_a_copy_that_turns_up_after_the_cancel_won_is_flagged(books: Books) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    books.cancel(claimed.order.order_id)
    books.absent(claimed.broker_order_key)
    books.report(on(claimed, E.NEW))

    order = books.order(claimed.order.order_id)
    assert (order.status, order.reason_code) == (S.CANCELED, STRAY)


def test_others_go_on_beside_a_stray_copy(books: Books) -> None:
    claimed = gone_again(books)
    books.take(a_taking("c-2"), a_taking("c-3"))
    books.report(on(claimed, E.NEW))

    assert [c.order.client_order_id for c in books.claim()] == ["c-2", "c-3"]
