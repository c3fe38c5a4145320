"""The days of a ledger by hand: planned, made and shown; refused where a gateway is at work."""

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pymongo
import pytest
from typer.testing import CliRunner, Result

from app.accounts.fold import fold
from app.accounts.mongo import close_client, make_client
from app.accounts.mongo_book import MongoAccountBook
from app.cli import app
from app.clock import SystemClock
from app.ledger.partitions.plan import ahead
from app.ledger.schema import upgrade
from app.postgres import PostgresDatabase
from app.reference import load_calendar
from app.sqlite import Database
from tests.ledger.kept import OLD, OLDER, Kept
from tests.servers.server import Server, fresh_name

Run = Callable[..., Result]


def run(here: Path, *words: str, ledger_url: str | None = None, mongo: str | None = None) -> Result:
    environment = {
        "OPENBELL_DATA_DIR": str(here),
        "OPENBELL_LEDGER_URL": ledger_url,
        "OPENBELL_MONGO": mongo,
    }
    return CliRunner(env=environment).invoke(app, ["partitions", *words], catch_exceptions=False)


def told(result: Result) -> Any:
    return json.loads(result.stdout)


def coming() -> list[str]:
    """Return the days that any plan begins with: this command line asks the real clock."""
    return [str(day) for day in ahead(load_calendar(), SystemClock().now(), 10)]


@pytest.fixture(params=["sqlite", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    if request.param == "sqlite":
        with closing(Database(tmp_path / "ledger.db")) as file:
            upgrade(file)
        return lambda *words: run(tmp_path, *words)
    url: str = request.getfixturevalue("database")
    with closing(PostgresDatabase(url, writers=1)) as server:
        upgrade(server)
    return lambda *words: run(tmp_path, *words, ledger_url=url)


def test_what_is_planned_is_applied_and_then_shown(ledger: Run) -> None:
    days = coming()
    planned, applied, again = (
        ledger("plan", "--json"),
        ledger("apply", "--json"),
        ledger("plan", "--json"),
    )
    shown = ledger("status", "--json")

    assert (planned.exit_code, applied.exit_code, again.exit_code) == (0, 0, 0)
    assert [row["trade_date"] for row in told(planned)] == days
    assert {row["step"] for row in told(planned)} <= {"create"}
    assert [(row["trade_date"], row["result"]) for row in told(applied)] == [
        (day, "done") for day in days
    ]
    assert told(again) == []
    assert told(shown)["attached"] == len(days)
    assert {row["state"] for row in told(shown)["days"]} <= {"attached"}


def test_a_table_is_for_people(ledger: Run) -> None:
    assert "(none)" in ledger("status").stdout
    assert ledger("plan").stdout.startswith("STEP")


def test_too_few_days_ahead_is_a_failed_check(ledger: Run) -> None:
    result = ledger("status")

    assert result.exit_code == 1
    assert "partitions apply" in result.stderr


def test_a_file_that_a_gateway_has_open_is_left_alone(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "ledger.db")) as open_elsewhere:
        upgrade(open_elsewhere)
        result = run(tmp_path, "apply")

    assert result.exit_code == 3
    assert "a gateway is running on it" in result.stderr


def test_a_directory_without_a_ledger_gets_none(tmp_path: Path) -> None:
    assert run(tmp_path, "status").exit_code == 4
    assert list(tmp_path.iterdir()) == []


def test_a_ledger_of_another_version_is_left_alone(tmp_path: Path) -> None:
    Database(tmp_path / "ledger.db").close()
    result = run(tmp_path, "plan")

    assert result.exit_code == 1
    assert "another version" in result.stderr


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "plan", ledger_url="postgresql://127.0.0.1:1/openbell")

    assert result.exit_code == 6
    assert "away" in result.stderr


def test_a_default_partition_is_told_by_name(database: str, tmp_path: Path) -> None:
    with closing(PostgresDatabase(database, writers=1)) as server:
        upgrade(server)
        trap = "CREATE TABLE orders_rest PARTITION OF orders DEFAULT"
        server.write_now(lambda c: c.exec_driver_sql(trap))
    result = run(tmp_path, "plan", ledger_url=database)

    assert result.exit_code == 1
    assert "orders_rest" in result.stderr


def test_another_job_at_work_is_told(database: str, tmp_path: Path) -> None:
    lock = "SELECT pg_advisory_lock(hashtext('openbell.partitions'))"
    with closing(PostgresDatabase(database, writers=1)) as server:
        upgrade(server)
        with server.session() as session:
            session.exec_driver_sql(lock)
            result = run(tmp_path, "apply", ledger_url=database)
            session.exec_driver_sql("SELECT pg_advisory_unlock_all()")

    assert result.exit_code == 75
    assert "another job is at work" in result.stderr


def test_a_day_is_dropped_only_if_the_account_store_holds_all_of_it(
    mongo: Server, tmp_path: Path
) -> None:
    name = fresh_name("partitions")
    settings = json.dumps({"url": mongo.url, "database": name, "driver": "pymongo"})
    with closing(Database(tmp_path / "ledger.db")) as file, asyncio.Runner() as runner:
        upgrade(file)
        kept = Kept(file, runner, tmp_path / "archive")
        kept.filled(OLDER, OLD)
        payloads = kept.run(of_day(kept, OLDER))
    some, whole = payloads[:1], payloads
    outcomes = []
    for documents in ([], some, whole):
        asyncio.run(stored(mongo.url, name, documents))
        ran = run(tmp_path, "apply", "--keep", "1", "--json", mongo=settings)
        outcomes.append((ran.exit_code, told(ran)[-1]["result"]))
    with pymongo.MongoClient[dict[str, object]](mongo.url) as client:
        client.drop_database(name)

    assert [code for code, _ in outcomes] == [1, 1, 0]
    assert "2 orders are missing" in outcomes[0][1]
    assert "1 orders are missing" in outcomes[1][1]
    assert outcomes[2][1] == "done"


async def of_day(kept: Kept, day: date) -> list[bytes]:
    return [payload async for page in kept.ledger.payloads(only=day) for payload in page]


async def stored(url: str, database: str, payloads: list[bytes]) -> None:
    """Store what a projector would."""
    client = make_client(url, "pymongo")
    book = await MongoAccountBook.open(client, database)
    await book.upsert([fold(payload) for payload in payloads])
    await close_client(client)
