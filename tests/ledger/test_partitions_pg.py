"""Partitions on a real PostgreSQL, with open readers, jobs that are cut off, and other people."""

import asyncio
import gzip
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql

from app import codec
from app.domain.records import Conflict, Taken, Taking
from app.ledger import days, rows
from app.ledger.partitions import server as partition_server
from app.ledger.partitions.plan import DefaultPartition, Standing
from app.ledger.schema import migrating
from app.ledger.store import Ledger
from app.ledger.tables import PARTED
from app.postgres import PostgresDatabase
from tests.builders import TODAY, a_taking
from tests.eventually import eventually
from tests.ledger.kept import AHEAD, OLD, OLDER, Kept, session_of

DETACH: Final = "ALTER TABLE {0} DETACH PARTITION {0}_20260224 CONCURRENTLY"


class Site(Kept):
    """The ledger, and the address at which others meet it."""

    def __init__(self, url: str, *kept: Any) -> None:
        super().__init__(*kept)
        self.url = url

    def person(self) -> psycopg.Connection[Any]:
        """Return the session of somebody with a terminal of his own."""
        return psycopg.connect(self.url, application_name="psql")

    def standing(self, day: date) -> dict[str, Standing]:
        return self.database.write_now(days.standings).get(day, {})

    def waits(self) -> bool:
        """Whether a detach of ours waits for somebody."""
        return bool(
            self.sql(
                "SELECT 1 FROM pg_stat_activity WHERE application_name = 'openbell'"
                " AND query LIKE '%CONCURRENTLY' AND wait_event_type = 'Lock'"
            )
        )


@pytest.fixture
def site(ledger_url: str, tmp_path: Path) -> Iterator[Site]:
    server = PostgresDatabase(ledger_url, writers=3)
    with asyncio.Runner() as runner:
        yield Site(ledger_url, server, runner, tmp_path / "archive")
    server.close()


# --- leaving --------------------------------------------------------------------------------


def test_a_detach_waits_for_an_open_reader_and_nobody_waits_for_it(site: Site) -> None:
    site.filled(OLDER, OLD)
    site.applied(site.job(keep=2))
    with site.person() as reader:
        reader.execute("SELECT count(*) FROM attempts")
        job = site.job()

        async def meanwhile() -> Any:
            async with asyncio.TaskGroup() as tasks:
                applying = tasks.create_task(job.apply())
                await eventually(site.waits)
                new_day = date(2026, 3, 25)
                orders = [await site.ledger.take([entry(day)]) for day in (TODAY, new_day)]
                was_waiting = site.waits()
                reader.rollback()
            return orders, was_waiting, applying.result()

        orders, was_waiting, ran = site.run(meanwhile())

    assert was_waiting
    assert [taken[0].created for taken in orders] == [True, True]
    assert ran.failed == []
    assert site.steps(ran) == [f"{step} {OLDER}" for step in ("detach", "archive", "drop")]


def entry(day: date) -> Taking:
    return a_taking(f"new-{day}", session=session_of(day))


def test_a_detach_that_was_cut_off_is_finalized_by_the_next_run(site: Site) -> None:
    site.filled(OLDER, OLD)
    with site.person() as reader:
        reader.execute("SELECT count(*) FROM attempts")
        cut_off(site, "attempts")
        half = site.standing(OLDER)
        reader.rollback()
    ran = site.applied()

    assert half["attempts"] is Standing.DETACHING
    assert ran.failed == []
    steps = ("finalize", "detach", "archive", "drop")
    assert site.steps(ran) == [f"{step} {OLDER}" for step in steps]
    assert site.applied().done == []


def cut_off(site: Site, parent: str) -> None:
    """Begin a detach that meets a reader, and cancel it."""
    with closing(psycopg.connect(site.url, autocommit=True)) as other:
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(DETACH.format(parent))


def test_a_kept_day_whose_detach_was_cut_off_is_seen_again(site: Site) -> None:
    site.filled(OLDER)
    order = site.traded(OLDER)
    with site.person() as reader:
        reader.execute("SELECT count(*) FROM orders")
        cut_off(site, "orders")
        reader.rollback()
    hidden = site.run(site.ledger.get(order.order_id))
    ran = site.applied(site.job(keep=5))

    assert hidden is None
    assert site.steps(ran) == [f"finalize {OLDER}", f"attach {OLDER}"]
    assert site.order(order.order_id) == order


