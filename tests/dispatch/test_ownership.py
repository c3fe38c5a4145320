"""One broker, two processes, one owner: who waits, who takes over, and what stays behind.

Both stand on one ledger that says of itself that it is shared, in virtual time, so a lease runs
out to the millisecond. The trap is the moment of the change: the former owner still has claims in
hand, and the new one does not know yet what was left open.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

import pytest
from sqlalchemy import text

from app.dispatch.board import Board
from app.dispatch.gate import GatedBroker
from app.dispatch.lane import STANDING_BY, Lane
from app.dispatch.ownership import (
    LEASE_MARGIN_NS,
    LEASE_RENEW_S,
    LEASE_TTL_MS,
    LEASE_TTL_NS,
    NOBODY,
    SECOND_NS,
    STAND_BY_S,
    Ownership,
)
from app.domain.messages import Answer, Submission
from app.domain.records import FenceLost, Taken
from app.domain.values import Status, order_id_of
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.sqlite import Database
from tests.builders import NOW, a_taking
from tests.dispatch.rig import OK, ScriptedBroker
from tests.eventually import eventually
from tests.ledger.books import _LAWS, ME, sendable
from tests.scenarios.builders import REFERENCE
from tests.virtual import Virtual

T = TypeVar("T")
# As exact as `until` can be: it looks every 10 ms.
ABOUT_S: Final = 0.05
TTL_S: Final = LEASE_TTL_MS / 1_000


class SharedFile(Database):
    """A ledger in memory that several processes have open, as a server is."""

    is_shared = True


class Line(Ledger):
    """One process's line to the ledger: what it asks for may arrive late, its answer too."""

    there_s = back_s = recover_s = 0.0

    async def renew_lease(self, *which: Any) -> bool:
        return await self._travels(super().renew_lease(*which))

    async def take_lease(self, *which: Any) -> int:
        return await self._travels(super().take_lease(*which))

    async def _travels(self, asked: Coroutine[Any, Any, T]) -> T:
        """Ask, and be asked for though nobody waits any more: it is on its way."""

        async def travel() -> T:
            await asyncio.sleep(self.there_s)
            answer = await asked
            await asyncio.sleep(self.back_s)
            return answer

        return await asyncio.shield(asyncio.get_running_loop().create_task(travel()))

    async def recover(self, *which: Any) -> int:
        await asyncio.sleep(self.recover_s)
        return await super().recover(*which)


class Recorder(ScriptedBroker):
    """A broker that takes everything, and remembers under which key it came."""

    name = "north"
    capabilities = replace(ScriptedBroker.capabilities, batch_max=2)

    def __init__(self, *answers: Answer) -> None:
        super().__init__(*answers)
        self.keys: list[str] = []

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        self.keys += [s.broker_order_key for s in batch]
        return await super().submit(batch)


