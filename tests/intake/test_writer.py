"""What arrives while one commit runs shares the next; what does not fit is no order."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Final, cast

import pytest

from app.domain.errors import Busy, Code
from app.domain.records import Conflict, Taken, Taking
from app.domain.signs import CommitPace
from app.domain.values import Status
from app.intake.writer import (
    BATCH_ORDERS_MAX,
    OLDEST_MS_MAX,
    QUEUE_ORDERS_MAX,
    Writer,
)
from app.ports.away import StoreAway
from app.ports.orders import OrderStore
from tests.builders import a_taking, an_order
from tests.virtual import Virtual

COMMIT_S: Final = 0.02


class Disk:
    """Commits what it is given, each time for as long as it is told, and keeps the batches."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.commit_s = COMMIT_S
        self.failure: BaseException | None = None

    async def take(self, entries: Sequence[Taking]) -> list[Taken | Conflict]:
        await asyncio.sleep(self.commit_s)
        if self.failure is not None:
            raise self.failure
        names = [entry.request.client_order_id for entry in entries]
        self.batches.append(names)
        return [Taken(an_order(client_order_id=name), created=True) for name in names]


class Counter:
    """A writer at work, and clients who come to it."""

    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual
        self.disk = Disk()
        self.sizes: list[int] = []
        store = cast("OrderStore", self.disk)
        self.writer = Writer(store, virtual.clock, self.sizes.append)

    def run(self, story: Coroutine[Any, Any, None]) -> None:
        """Let the writer run beside the story, then drain it."""

        async def all_of_it() -> None:
            async with asyncio.TaskGroup() as loops:
                loops.create_task(self.writer.run())
                await story
                self.writer.drain()

        self._virtual.run(all_of_it())

    async def take(self, *names: str) -> list[str]:
        results = await self.writer.take([a_taking(name) for name in names])
        return [r.order.client_order_id for r in results if isinstance(r, Taken)]

    async def outcome(self, *names: str) -> str:
        """Return what a client would hear: a code, or that it is taken."""
        try:
            return "taken" if await self.take(*names) == [*names] else "mixed up"
        except Busy as e:
            return e.code.code

    async def many(self, count: int, size: int = 1) -> list[str]:
        async with asyncio.TaskGroup() as clients:
            tasks = [
                clients.create_task(self.outcome(*(f"{n}-{k}" for k in range(size))))
                for n in range(count)
            ]
        return [task.result() for task in tasks]


@pytest.fixture
def counter(virtual: Virtual) -> Counter:
    return Counter(virtual)


def test_at_rest_an_order_waits_for_nobody(virtual: Virtual, counter: Counter) -> None:
    async def story() -> None:
        before = virtual.loop.time()
        assert await counter.take("c-1") == ["c-1"]
        assert virtual.loop.time() - before == pytest.approx(COMMIT_S)

    counter.run(story())


def test_what_arrives_while_one_commit_runs_shares_the_next(counter: Counter) -> None:
    async def story() -> None:
        async with asyncio.TaskGroup() as clients:
            clients.create_task(counter.take("first"))
            await asyncio.sleep(COMMIT_S / 2)
            for n in range(10):
                clients.create_task(counter.take(f"c-{n}"))

    counter.run(story())

    assert [len(batch) for batch in counter.disk.batches] == [1, 10]
    assert counter.sizes == [1, 10]


def test_each_client_gets_its_own_answers_in_its_own_order(counter: Counter) -> None:
    async def story() -> None:
        assert await counter.many(20, size=3) == ["taken"] * 20

    counter.run(story())

    assert counter.disk.batches[0][:4] == ["0-0", "0-1", "0-2", "1-0"]


def test_a_group_has_a_size(counter: Counter) -> None:
    async def story() -> None:
        assert await counter.many(100, size=7) == ["taken"] * 100

    counter.run(story())

    sizes = [len(batch) for batch in counter.disk.batches]
    assert max(sizes) <= BATCH_ORDERS_MAX
    assert sum(sizes) == 700
    assert all(size % 7 == 0 for size in sizes)  # one request is one commit


