"""Taken once, whoever asks again; edited and canceled only as long as nobody can have it."""

import asyncio
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import Code, Refused
from app.domain.query import OrderQuery
from app.domain.records import Conflict, Taken
from app.domain.values import Status
from tests.builders import NOW, a_taking
from tests.ledger.books import Books

# What a client may send, and a door may let through: quotes, controls, every plane of Unicode.
WORDS: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def refused(code: Code) -> Any:
    return pytest.raises(Refused, match=f"^{code.code}:")


def test_an_order_is_read_back_as_it_was_taken(books: Books) -> None:
    order = books.queued()

    assert books.order(order.order_id) == order
    assert (order.version, order.status, order.released_at) == (1, Status.QUEUED, NOW)
    assert books.reserved("c-2").released_at is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text=WORDS, account=WORDS, symbol=WORDS, key=WORDS)
def test_any_text_is_read_back_as_it_was_taken(
    books: Books, text: str, account: str, symbol: str, key: str
) -> None:
    facts: dict[str, Any] = {"text": text, "account_id": account, "symbol": symbol, "list_id": text}
    (result,) = books.take(a_taking(key, **facts))
    found = books.run(books.ledger.by_client_order_id(account, key))

    assert found is not None
    if isinstance(result, Conflict):  # the same key was drawn before
        assert result.existing_order_id == found.order_id
    else:
        assert found == result.order


@pytest.mark.parametrize(
    "number",
    [
        "0.000000000001",
        "123456789012345678901234567890",
        "0.123456789012345678901234567890",
        "1E+20",
        "10.00",
        "9007199254740993",  # the first whole number that a float cannot hold
    ],
)
def test_a_number_is_kept_to_its_last_digit(books: Books, number: str) -> None:
    order = books.queued(quantity=Decimal(number), limit_price=Decimal(number))
    kept = books.order(order.order_id)

    assert kept.quantity.as_tuple() == Decimal(number).as_tuple()
    assert kept == order


def test_twins_in_one_batch_are_one_order(books: Books) -> None:
    first, second, other = books.take(a_taking("c-1"), a_taking("c-1"), a_taking("c-2"))

    assert isinstance(first, Taken)
    assert first.created
    assert second == Taken(first.order, created=False)
    assert isinstance(other, Taken)
    assert other.order.accept_sequence == 2


def test_twins_that_differ_in_one_batch_are_a_conflict(books: Books) -> None:
    first, second = books.take(a_taking("c-1"), a_taking("c-1", quantity=Decimal(11)))

    assert isinstance(first, Taken)
    assert second == Conflict(first.order.order_id, Status.QUEUED)
    assert len(books.waiting()) == 1


def test_twins_in_two_takes_at_once_are_one_order(books: Books) -> None:
    async def both() -> list[Any]:
        takes = [books.ledger.take([a_taking("c-1"), a_taking(f"c-{n}")]) for n in (2, 3)]
        return await asyncio.gather(*takes)

    (one, two), (again, three) = books.run(both())

    assert (one.created, again.created) == (True, False)
    assert [two.order.accept_sequence, three.order.accept_sequence] == [2, 3]


def test_a_replay_shows_the_order_as_it_stands_now(books: Books) -> None:
    claimed = books.working()
    (again,) = books.take(a_taking())

    assert again == Taken(books.order(claimed.order.order_id), created=False)
    assert again.order.status is Status.NEW


def test_a_conflict_shows_the_first_order_as_it_stands_now(books: Books) -> None:
    order = books.queued()
    books.cancel(order.order_id)
    (again,) = books.take(a_taking(symbol="MSFT"))

    assert again == Conflict(order.order_id, Status.CANCELED)


def test_an_id_belongs_to_its_account(books: Books) -> None:
    mine, yours = books.take(a_taking("c-1"), a_taking("c-1", account_id="bob"))

    assert isinstance(mine, Taken)
    assert isinstance(yours, Taken)
    assert yours.created
    assert books.run(books.ledger.by_client_order_id("eve", "c-1")) is None


def test_what_would_be_answered_can_be_asked_first(books: Books) -> None:
    entry, other = a_taking(), a_taking(quantity=Decimal(11))
    ask = books.ledger.standing
    assert books.run(ask("ann", "c-1", entry.request_hash)) is None
    order = books.queued()

    assert books.run(ask("ann", "c-1", entry.request_hash)) == Taken(order, created=False)
    assert books.run(ask("ann", "c-1", other.request_hash)) == Conflict(
        order.order_id, order.status
    )


def test_places_are_given_in_the_order_of_the_batch_and_never_twice(books: Books) -> None:
    results = books.take(*(a_taking(f"c-{n}") for n in range(50)))
    later = books.queued("c-99")

    places = [r.order.accept_sequence for r in results if isinstance(r, Taken)]
    assert [*places, later.accept_sequence] == list(range(1, 52))


def test_thousands_of_ids_are_found_in_one_step(books: Books) -> None:
    results = books.take(*(a_taking(f"c-{n}") for n in range(3_000)))
    again = books.take(*(a_taking(f"c-{n}") for n in range(3_000)))

    assert [r.order for r in again if isinstance(r, Taken) and not r.created] == [
        r.order for r in results if isinstance(r, Taken)
    ]


def test_a_page_is_the_accounts_own_newest_first(books: Books) -> None:
    for n in range(5):
        books.queued(f"c-{n}", symbol="AAPL" if n % 2 else "MSFT")
    books.queued("c-9", account_id="bob")
    query = _query("ann", limit=3)
    first = books.run(books.ledger.page(query))
    rest = books.run(books.ledger.page(query._replace(before=first[-1].accept_sequence)))
    apples = books.run(books.ledger.page(_query("ann", symbol="AAPL", status=Status.QUEUED)))

    assert [o.client_order_id for o in [*first, *rest]] == ["c-4", "c-3", "c-2", "c-1", "c-0"]
    assert [o.client_order_id for o in apples] == ["c-3", "c-1"]
    assert books.run(books.ledger.page(query._replace(before=0))) == []


def _query(account_id: str, **facts: Any) -> OrderQuery:
    return OrderQuery(account_id, **facts)


# --- edit -------------------------------------------------------------------------------


def test_an_edit_keeps_the_place(books: Books) -> None:
    order = books.queued()
    before = books.sql("SELECT * FROM dispatch_ready")
    after = books.run(books.ledger.amend(order.order_id, 1, Decimal(7), Decimal(180)))

    assert (after.version, after.quantity) == (2, Decimal(7))
    assert after.limit_price == 180
    assert books.order(order.order_id) == after
    assert books.sql("SELECT * FROM dispatch_ready") == before


def test_an_edit_names_the_version_that_it_saw(books: Books) -> None:
    order = books.queued()
    books.run(books.ledger.amend(order.order_id, 1, Decimal(7), None))
    with refused(Code.STALE_VERSION):
        books.run(books.ledger.amend(order.order_id, 1, Decimal(8), None))

    assert books.order(order.order_id).quantity == 7


def test_what_may_have_left_is_not_edited(books: Books) -> None:
    order = books.sending().order
    with refused(Code.ORDER_NOT_EDITABLE):
        books.run(books.ledger.amend(order.order_id, order.version, Decimal(7), None))


def test_what_has_ended_is_not_edited(books: Books) -> None:
    order = books.cancel(books.queued().order_id)
    with refused(Code.ORDER_TERMINAL):
        books.run(books.ledger.amend(order.order_id, order.version, Decimal(7), None))