class Site:
    """One ledger and one broker, and the processes around them."""

    def __init__(self, virtual: Virtual, database: Database) -> None:
        self.virtual = virtual
        virtual.clock.set_now(NOW)
        self.database = database
        database.write_now(create)
        self.ledger = Line(database, virtual.clock)
        self.ledger.declare({"north": 1_000}, {"XNAS": "north"})
        self.broker = Recorder()
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, work: Any) -> Any:
        return self.virtual.run(work)

    def passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def line(self) -> Line:
        return Line(self.database, self.virtual.clock)

    def owner(self, holder: str, *, line: Line | None = None, stands_by: bool = True) -> Ownership:
        store = line or self.line()
        return Ownership(store, self.virtual.clock, "north", holder, stands_by=stands_by)

    def lane(self, holder: str, *, line: Line | None = None) -> Lane:
        store = line or self.line()
        board = Board(store, REFERENCE, shared=True)
        self.run(board.refresh())
        return Lane(
            broker=GatedBroker(self.broker, self.virtual.clock),
            store=store,
            clock=self.virtual.clock,
            board=board,
            recheck=sendable,
            holder=holder,
            stands_by=True,
        )

    def goes_on(self, work: Any) -> "asyncio.Task[None]":
        """Let a loop run until `ends` or the end of the test."""
        task = self.virtual.loop.create_task(work)
        self._tasks.append(task)
        return task

    def ends(self, task: "asyncio.Task[None]") -> None:
        """End a process without a farewell."""
        task.cancel()
        self.run(asyncio.wait({task}))
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise failure

    def check(self) -> None:
        """Assert the laws of the house, as `Books.check` does."""
        for broken in _LAWS.split(";"):
            assert self.sql(broken) == [], broken

    def sql(self, statement: str, **values: object) -> list[Any]:
        """Run any statement past every process; return its rows."""

        def work(connection: Any) -> list[Any]:
            found = connection.execute(text(statement), values)
            return list(found) if found.returns_rows else []

        return self.database.write_now(work)

    def close(self) -> None:
        for task in self._tasks:
            self.ends(task)
        self.database.close()

    def takes(self, *names: str) -> list[str]:
        """Take orders; return their ids."""
        taken = self.run(self.ledger.take([a_taking(name) for name in names]))
        return [t.order.order_id for t in taken if isinstance(t, Taken)]

    def status(self, order_id: str) -> Status:
        found: Status = self.run(self.ledger.get(order_id)).status
        return found

    def outcomes(self, order_id: str) -> list[str]:
        return [a.outcome for a in self.run(self.ledger.attempts(order_id))]

    def open_attempts(self, order_id: str) -> int:
        """Count them past every loop, so that `until` may ask."""
        found = self.sql("SELECT 1 FROM dispatch_inflight WHERE order_id = :id", id=order_id)
        return len(found)

    def causes(self, order_id: str) -> list[str]:
        return [e.cause for e in self.run(self.ledger.events(order_id))]

    def until(self, condition: Any, timeout_s: float = 30.0) -> float:
        """Let time pass until this is so; return how long it took."""

        async def ask() -> float:
            began = self.virtual.loop.time()
            await eventually(condition, timeout_s)
            return self.virtual.loop.time() - began

        took: float = self.run(ask())
        return took


@pytest.fixture
def site(virtual: Virtual) -> Iterator[Site]:
    site = Site(virtual, SharedFile(None))
    yield site
    site.check()
    site.close()


# --- the lease --------------------------------------------------------------------------


def test_whoever_comes_second_stands_by_as_long_as_the_first_lives(site: Site) -> None:
    one, two = site.owner("one"), site.owner("two")
    site.run(one.take())
    with pytest.raises(FenceLost, match="one"):
        site.run(two.take())
    site.goes_on(one.keep())
    site.goes_on(two.keep())
    site.passes(10 * TTL_S)

    assert (one.epoch, two.epoch) == (1, NOBODY)
    assert one.is_sure()
    assert not two.is_sure()


def test_the_second_takes_over_when_the_lease_has_run_out_and_never_before(site: Site) -> None:
    one, two = site.owner("one"), site.owner("two")
    site.run(one.take())
    keeping = site.goes_on(one.keep())
    site.goes_on(two.keep())
    site.passes(2 * LEASE_RENEW_S + 0.01)
    site.ends(keeping)  # killed right after it had prolonged: it gives nothing back

    both: list[bool] = []

    def taken_over() -> bool:
        both.append(one.is_sure() and two.is_sure())
        return two.epoch != NOBODY

    took = site.until(taken_over)

    assert TTL_S - ABOUT_S <= took <= TTL_S + STAND_BY_S + ABOUT_S
    assert two.epoch == 2
    assert not any(both)


def test_a_lease_that_was_given_back_is_taken_at_once(site: Site) -> None:
    one, two = site.owner("one"), site.owner("two")
    site.run(one.take())
    site.goes_on(two.keep())
    site.passes(2)
    site.run(one.drop())

    assert not one.is_sure()
    assert site.until(lambda: two.epoch) <= STAND_BY_S + ABOUT_S


