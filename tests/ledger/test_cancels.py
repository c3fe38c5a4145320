"""A cancel wins at once where nobody can have the order; anywhere else evidence decides."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import Accepted, ExecutionType, NotSent
from app.domain.order import TERMINAL
from app.domain.records import Fence
from app.domain.values import CancelOrigin, PendingRequest, Status
from tests.builders import SESSION
from tests.ledger.books import Books, on, sendable


def refused(code: Code) -> Any:
    return pytest.raises(Refused, match=f"^{code.code}:")


@pytest.mark.parametrize("reserved", [True, False])
def test_what_never_left_is_canceled_at_once_and_leaves_its_queue(
    books: Books, *, reserved: bool
) -> None:
    order = books.queued(reserved=reserved)
    after = books.cancel(order.order_id)

    assert (after.status, after.cancel_origin) == (Status.CANCELED, CancelOrigin.CLIENT)
    assert books.claim() == []
    assert books.run(books.ledger.release(SESSION.trading_session_id, 10, sendable)) == (0, 0)


def test_an_order_without_a_route_can_leave_its_queue_too(books: Books) -> None:
    """It once stayed there, canceled, until the end of the session met it and stopped."""
    order = books.queued(route_id="nowhere")
    books.cancel(order.order_id)

    assert books.waiting() == []
    assert books.run(books.ledger.expire(SESSION.trading_session_id, 10)) == 0


def test_one_cancel_takes_one_order_out_of_a_full_queue(books: Books) -> None:
    orders = [books.queued(f"c-{n}", route_id=f"R-{n % 3}") for n in range(9)]
    books.cancel(orders[4].order_id)

    left = books.sql("SELECT accept_sequence FROM dispatch_ready ORDER BY 1")
    assert [n for (n,) in left] == [1, 2, 3, 4, 6, 7, 8, 9]


def test_a_cancel_of_what_may_be_out_is_a_wish(books: Books) -> None:
    order = books.sending().order
    asked = books.cancel(order.order_id)
    again = books.cancel(order.order_id)

    assert (asked.status, asked.pending_request) == (Status.SENDING, PendingRequest.CANCEL)
    assert again == asked
    assert [e.type for e in books.run(books.ledger.events(order.order_id))] == [
        "order.queued",
        "order.sending",
        "order.pending_request",
    ]


def test_a_fill_under_a_waiting_cancel_is_called_a_fill(books: Books) -> None:
    claimed = books.working()
    books.cancel(claimed.order.order_id)
    books.report(on(claimed, ExecutionType.TRADE, "e-1", last_quantity=Decimal(4)))
    books.report(on(claimed, ExecutionType.TRADE, "e-2", last_quantity=Decimal(4)))

    types = [e.type for e in books.run(books.ledger.events(claimed.order.order_id))]
    assert types[-3:] == [
        "order.pending_request",
        "order.partially_filled",
        "order.partially_filled",
    ]


def test_a_cancel_may_name_the_version_that_it_saw(books: Books) -> None:
    order = books.sending().order
    with refused(Code.STALE_VERSION):
        books.cancel(order.order_id, version=1)

    assert books.cancel(order.order_id, version=2).version == 3


def test_what_has_ended_cannot_be_canceled(books: Books) -> None:
    order = books.cancel(books.queued().order_id)
    with refused(Code.ORDER_TERMINAL):
        books.cancel(order.order_id)


def test_nobody_knows_an_unknown_order(books: Books) -> None:
    with refused(Code.NOT_FOUND):
        books.cancel("no such order")
    with refused(Code.NOT_FOUND):
        books.run(books.ledger.amend("no such order", 1, Decimal(1), None))

    assert books.run(books.ledger.get("no such order")) is None


@pytest.mark.parametrize("seed", range(12))
def test_a_cancel_and_a_claim_at_once_have_one_winner(books: Books, seed: int) -> None:
    """Canceled, and no broker ever sees it; or claimed, and the cancel is a wish."""
    order = books.queued()
    fence: Fence = books.fence()

    async def race() -> tuple[list[Any], Any]:
        works = [
            books.ledger.claim(fence, 10, sendable),
            books.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT),
        ]
        if seed % 2:
            canceled, claimed = await asyncio.gather(*reversed(works))
        else:
            claimed, canceled = await asyncio.gather(*works)
        return claimed, canceled

    claimed, canceled = books.run(race())
    attempts = books.outcomes(order.order_id)

    if canceled.status is Status.CANCELED:
        assert (claimed, attempts) == ([], [])
    else:
        assert canceled.pending_request is PendingRequest.CANCEL
        assert (len(claimed), attempts) == (1, ["open"])


def test_a_canceled_order_that_was_not_sent_is_canceled_and_never_queued(books: Books) -> None:
    claimed = books.sending()
    books.cancel(claimed.order.order_id)
    books.settle({claimed.broker_order_key: NotSent("no route to host")})

    assert books.order(claimed.order.order_id).status is Status.CANCELED
    assert books.waiting() == []


def test_a_canceled_order_that_was_accepted_waits_for_the_cancel_lane(books: Books) -> None:
    claimed = books.sending()
    books.cancel(claimed.order.order_id)
    books.settle({claimed.broker_order_key: Accepted("N-7")})
    (pending,) = books.run(books.ledger.pending_cancels("north", 10)).cancels

    assert pending == (claimed.order.order_id, claimed.broker_order_key, "N-7", None)
    assert books.run(books.ledger.pending_cancels("south", 10)).cancels == []


def test_what_waits_is_read_in_pages_and_every_wish_stands_in_one(books: Books) -> None:
    claimed = [books.working(f"c-{n}") for n in range(5)]
    for each in claimed:
        books.cancel(each.order.order_id)
    found: list[str] = []
    after, pages = "", 0
    while pages == 0 or after:
        cancels, after = books.run(books.ledger.pending_cancels("north", 2, after))
        found += [pending.order_id for pending in cancels]
        pages += 1

    assert found == sorted(each.order.order_id for each in claimed)
    assert pages == 3
    # The wishes of another broker's orders fill a page and are none of it.
    assert books.run(books.ledger.pending_cancels("south", 2)) == ([], found[1])


def test_a_refused_cancel_is_forgotten(books: Books) -> None:
    claimed, ended = books.working("c-1"), books.working("c-2")
    for each in (claimed, ended):
        books.cancel(each.order.order_id)
    books.report(on(ended, ExecutionType.CANCELED))
    ids = [claimed.order.order_id, ended.order.order_id]
    books.run(books.ledger.refuse_cancel(ids))

    assert books.order(ids[0]).pending_request is PendingRequest.NONE
    assert books.order(ids[1]).status in TERMINAL
    assert books.run(books.ledger.pending_cancels("north", 10)).cancels == []
