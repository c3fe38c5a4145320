"""What is published is what is stored, in the words that the world reads."""

import json
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from app import codec
from app.accounts.fold import fold
from app.domain import order as law
from app.domain.messages import Accepted, ExecutionType
from app.domain.values import rfc3339
from app.ledger import rows
from tests.builders import a_taking
from tests.ledger.books import Books, on


def payloads(books: Books) -> list[dict[str, Any]]:
    found = books.sql("SELECT payload FROM outbox WHERE aggregatetype = 'orders' ORDER BY id")
    return [json.loads(payload) for (payload,) in found]


def test_an_event_carries_the_whole_order(books: Books) -> None:
    order = books.queued(text='it\'s "q" \\ \N{PILE OF POO}\n', list_id="l-1")
    (payload,) = payloads(books)

    expected = codec.decode(codec.encode(order._asdict()))
    for name in ("accepted_at", "released_at", "updated_at"):
        expected[name] = rfc3339(expected[name])
    assert payload == expected
    assert list(payload) == list(order._fields)


def test_a_flag_is_a_flag_and_what_is_absent_is_null(books: Books) -> None:
    claimed = books.working()
    books.report(on(claimed, ExecutionType.DONE_FOR_DAY))
    first, *_, last = payloads(books)

    assert (first["done_for_day"], last["done_for_day"]) == (False, True)
    assert first["average_price"] is None
    assert books.order(claimed.order.order_id).done_for_day is True


def test_a_reserved_order_has_no_time_of_release(books: Books) -> None:
    books.reserved()

    assert payloads(books)[0]["released_at"] is None


def test_sql_and_python_write_an_instant_alike(books: Books) -> None:
    chance = random.Random(7)
    for n in range(200):
        books.clock.at = chance.randrange(0, 253_402_300_799_999)
        books.queued(f"c-{n}")

        assert payloads(books)[-1]["accepted_at"] == rfc3339(books.clock.at)


def test_an_unchanged_view_is_rebuilt_from_the_same_bytes(books: Books) -> None:
    """The last event of an order, and the order as a rebuild reads it, fold alike."""
    books.take(*(a_taking(f"c-{n}", account_id=f"A-{n % 2}") for n in range(5)))
    claimed = books.claim()
    books.settle({c.broker_order_key: Accepted(f"N-{n}") for n, c in enumerate(claimed)})
    books.report(*(on(c, ExecutionType.TRADE, f"e-{n}") for n, c in enumerate(claimed[:2])))

    async def listed(found: AsyncIterator[list[bytes]]) -> list[list[bytes]]:
        return [page async for page in found]

    pages = books.run(listed(books.ledger.payloads(limit=2)))
    rebuilt = {d.order_id: d for page in pages for d in map(fold, page)}
    streamed = {}
    for (payload,) in books.sql(
        "SELECT payload FROM outbox WHERE aggregatetype = 'orders' ORDER BY id"
    ):
        document = fold(payload.encode())
        streamed[document.order_id] = document

    assert [len(page) for page in pages] == [2, 2, 1]
    assert rebuilt == streamed
    assert sum(d.filled_quantity == "10" for d in rebuilt.values()) == 2


def test_amounts_of_thirty_digits_survive_the_way_through_sql(books: Books) -> None:
    claimed = books.working(quantity=Decimal("999999999999999999.5"))
    quantity, price = Decimal("0.123456789012345678"), Decimal("123456789012345678.000000000001")
    books.report(on(claimed, ExecutionType.TRADE, last_quantity=quantity, last_price=price))

    order = books.order(claimed.order.order_id)
    assert order.filled_quantity == quantity
    exact = 123456789012345678 * 123456789012345678000000000001
    assert order.filled_value.as_tuple().digits == Decimal(exact).as_tuple().digits


def test_a_move_of_an_order_that_is_no_longer_as_it_was_read_is_a_bug(books: Books) -> None:
    """Every change is compare-and-set; nothing of the batch is kept."""
    stale, other = books.queued("c-1"), books.queued("c-2")
    books.cancel(stale.order_id)
    moves = [
        rows.Move(order, [law.held(order, order.updated_at)], "test") for order in (stale, other)
    ]
    with pytest.raises(AssertionError, match="expected to move 2 orders, moved 1"):
        books.database.write_now(lambda c: rows.write(c, moves, "test"))

    assert books.order(other.order_id) == other


def test_a_version_is_not_skipped(books: Books) -> None:
    order = books.queued()
    skipped = [law.held(order, order.updated_at)._replace(version=3)]
    with pytest.raises(AssertionError):
        books.database.write_now(lambda c: rows.write(c, [rows.Move(order, skipped, "t")], "t"))
