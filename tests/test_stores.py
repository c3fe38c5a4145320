"""Each store is what the settings say of it alone, and what was opened is closed again.

The trap is a start that fails half way: a lock or a session that stays behind keeps the next start
out, and nobody sees whose it is.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest

from app.accounts.mongo import close_client, make_client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_shape import COLLECTION
from app.accounts.sqlite import SqliteAccountBook
from app.bus.kafka import KafkaBus
from app.bus.log import LogBus
from app.cli.stage.ports import free_port
from app.clock import SystemClock
from app.ledger.outbox.queue import EmbeddedOutbox, SharedOutbox
from app.ledger.schema import HEAD, Behind, revision, upgrade
from app.ports.away import StoreAway
from app.postgres import PostgresDatabase
from app.settings import KafkaSettings, MongoSettings, Settings
from app.sqlite import Database, InUse
from app.stores import Stores, migrate, open_stores
from tests.eventually import eventually
from tests.servers.server import Server, fresh_name

SESSIONS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND application_name = 'openbell'"
)
FILES: Final = ("ledger.db", "bus.db", "book.db")


def nobody() -> str:
    """Return an address at which nobody listens."""
    return f"127.0.0.1:{free_port()}"


def absent_mongo() -> MongoSettings:
    """Return a MongoDB that is not there, and that we give up soon."""
    return mongo_at(f"mongodb://{nobody()}/?serverSelectionTimeoutMS=200")


def mongo_at(url: str, database: str = "openbell") -> MongoSettings:
    """Name one; motor's threads are its module's and stay for ever, so not by motor."""
    return MongoSettings(url=url, database=database, driver="pymongo")


def opened(settings: Settings, look: Callable[[Stores], object]) -> None:
    """Open the stores, use them a little, look at them, and close them on the same loop."""

    async def visit() -> None:
        stores = await open_stores(settings, SystemClock())
        try:
            await stores.outbox.next(1)  # from here on it has a thread, and perhaps a session
            look(stores)
        finally:
            await stores.close()

    asyncio.run(visit())


def kinds(settings: Settings) -> list[type]:
    """Return what stands behind the ledger, the outbox, the bus and the account view."""
    found: list[Any] = []
    opened(settings, lambda s: found.extend([s.ledger, s.outbox, s.bus, s.book]))
    return [type(each) for each in found]


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.glob("*.db"))


def can_be_opened(path: Path) -> bool:
    try:
        Database(path).close()
    except InUse:
        return False
    return True


def revision_of(url: str) -> str | None:
    with closing(PostgresDatabase(url, writers=1)) as database:
        return database.write_now(revision)


def all_let_go(url: str) -> None:
    """Wait until no session of ours is left: a server notices an end a moment later."""

    def none_left() -> bool:
        with psycopg.connect(url) as session:
            found = session.execute(SESSIONS).fetchone()
        return found == (0,)

    asyncio.run(eventually(none_left))


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and not t.daemon]
    assert left == []


@pytest.fixture
def migrated(database: str) -> str:
    with closing(PostgresDatabase(database)) as server:
        upgrade(server)
    return database


# --- which ------------------------------------------------------------------------------


def test_who_names_no_store_has_three_files(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    assert kinds(settings) == [Database, EmbeddedOutbox, LogBus, SqliteAccountBook]
    assert files(tmp_path) == sorted(FILES)


def test_a_ledger_on_a_server_leaves_the_others_embedded(migrated: str, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, ledger_url=migrated)

    assert kinds(settings) == [PostgresDatabase, SharedOutbox, LogBus, SqliteAccountBook]
    assert files(tmp_path) == ["book.db", "bus.db"]
    all_let_go(migrated)


def test_an_account_view_on_a_server_leaves_the_others_embedded(
    mongo: Server, tmp_path: Path
) -> None:
    name = fresh_name()
    view = mongo_at(mongo.url, name)

    found = kinds(Settings(data_dir=tmp_path, mongo=view))
    indexes = asyncio.run(indexes_of(view))

    assert found == [Database, EmbeddedOutbox, LogBus, MongoAccountBook]
    assert files(tmp_path) == ["bus.db", "ledger.db"]
    assert {"newest", "day", "open"} <= set(indexes)


async def indexes_of(view: MongoSettings) -> list[str]:
    """Return what the view's collection is indexed by, and drop it."""
    client = make_client(view.url, "pymongo")
    try:
        found = await client[view.database][COLLECTION].index_information()
        await client.drop_database(view.database)
    finally:
        await close_client(client)
    return list(found)