def test_a_job_that_is_told_to_end_ends_at_once_and_the_next_one_goes_on(site: Site) -> None:
    site.filled(OLDER, OLD)
    with site.person() as reader:
        reader.execute("SELECT count(*) FROM attempts")

        async def begun_and_ended() -> None:
            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                applying = tasks.create_task(site.job().apply())
                await eventually(site.waits)
                applying.cancel()

        site.run(begun_and_ended())
        reader.rollback()
    half = site.standing(OLDER)
    ran = site.applied()

    assert half["attempts"] is Standing.DETACHING
    assert site.steps(ran)[:2] == [f"finalize {OLDER}", f"detach {OLDER}"]
    assert ran.failed == []


def test_who_is_in_the_way_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_server, "DETACH_TIMEOUT", "100ms")
    monkeypatch.setattr(partition_server, "LOCK_TIMEOUT", "100ms")
    monkeypatch.setattr(partition_server, "LOCK_PAUSE_S", 0.0)
    site.filled(OLDER, OLD)
    with site.person() as reader:
        reader.execute("SELECT count(*) FROM attempts")
        ((_, why),) = site.applied().failed
        pid = reader.info.backend_pid

    assert f"pid {pid} (psql of " in why


def test_attempts_leave_first_so_that_a_late_report_is_kept_apart(site: Site) -> None:
    site.filled(OLDER, OLD)
    (report,) = site.sql(
        "SELECT report FROM executions WHERE order_id IN (SELECT order_id"
        " FROM orders WHERE trade_date = '2026-02-24')"
    )
    first = partition_server.LEAVING[0]
    with closing(psycopg.connect(site.url, autocommit=True)) as other:
        other.execute(DETACH.format(first))
    late = codec.decode_report(report[0])
    applied = site.run(site.ledger.apply([late], "report"))

    assert (applied.applied, applied.quarantined) == (0, 1)


def test_a_day_that_moved_right_after_it_was_detached_comes_back(site: Site) -> None:
    site.filled(OLDER, OLD)
    site.applied(site.job(may_drop=lambda _day: "not yet"))
    site.sql("UPDATE orders_20260224 SET status = 'new' WHERE status = 'filled'")
    ran = site.applied()

    assert set(site.standing(OLDER).values()) == {Standing.ATTACHED}
    assert site.steps(ran) == [f"attach {OLDER}"]


def test_an_archive_can_be_loaded_again(site: Site) -> None:
    site.filled(OLDER, OLD)
    keep = "CREATE TABLE kept_{0} AS SELECT * FROM {0} WHERE trade_date = '2026-02-24'"
    for name in PARTED:
        site.sql(keep.format(name))
    site.applied()
    with site.person() as person, person.cursor() as cursor:
        for name in PARTED:
            cursor.execute(f"CREATE TABLE again_{name} (LIKE {name})")
            packed = site.archive_dir / str(OLDER) / f"{name}.copy.gz"
            columns = ", ".join(site.manifest(OLDER)["tables"][name]["columns"])
            load = f"COPY again_{name} ({columns}) FROM STDIN"
            with cursor.copy(load) as copy:
                copy.write(gzip.decompress(packed.read_bytes()))
    for name in PARTED:
        for one, other in (("kept", "again"), ("again", "kept")):
            assert site.sql(f"TABLE {one}_{name} EXCEPT TABLE {other}_{name}") == []
    assert site.sql("SELECT count(*) FROM again_orders") == [(2,)]


def test_a_table_that_only_has_a_name_like_ours_is_left_alone(site: Site) -> None:
    site.filled(OLD)
    site.sql("CREATE TABLE orders_20200101 (mine integer)")
    ran = site.applied()

    assert ran.failed == []
    assert site.sql("SELECT count(*) FROM orders_20200101") == [(0,)]


# --- jobs beside jobs -----------------------------------------------------------------------


def test_a_second_job_makes_days_and_leaves_the_rest_to_the_first(site: Site) -> None:
    site.filled(OLDER, OLD)
    with site.person() as first:
        first.execute("SELECT pg_advisory_lock(hashtext('openbell.partitions'))")
        ran = site.applied()
        first.execute("SELECT pg_advisory_unlock_all()")

    assert ran.elsewhere
    assert [action.trade_date for action in ran.done] == AHEAD
    assert OLDER in site.attached()
    assert not site.applied().elsewhere


