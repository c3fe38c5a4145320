"""What every `AccountBook` keeps, whichever store holds it.

A new implementation adds a house to `HOUSES`: how to open the book as a fresh process would.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from app import codec
from app.accounts.sqlite import SqliteAccountBook
from app.domain.errors import Code, Refused
from app.ports import AccountBook, AccountDocument, AccountSummary
from app.sqlite import Database


class House(Protocol):
    """Where one implementation lives during one test."""

    def open(self) -> AbstractAsyncContextManager[AccountBook]:
        """Open the book as a process that has just started would."""


class SqliteHouse:
    def __init__(self, home: Path) -> None:
        self._path = home / "accounts.db"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AccountBook]:
        database = Database(self._path)
        try:
            yield SqliteAccountBook(database)
        finally:
            database.close()


HOUSES: dict[str, Callable[[Path], House]] = {"sqlite": SqliteHouse}


@pytest.fixture(params=HOUSES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return HOUSES[request.param](tmp_path)


def within(house: House, *lives: Callable[[AccountBook], Awaitable[None]]) -> None:
    """Run each life in a process of its own, on the same book."""

    async def live() -> None:
        for life in lives:
            async with house.open() as book:
                await life(book)

    asyncio.run(live())


def a_document(number: int, version: int = 1, **facts: Any) -> AccountDocument:
    """Return a document; its text holds what a store could take for something of its own."""
    order_id = f"01KK8WF000000000000000{number:04d}"
    text = codec.encode({"order_id": order_id, "text": '$AAPL "한" \u0000', "version": version})
    document = AccountDocument(
        order_id=order_id,
        account_id="acc-1",
        accept_sequence=number,
        version=version,
        status="new",
        symbol="$AAPL",
        filled_quantity="0",
        filled_value="0",
        currency="USD",
        document=text,
    )
    return document._replace(**facts)


async def shown(
    book: AccountBook, account_id: str = "acc-1", *, status: str | None = None
) -> list[bytes]:
    page = await book.page(account_id, status=status, cursor=None, limit=100)
    return page.documents


async def walked(book: AccountBook, limit: int, account_id: str = "acc-1") -> list[bytes]:
    documents, cursor = [], None
    while True:
        page = await book.page(account_id, status=None, cursor=cursor, limit=limit)
        assert len(page.documents) <= limit
        documents += page.documents
        cursor = page.next_cursor
        if cursor is None:
            return documents


def test_a_document_comes_back_byte_for_byte_also_in_another_process(house: House) -> None:
    stored = a_document(1)

    async def first(book: AccountBook) -> None:
        assert await book.upsert([]) == 0
        assert await book.upsert([stored]) == 1

    async def second(book: AccountBook) -> None:
        assert await shown(book) == [stored.document]

    within(house, first, second)


def test_older_news_and_old_news_change_nothing(house: House) -> None:
    current = a_document(1, version=5)

    async def life(book: AccountBook) -> None:
        assert await book.upsert([current]) == 1
        assert await book.upsert([a_document(1, version=4), current, a_document(2)]) == 1
        assert await shown(book) == [a_document(2).document, current.document]
        assert await book.upsert([a_document(1, version=6, status="filled")]) == 1
        assert await shown(book, status="filled") == [a_document(1, version=6).document]

    within(house, life)


def test_the_newest_wins_inside_one_batch_too(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(1, version) for version in (2, 9, 4)])
        assert await shown(book) == [a_document(1, 9).document]

    within(house, life)


def test_pages_show_each_order_once_newest_first(house: House) -> None:
    documents = [a_document(number) for number in range(1, 8)]
    newest_first = [document.document for document in reversed(documents)]

    async def life(book: AccountBook) -> None:
        await book.upsert(documents)
        for limit in (1, 2, 3, 7, 8):
            assert await walked(book, limit) == newest_first
        assert (await book.page("acc-9", status=None, cursor=None, limit=5)).documents == []

    within(house, life)


def test_what_comes_or_moves_between_two_pages_is_neither_doubled_nor_missed(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(number) for number in range(1, 5)])
        first = await book.page("acc-1", status=None, cursor=None, limit=2)
        await book.upsert([a_document(4, version=2), a_document(2, version=2), a_document(5)])
        second = await book.page("acc-1", status=None, cursor=first.next_cursor, limit=2)
        assert first.documents == [a_document(4).document, a_document(3).document]
        assert second.documents == [a_document(2, version=2).document, a_document(1).document]
        assert second.next_cursor is None

    within(house, life)


def test_a_filter_by_status_goes_over_pages(house: House) -> None:
    documents = [
        a_document(number, status="filled" if number % 3 else "new") for number in range(1, 10)
    ]

    async def life(book: AccountBook) -> None:
        await book.upsert(documents)
        first = await book.page("acc-1", status="new", cursor=None, limit=2)
        rest = await book.page("acc-1", status="new", cursor=first.next_cursor, limit=2)
        assert first.documents + rest.documents == [documents[n].document for n in (8, 5, 2)]

    within(house, life)


def test_a_foreign_or_tampered_cursor_is_refused(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(number) for number in range(1, 5)])
        await book.upsert([a_document(n, account_id="acc-2") for n in range(5, 9)])
        cursor = (await book.page("acc-2", status=None, cursor=None, limit=2)).next_cursor
        assert cursor is not None
        flipped = [
            cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
            for at in range(len(cursor))
        ]
        for bad in ("", "7", "é", "0" * 10_000, cursor[:-1], cursor + "A", *flipped):
            with pytest.raises(Refused) as refused:
                await book.page("acc-2", status=None, cursor=bad, limit=2)
            assert refused.value.code is Code.VALIDATION_FAILED
        with pytest.raises(Refused):
            await book.page("acc-1", status=None, cursor=cursor, limit=2)

    within(house, life)


def test_an_account_sees_its_own_only(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(1), a_document(2, account_id="acc-10")])
        assert await shown(book) == [a_document(1).document]
        assert (await book.summary("acc-1")).by_status == {"new": 1}

    within(house, life)


def test_a_summary_counts_by_status_and_adds_exactly(house: House) -> None:
    async def life(book: AccountBook) -> None:
        assert await book.summary("acc-1") == AccountSummary("acc-1", {}, {})
        await book.upsert(
            [
                a_document(1, status="filled", filled_value="0.1"),
                a_document(2, status="filled", filled_value="0.2"),
                a_document(
                    3, status="filled", filled_value="9007199254740993000000000000000.00001"
                ),
                a_document(4, status="filled", filled_value="125000", currency="KRW"),
                a_document(5, status="in_doubt"),
                a_document(6, account_id="acc-2", filled_value="7"),
            ]
        )
        assert await book.summary("acc-1") == AccountSummary(
            "acc-1",
            {"filled": 4, "in_doubt": 1},
            {"KRW": "125000", "USD": "9007199254740993000000000000000.30001"},
        )

    within(house, life)


def test_clear_forgets_everything_and_an_older_version_may_come_again(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(1, version=9)])
        await book.clear()
        assert await shown(book) == []
        assert await book.upsert([a_document(1, version=3)]) == 1

    within(house, life)
