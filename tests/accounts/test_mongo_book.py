"""The MongoDB book on the wire: what its server does to it, and what it must not do to orders.

The port's contract is held in `tests/contracts/test_account_book.py`; here are the faults. Each
runs on both libraries, for they fail in ways of their own.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, get_args

import pymongo
import pytest

from app.accounts.bson_document import pack
from app.accounts.fold import fold
from app.accounts.mongo import Driver, close_client, make_client
from app.accounts.mongo_book import MongoAccountBook, _guarded
from app.accounts.mongo_faults import REFUSALS_MAX
from app.accounts.mongo_shape import COLLECTION
from app.accounts.projector import GROUP, Projector, differences, rebuild
from app.bus.log import LogBus
from app.clock import SystemClock
from app.domain.order import Order
from app.domain.values import Status
from app.ending import ended
from app.ports.accounts import AccountDocument, Unstorable
from app.ports.away import StoreAway
from app.sqlite import Database
from tests.accounts.orders import TOPIC, an_order, event, payload
from tests.eventually import eventually
from tests.servers.server import Server, fresh_name

# Short waits, so that an outage of two seconds is one.
# A library that was told to look again looks after half a second.
# A busy stand-in may need a second for a heartbeat, and each that fails ends what is under way.
QUICK = "serverSelectionTimeoutMS=2500&connectTimeoutMS=2000&heartbeatFrequencyMS=500"
IMPATIENT = f"{QUICK}&socketTimeoutMS=500"  # too short for a bulk, long enough for a few documents


class Place:
    """A database of its own on the session's server, and both ways to it."""

    def __init__(self, server: Server, driver: Driver) -> None:
        self.server = server
        self.driver: Driver = driver
        self.database = fresh_name("book")

    @asynccontextmanager
    async def book(self, waits: str) -> AsyncIterator[MongoAccountBook]:
        joint = "&" if "?" in self.server.url else "/?"
        client = make_client(f"{self.server.url}{joint}{waits}", self.driver)
        try:
            yield await MongoAccountBook.open(client, self.database)
        finally:
            await close_client(client)

    @contextmanager
    def beside(self) -> Iterator[pymongo.MongoClient[dict[str, Any]]]:
        """Reach the server past the book, as an operator with a shell would."""
        with pymongo.MongoClient[dict[str, Any]](self.server.url, tz_aware=True) as client:
            yield client

    @contextmanager
    def orders(self) -> Iterator[Any]:
        with self.beside() as client:
            yield client[self.database][COLLECTION]

    @contextmanager
    def failing(self, mode: Any, **how: Any) -> Iterator[None]:
        """Let writes fail as told, `mode` times."""
        self.server.needs("failpoints")
        with self.beside() as client:
            name = {"configureFailPoint": "failCommand"}
            data = {"failCommands": ["update"], **how}
            client.admin.command({**name, "mode": mode, "data": data})
            try:
                yield
            finally:
                client.admin.command({**name, "mode": "off"})

    def run(self, life: Callable[[MongoAccountBook], Awaitable[None]], waits: str = QUICK) -> None:
        async def alive() -> None:
            async with self.book(waits) as book:
                await life(book)

        asyncio.run(alive())


@pytest.fixture(params=get_args(Driver))
def place(request: pytest.FixtureRequest, mongo: Server) -> Iterator[Place]:
    place = Place(mongo, request.param)
    yield place
    mongo.start()
    with place.beside() as client:
        client.drop_database(place.database)


def documents(*orders: Order) -> list[AccountDocument]:
    return [fold(payload(order)) for order in orders]


async def shown(book: MongoAccountBook, account_id: str = "acc-1") -> list[bytes]:
    page = await book.page(account_id, status=None, cursor=None, limit=500)
    return page.documents


async def ledger(orders: Sequence[Order]) -> AsyncIterator[list[bytes]]:
    for start in range(0, len(orders), 1_000):
        yield [payload(order) for order in orders[start : start + 1_000]]


def test_shuffled_and_doubled_events_converge_without_one_duplicate_key(place: Place) -> None:
    orders = [
        an_order(number, version=version, status=list(Status)[version])
        for number in range(1, 61)
        for version in range(1, 6)
    ]
    told = documents(*orders, *orders)
    random.Random(7).shuffle(told)

    async def life(book: MongoAccountBook) -> None:
        refused: list[Any] = []
        for start in range(0, len(told), 100):
            batch = [_guarded(pack(document)) for document in told[start : start + 100]]
            _, some = await book._write(batch)
            refused += some.values()
        assert refused == []
        newest = [order for order in orders if order.version == 5]
        assert await differences(ledger(newest), book) == []

    place.run(life)