def test_who_finds_its_lease_gone_owns_nothing_until_it_is_free_again(site: Site) -> None:
    one, two = site.owner("one"), site.owner("two")
    site.run(one.take())
    site.goes_on(one.keep())
    site.passes(0.1)
    expire(site)
    site.run(two.take())
    site.passes(LEASE_RENEW_S)
    assert (one.epoch, one.is_sure()) == (NOBODY, False)
    site.passes(TTL_S / 2)
    assert one.epoch == NOBODY

    site.until(lambda: one.epoch == 3)
    assert one.is_sure()


def test_an_owner_is_sure_from_when_it_asked_and_not_from_when_it_was_answered(
    site: Site,
) -> None:
    line = site.line()
    one = site.owner("one", line=line)
    site.run(one.take())
    site.goes_on(one.keep())
    line.there_s, line.back_s = 2.0, 4.0  # what it asks for at 3 s is answered at 9 s
    sure_s = (LEASE_TTL_NS - LEASE_MARGIN_NS) / SECOND_NS

    site.passes(sure_s - 0.01)
    assert one.is_sure()
    site.passes(0.02)
    assert not one.is_sure()
    site.passes(1.0)
    assert one.is_sure()
    site.passes(LEASE_RENEW_S + sure_s - site.virtual.loop.time() + 0.01)
    assert not one.is_sure()  # 11 s: not the 17 s that the answer alone would give


def test_a_process_alone_on_its_ledger_that_was_replaced_never_takes_back(
    virtual: Virtual,
) -> None:
    site = Site(virtual, Database(None))
    old, new = site.owner("old", stands_by=False), site.owner("new", stands_by=False)
    site.run(old.take())
    site.goes_on(old.keep())
    site.run(new.take())  # the lock of the file has proved that the old one is gone
    site.passes(LEASE_RENEW_S)
    site.run(new.drop())
    site.passes(6 * TTL_S)

    assert (old.epoch, old.is_sure()) == (NOBODY, False)
    site.close()


# --- the lane ---------------------------------------------------------------------------


def test_a_lane_that_stands_by_sends_nothing_and_says_why(site: Site) -> None:
    one, two = site.owner("one"), site.lane("two")
    site.run(one.take())
    site.goes_on(one.keep())
    assert site.run(two.open()) == 0
    site.goes_on(two.run())
    (order,) = site.takes("c-1")
    site.passes(3 * TTL_S)

    assert two.why_not == STANDING_BY
    assert site.broker.keys == []
    assert site.status(order) is Status.QUEUED


def test_a_lane_takes_over_and_never_resends_what_the_former_left_open(site: Site) -> None:
    one, two = site.lane("one"), site.lane("two")
    site.run(one.open())
    (left,) = site.takes("c-left")
    fence = one.ownership.fence(["XNAS-2026-03-02-REG"])
    site.run(site.ledger.claim(fence, 1, sendable))  # and then it died, bytes out or not
    site.run(two.open())
    site.goes_on(two.run())
    (fresh,) = site.takes("c-fresh")
    site.until(lambda: site.broker.keys)
    site.passes(1)

    assert [order_id_of(key) for key in site.broker.keys] == [fresh]
    assert (site.status(left), site.status(fresh)) == (Status.IN_DOUBT, Status.NEW)


def expire(site: Site) -> None:
    """Let the lease that stands run out now, whoever has it."""
    site.sql("UPDATE broker_leases SET expires_at = 0")


def test_what_was_claimed_under_a_lost_lease_never_leaves_under_the_next(site: Site) -> None:
    """The lane owns again, and surely: but its claim was put in doubt in between."""
    lane, other = site.lane("one"), site.owner("two")
    pace(site, 2)
    site.run(lane._board.refresh())
    site.run(lane.open())
    first, second = site.takes("c-1", "c-2")
    site.goes_on(lane.run())
    site.until(lambda: site.open_attempts(second) and site.broker.keys)
    expire(site)
    site.run(other.take())
    assert site.status(second) is Status.IN_DOUBT
    site.run(other.drop())
    site.run(lane.ownership.take())
    assert lane.ownership.is_sure()
    site.passes(2)

    assert site.broker.keys == [f"{first}01", f"{second}02"]
    assert site.outcomes(second) == ["not_sent", "accepted"]
    assert "not sent: claimed under a former lease" in site.causes(second)


