"""The days of a SQLite file, where a copy and a drop cannot be one commit."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.ledger import days
from app.ledger.beside import beside
from app.ledger.partitions import file as partition_file
from app.ledger.schema import upgrade
from app.sql import Work
from app.sqlite import Database
from tests.builders import TODAY
from tests.eventually import eventually
from tests.ledger.kept import AHEAD, OLD, OLDER, Kept
from tests.virtual import VirtualLoop


class Watched(Database):
    """A file whose reads can be counted, and met by somebody who writes in between."""

    reads = 0
    before_read: Callable[[int], object] = staticmethod(lambda _reads: None)

    async def read(self, work: Work[Any]) -> Any:
        self.reads += 1
        self.before_read(self.reads)
        return await super().read(work)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Watched]:
    database = Watched(tmp_path / "ledger.db")
    upgrade(database)
    yield database
    database.close()


@pytest.fixture
def kept(database: Watched, tmp_path: Path) -> Iterator[Kept]:
    with asyncio.Runner() as runner:
        yield Kept(database, runner, tmp_path / "archive")


def test_it_all_runs_inline_in_virtual_time(tmp_path: Path) -> None:
    with closing(Database(None)) as memory, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        upgrade(memory)
        kept = Kept(memory, runner, tmp_path / "archive")
        kept.filled(OLDER, OLD)
        ran = kept.applied()

        assert kept.steps(ran) == [f"archive {OLDER}", f"drop {OLDER}"]
        assert kept.attached() == [OLD, *AHEAD]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE orders_20260224 SET version = version + 1 WHERE status = 'filled'",
        "DELETE FROM order_events_20260224 WHERE sequence = 2",
        "UPDATE attempts_20260224 SET send_count = 2",
        "UPDATE attempts_20260224 SET settled_at = settled_at + 1",
        "DELETE FROM executions_20260224",
    ],
)
def test_whatever_moves_in_a_day_keeps_its_old_archive_from_counting(
    kept: Kept, change: str
) -> None:
    kept.filled(OLDER, OLD)
    kept.applied(kept.job(may_drop=lambda _day: "not yet"))
    kept.sql(change)
    (failed,) = kept.applied().failed

    assert "changed since" in failed[1]
    assert OLDER in kept.attached()
    assert kept.steps(kept.applied()) == [f"archive {OLDER}", f"drop {OLDER}"]


def test_a_day_that_moves_while_it_is_copied_is_not_archived(kept: Kept, database: Watched) -> None:
    kept.filled(OLDER, OLD)
    begun = database.reads

    def move(reads: int) -> None:
        if reads == begun + 6:  # two looks, the totals, and the pages
            kept.sql("UPDATE orders_20260224 SET version = version + 1")

    database.before_read = move
    (failed,) = kept.applied().failed
    database.before_read = lambda _reads: None

    assert "changed while it was copied" in failed[1]
    assert list(kept.archive_dir.iterdir()) == []
    assert kept.steps(kept.applied()) == [f"archive {OLDER}", f"drop {OLDER}"]


def test_a_page_at_a_time_copies_everything(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partition_file, "PAGE_ROWS", 1)
    kept.filled(OLDER, OLDER, OLD)
    ran = kept.applied()

    assert ran.failed == []
    tables = kept.manifest(OLDER)["tables"]
    assert {name: found["rows"] for name, found in tables.items()} == {
        "orders": 4,
        "order_events": 12,
        "attempts": 2,
        "executions": 2,
    }


def test_a_client_who_asks_while_a_day_goes_is_answered(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    order = kept.canceled(OLDER)

    async def asked_meanwhile() -> list[bool]:
        async with asyncio.TaskGroup() as tasks:
            applying = tasks.create_task(kept.job().apply())
            found = []
            while not applying.done():
                found.append(await kept.ledger.get(order.order_id) is not None)
        return found

    found = kept.run(asked_meanwhile())

    assert found[0]
    assert not found[-1]
    assert found == sorted(found, reverse=True)


def test_a_cancelled_archive_leaves_nothing_half_done(kept: Kept, database: Watched) -> None:
    kept.filled(OLDER, OLD)
    draft = kept.archive_dir / f".{OLDER}.draft"

    async def cut_off() -> None:
        async with asyncio.TaskGroup() as tasks:
            applying = tasks.create_task(kept.job().apply())
            database.before_read = lambda _reads: draft.exists() and applying.cancel()

    kept.run(cut_off())
    database.before_read = lambda _reads: None

    assert list(kept.archive_dir.iterdir()) == []
    assert OLDER in kept.attached()
    assert kept.steps(kept.applied()) == [f"archive {OLDER}", f"drop {OLDER}"]


def test_what_a_dead_job_has_left_goes(kept: Kept) -> None:
    kept.filled(OLDER, OLD)
    draft = kept.archive_dir / f".{OLDER}.draft"
    draft.mkdir(parents=True)
    (draft / "ledger.db").write_text("half of it")
    kept.applied()

    assert [path.name for path in kept.files(OLDER)] == ["ledger.db"]
    assert not draft.exists()


def test_more_days_than_a_view_can_show_are_still_found_by_id(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "SHOWN_MAX", 2)
    orders = [kept.canceled(day) for day in (OLDER, OLD, TODAY)]

    assert [kept.order(order.order_id) for order in orders] == orders
    assert kept.sql("SELECT count(*) FROM orders") == [(2,)]


def test_a_cancelled_task_waits_for_its_thread() -> None:
    begun, hurried, told = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        told.append(hurried.wait(10))

    async def cut_off() -> list[bool]:
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(beside(work, hurried.set))
            await eventually(begun.is_set)
            working.cancel()
        return list(told)

    assert asyncio.run(cut_off()) == [True]