def test_two_projectors_at_once_converge(place: Place) -> None:
    orders = [an_order(n, version=v) for n in range(1, 201) for v in (1, 2)]
    first, second = documents(*orders), documents(*reversed(orders))

    async def life(book: MongoAccountBook) -> None:
        async with place.book(QUICK) as other:
            stored = await asyncio.gather(book.upsert(first), other.upsert(second))
            assert sum(stored) == 200
            assert await differences(ledger(orders[1::2]), book) == []

    place.run(life)


def test_who_lost_a_race_for_an_id_tries_once_more(place: Place) -> None:
    class Unlucky(MongoAccountBook):
        writes = 0

        async def _write(self, operations: list[Any]) -> tuple[int, dict[int, str]]:
            self.writes += 1
            if self.writes > 1:
                return await super()._write(operations)
            stored, _ = await super()._write(operations[1:])
            return stored, {0: "E11000 duplicate key"}

    async def life() -> None:
        client = make_client(place.server.url, place.driver)
        book = await Unlucky.open(client, place.database)
        assert await book.upsert(documents(*(an_order(number) for number in (1, 2, 3)))) == 3
        assert (len(await shown(book)), book.writes) == (3, 2)
        await close_client(client)

    asyncio.run(life())


def test_a_clients_text_is_never_read_as_a_field(place: Place) -> None:
    order = an_order(1, symbol="$status", text="$$ROOT", account_id="$account_id")

    async def life(book: MongoAccountBook) -> None:
        for version in (1, 2):
            await book.upsert(documents(order._replace(version=version)))
        (only,) = await shown(book, "$account_id")
        assert only == fold(payload(order._replace(version=2))).document

    place.run(life)
    with place.orders() as orders:
        assert (orders.find_one()["symbol"], orders.find_one()["text"]) == ("$status", "$$ROOT")


def test_a_document_that_the_server_refuses_comes_back_and_the_rest_is_stored(
    place: Place,
) -> None:
    refused = an_order(2, status=Status.FILLED)

    async def life(book: MongoAccountBook) -> None:
        with place.beside() as client:
            rule = {"status": {"$ne": "filled"}}
            client[place.database].command({"collMod": COLLECTION, "validator": rule})
        with pytest.raises(Unstorable, match="code 121") as unstorable:
            await book.upsert(documents(an_order(1), refused, an_order(3)))
        assert list(unstorable.value.causes) == [refused.order_id]
        assert unstorable.value.stored == 2
        assert len(await shown(book)) == 2

    place.run(life)


def test_an_order_that_moved_to_another_account_is_refused_and_named(place: Place) -> None:
    moved = an_order(1, account_id="acc-2", version=2)

    async def life(book: MongoAccountBook) -> None:
        await book.upsert(documents(an_order(1)))
        with pytest.raises(Unstorable, match="code 11000"):
            await book.upsert(documents(moved))

    if "sharded" in place.server.capabilities:
        pytest.skip("on a cluster ids are unique on their shard only")
    place.run(life)


def test_a_store_that_refuses_everything_is_away_and_empties_no_topic(place: Place) -> None:
    async def life(book: MongoAccountBook) -> None:
        with place.beside() as client:
            rule = {"desk": {"$exists": True}}
            client[place.database].command({"collMod": COLLECTION, "validator": rule})
        many = documents(*(an_order(number) for number in range(1, REFUSALS_MAX + 1)))
        with pytest.raises(StoreAway, match="refuses each of 100 documents"):
            await book.upsert(many)
        with pytest.raises(Unstorable):
            await book.upsert(many[1:])

    place.run(life)


