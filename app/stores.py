"""Opens the stores that the settings name: embedded ones in a directory, or servers.

Each of the three is chosen by itself, so a ledger on PostgreSQL can carry its events through the
embedded log. A store that is a server is checked before anything runs: a schema that is behind,
a topic of the wrong shape or an account store that cannot keep its promise stops the start with
one sentence, for a gateway that finds out at the open finds out too late.

Whatever has been opened is let go of, the last one first, also when another one's end goes wrong:
the trap is a lock or a session that outlives us and keeps the next start out.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from app.accounts.sqlite import SqliteAccountBook
from app.bus.log import LogBus
from app.clock import Clock
from app.ledger.outbox.queue import EmbeddedOutbox, Outbox, SharedOutbox
from app.ledger.partitions.catalog import Gate, Orders
from app.ledger.schema import require, upgrade
from app.ports.accounts import AccountBook
from app.ports.bus import Bus
from app.postgres import PostgresDatabase
from app.settings import MongoSettings, Settings
from app.sqlite import Database

# Who writes the account view makes its collection ready; the others only read it.
WRITES_THE_VIEW: Final = frozenset({"all", "projector"})
# Who cannot work at all without the bus asks for it at the start; the others start and wait.
NEEDS_THE_BUS: Final = frozenset({"all", "relay", "projector", "throttle", "alarms"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Where the house keeps things, and how each is let go of."""

    ledger: PostgresDatabase | Database
    outbox: Outbox
    bus: Bus
    book: AccountBook
    opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def close(self) -> None:
        """Let go of every one of them; what one of them raises is raised when all are."""
        await self.opened.aclose()


def embedded(ledger: Database, bus: Database, book: Database, clock: Clock) -> Stores:
    """Return the twins on three files, so that none waits for another's disk."""
    opened = AsyncExitStack()
    for database in (ledger, bus, book):
        opened.callback(database.close)
    return Stores(
        ledger=ledger,
        outbox=EmbeddedOutbox(ledger),
        bus=LogBus(bus, clock),
        book=SqliteAccountBook(book),
        opened=opened,
    )


async def open_stores(settings: Settings, clock: Clock) -> Stores:
    """Open what the settings name, or raise what `serve` can say in a sentence."""
    async with AsyncExitStack() as opened:
        ledger, outbox = _ledger(settings, opened)
        bus = await _bus(settings, clock, opened)
        book = await _book(settings, opened)
        return Stores(ledger=ledger, outbox=outbox, bus=bus, book=book, opened=opened.pop_all())


def _ledger(
    settings: Settings, opened: AsyncExitStack
) -> tuple[PostgresDatabase | Database, Outbox]:
    if settings.ledger_url is None:
        embedded_file = Database(settings.data_dir / "ledger.db")
        opened.callback(embedded_file.close)
        upgrade(embedded_file)
        return embedded_file, EmbeddedOutbox(embedded_file)
    server = PostgresDatabase(settings.ledger_url)
    opened.callback(server.close)
    require(server)
    outbox = SharedOutbox(server)
    opened.callback(outbox.close)
    return server, outbox


async def _bus(settings: Settings, clock: Clock, opened: AsyncExitStack) -> Bus:
    if settings.kafka is None:
        file = Database(settings.data_dir / "bus.db")
        opened.callback(file.close)
        return LogBus(file, clock)
    # Half a second to import, for those who have no cluster.
    from app.bus.kafka import KafkaBus  # noqa: PLC0415

    bus = KafkaBus(settings.kafka, clock)
    opened.push_async_callback(bus.close)
    if settings.role in NEEDS_THE_BUS:
        await bus.start()
    return bus


async def _book(settings: Settings, opened: AsyncExitStack) -> AccountBook:
    if settings.mongo is None:
        file = Database(settings.data_dir / "book.db")
        opened.callback(file.close)
        return SqliteAccountBook(file)
    from app.accounts.mongo import close_client, make_client  # noqa: PLC0415 - as above
    from app.accounts.mongo_book import MongoAccountBook  # noqa: PLC0415

    client = make_client(settings.mongo.url, settings.mongo.driver)
    opened.push_async_callback(close_client, client)
    if settings.role in WRITES_THE_VIEW:
        return await MongoAccountBook.open(client, settings.mongo.database)
    return MongoAccountBook(client, settings.mongo.database)


async def migrate(settings: Settings, clock: Clock) -> None:
    """Bring every store to what this program needs: schema, topics, the account collection."""
    if settings.ledger_url is not None:
        server = PostgresDatabase(settings.ledger_url)
        try:
            upgrade(server)
        finally:
            server.close()
    everything = settings.model_copy(update={"role": "all"})
    stores = await open_stores(everything, clock)
    await stores.close()


def drop_gate(mongo: MongoSettings | None) -> Gate:
    """Let a day be dropped only if the account store holds all of it, compared at that moment.

    The embedded book is a file beside the ledger's: there the archive alone must agree.
    """
    if mongo is None:
        return Gate()
    from app.accounts.history.verify import verify_ledger  # noqa: PLC0415 - as above
    from app.accounts.history.view import AccountView  # noqa: PLC0415
    from app.accounts.mongo import close_client, make_client  # noqa: PLC0415
    from app.accounts.mongo_faults import away_by_its_name  # noqa: PLC0415

    async def compare(day: date, orders: Orders) -> str | None:
        client = make_client(mongo.url, mongo.driver)
        try:
            with away_by_its_name():
                verified = await verify_ledger(orders, [day], AccountView(client, mongo.database))
        finally:
            await close_client(client)
        if all(found.is_equal for found in verified.days):
            return None
        (found,) = verified.days
        return (
            f"the account store differs: {found.seen.missing} orders are missing,"
            f" {found.seen.altered} are others, {found.extra} are there alone"
        )

    return Gate(compare=compare)