def test_nothing_of_the_job_stays_in_the_pool(site: Site) -> None:
    site.filled(OLDER, OLD)
    usual = site.sql("SHOW lock_timeout")
    site.applied()

    # The pool lends the connection that came back last.
    assert site.sql("SHOW lock_timeout") == usual == [("10s",)]
    assert site.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_the_parents_have_statistics_afterwards(site: Site) -> None:
    site.filled(OLDER, OLD)
    site.applied()
    known = site.sql("SELECT DISTINCT tablename FROM pg_stats WHERE inherited")
    when = "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'orders'"
    first = site.sql(when)
    site.clock.at += 2 * 86_400_000
    ran = site.applied(site.job(keep=2))

    assert {name for (name,) in known} >= set(PARTED)
    assert first != [(None,)]
    assert ran.done
    assert ran.untidy is None
    is_cheap = site.sql("SHOW server_version_num")[0][0] >= "180000"
    assert (site.sql(when) == first) is not is_cheap  # before, its children would pay each time


def test_a_default_partition_stops_the_job_with_clear_words(site: Site) -> None:
    site.filled(OLDER, OLD)
    site.sql("CREATE TABLE orders_rest PARTITION OF orders DEFAULT")
    job = site.job()
    with pytest.raises(DefaultPartition, match="orders_rest"):
        site.applied(job)
    site.run(job.prepare())

    assert job.last_error is not None
    assert "DEFAULT" in job.last_error
    assert site.attached() == [OLDER, OLD]


# --- orders that meet a day without tables ---------------------------------------------------


def test_processes_that_miss_the_same_day_at_once_all_take_their_orders(site: Site) -> None:
    with closing(PostgresDatabase(site.url, writers=2)) as other:
        ledgers = [Ledger(database, site.clock) for database in (site.database, other) * 2]

        async def taken_at_once() -> list[list[Taken | Conflict]]:
            takings = [[a_taking(f"at-once-{number}")] for number in range(len(ledgers))]
            pairs = zip(ledgers, takings, strict=True)
            return await asyncio.gather(*(ledger.take(entries) for ledger, entries in pairs))

        results = site.run(taken_at_once())

    assert [isinstance(one, Taken) and one.created for (one,) in results] == [True] * 4
    assert site.attached() == [TODAY]
    assert set(site.standing(TODAY)) == set(PARTED)
    assert site.sql("SELECT count(*) FROM orders_20260302") == [(4,)]


def test_a_day_dropped_behind_the_cache_loses_no_order(site: Site) -> None:
    site.filled(TODAY)
    drop_behind(site)
    order = site.taken(TODAY)

    assert site.order(order.order_id) == order
    assert site.sql("SELECT count(*) FROM orders") == [(1,)]


def drop_behind(site: Site) -> None:
    for name in PARTED:
        site.sql(f"DROP TABLE {name}_20260302")


# --- what the schema and the planner say ------------------------------------------------------


def test_alembic_finds_nothing_to_do_on_a_server_with_days(site: Site) -> None:
    site.filled(OLDER, OLD)
    site.applied(site.job(may_drop=lambda _day: "not yet"))

    def differences(connection: Connection) -> Sequence[object]:
        how = migrating(connection)
        metadata = how.pop("target_metadata")
        context = MigrationContext.configure(connection, opts=how)
        return list(compare_metadata(context, metadata))

    assert set(site.standing(OLDER).values()) == {Standing.LOOSE}
    assert site.database.write_now(differences) == []


@pytest.mark.parametrize("plans", ["force_generic_plan", "force_custom_plan"])
def test_a_look_up_by_id_touches_one_day(site: Site, plans: str) -> None:
    site.filled(OLDER, OLD)
    order = site.canceled(TODAY)
    statement = rows._BY_ID._on("postgresql", TODAY)
    compiled = statement.compile(dialect=postgresql.dialect(paramstyle="pyformat"))  # type: ignore[no-untyped-call]
    sql = str(compiled) % {"day": "$1", "ids": "$2"}
    with site.person() as person:
        person.execute(f"SET plan_cache_mode = {plans}")
        person.execute(f"PREPARE found (date, text) AS {sql}")
        ids = codec.text([order.order_id])
        asked = f"EXPLAIN (ANALYZE, COSTS off) EXECUTE found ('{TODAY}', '{ids}')"
        told = [line for (line,) in person.execute(asked)]

    words = {word[:15] for line in told for word in line.split()}
    assert {word for word in words if word.startswith("orders_2026")} == {"orders_20260302"}
