"""PostgreSQL, as tests get it: durable, and it dies and stands still when told."""

import asyncio
import contextlib
import threading
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.eventually import eventually
from tests.servers.postgres import PostgresServer
from tests.servers.process import ask


def rows(url: str) -> list[int]:
    with psycopg.connect(url, connect_timeout=10) as connection:
        return [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]


def write(url: str, n: int) -> None:
    with psycopg.connect(url, connect_timeout=10) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (n int)")
        connection.execute("INSERT INTO t VALUES (%s)", [n])


def test_it_answers(database: str) -> None:
    write(database, 1)

    assert rows(database) == [1]


def test_a_fresh_database_is_empty_and_dropped(postgres: PostgresServer) -> None:
    with postgres.fresh_database() as first, postgres.fresh_database() as second:
        write(first, 1)
        with psycopg.connect(second) as connection:
            found = connection.execute("SELECT to_regclass('t')").fetchone()

    assert found == (None,)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(first, connect_timeout=10)


def test_a_database_is_dropped_under_a_client_that_stays(postgres: PostgresServer) -> None:
    with postgres.fresh_database() as url:
        stays = psycopg.connect(url)

    with stays, pytest.raises(psycopg.OperationalError):
        stays.execute("SELECT 1")


def test_durable_means_that_no_setting_is_weaker(postgres: PostgresServer, database: str) -> None:
    postgres.needs("durable")
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT name, setting FROM pg_settings"
            " WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')"
        ).fetchall()

    assert dict(found) == {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


def test_the_weak_one_says_that_it_is_not_durable(weak_postgres: PostgresServer) -> None:
    with psycopg.connect(weak_postgres.url) as connection:
        found = connection.execute("SELECT current_setting('fsync')").fetchone()

    assert found == ("off",)
    assert "durable" not in weak_postgres.capabilities


def test_what_was_committed_survives_a_kill(postgres: PostgresServer, database: str) -> None:
    postgres.needs("kill", "durable")
    write(database, 1)
    client = psycopg.connect(database)
    postgres.kill()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database, connect_timeout=2)

    def ask_on() -> None:
        while True:  # a child of the killed server may answer for a moment
            client.execute("SELECT 1")

    with client, pytest.raises(psycopg.OperationalError):
        ask_on()
    postgres.start()

    assert rows(database) == [1]


def test_it_comes_back_while_a_child_of_its_former_life_works(
    postgres: PostgresServer, database: str
) -> None:
    postgres.needs("kill")
    write(database, 1)
    with contextlib.closing(psycopg.connect(database)) as connection:
        busy = threading.Thread(target=count_long, args=(connection,))
        busy.start()
        asyncio.run(eventually(lambda: count_is_on(database)))
        postgres.kill()
        postgres.start()
        busy.join()

    assert rows(database) == [1]


def count_long(connection: psycopg.Connection[tuple[int]]) -> None:
    with contextlib.suppress(psycopg.OperationalError):  # it ends at the latest with its answer
        connection.execute("SELECT count(*) FROM generate_series(1, 5000000)")


def count_is_on(url: str) -> bool:
    """Tell whether the count runs; it looks at nothing else, a parent's death included."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT count%'"
        )
        return found.fetchone() is not None


def test_a_stop_keeps_the_data(postgres: PostgresServer, database: str) -> None:
    postgres.needs("kill")
    write(database, 1)
    postgres.stop()
    postgres.start()

    assert rows(database) == [1]


def test_frozen_its_sockets_are_open_and_nothing_answers(
    postgres: PostgresServer, database: str
) -> None:
    postgres.needs("freeze")
    answers: list[object] = []
    with psycopg.connect(database) as connection:
        asks = threading.Thread(
            target=lambda: answers.append(connection.execute("SELECT 1").fetchone())
        )
        with postgres.freeze():
            asks.start()
            asks.join(0.3)
            while_frozen = list(answers)
            ask(urlsplit(database).port or 0)
        asks.join(10)

    assert while_frozen == []
    assert answers == [(1,)]


def test_a_test_that_leaves_it_dead_harms_no_other(postgres: PostgresServer) -> None:
    postgres.needs("kill")
    with postgres.fresh_database() as url:
        write(url, 1)
        postgres.kill()

    with postgres.fresh_database() as url:
        write(url, 2)
