"""What every `AccountBook` keeps, whichever store holds it.

A new implementation adds a house: how to open the book as a fresh process would. The
real one runs on both libraries that speak to it, each test in a database of its own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from app import codec
from app.accounts.cursors import cursor_at
from app.accounts.mongo import Driver, close_client, make_client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.sqlite import SqliteAccountBook
from app.accounts.storable import DOCUMENT_BYTES_MAX
from app.domain.errors import Code, Refused
from app.ports.accounts import AccountBook, AccountDocument, AccountSummary, Unstorable
from app.sqlite import Database
from tests.servers.server import Server, fresh_name


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


class MongoHouse:
    def __init__(self, server: Server, driver: Driver) -> None:
        self._server = server
        self._driver = driver
        self._database = fresh_name("book")

    @asynccontextmanager
    async def open(self) -> AsyncIterator[AccountBook]:
        client = make_client(self._server.url, self._driver)
        try:
            yield await MongoAccountBook.open(client, self._database)
        finally:
            await close_client(client)

    async def leave(self) -> None:
        client = make_client(self._server.url, self._driver)
        await client.drop_database(self._database)
        await close_client(client)


DRIVERS: dict[str, Driver] = {"mongo by motor": "motor", "mongo by pymongo": "pymongo"}


@pytest.fixture(params=["sqlite", *DRIVERS])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    if request.param == "sqlite":
        yield SqliteHouse(tmp_path)
        return
    house = MongoHouse(request.getfixturevalue("mongo"), DRIVERS[request.param])
    yield house
    asyncio.run(house.leave())


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


def test_clear_forgets_what_the_ledger_tells_and_an_older_version_may_come_again(
    house: House,
) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(1, version=9)])
        await book.clear()
        assert await shown(book) == []
        assert await book.upsert([a_document(1, version=3)]) == 1

    within(house, life)


def test_history_stays_until_the_ledger_knows_better(house: House) -> None:
    """What was before the ledger is version 0, and its places are below zero."""
    past = [a_document(n, version=0, accept_sequence=-n) for n in (1, 2, 3)]

    async def life(book: AccountBook) -> None:
        await book.upsert([*past, a_document(4)])
        assert await walked(book, 1) == [d.document for d in (a_document(4), *past)]

        await book.clear()
        assert await shown(book) == [document.document for document in past]
        assert await book.upsert(past) == 0
        assert await book.upsert([a_document(1)]) == 1

    within(house, life)


def test_what_can_never_be_stored_comes_back_by_name_and_the_rest_is_stored(house: House) -> None:
    too_large = a_document(2, document=b'"%s"' % (b"x" * DOCUMENT_BYTES_MAX))

    async def life(book: AccountBook) -> None:
        with pytest.raises(Unstorable) as unstorable:
            await book.upsert([a_document(1), too_large, a_document(3)])
        assert list(unstorable.value.causes) == [too_large.order_id]
        assert "15728642 bytes" in unstorable.value.causes[too_large.order_id]
        assert unstorable.value.stored == 2
        assert await shown(book) == [a_document(3).document, a_document(1).document]

    within(house, life)


def test_what_just_fits_comes_back(house: House) -> None:
    largest = a_document(1, document=b'"%s"' % (b"x" * (DOCUMENT_BYTES_MAX - 2)))

    async def life(book: AccountBook) -> None:
        assert await book.upsert([largest]) == 1
        assert await shown(book) == [largest.document]

    within(house, life)


def test_a_cursor_leads_to_the_same_place_in_every_book(house: House) -> None:
    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(number) for number in range(1, 5)])
        page = await book.page("acc-1", status=None, cursor=None, limit=2)
        assert page.next_cursor == cursor_at(3, "acc-1")

    within(house, life)


def test_any_bytes_come_back(house: House) -> None:
    """A book keeps what it is given, though it be no JSON at all."""
    odd = [b"", b"\xff\x00", b"null", b'{"b":1,"a":2}', b'{"a": 1}', b"[" * 2_000]

    async def life(book: AccountBook) -> None:
        await book.upsert([a_document(n, document=raw) for n, raw in enumerate(odd)])
        assert await shown(book) == odd[::-1]

    within(house, life)
