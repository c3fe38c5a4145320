"""A batch twice as large costs twice as much: the steps of SQLite's own machine, counted.

A join that reads the batch once a row is invisible in a test of three orders and a standstill at
the bell. Steps do not depend on how busy the machine is, so they may be asserted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from app.domain.messages import Accepted, ExecutionType, Unknown
from tests.builders import SESSION, a_report, a_taking
from tests.ledger.books import Books, sendable
from tests.virtual import Virtual

SMALL = 60
LARGE = 4 * SMALL
# What a batch costs once, whatever its size, is most of a small one; a join in squares is 4.0.
WORSE_MAX = 1.5


class Costs(NamedTuple):
    """Steps of SQLite's machine an order, by what was done."""

    take: float
    reserve: float
    release: float
    claim: float
    settle: float
    fill: float
    doubt: float
    absent: float


def steps(books: Books, work: Callable[[], Any]) -> tuple[int, Any]:
    counted = 0

    def tick() -> int:
        nonlocal counted
        counted += 1
        return 0

    def watch(handler: Callable[[], int] | None) -> None:
        books.database.write_now(
            lambda c: c.connection.driver_connection.set_progress_handler(handler, 1)  # type: ignore[union-attr]
        )

    watch(tick)
    try:
        result = work()
    finally:
        watch(None)
    return counted, result


def costs(virtual: Virtual, size: int) -> Costs:
    """Lead so many orders, each of an account of its own, through the ledger in batches."""
    books = Books(virtual)
    session = SESSION.trading_session_id
    found: dict[str, float] = {}

    def cost(name: str, work: Callable[[], Any]) -> Any:
        counted, result = steps(books, work)
        found[name] = counted / size
        return result

    queued = [a_taking(f"q-{n}", account_id=f"a-{n}") for n in range(size)]
    reserved = [a_taking(f"r-{n}", account_id=f"b-{n}", reserved=True) for n in range(size)]
    cost("take", lambda: books.take(*queued))
    cost("reserve", lambda: books.take(*reserved))
    released, _ = cost("release", lambda: books.run(books.ledger.release(session, size, sendable)))
    assert released == size
    claimed = cost("claim", lambda: books.claim(size))
    assert len(claimed) == size
    answers = {c.broker_order_key: Accepted(f"N-{n}") for n, c in enumerate(claimed)}
    cost("settle", lambda: books.settle(answers))
    fills = [
        a_report(ExecutionType.TRADE, f"e-{n}", broker_order_key=c.broker_order_key)
        for n, c in enumerate(claimed)
    ]
    applied = cost("fill", lambda: books.report(*fills))
    assert applied.applied == size
    keys = [c.broker_order_key for c in books.claim(size)]
    cost("doubt", lambda: books.settle(dict.fromkeys(keys, Unknown("silence"))))
    assert cost("absent", lambda: books.absent(*keys)) == size
    return Costs(**found)


def test_an_order_of_a_large_batch_costs_no_more(virtual: Virtual) -> None:
    small, large = costs(virtual, SMALL), costs(virtual, LARGE)

    grown = zip(Costs._fields, small, large, strict=True)
    assert [row for row in grown if row[2] >= WORSE_MAX * row[1]] == []