def test_a_request_larger_than_a_group_is_one_commit(counter: Counter) -> None:
    async def story() -> None:
        assert await counter.many(1, size=1_000) == ["taken"]

    counter.run(story())

    assert counter.sizes == [1_000]


def test_nothing_at_all_is_answered_too(counter: Counter) -> None:
    async def story() -> None:
        assert await counter.take() == []

    counter.run(story())


def test_overload_is_refused_at_once_and_stored_nowhere(counter: Counter) -> None:
    counter.disk.commit_s = 0.001
    offered = QUEUE_ORDERS_MAX + 1_000

    async def story() -> None:
        heard = await counter.many(offered)
        refused = [n for n, word in enumerate(heard) if word == "overloaded"]
        assert len(refused) >= 900
        assert set(heard) == {"taken", "overloaded"}
        stored = {name for batch in counter.disk.batches for name in batch}
        assert stored == {f"{n}-0" for n, word in enumerate(heard) if word == "taken"}

    counter.run(story())


def test_a_slow_disk_is_overload_before_the_queue_is_full(counter: Counter) -> None:
    counter.disk.commit_s = 10

    async def story() -> None:
        async with asyncio.TaskGroup() as clients:
            clients.create_task(counter.outcome("commits"))
            await asyncio.sleep(0)
            waits = clients.create_task(counter.outcome("waits"))
            await asyncio.sleep(OLDEST_MS_MAX / 1_000)
            at_the_edge = clients.create_task(counter.outcome("edge"))
            await asyncio.sleep(0.001)
            assert await counter.outcome("late") == "overloaded"
        assert (waits.result(), at_the_edge.result()) == ("taken", "taken")

    counter.run(story())

    assert counter.disk.batches == [["commits"], ["waits", "edge"]]


