"""An account store for one test, on whatever speaks MongoDB's wire."""

from collections.abc import Iterator
from pathlib import Path

import pymongo
import pytest

from app.accounts.history.mapping import SourceMapping
from app.accounts.history.plan import LoadPlan, Store
from tests.accounts.history.archive import SEOUL
from tests.servers.server import Server, fresh_name


@pytest.fixture
def store(mongo: Server) -> Iterator[Store]:
    """Lend an empty database, gone after the test."""
    database = fresh_name("history")
    yield Store(url=mongo.url, database=database, driver="pymongo")
    with pymongo.MongoClient[dict[str, object]](mongo.url) as client:
        client.drop_database(database)


@pytest.fixture
def plan(store: Store, tmp_path: Path) -> LoadPlan:
    """Lend a plan of an archive in `tmp_path/in`; what a busy machine delays is not taken over."""
    (tmp_path / "in").mkdir()
    return LoadPlan(
        root=tmp_path / "in",
        source="orders",
        mapping=SourceMapping(zone=SEOUL),
        store=store,
        rejects=tmp_path / "rejects.parquet",
        lease_s=60.0,
    )
