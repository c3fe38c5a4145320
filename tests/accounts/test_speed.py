"""How fast events are published and projected: `pytest -m bench -s tests/accounts`.

Each number is taken twice: on an idle loop, and beside a task that takes all of the loop that it
can get and makes a system call each 0.1 ms, as the intake does at the open. The second has no
budget: a thread that waits for Python's lock beside such a loop depends on who else wants the
cores, and so the number says as much about the machine's other tenants as about this code.

On MongoDB's wire the server is the limit, and a stand-in at that. So its number is a ratio: what
the projector carries beside what the bare client writes: the same guarded bulks, into the same
indexes of the same server, in the same run.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo import UpdateOne, WriteConcern

from app.accounts.bson_document import pack
from app.accounts.fold import fold, newest
from app.accounts.mongo import Client, Driver, close_client, make_client
from app.accounts.mongo_book import BULK_MAX, MongoAccountBook, _guarded
from app.accounts.mongo_shape import INDEXES
from app.accounts.projector import Projector, differences, rebuild
from app.accounts.sqlite import SqliteAccountBook
from app.bus.log import LogBus
from app.clock import SystemClock
from app.ports.bus import Event
from app.sqlite import Database
from tests.accounts.orders import an_order, event, payload
from tests.servers.server import Server, fresh_name

EVENTS = 20_000
PUBLISHED_AT_ONCE = 500
PUBLISHED_PER_S_MIN = 25_000
PROJECTED_PER_S_MIN = 15_000
CLOCK = SystemClock()

pytestmark = pytest.mark.bench


@asynccontextmanager
async def neighbour(*, busy: bool) -> AsyncIterator[None]:
    """Run a task beside it that is always ready: eight small requests a turn."""
    reader, writer = os.pipe()

    async def spin() -> None:
        while True:
            for _ in range(8):
                sum(range(3_000))
                os.write(writer, b"an answer")
                os.read(reader, 100)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        spinning = tasks.create_task(spin()) if busy else None
        yield
        if spinning is not None:
            spinning.cancel()
    os.close(reader)
    os.close(writer)


async def per_second(work: Callable[[], Awaitable[object]], events: int = EVENTS) -> int:
    started = CLOCK.monotonic_ns()
    await work()
    return int(events / ((CLOCK.monotonic_ns() - started) / 1e9))


async def measured(home: Path, *, busy: bool) -> tuple[int, int]:
    events = [
        event(an_order(number % 9_999, account_id=f"acc-{number % 500}", version=number // 9_999))
        for number in range(EVENTS)
    ]
    databases = Database(home / "bus.db"), Database(home / "accounts.db")
    bus, book = LogBus(databases[0], CLOCK), SqliteAccountBook(databases[1])
    projector = Projector(bus, book)
    async with neighbour(busy=busy):
        published = await per_second(lambda: publish(bus, events))
        projected = await per_second(lambda: project(projector))
    for database in databases:
        database.close()
    return published, projected


async def publish(bus: LogBus, events: list[Event]) -> None:
    for start in range(0, EVENTS, PUBLISHED_AT_ONCE):
        await bus.publish(events[start : start + PUBLISHED_AT_ONCE])


async def project(projector: Projector) -> None:
    while await projector.step():
        pass


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_events_a_second(tmp_path: Path, *, busy: bool) -> None:
    published, projected = asyncio.run(measured(tmp_path, busy=busy))
    beside = "a busy loop" if busy else "an idle loop"
    print(f"\nbeside {beside}: published {published:,}/s, projected {projected:,}/s")  # noqa: T201

    assert busy or published >= PUBLISHED_PER_S_MIN
    assert busy or projected >= PROJECTED_PER_S_MIN


ON_THE_WIRE = 4_000
OF_THE_CLIENTS_OWN_MIN = 0.5


async def bare(client: Client, database: str, operations: list[UpdateOne]) -> None:
    orders = client[database].get_collection("bare", write_concern=WriteConcern("majority", j=True))
    await orders.create_indexes(INDEXES)
    for start in range(0, len(operations), BULK_MAX):
        await orders.bulk_write(operations[start : start + BULK_MAX], ordered=False)


async def measured_on_the_wire(url: str, driver: Driver) -> dict[str, int]:
    orders = [an_order(n, account_id=f"acc-{n % 50}", version=1) for n in range(ON_THE_WIRE)]
    payloads = [payload(order) for order in orders]
    guarded = [_guarded(pack(document)) for document in newest(map(fold, payloads))]
    client, database = make_client(url, driver), fresh_name("speed")
    book = await MongoAccountBook.open(client, database)
    bus = LogBus(Database(None), CLOCK)
    await bus.publish([event(order) for order in orders])

    async def told() -> AsyncIterator[list[bytes]]:
        for start in range(0, ON_THE_WIRE, 2_000):
            yield payloads[start : start + 2_000]

    try:
        return {
            "the bare client": await per_second(
                lambda: bare(client, database, guarded), ON_THE_WIRE
            ),
            "projected": await per_second(lambda: project(Projector(bus, book)), ON_THE_WIRE),
            "compared": await per_second(lambda: differences(told(), book), ON_THE_WIRE),
            "rebuilt": await per_second(lambda: rebuild(told(), book), ON_THE_WIRE),
        }
    finally:
        await client.drop_database(database)
        await close_client(client)


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
def test_events_a_second_on_the_wire(mongo: Server, driver: Driver) -> None:
    rates = asyncio.run(measured_on_the_wire(mongo.url, driver))
    print(f"\n{driver} on {mongo.on}:", {name: f"{rate:,}/s" for name, rate in rates.items()})  # noqa: T201

    assert rates["projected"] >= OF_THE_CLIENTS_OWN_MIN * rates["the bare client"]