def test_room_is_free_again_when_the_queue_has_moved(counter: Counter) -> None:
    async def story() -> None:
        for _ in range(3):
            assert await counter.many(QUEUE_ORDERS_MAX // 1_000, size=1_000) == ["taken"] * 4

    counter.run(story())


def test_who_drains_takes_nothing_new_and_writes_what_waits(counter: Counter) -> None:
    async def story() -> None:
        async with asyncio.TaskGroup() as clients:
            tasks = [clients.create_task(counter.outcome(f"c-{n}")) for n in range(3)]
            await asyncio.sleep(COMMIT_S / 2)
            counter.writer.drain()
            assert await counter.outcome("late") == "draining"
        assert [task.result() for task in tasks] == ["taken"] * 3

    counter.run(story())

    assert sum(map(len, counter.disk.batches)) == 3


def test_a_client_who_goes_away_leaves_his_order_and_disturbs_nobody(counter: Counter) -> None:
    async def story() -> None:
        async with asyncio.TaskGroup() as clients:
            gone = clients.create_task(counter.outcome("gone"))
            stays = clients.create_task(counter.outcome("stays"))
            await asyncio.sleep(COMMIT_S / 2)
            gone.cancel()
        assert stays.result() == "taken"

    counter.run(story())

    assert [name for batch in counter.disk.batches for name in batch] == ["gone", "stays"]


@pytest.mark.parametrize("failure", [OSError("disk"), MemoryError(), asyncio.CancelledError()])
def test_a_commit_that_failed_may_have_happened_and_ends_the_writer(
    virtual: Virtual, counter: Counter, failure: BaseException
) -> None:
    """And whoever waited behind it is told that no order of his exists."""
    counter.disk.failure = failure

    async def story() -> tuple[list[str], BaseException | None]:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(_ended(counter.writer))
            commits = tasks.create_task(counter.outcome("commits"))
            await asyncio.sleep(COMMIT_S / 2)
            waits = tasks.create_task(counter.outcome("waits"))
        heard = [commits.result(), waits.result(), await counter.outcome("late")]
        return heard, running.result()

    heard, ended_by = virtual.run(story())

    assert heard == ["commit-outcome-unknown", "draining", "draining"]
    assert ended_by is failure


def test_a_store_that_is_away_leaves_every_waiter_of_the_group_in_doubt_and_nobody_else(
    counter: Counter,
) -> None:
    """The writer goes on: whoever waited behind the group is written when the store is back."""

    async def story() -> None:
        counter.disk.failure = StoreAway("the server went in the middle of a commit")
        async with asyncio.TaskGroup() as clients:
            group = [clients.create_task(counter.outcome(f"g-{n}", f"h-{n}")) for n in range(3)]
            await asyncio.sleep(COMMIT_S / 2)
            behind = [clients.create_task(counter.outcome(f"b-{n}")) for n in range(2)]
            await asyncio.sleep(COMMIT_S)
            counter.disk.failure = None
        assert [task.result() for task in group] == ["commit-outcome-unknown"] * 3
        assert [task.result() for task in behind] == ["taken"] * 2
        assert counter.writer.running
        assert await counter.outcome("later") == "taken"

    counter.run(story())

    assert counter.disk.batches == [["b-0", "b-1"], ["later"]]


def test_room_is_free_again_while_a_store_is_away(counter: Counter) -> None:
    """Each group that failed has left the queue: its size counts against nobody."""

    async def story() -> None:
        counter.disk.failure = StoreAway("away")
        for _ in range(3):
            heard = await counter.many(QUEUE_ORDERS_MAX // 1_000, size=1_000)
            assert heard == ["commit-outcome-unknown"] * 4
        counter.disk.failure = None
        assert await counter.many(QUEUE_ORDERS_MAX // 1_000, size=1_000) == ["taken"] * 4

    counter.run(story())


def test_who_drains_while_a_store_is_away_still_answers_everybody(counter: Counter) -> None:
    async def story() -> None:
        counter.disk.failure = StoreAway("away")
        async with asyncio.TaskGroup() as clients:
            first = clients.create_task(counter.outcome("first"))
            await asyncio.sleep(COMMIT_S / 2)
            second = clients.create_task(counter.outcome("second"))
            await asyncio.sleep(0)
            counter.writer.drain()
        assert (first.result(), second.result()) == ("commit-outcome-unknown",) * 2

    counter.run(story())

    assert not counter.writer.running


async def _ended(writer: Writer) -> BaseException | None:
    try:
        await writer.run()
    except BaseException as e:  # noqa: BLE001 - whatever ends it is what is asked for
        return e
    return None


def test_a_refusal_says_when_to_come_back(virtual: Virtual, counter: Counter) -> None:
    counter.writer.drain()
    with pytest.raises(Busy) as refused:
        virtual.run(counter.take("c-1"))

    assert (refused.value.code, refused.value.retry_after_s) == (Code.DRAINING, 1.0)


def test_an_order_is_as_the_store_says(counter: Counter) -> None:
    """A conflict or a replay travels to its client like any answer."""
    conflict = Conflict("other", Status.NEW)

    async def take(entries: Sequence[Taking]) -> list[Taken | Conflict]:
        return [conflict for _ in entries]

    counter.disk.take = take  # type: ignore[method-assign]

    async def story() -> None:
        assert await counter.writer.take([a_taking()]) == [conflict]

    counter.run(story())


def test_it_says_whether_it_runs(counter: Counter) -> None:
    async def story() -> None:
        await counter.take("c-1")
        assert counter.writer.running

    assert not counter.writer.running
    counter.run(story())
    assert not counter.writer.running


def test_the_writer_says_how_its_commits_of_the_last_minute_did(counter: Counter) -> None:
    async def story() -> None:
        assert counter.writer.pace() == CommitPace(False, 0, 0, 0, None, None)  # not begun yet
        await counter.writer.take([a_taking(client_order_id="c-1")])
        counter.disk.commit_s = 4 * COMMIT_S
        await counter.writer.take([a_taking(client_order_id=f"c-{i}") for i in range(2, 5)])
        pace = counter.writer.pace()
        assert (pace.commits, pace.orders, pace.waiting) == (2, 4, 0)
        assert pace.p50_ms == pace.p99_ms == pytest.approx(4_000 * COMMIT_S)
        await asyncio.sleep(60)
        assert counter.writer.pace().commits == 0

    counter.run(story())
    assert not counter.writer.pace().running
