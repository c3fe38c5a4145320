"""What is known of an attempt closes it, what is not known leaves it open, and once is enough."""

from typing import Any, Final

import pytest

from app.domain.messages import (
    Accepted,
    Answer,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.records import OpenAttempt
from app.domain.values import CancelOrigin, Outcome, Status
from app.ledger.dispatch.attempts import Closing, close
from tests.ledger.books import Books, on

S: Final = Status
ANSWERS: Final[list[Answer]] = [
    Accepted("N-9"),
    Rejected("no-cash"),
    NotSent("refused"),
    Throttled(),
    Unknown("timeout"),
]


@pytest.mark.parametrize(
    ("answer", "status", "outcome"),
    [
        (Accepted("N-1"), S.NEW, "accepted"),
        (Rejected("no-cash", "too poor"), S.REJECTED, "rejected"),
        (NotSent("refused"), S.QUEUED, "not_sent"),
        (Throttled(2.0), S.QUEUED, "throttled"),
        (Unknown("timeout"), S.IN_DOUBT, "unknown"),
    ],
)
def test_an_answer_decides(books: Books, answer: Answer, status: Status, outcome: str) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: answer})

    assert books.order(claimed.order.order_id).status is status
    assert books.outcomes(claimed.order.order_id) == [outcome]
    ((sent_ns, settled_by),) = books.sql("SELECT sent_ns, settled_by FROM attempts")
    assert (sent_ns, settled_by) == (5, None if outcome == "unknown" else "answer")


def test_the_answers_of_a_batch_decide_each_for_itself(books: Books) -> None:
    for n in range(5):
        books.queued(f"c-{n}")
    claimed = books.claim()
    keys = [c.broker_order_key for c in claimed]
    books.settle(dict(zip(keys, ANSWERS, strict=True)))

    assert [books.order(c.order.order_id).status for c in claimed] == [
        *(S.NEW, S.REJECTED, S.QUEUED, S.QUEUED, S.IN_DOUBT)
    ]


@pytest.mark.parametrize("first", ANSWERS[:4], ids=repr)
@pytest.mark.parametrize("late", ANSWERS, ids=repr)
def test_a_late_answer_to_a_closed_attempt_changes_nothing(
    books: Books, first: Answer, late: Answer
) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: first})
    before = books.sql("SELECT * FROM orders"), books.sql("SELECT * FROM attempts")
    books.settle({claimed.broker_order_key: late})

    assert (books.sql("SELECT * FROM orders"), books.sql("SELECT * FROM attempts")) == before


@pytest.mark.parametrize("late", ANSWERS, ids=repr)
def test_a_late_answer_to_the_first_attempt_says_nothing_of_the_second(
    books: Books, late: Answer
) -> None:
    first = books.sending()
    books.settle({first.broker_order_key: NotSent("refused")})
    (second,) = books.claim()
    books.settle({first.broker_order_key: late})

    assert books.order(second.order.order_id) == second.order
    assert books.outcomes(second.order.order_id) == ["not_sent", "open"]


@pytest.mark.parametrize("late", ANSWERS, ids=repr)
def test_a_report_between_the_claim_and_the_answer_decides(books: Books, late: Answer) -> None:
    claimed = books.sending()
    books.report(on(claimed, ExecutionType.TRADE))
    filled = books.order(claimed.order.order_id)
    books.settle({claimed.broker_order_key: late})

    assert filled.status is S.FILLED
    assert books.order(claimed.order.order_id) == filled
    assert books.outcomes(claimed.order.order_id) == ["accepted"]


def test_an_answer_after_doubt_still_ends_it(books: Books) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    books.settle({claimed.broker_order_key: Accepted("N-1")})

    assert books.order(claimed.order.order_id).status is S.NEW


def test_a_second_silence_makes_no_second_doubt(books: Books) -> None:
    claimed = books.sending()
    for _ in range(2):
        books.settle({claimed.broker_order_key: Unknown("timeout")})

    assert books.order(claimed.order.order_id).version == 3


@pytest.mark.parametrize(
    "answer",
    [
        Accepted("N\0-\ud800"),
        Rejected("no\0cash", "\udfff"),
        NotSent("it said \0 and \ud83d"),
        Unknown("\udc80"),
    ],
)
def test_what_cannot_be_written_does_not_stop_the_book(books: Books, answer: Answer) -> None:
    claimed = books.sending()
    books.settle({claimed.broker_order_key: answer})

    assert books.order(claimed.order.order_id).status is not S.SENDING


# --- recovery ---------------------------------------------------------------------------


def test_what_a_dead_process_left_open_is_in_doubt(books: Books) -> None:
    left = books.sending("c-1")
    doubted = books.sending("c-2")
    books.settle({doubted.broker_order_key: Unknown("timeout")})
    books.queued("c-3")

    assert books.run(books.ledger.recover("south", books.epochs["south"])) == 0
    assert books.run(books.ledger.recover("north", books.epochs["north"])) == 1
    assert books.run(books.ledger.recover("north", books.epochs["north"])) == 0
    assert books.order(left.order.order_id).status is S.IN_DOUBT
    found = books.run(books.ledger.in_doubt("north"))
    assert {a.broker_order_key for a in found} == {
        left.broker_order_key,
        doubted.broker_order_key,
    }
    assert OpenAttempt(doubted.broker_order_key, doubted.order.order_id, "north", 5) in found


# --- proof of absence -------------------------------------------------------------------


def doubted(books: Books, client_order_id: str = "c-1") -> Any:
    claimed = books.sending(client_order_id)
    books.settle({claimed.broker_order_key: Unknown("timeout")})
    return claimed


def test_what_was_never_received_may_go_again_under_a_new_key(books: Books) -> None:
    first = doubted(books)

    assert books.absent(first.broker_order_key) == 1
    (second,) = books.claim()
    assert second.order.order_id == first.order.order_id
    assert second.broker_order_key != first.broker_order_key
    assert books.outcomes(first.order.order_id) == ["not_received", "open"]


def test_a_waiting_cancel_wins_over_another_try(books: Books) -> None:
    claimed = doubted(books)
    books.cancel(claimed.order.order_id)
    books.absent(claimed.broker_order_key)

    order = books.order(claimed.order.order_id)
    assert (order.status, order.cancel_origin) == (S.CANCELED, CancelOrigin.CLIENT)
    assert books.claim() == []


def test_only_a_doubt_can_end_as_never_received(books: Books) -> None:
    sending, working = books.sending("c-1"), books.working("c-2")
    keys = [sending.broker_order_key, working.broker_order_key, "no such key"]

    assert books.absent(*keys) == 0
    assert books.outcomes(sending.order.order_id) == ["open"]
    assert books.outcomes(working.order.order_id) == ["accepted"]


def test_absence_is_found_once(books: Books) -> None:
    claimed = doubted(books)

    assert books.absent(claimed.broker_order_key, claimed.broker_order_key) == 1
    assert books.absent(claimed.broker_order_key) == 0
    assert len(books.waiting()) == 1


def test_evidence_first_then_absence_is_too_late(books: Books) -> None:
    claimed = doubted(books)
    books.report(on(claimed, ExecutionType.ORDER_STATUS))

    assert books.absent(claimed.broker_order_key) == 0
    assert books.order(claimed.order.order_id).status is S.NEW


def test_the_first_verdict_stands_even_in_sql(books: Books) -> None:
    claimed = books.working()
    closing = Closing(claimed.broker_order_key, Outcome.NOT_RECEIVED, 9, "somebody")
    books.database.write_now(lambda c: close(c, [closing], 1))

    assert books.outcomes(claimed.order.order_id) == ["accepted"]
