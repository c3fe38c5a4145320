"""A server that several processes share: what it acknowledges stands, what it drops is a pause.

Each trap that `app/postgres.py` files off is sprung here on a real server. The trap of these tests
themselves is a server that is too kind: locally nothing ever gets lost, so connections are ended
from the server's side, in the middle of what they do.
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.exc import DBAPIError

from app import postgres as subject
from app.cli.stage.ports import free_port
from app.ports.away import StoreAway
from app.postgres import PostgresDatabase
from app.sql import NotDurable
from tests.eventually import eventually
from tests.servers.postgres import PostgresServer

ROW = "SELECT n FROM t WHERE id = 1"


def run(*statements: str) -> Callable[[sa.Connection], None]:
    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement)

    return work


def ask(question: str) -> Callable[[sa.Connection], Any]:
    return lambda connection: connection.exec_driver_sql(question).scalar()


def administer(url: str, command: str) -> None:
    """Run one command about the database and its role, as who administers the server would."""
    with psycopg.connect(url, autocommit=True) as connection:
        names = {"database": connection.info.dbname, "role": connection.info.user}
        quoted = {name: sql.Identifier(value) for name, value in names.items()}
        connection.execute(sql.SQL(command).format(**quoted))


@pytest.fixture
def store(database: str) -> Iterator[PostgresDatabase]:
    """Lend a store with one table, in which row 1 is 0."""
    with closing(PostgresDatabase(database, writers=3)) as store:
        store.write_now(run("CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL)"))
        store.write_now(run("INSERT INTO t VALUES (1, 0), (2, 0)"))
        yield store


# --- durable ----------------------------------------------------------------------------


def test_it_does_not_start_on_a_server_that_can_lose_a_commit(
    weak_postgres: PostgresServer,
) -> None:
    with weak_postgres.fresh_database() as url, pytest.raises(NotDurable, match="fsync = off"):
        PostgresDatabase(url)


@pytest.mark.parametrize(
    "weaken",
    [
        "ALTER DATABASE {database} SET synchronous_commit = off",
        "ALTER ROLE {role} IN DATABASE {database} SET synchronous_commit = off",
    ],
)
def test_it_does_not_start_where_somebody_has_weakened_its_own_commits(
    database: str, weaken: str
) -> None:
    administer(database, weaken)

    with pytest.raises(NotDurable, match="synchronous_commit = off"):
        PostgresDatabase(database)


def test_each_statement_sees_what_was_committed_before_it_whatever_the_default(
    database: str,
) -> None:
    """The ledger locks first and then reads: an older snapshot would show it the past."""
    administer(
        database, "ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'"
    )
    with closing(PostgresDatabase(database)) as store:
        found = store.write_now(ask("SHOW transaction_isolation"))

    assert found == "read committed"


# --- one transaction --------------------------------------------------------------------


def test_what_work_raises_undoes_it(store: PostgresDatabase) -> None:
    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE t SET n = 7")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(store.write(fail))
    with pytest.raises(DBAPIError, match="division"):
        asyncio.run(store.write(run("UPDATE t SET n = 8", "SELECT 1 / 0")))

    assert asyncio.run(store.read(ask("SELECT sum(n) FROM t"))) == 0


def test_two_that_wait_for_each_other_both_get_through(store: PostgresDatabase) -> None:
    meet = threading.Barrier(2)
    runs: list[int] = []

    def crossing(first: int, second: int) -> Callable[[sa.Connection], None]:
        def work(connection: sa.Connection) -> None:
            add(connection, first)
            runs.append(first)
            if len(runs) <= 2:
                meet.wait(10)
            add(connection, second)

        return work

    def add(connection: sa.Connection, row: int) -> None:
        connection.execute(sa.text("UPDATE t SET n = n + 1 WHERE id = :row"), {"row": row})

    async def together() -> None:
        await asyncio.gather(store.write(crossing(1, 2)), store.write(crossing(2, 1)))

    asyncio.run(together())

    # On a busy machine the loser may lock its first row again before the winner has woken up.
    assert len(runs) >= 3, "one of them ran again"
    assert asyncio.run(store.read(ask("SELECT sum(n) FROM t"))) == 4


def test_who_loses_the_race_for_a_key_runs_again_and_sees_the_winner(
    store: PostgresDatabase,
) -> None:
    seen: list[int] = []

    def work(connection: sa.Connection) -> None:
        found = connection.exec_driver_sql("SELECT n FROM t WHERE id = 9").all()
        seen.append(len(found))
        if not found:
            with psycopg.connect(str(url)) as rival:
                rival.execute("INSERT INTO t VALUES (9, 1)")
            connection.exec_driver_sql("INSERT INTO t VALUES (9, 2)")

    url = store._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    asyncio.run(store.write(work))

    assert seen == [0, 1]
    assert asyncio.run(store.read(ask("SELECT n FROM t WHERE id = 9"))) == 1


# --- away -------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_said_to_be_away_at_once() -> None:
    with pytest.raises(StoreAway, match=r"PostgreSQL is away: .*refused"):
        PostgresDatabase(f"postgresql://openbell@127.0.0.1:{free_port()}/openbell")


def test_a_server_that_does_not_answer_is_said_to_be_away_in_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "CONNECT_TIMEOUT_S", 2)  # the least that the driver keeps to
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(StoreAway, match=r"PostgreSQL is away: .*time"):
            PostgresDatabase(f"postgresql://openbell@127.0.0.1:{port}/openbell")


def test_a_connection_that_is_cut_is_the_store_gone_and_the_next_one_is_welcome(
    store: PostgresDatabase,
) -> None:
    cut = run("UPDATE t SET n = 7", "SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(StoreAway, match="PostgreSQL is away"):
        asyncio.run(store.write(cut))
    assert asyncio.run(store.read(ask(ROW))) == 0
    asyncio.run(store.write(run("UPDATE t SET n = 1 WHERE id = 1")))
    assert asyncio.run(store.read(ask(ROW))) == 1


def test_connections_that_died_while_nobody_used_them_cost_no_call(
    postgres: PostgresServer, store: PostgresDatabase
) -> None:
    """A server that was restarted over night is there again: nothing of a call was lost."""
    postgres.needs("kill")

    async def busy() -> None:
        await asyncio.gather(*(store.write(run("SELECT pg_sleep(0.05)")) for _ in range(3)))

    asyncio.run(busy())
    postgres.kill()
    postgres.start()

    async def each_thread_at_once() -> None:
        add = run("UPDATE t SET n = n + 1 WHERE id = 1")
        await asyncio.gather(*(store.write(add) for _ in range(3)))

    asyncio.run(each_thread_at_once())
    assert asyncio.run(store.read(ask(ROW))) == 3


def test_a_server_that_may_only_be_read_is_away(database: str) -> None:
    """So it is when an address still leads to the former primary of a pair."""
    with closing(PostgresDatabase(database)) as store:
        store.write_now(run("CREATE TABLE t (n int)"))
    administer(database, "ALTER DATABASE {database} SET default_transaction_read_only = on")

    with closing(PostgresDatabase(database)) as store, pytest.raises(StoreAway, match="read-only"):
        asyncio.run(store.write(run("INSERT INTO t VALUES (1)")))


@pytest.mark.usefixtures("store")
def test_who_waits_too_long_for_somebody_s_lock_is_told_that_the_store_is_away(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped in mid transaction must not end all the others."""
    monkeypatch.setattr(subject, "LOCK_TIMEOUT_MS", 100)
    with (
        psycopg.connect(database) as stopped,
        closing(PostgresDatabase(database)) as waits,
    ):
        stopped.execute("UPDATE t SET n = 5 WHERE id = 1")
        with pytest.raises(StoreAway, match="lock timeout"):
            asyncio.run(waits.write(run("UPDATE t SET n = 6 WHERE id = 1")))


