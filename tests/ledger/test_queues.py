"""What the bell queues, and what the end of a session ends."""

from typing import Any, Final

from app.domain.errors import Code
from app.domain.records import Claimed
from app.domain.values import Status
from tests.builders import SESSION, TODAY, a_taking
from tests.ledger.books import Books, sendable

ID: Final = SESSION.trading_session_id
OTHER_SESSION: Final = SESSION._replace(trading_session_id="XNAS-2026-03-03-REG")


def release(books: Books, limit: int = 100) -> tuple[int, int]:
    return books.run(books.ledger.release(ID, limit, sendable))


def expire(books: Books, limit: int = 100) -> int:
    return books.run(books.ledger.expire(ID, limit))


def names(claims: list[Claimed]) -> list[str]:
    return [claim.order.client_order_id for claim in claims]


def take_many(books: Books, account_id: str, count: int, **facts: Any) -> None:
    books.take(
        *(a_taking(f"{account_id}-{n}", account_id=account_id, **facts) for n in range(count))
    )


def test_what_is_reserved_is_released_fairly_too(books: Books) -> None:
    take_many(books, "whale", 50, reserved=True)
    take_many(books, "ann", 2, reserved=True)
    while any(release(books, 20)):
        pass

    assert names(books.claim(5)) == ["whale-0", "ann-0", "whale-1", "ann-1", "whale-2"]


def test_the_bell_queues_what_was_reserved(books: Books) -> None:
    order = books.reserved()
    books.reserved("c-2", session=OTHER_SESSION)
    assert books.claim() == []

    assert release(books) == (1, 0)
    after = books.order(order.order_id)
    assert (after.status, after.released_at) == (Status.QUEUED, books.clock.at)
    assert release(books) == (0, 0)


def test_a_release_is_bounded_and_goes_on_where_it_stopped(books: Books) -> None:
    take_many(books, "ann", 7, reserved=True)

    assert [release(books, 3) for _ in range(4)] == [(3, 0), (3, 0), (1, 0), (0, 0)]


def test_what_breaks_a_limit_at_the_bell_is_denied(books: Books) -> None:
    order = books.reserved()
    done = books.run(books.ledger.release(ID, 10, lambda _: Code.UNKNOWN_SYMBOL))

    assert done == (0, 1)
    assert books.order(order.order_id).status is Status.DENIED
    assert books.order(order.order_id).reason_code == "unknown-symbol"


def test_the_end_of_a_session_ends_what_never_left(books: Books) -> None:
    books.working("c-1")
    reserved = books.reserved("c-2")
    books.queued("c-3")
    other = books.queued("c-4", session=OTHER_SESSION)

    assert expire(books) == 2
    assert expire(books) == 0
    by_status = books.run(books.ledger.by_status(ID, TODAY))
    assert by_status == {"expired": 2, "new": 1}
    assert books.order(reserved.order_id).reason_code == "session-over"
    assert books.order(other.order_id).status is Status.QUEUED


def test_an_end_is_bounded_and_goes_on_where_it_stopped(books: Books) -> None:
    take_many(books, "ann", 5)
    take_many(books, "bob", 5, reserved=True)

    assert [expire(books, 3) for _ in range(3)] == [6, 4, 0]


def test_a_session_waits_as_long_as_somebody_waits_for_it(books: Books) -> None:
    assert books.run(books.ledger.waiting_sessions()) == []
    books.reserved("c-1")
    books.queued("c-2", session=OTHER_SESSION)

    both = [ID, OTHER_SESSION.trading_session_id]
    assert books.run(books.ledger.waiting_sessions()) == both
    expire(books)
    assert books.run(books.ledger.waiting_sessions()) == both[1:]


def test_the_backlog_is_counted(books: Books) -> None:
    books.reserved("c-1")
    books.sending("c-2")
    books.queued("c-3")

    backlog = books.run(books.ledger.backlog())

    assert (backlog.reserved, backlog.ready, backlog.in_doubt) == ({ID: 1}, {"XNAS": 1}, {})
    assert backlog.outbox == 4
