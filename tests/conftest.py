"""What every folder of tests may ask for: time that costs nothing, and real servers."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from app.ledger.schema import upgrade
from app.postgres import PostgresDatabase
from tests.servers.postgres import PostgresServer
from tests.virtual import Virtual

# `postgres`, `redis`, `kafka`, `mongo`, FIX acceptors: started when a test asks, ended with it all.
pytest_plugins = ["tests.servers.plugin"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the storms: one long test at the end would leave a core idle."""
    items.sort(key=lambda item: item.get_closest_marker("storm") is None)


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    """Lend a virtual loop and its clock: `virtual.run(coroutine)`, `virtual.clock.now()`."""
    with Virtual() as virtual:
        yield virtual


@pytest.fixture(scope="session")
def empty_ledger(postgres: PostgresServer) -> Iterator[str]:
    """Migrate one database in a run: that takes longer than most tests with it."""
    with postgres.fresh_database() as url:
        with closing(PostgresDatabase(url)) as database:
            upgrade(database)
        yield url


@pytest.fixture
def ledger_url(postgres: PostgresServer, empty_ledger: str) -> Iterator[str]:
    """Lend the address of an empty ledger on PostgreSQL, at the head of its schema."""
    with postgres.fresh_database(like=empty_ledger) as url:
        yield url
