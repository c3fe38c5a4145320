"""The benches of real stores: in places of their own, which are gone afterwards."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import psycopg
import pymongo
import pytest
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from typer.testing import CliRunner

from app.cli import app
from app.cli.bench.part import Ran
from app.cli.bench.raw import staged, take
from app.cli.bench.servers import OURS
from app.cli.bench.store import Store, far_sessions, takings
from app.cli.bench.streams import Turn, figures
from app.reference import load_calendar
from tests.cli.benches import NOWHERE, named, run
from tests.servers import fix_bench
from tests.servers.fix import Acceptor
from tests.servers.server import Server

TABLES = ("order_keys", "orders", "reserved_book", "order_events", "outbox")


def sql(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as session:
        return session.execute(cast("Any", statement)).fetchall()


def kafka_of(server: Server) -> dict[str, str]:
    settings = {"bootstrap": server.url, "partitions": 2, "replication": 1, "min_insync": 1}
    return {"OPENBELL_KAFKA": json.dumps(settings)}


async def topics(server: Server) -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=server.url)
    await admin.start()
    try:
        return [topic for topic in await admin.list_topics() if topic.startswith(OURS)]
    finally:
        await admin.close()


def databases_left(url: str) -> list[tuple[Any, ...]]:
    return sql(url, f"SELECT datname FROM pg_database WHERE datname LIKE '{OURS}%'")


def test_intake_stands_beside_one_statement_in_a_loop(tmp_path: Path, database: str) -> None:
    sizes = ("--rounds", "1", "--orders", "20", "--batches", "1", "--connections", "4")

    _, report = run(tmp_path, "intake", *sizes, environment={"OPENBELL_LEDGER_URL": database})

    found = named(report)
    assert found["batch / the raw statement"]["target"] == ">= 0.50"
    assert found["raw statement: rate"]["median"] > 0
    assert found["store's own insert, 2 at once: rate"]["median"] > 0
    assert found["single orders: p99"]["median"] >= found["single orders: p50"]["median"]
    assert report["conditions"]["ledger"].startswith("PostgreSQL ")
    assert databases_left(database) == []


def test_the_raw_statement_does_what_the_store_does(database: str) -> None:
    """Else the gateway would be measured against less than its own work."""
    calendar = load_calendar()
    sessions = far_sessions(calendar)
    store = Store(database)
    store.take(takings(10, sessions, calendar, "ours"))
    store.close()
    ours = {table: sql(database, f"SELECT * FROM {table}") for table in TABLES}
    group = list(takings(10, sessions, calendar, "raw"))

    assert take(database, [staged(group, now=1, chance=1)], 10) > 0

    both = {table: sql(database, f"SELECT * FROM {table}") for table in TABLES}
    assert {t: len(rows) for t, rows in both.items()} == dict.fromkeys(TABLES, 20)
    columns = "symbol, quantity, limit_price, side, status, version, done_for_day"
    orders = sql(database, f"SELECT {columns} FROM orders ORDER BY accept_sequence")
    assert orders[:10] == orders[10:]
    documents = [json.loads(row[-2]) for row in both["outbox"]]
    assert {frozenset(document) for document in documents} == {frozenset(documents[0])}
    assert [row[:-2] for row in ours["outbox"]] == [row[:-2] for row in both["outbox"][:10]]


def test_a_ledger_at_work_is_left_alone(database: str) -> None:
    calendar = load_calendar()
    store = Store(database)
    store.take(takings(1, far_sessions(calendar), calendar))
    store.close()

    environment = {**NOWHERE, "OPENBELL_LEDGER_URL": database}
    result = CliRunner(env=environment).invoke(app, ["bench", "intake", "--rounds", "1"])

    assert result.exit_code == 2
    assert "has orders in it" in result.stderr
    assert databases_left(database) == []


@pytest.mark.parametrize(("verb", "missing"), [("relay", "LEDGER_URL"), ("projector", "MONGO")])
def test_a_bench_of_servers_names_those_that_are_not_set(verb: str, missing: str) -> None:
    result = CliRunner(env=NOWHERE).invoke(app, ["bench", verb])

    assert result.exit_code == 2
    assert f"OPENBELL_{missing}" in result.stderr


def test_the_relay_stands_beside_the_clients_that_it_is_made_of(
    tmp_path: Path, database: str, kafka: Server
) -> None:
    environment = {"OPENBELL_LEDGER_URL": database, **kafka_of(kafka)}

    _, report = run(tmp_path, "relay", "--events", "200", "--rounds", "1", environment=environment)

    found = named(report)
    assert found["200: relay"]["target"] == ">= 40,000"
    assert found["200: relay / select and delete alone"]["median"] > 0
    assert found["200: relay / aiokafka's producer alone"]["median"] > 0
    assert asyncio.run(topics(kafka)) == []
    assert databases_left(database) == []


def test_the_projector_stands_beside_the_client_that_it_is_made_of(
    tmp_path: Path, kafka: Server, mongo: Server
) -> None:
    environment = {"OPENBELL_MONGO": json.dumps({"url": mongo.url}), **kafka_of(kafka)}

    _, report = run(
        tmp_path, "projector", "--events", "200", "--rounds", "1", environment=environment
    )

    found = named(report)
    assert found["200: projector"]["median"] > 0
    assert found["200: projector / pymongo's bulks alone"]["median"] > 0
    assert asyncio.run(topics(kafka)) == []
    with pymongo.MongoClient[dict[str, Any]](mongo.url) as client:
        assert [name for name in client.list_database_names() if name.startswith(OURS)] == []


def test_our_fix_session_stands_beside_another_engine(tmp_path: Path, quickfix: Acceptor) -> None:
    where = fix_bench.options(quickfix, durable=True)
    load = ("--orders", "50", "--window", "5", "--rounds", "1")

    _, report = run(tmp_path, "fix", *where, *load)

    found = named(report)
    assert found["our session / QuickFIX, its store buffered"]["target"] == ">= 1.00"
    assert found["our session, numbers durable"]["median"] > 0
    assert found["processor of QuickFIX, its store buffered"]["median"] > 0
    assert 1 <= found["orders in one commit"]["median"] <= 5


def test_a_fix_acceptor_that_refuses_us_is_named(quickfix: Acceptor) -> None:
    client = quickfix.client()
    stranger = ["--acceptor", f"{client.host}:{client.port}", "--sender", "NOBODY"]
    result = CliRunner(env=NOWHERE).invoke(app, ["bench", "fix", *stranger, "--target", "BROKER"])

    assert result.exit_code == 6
    assert "no session with this acceptor" in result.stderr


def test_what_waits_costs_memory_by_the_event() -> None:
    ran = {1_000: Ran(0.5, 0.1, 80.0), 101_000: Ran(2.0, 1.0, 81.0)}
    turns = [Turn(size, one, {"x": Ran(1.0, 1.0, 1.0)}) for size, one in ran.items()]

    found = {f.name: list(f.rounds) for f in figures("relay", turns, ">= 1")}

    assert found["1,000: relay"] == [2_000]
    assert found["1,000: relay / x alone"] == [2.0]
    assert found["1,000: relay's processor"] == [100.0]
    assert found["relay: memory of one more event"] == [10.0]