@pytest.mark.parametrize("role", ["api", "dispatcher"])
def test_who_can_work_without_the_bus_and_the_view_starts_without_them(
    migrated: str, tmp_path: Path, role: Any
) -> None:
    settings = Settings(
        data_dir=tmp_path,
        role=role,
        ledger_url=migrated,
        kafka=KafkaSettings(bootstrap=nobody()),
        mongo=absent_mongo(),
    )

    assert kinds(settings) == [PostgresDatabase, SharedOutbox, KafkaBus, MongoAccountBook]
    assert files(tmp_path) == []
    all_let_go(migrated)


# --- a start that fails half way --------------------------------------------------------


def test_a_view_that_is_away_lets_go_of_the_ledger_and_the_bus(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, mongo=absent_mongo())
    with pytest.raises(StoreAway, match="MongoDB is away"):
        kinds(settings)

    assert files(tmp_path) == ["bus.db", "ledger.db"]
    assert all(can_be_opened(tmp_path / name) for name in FILES)


@pytest.mark.parametrize("role", ["relay", "projector", "throttle"])
def test_a_bus_that_is_away_lets_go_of_the_ledger(migrated: str, tmp_path: Path, role: Any) -> None:
    settings = Settings(
        data_dir=tmp_path,
        role=role,
        ledger_url=migrated,
        kafka=KafkaSettings(bootstrap=nobody()),
        mongo=absent_mongo(),
    )
    with pytest.raises(StoreAway, match="topics at"):
        kinds(settings)

    all_let_go(migrated)


def test_a_ledger_that_is_behind_is_let_go_of_before_anything_else_is_opened(
    database: str, tmp_path: Path
) -> None:
    with pytest.raises(Behind, match="run `openbell migrate`"):
        kinds(Settings(data_dir=tmp_path, ledger_url=database))

    assert files(tmp_path) == []
    all_let_go(database)


def test_a_ledger_that_is_away_opens_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreAway, match="PostgreSQL is away"):
        kinds(Settings(data_dir=tmp_path, ledger_url=f"postgresql://x@{nobody()}/x"))

    assert files(tmp_path) == []


def test_a_file_that_another_has_open_lets_go_of_those_before_it(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "book.db")), pytest.raises(InUse, match=r"book\.db"):
        kinds(Settings(data_dir=tmp_path))

    assert all(can_be_opened(tmp_path / name) for name in FILES)


def test_an_address_of_nonsense_lets_go_of_the_ledger_and_the_bus(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="MongoDB url"):
        kinds(Settings(data_dir=tmp_path, mongo=mongo_at("http://nonsense")))

    assert all(can_be_opened(tmp_path / name) for name in FILES)


# --- closing ----------------------------------------------------------------------------


def test_while_they_are_open_nobody_else_has_them_and_afterwards_everybody(
    tmp_path: Path,
) -> None:
    seen: list[bool] = []
    opened(
        Settings(data_dir=tmp_path),
        lambda _: seen.extend(can_be_opened(tmp_path / name) for name in FILES),
    )

    assert seen == [False] * 3
    assert all(can_be_opened(tmp_path / name) for name in FILES)


def test_one_whose_end_goes_wrong_keeps_none_of_the_others_open(tmp_path: Path) -> None:
    def look(stores: Stores) -> None:
        stores.opened.callback(full)  # it is let go of first

    def full() -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        opened(Settings(data_dir=tmp_path), look)

    assert all(can_be_opened(tmp_path / name) for name in FILES)


# --- migrate ----------------------------------------------------------------------------


def test_migrating_brings_a_shared_ledger_to_the_head_and_may_be_done_again(
    database: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path, ledger_url=database)
    for _ in range(2):
        asyncio.run(migrate(settings, SystemClock()))

    assert revision_of(database) == HEAD
    assert kinds(settings)[0] is PostgresDatabase
    all_let_go(database)