# 91 ShutdownInProgress, 112 WriteConflict, 14031 OutOfDiskSpace: for both of the two tries.
@pytest.mark.parametrize(
    "how",
    [
        {"errorCode": 91, "errorLabels": ["RetryableWriteError"]},
        {"errorCode": 112},
        {"errorCode": 14031},
        {"closeConnection": True},
        {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
        {"blockConnection": True, "blockTimeMS": 1_000},
    ],
    ids=lambda how: next(iter(how.values())),
)
def test_a_write_that_failed_may_be_made_again(place: Place, how: dict[str, Any]) -> None:
    told = documents(an_order(1), an_order(2))

    async def life(book: MongoAccountBook) -> None:
        with place.failing({"times": 2}, **how), pytest.raises(StoreAway, match="MongoDB"):
            await book.upsert(told)
        await book.upsert(told)
        assert await shown(book) == [told[1].document, told[0].document]

    place.run(life, IMPATIENT)


def test_one_lost_connection_is_retried_by_the_library(place: Place) -> None:
    async def life(book: MongoAccountBook) -> None:
        with place.failing({"times": 1}, closeConnection=True):
            assert await book.upsert(documents(an_order(1))) == 1

    place.run(life)


def test_nobody_at_the_address_is_a_clear_error_in_time(place: Place) -> None:
    async def life() -> None:
        client = make_client(f"mongodb://127.0.0.1:9/?{QUICK}", place.driver)
        try:
            async with asyncio.timeout(15):
                await MongoAccountBook.open(client, place.database)
        finally:
            await close_client(client)

    with pytest.raises(StoreAway, match=r"MongoDB is away: 127\.0\.0\.1:9: .*111.*") as away:
        asyncio.run(life())
    assert "Topology" not in str(away.value)


def test_a_server_that_hangs_is_away_in_time_and_back_when_it_thaws(place: Place) -> None:
    place.server.needs("freeze")
    told = documents(an_order(1))

    async def life(book: MongoAccountBook) -> None:
        with place.server.freeze():
            async with asyncio.timeout(25):
                with pytest.raises(StoreAway):
                    await book.upsert(told)
                with pytest.raises(StoreAway):
                    await shown(book)
                with pytest.raises(StoreAway):
                    async with place.book(IMPATIENT):
                        pass
        await book.upsert(told)
        assert await shown(book) == [told[0].document]

    place.run(life, IMPATIENT)


def test_a_server_killed_in_a_bulk_is_waited_for_and_nothing_is_missing(place: Place) -> None:
    """The view equals the fold when it is back, though nobody knows what the bulk had done."""
    place.server.needs("kill", "survives_kill")
    orders = [an_order(n, version=2, account_id=f"acc-{n % 7}") for n in range(1, 601)]

    async def life(book: MongoAccountBook) -> None:
        bus = LogBus(Database(None), SystemClock())
        await bus.publish([event(order) for order in orders])
        projector = Projector(bus, book)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(projector.run())
            with place.orders() as found:
                await eventually(lambda: found.find_one() is not None)
            place.server.kill()
            assert projector.stored == 0, "the bulk had not been answered"
            await eventually(lambda: projector.trouble is not None, 30)
            assert await bus.lag(TOPIC, GROUP) == len(orders)
            place.server.start()
            await eventually(lambda: projector.trouble is None, 30)
            await ended(running)
        assert await bus.lag(TOPIC, GROUP) == 0
        assert projector.parked == 0
        assert await differences(ledger(orders), book) == []

    place.run(life)


def test_a_view_that_was_dropped_is_rebuilt_to_the_byte_and_indexed_again(place: Place) -> None:
    # One account has more orders than a page of the comparison.
    orders = [an_order(n, version=3, account_id=f"acc-{n // 520}") for n in range(1, 561)]

    async def life(book: MongoAccountBook) -> None:
        assert await rebuild(ledger(orders), book) == len(orders)
        before = [await shown(book, f"acc-{number}") for number in range(2)]
        with place.beside() as client:
            client.drop_database(place.database)
        assert len(await differences(ledger(orders), book)) == len(orders)

        # How many were new is not asked here: a bulk that the client had to repeat counts less.
        await rebuild(ledger(orders), book)
        assert [await shown(book, f"acc-{number}") for number in range(2)] == before
        assert await differences(ledger(orders), book) == []

    place.run(life)
    with place.orders() as found:
        assert sorted(found.index_information()) == ["_id_", "day", "newest", "open"]


def test_clear_forgets_more_than_one_slice_and_keeps_what_is_history(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.accounts.mongo_book.CLEAR_AT_ONCE", 7)
    told = documents(*(an_order(n, version=int(n % 10 > 0)) for n in range(1, 41)))

    async def life(book: MongoAccountBook) -> None:
        await book.upsert(told)
        await book.clear()
        assert len(await shown(book)) == 4

    place.run(life)