def test_who_is_stopped_in_a_transaction_loses_it_before_the_others_lose_patience() -> None:
    assert subject.IDLE_IN_TRANSACTION_MS < subject.LOCK_TIMEOUT_MS


# --- threads, and who waits for them ----------------------------------------------------


def test_a_task_that_is_cancelled_leaves_no_transaction_open(
    database: str, store: PostgresDatabase
) -> None:
    begun = threading.Event()

    def work(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE t SET n = n + 1 WHERE id = 1")
        begun.set()
        connection.exec_driver_sql("SELECT pg_sleep(0.1)")

    def in_a_transaction() -> int:
        open_ones = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(database) as connection:
            found = connection.execute(open_ones).fetchone()
        assert found is not None
        return int(found[0])

    async def give_up() -> None:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(store.write(work))
            await eventually(begun.is_set)
            writing.cancel()
        assert writing.cancelled()
        await eventually(lambda: in_a_transaction() == 0)

    asyncio.run(give_up())

    assert asyncio.run(store.read(ask(ROW))) == 1, "a thread is not cancelled"


def test_a_session_of_one_s_own_ends_with_its_locks(database: str, store: PostgresDatabase) -> None:
    """A pool would keep the connection, and with it the lock."""
    lock = "SELECT pg_try_advisory_lock(7)"
    session = store.session()
    assert session.exec_driver_sql(lock).scalar()
    session.close()

    with psycopg.connect(database) as other:
        assert other.execute(lock).fetchone() == (True,)


def test_sessions_of_their_own_take_no_connection_from_the_writers(
    store: PostgresDatabase,
) -> None:
    sessions = [store.session() for _ in range(12)]
    try:
        asyncio.run(asyncio.wait_for(store.write(run("UPDATE t SET n = 1")), 5))
    finally:
        for session in sessions:
            session.close()