def pace(site: Site, tps: int) -> None:
    """Slow the broker down, so that a claim waits for its permit."""

    async def dial() -> None:
        before = (await site.ledger.controls())["north"]
        await site.ledger.set_control(before._replace(tps=tps), before.version, ME)

    site.run(dial())


def test_a_lane_claims_nothing_before_it_has_put_what_was_left_open_in_doubt(site: Site) -> None:
    """Else its own fresh claims are put in doubt with the rest, while their bytes leave."""
    line = site.line()
    line.recover_s = 0.5
    site.broker.delay_s = 1.0
    one, two = site.owner("one"), site.lane("two", line=line)
    site.run(one.take())
    site.run(two.open())
    site.goes_on(two.run())
    (order,) = site.takes("c-1")
    site.passes(0.2)
    site.run(one.drop())
    site.until(lambda: site.broker.keys)
    site.passes(2)

    assert [e.type for e in site.run(site.ledger.events(order))] == [
        "order.queued",
        "order.sending",
        "order.new",
    ]


def test_a_late_recovery_leaves_the_attempts_of_the_next_owner_alone(site: Site) -> None:
    """A process that slept between taking the lease and recovering wakes as nobody's owner."""
    slow = site.line()
    slow.recover_s = TTL_S + 5
    one, two = site.owner("one", line=slow), site.owner("two")
    waking = site.goes_on(_taken(one))
    site.passes(TTL_S + 1)
    site.run(two.take())
    (order,) = site.takes("c-1")
    site.run(site.ledger.claim(two.fence(["XNAS-2026-03-02-REG"]), 1, sendable))
    site.run(asyncio.wait({waking}))

    assert one.epoch == NOBODY
    assert site.status(order) is Status.SENDING


async def _taken(owner: Ownership) -> None:
    with suppress(FenceLost):
        await owner.take()


def test_an_answer_that_the_broker_gave_is_noted_whoever_owns_it_now(site: Site) -> None:
    lane, other = site.lane("one"), site.owner("two")
    site.broker.delay_s = 2.0
    site.run(lane.open())
    (order,) = site.takes("c-1")
    site.goes_on(lane.run())
    site.until(lambda: site.broker.keys)
    expire(site)
    site.run(other.take())
    assert site.status(order) is Status.IN_DOUBT
    site.passes(3)

    assert site.status(order) is Status.NEW
    assert site.broker.keys == [f"{order}01"]


def test_a_lane_that_stops_gives_its_broker_to_the_next(site: Site) -> None:
    one, two = site.lane("one"), site.lane("two")
    site.run(one.open())
    site.run(two.open())
    first = site.goes_on(one.run())
    site.goes_on(two.run())
    site.passes(1)
    one.stop()
    site.run(asyncio.wait({first}))

    assert site.until(lambda: two.epoch) <= STAND_BY_S + ABOUT_S
    assert site.broker.answers == [OK]


@pytest.mark.parametrize("owns", [True, False], ids=["the owner", "who stands by"])
def test_what_a_lane_has_asked_for_when_it_stops_delays_nobody(site: Site, *, owns: bool) -> None:
    """Its last prolongation, or its first lease, comes when the lane has already left."""
    line = site.line()
    former, stops, following = site.owner("zero"), site.lane("one", line=line), site.owner("two")
    if not owns:
        site.run(former.take())
    site.run(stops.open())
    running = site.goes_on(stops.run())
    line.there_s = 0.5
    site.run(former.drop())
    site.passes((LEASE_RENEW_S if owns else STAND_BY_S) + 0.1)
    site.goes_on(following.keep())
    stops.stop()
    site.run(asyncio.wait({running}))

    assert site.until(lambda: following.epoch) <= STAND_BY_S + ABOUT_S


def test_a_lease_that_was_given_back_cannot_be_prolonged(site: Site) -> None:
    one, two = site.owner("one"), site.owner("two")
    site.run(one.take())
    site.run(one.drop())

    assert not site.run(site.ledger.renew_lease("north", "one", 1, LEASE_TTL_MS))
    assert site.run(two.take()) == 0
