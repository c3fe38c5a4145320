"""What the job does to a ledger: the same in a SQLite file and in PostgreSQL."""

import asyncio
import gzip
import hashlib
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.exc import SQLAlchemyError

from app.domain.values import CancelOrigin
from app.ledger.partitions.catalog import Orders
from app.ledger.schema import upgrade
from app.ledger.tables import PARTED
from app.postgres import PostgresDatabase
from app.sqlite import Database
from tests.builders import TODAY
from tests.eventually import eventually
from tests.ledger.kept import AHEAD, OLD, OLDER, Kept

ROWS: Final = {"orders": 2, "order_events": 6, "attempts": 1, "executions": 1}


@pytest.fixture(params=["file", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param == "postgres":
        server = PostgresDatabase(request.getfixturevalue("ledger_url"), writers=3)
        with asyncio.Runner() as runner:
            yield Kept(server, runner, tmp_path / "archive")
        server.close()
        return
    database = Database(tmp_path / "ledger.db")
    upgrade(database)
    with asyncio.Runner() as runner:
        yield Kept(database, runner, tmp_path / "archive")
    database.close()


def out(kept: Kept) -> list[str]:
    """Return the steps by which a day leaves."""
    steps = ["archive", "drop"]
    return ["detach", *steps] if kept.database.is_shared else steps


def test_the_days_ahead_are_made_once(kept: Kept) -> None:
    first, second = kept.applied(), kept.applied()

    assert [action.trade_date for action in first.done] == AHEAD
    assert kept.attached() == AHEAD
    assert (list(second.done), list(second.failed)) == ([], [])


def test_a_year_is_kept_and_what_is_older_leaves_with_its_archive(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    (held,) = kept.sql("SELECT min(order_id) FROM orders")
    ran = kept.applied()

    assert ran.failed == []
    assert kept.steps(ran) == [f"{step} {OLDER}" for step in out(kept)]
    assert kept.attached() == [OLD, *AHEAD]
    assert kept.applied().done == []
    assert kept.run(kept.ledger.get(held[0])) is None
    tables = kept.manifest(OLDER)["tables"]
    assert {name: tables[name]["rows"] for name in PARTED} == ROWS


def test_an_archive_is_what_its_checksums_say_to_any_tool(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    (canceled,) = kept.sql(
        "SELECT order_id, account_id, status, quantity FROM orders"
        " WHERE trade_date = :day AND status = 'canceled'",
        day=OLDER.isoformat(),
    )
    kept.applied()
    manifest = kept.manifest(OLDER)

    for path in kept.files(OLDER):
        raw = path.read_bytes()
        assert manifest["files"][path.name] == {
            "bytes": len(raw),
            "sha512": hashlib.sha512(raw).hexdigest(),
        }
    assert [str(value) for value in canceled] in archived_orders(kept)


def archived_orders(kept: Kept) -> list[list[str]]:
    names = ["order_id", "account_id", "status", "quantity"]
    if not kept.database.is_shared:
        path = kept.archive_dir / OLDER.isoformat() / "ledger.db"
        with closing(sqlite3.connect(path)) as file:
            file.row_factory = sqlite3.Row
            found = file.execute("SELECT * FROM orders_20260224").fetchall()
            return [[str(row[name]) for name in names] for row in found]
    path = kept.archive_dir / OLDER.isoformat() / "orders.copy.gz"
    places = [kept.manifest(OLDER)["tables"]["orders"]["columns"].index(name) for name in names]
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return [[line.split("\t")[place] for place in places] for line in lines]


def test_a_day_with_a_rolled_order_stays(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    rolled = kept.taken(OLDER, reserved=True)
    kept.sql(
        "UPDATE orders_20260224 SET session_date = :today WHERE status = 'reserved'",
        today=TODAY.isoformat(),
    )
    job = kept.job()
    ran = kept.applied(job)

    assert kept.steps(ran) == []
    assert kept.order(rolled.order_id).status == "reserved"
    assert kept.run(job.outlook()).stays == {OLDER: "an order of it waits for its bell"}


@pytest.mark.parametrize("ends", [True, False])
def test_a_day_with_an_open_order_stays_until_it_has_ended(kept: Kept, *, ends: bool) -> None:
    kept.filled(OLDER, OLD)
    waiting = kept.taken(OLDER)
    first = kept.steps(kept.applied())
    if ends:
        kept.run(kept.ledger.cancel(waiting.order_id, None, CancelOrigin.CLIENT))
    second = kept.steps(kept.applied())

    assert first == []
    assert bool(second) is ends


def test_a_day_is_busy_while_its_order_has_not_ended_even_in_no_queue(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    kept.sql("UPDATE orders_20260224 SET status = 'new' WHERE status = 'filled'")
    job = kept.job()

    assert kept.steps(kept.applied(job)) == []
    assert kept.run(job.outlook()).stays == {OLDER: "an order of it is new"}


def test_a_day_that_may_not_be_dropped_is_archived_and_waits(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    job = kept.job(may_drop=lambda day: "the view is not verified" if day == OLDER else None)
    steps = kept.steps(kept.applied(job))

    assert steps == [f"{step} {OLDER}" for step in out(kept)[:-1]]
    assert kept.applied(job).done == []
    assert kept.run(job.outlook()).stays == {OLDER: "the view is not verified"}
    assert kept.steps(kept.applied()) == [f"drop {OLDER}"]


def test_who_compares_sees_every_order_of_the_day_as_it_stands(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    expected = [
        payload for page in kept.run(pages(kept.ledger.payloads(only=OLDER))) for payload in page
    ]
    seen: list[bytes] = []

    async def compare(day: date, orders: Orders) -> str | None:
        assert day == OLDER
        assert await pages(orders()) == await pages(orders())
        seen.extend([payload for page in await pages(orders()) for payload in page])
        return "the view lacks one"

    (failed,) = kept.applied(kept.job(compare=compare)).failed

    assert failed[1] == f"{OLDER} stays: the view lacks one"
    assert seen == expected
    assert len(seen) == count(kept) == 2
    assert kept.steps(kept.applied()) == [f"drop {OLDER}"]


async def pages(orders: AsyncIterator[list[bytes]]) -> list[list[bytes]]:
    return [page async for page in orders]


def test_nothing_is_dropped_whose_archive_is_broken(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    kept.applied(kept.job(may_drop=lambda _day: "not yet"))
    path = kept.files(OLDER)[0]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    job = kept.job()
    (failed,) = kept.applied(job).failed

    assert "expected" in failed[1]
    assert path.name in failed[1]
    assert count(kept) == 2
    path.unlink()
    assert "cannot be read" in kept.applied(job).failed[0][1]
    assert count(kept) == 2


def count(kept: Kept) -> int:
    """Return how many orders the table of the old day has, attached or not."""
    return int(kept.sql("SELECT count(*) FROM orders_20260224")[0][0])


def test_a_day_that_moved_after_it_was_archived_is_archived_anew(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    kept.applied(kept.job(may_drop=lambda _day: "not yet"))
    before = kept.manifest(OLDER)
    kept.sql("UPDATE orders_20260224 SET version = version + 1 WHERE status = 'filled'")
    (failed,) = kept.applied().failed
    again = kept.applied()

    assert "changed since" in failed[1]
    assert (again.elsewhere, again.failed) == (False, [])
    assert kept.steps(again) == [f"archive {OLDER}", f"drop {OLDER}"]
    assert kept.manifest(OLDER)["files"] != before["files"]
    assert (kept.archive_dir / f"{OLDER}.replaced-1").exists()


def test_the_job_shows_what_it_has_seen(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    job = kept.job(sessions=2)
    was_short = job.is_short
    kept.run(job.prepare())

    assert was_short

    assert (job.days_ahead, job.attached) == (2, 5)
    assert not job.is_short
    assert job.last_error is None
    assert job.last_run_at == kept.clock.now()
    assert OLDER in kept.attached()  # before the doors open, nothing leaves


def test_the_loop_lets_no_day_leave_while_a_market_is_open(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    once(kept)
    during = kept.attached()
    kept.clock.at += 8 * 3_600_000  # all is closed, and the next bell far
    once(kept)

    assert OLDER in during
    assert OLDER not in kept.attached()


def once(kept: Kept) -> None:
    """Run the loop until it sleeps."""
    job = kept.job()

    async def until_it_has_run() -> None:
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(job.run())
            await eventually(lambda: job.last_run_at or job.last_error)
            loop.cancel()

    kept.run(until_it_has_run())
    assert job.last_error is None


def test_a_run_that_fails_is_told_and_stops_nothing(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    kept.archive_dir.write_text("a file where a directory should be")
    job = kept.job()
    (failed,) = kept.applied(job).failed
    kept.clock.at += 8 * 3_600_000

    assert "archive" in failed[1]
    assert count(kept) == 2


def test_a_day_that_fails_keeps_no_other_from_leaving(kept: Kept) -> None:
    oldest = OLDER.replace(day=23)
    kept.filled(oldest, OLDER, OLD)
    kept.applied(kept.job(may_drop=lambda _day: "not yet"))
    (kept.archive_dir / oldest.isoformat() / "manifest.json").write_text("{}")
    ran = kept.applied()

    assert [action.trade_date for action, _ in ran.failed] == [oldest]
    assert kept.steps(ran) == [f"drop {OLDER}"]


def test_the_ledger_still_takes_orders_for_a_day_that_came_back(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    kept.applied()
    order = kept.taken(OLD)
    with pytest.raises(SQLAlchemyError):
        kept.sql("SELECT 1 FROM orders_20260224")

    assert kept.order(order.order_id) == order
