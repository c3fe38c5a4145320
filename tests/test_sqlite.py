"""One file, one writer: durable when `write` returns, and nobody else's meanwhile."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import Pool

from app.sql import NotDurable
from app.sqlite import Database, InUse
from tests.children import first_words, outlived
from tests.eventually import eventually
from tests.virtual import Virtual

REPOSITORY = Path(__file__).parent.parent
# Opens the file as a gateway would, says so, and then holds it until it is killed.
HOLDER = """
import sys
from pathlib import Path
from app.sqlite import Database
database = Database(Path(sys.argv[1]))
database.write_now(lambda connection: connection.exec_driver_sql("CREATE TABLE t (n INTEGER)"))
database.write_now(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (7)"))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "ledger.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    database = Database(path)
    database.write_now(run("CREATE TABLE t (n INTEGER)"))
    yield database
    database.close()


def run(*statements: str) -> Callable[[sa.Connection], None]:
    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return work


def ask(question: str) -> Callable[[sa.Connection], Any]:
    return lambda connection: connection.exec_driver_sql(question).scalar()


def opened(path: Path) -> Database | None:
    try:
        return Database(path)
    except InUse:
        return None


@pytest.mark.parametrize(("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2)])
def test_the_writer_is_durable(database: Database, pragma: str, value: object) -> None:
    assert database.write_now(ask(f"PRAGMA {pragma}")) == value


@pytest.mark.parametrize(
    ("weaker", "found"),
    [
        ("PRAGMA synchronous=NORMAL", "found wal and 1"),
        ("PRAGMA synchronous=OFF", "found wal and 0"),
        ("PRAGMA journal_mode=DELETE", "found delete and 2"),
    ],
)
def test_it_does_not_start_on_weaker_settings(path: Path, weaker: str, found: str) -> None:
    def weaken(raw: Any, _record: object, _proxy: object) -> None:
        raw.execute(weaker)

    sa.event.listen(Pool, "checkout", weaken)  # as a plug-in of the driver's might
    try:
        with pytest.raises(NotDurable, match=found):
            Database(path)
    finally:
        sa.event.remove(Pool, "checkout", weaken)


def test_a_second_process_is_kept_out_and_kill_9_lets_it_in(path: Path) -> None:
    holder = subprocess.Popen(  # noqa: S603 - this interpreter, this text
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with outlived(holder):
        assert first_words(holder) == b"held\n"
        with pytest.raises(InUse, match="open in another process"):
            Database(path)
        holder.kill()

    heir = asyncio.run(eventually(lambda: opened(path)))
    assert heir is not None
    assert heir.write_now(ask("SELECT n FROM t")) == 7
    heir.close()


def test_closing_lets_the_next_one_in_and_folds_the_log_away(path: Path) -> None:
    first = Database(path)
    first.write_now(run("CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (1)"))
    asyncio.run(first.read(ask("SELECT n FROM t")))
    first.close()

    assert not path.with_name("ledger.db-wal").exists()
    second = Database(path)
    assert asyncio.run(second.read(ask("SELECT n FROM t"))) == 1
    second.close()


def test_a_write_happens_whole_or_not_at_all(database: Database) -> None:
    async def scenario() -> None:
        await database.write(run("INSERT INTO t VALUES (1)"))
        with pytest.raises(sa.exc.OperationalError):
            await database.write(run("INSERT INTO t VALUES (2)", "INSERT INTO nowhere VALUES (3)"))
        await database.write(run("INSERT INTO t VALUES (4)"))
        assert await database.read(ask("SELECT group_concat(n) FROM t")) == "1,4"

    asyncio.run(scenario())


def test_the_schema_too_is_whole_or_not_at_all(database: Database) -> None:
    with pytest.raises(sa.exc.OperationalError):
        database.write_now(run("CREATE TABLE half (n INTEGER)", "CREATE TABLE half (n INTEGER)"))

    assert database.write_now(ask("SELECT name FROM sqlite_schema WHERE name = 'half'")) is None


def test_a_reader_sees_one_moment_while_the_writer_goes_on(database: Database) -> None:
    looked, written = threading.Event(), threading.Event()

    def look_twice(connection: sa.Connection) -> tuple[int, int]:
        count = ask("SELECT count(*) FROM t")
        before = count(connection)
        looked.set()
        assert written.wait(10)
        return before, count(connection)

    async def write() -> None:
        await asyncio.get_running_loop().run_in_executor(None, looked.wait, 10)
        await database.write(run("INSERT INTO t VALUES (1)"))  # does not wait for the reader
        written.set()

    async def scenario() -> None:
        seen, _ = await asyncio.gather(database.read(look_twice), write())
        assert seen == (0, 0)
        assert await database.read(ask("SELECT count(*) FROM t")) == 1

    asyncio.run(scenario())


def test_a_reader_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.OperationalError, match="readonly"):
        asyncio.run(database.read(run("INSERT INTO t VALUES (1)")))


def test_writers_wait_in_line_and_lose_nothing(database: Database) -> None:
    async def scenario() -> int:
        add = run("INSERT INTO t SELECT coalesce(max(n), 0) + 1 FROM t")
        await asyncio.gather(*[database.write(add) for _ in range(50)])
        highest: int = await database.read(ask("SELECT max(n) FROM t"))
        return highest

    assert asyncio.run(scenario()) == 50


def test_without_a_path_everything_runs_inline_and_in_virtual_time(virtual: Virtual) -> None:
    database = Database(None)
    threads: set[int] = set()

    def note(connection: sa.Connection) -> None:
        threads.add(threading.get_ident())
        connection.exec_driver_sql("SELECT 1")

    async def scenario() -> None:
        await database.write(run("CREATE TABLE t (n INTEGER)", "INSERT INTO t VALUES (5)"))
        await asyncio.gather(database.write(note), database.read(note))
        with pytest.raises(sa.exc.OperationalError):
            await database.write(run("INSERT INTO t VALUES (6)", "INSERT INTO nowhere VALUES (7)"))
        assert await database.read(ask("SELECT group_concat(n) FROM t")) == "5"

    virtual.run(scenario())
    database.close()

    assert threads == {threading.get_ident()}
    assert virtual.clock.monotonic_ns() == 0


def test_two_houses_in_memory_share_nothing() -> None:
    one, other = Database(None), Database(None)
    one.write_now(run("CREATE TABLE t (n INTEGER)"))

    assert other.write_now(ask("SELECT name FROM sqlite_schema")) is None
    for database in (one, other):
        database.close()
