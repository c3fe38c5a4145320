"""The doors of one process see the lanes of another, and ask them, through rows of the ledger.

A dispatcher with a real lane and a real reconciler stands on one side, the doors on the other, and
only the ledger between them. The trap is a row that outlives who wrote it: a lane that nobody runs
must not look as if it ran.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from app.diagnostics.health import HealthWitness
from app.dispatch.board import Board
from app.dispatch.floor import DispatchFloor
from app.dispatch.gate import GatedBroker
from app.dispatch.lane import Lane
from app.dispatch.reconciler import HEARD_MAX, PROBES_SHOWN, Reconciler
from app.dispatch.shown import (
    PROBE_TIMEOUT_S,
    SHOW_EVERY_S,
    SILENT_MS,
    Showing,
    ShownFloor,
)
from app.domain.broker_session import SessionStatus
from app.domain.messages import Absent, Found, Lookup, Rejected, Unknown
from app.domain.records import LaneStatus, Settlement
from app.domain.values import Status
from app.ledger.store import Ledger
from app.ports.brokers import Standing
from tests.builders import NOW
from tests.dispatch.rig import ScriptedBroker
from tests.ledger.books import ME, Books, sendable
from tests.scenarios.builders import REFERENCE
from tests.virtual import Virtual

SILENT_S: Final = SILENT_MS / 1_000
NOBODY_ANSWERED: Final = "still in doubt: no dispatcher has answered"
THERE: Final = Found("N-1", Status.NEW, ())


class Broker(ScriptedBroker):
    """A broker whose look-ups take as long as it is told."""

    name = "north"
    find_s = 0.0

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        await asyncio.sleep(self.find_s)
        return await super().find(keys)


class Live(Broker):
    """A broker that lives on a session."""

    def __init__(self) -> None:
        super().__init__()
        self.logged_out: list[str] = []

    async def run(self, standing: Standing) -> None:
        raise NotImplementedError

    def session(self) -> SessionStatus:
        return SessionStatus("S", "logged_on", None, "h:1", 0, 1, 7, 5, None, 3, None)

    async def log_out(self, reason: str) -> None:
        self.logged_out.append(reason)


class House:
    """A dispatcher and the doors of another process."""

    def __init__(self, virtual: Virtual, books: Books) -> None:
        virtual.clock.set_now(NOW)
        self._virtual = virtual
        self.books = books
        self.ledger = Ledger(books.database, virtual.clock)
        self.broker = Broker()
        gate = GatedBroker(self.broker, virtual.clock)
        self.board = Board(self.ledger, REFERENCE, shared=True)
        self.run(self.board.refresh())
        self.lane = Lane(
            broker=gate,
            store=self.ledger,
            clock=virtual.clock,
            board=self.board,
            recheck=sendable,
            holder="dispatcher",
        )
        self.reconciler = Reconciler(gate, self.ledger, virtual.clock)
        lanes, reconcilers = {"north": self.lane}, {"north": self.reconciler}
        self.live = Live()
        self.witness = HealthWitness(virtual.clock, ["north"])
        live = {"north": self.live}
        self.floor = DispatchFloor(self.board, lanes, reconcilers, self.witness, live)
        self.showing = Showing(self.floor, self.ledger, virtual.clock)
        self.doors = ShownFloor(self.ledger, virtual.clock)
        self._tasks: list[asyncio.Task[None]] = []

    def run(self, work: Any) -> Any:
        return self._virtual.run(work)

    def passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def timed(self, work: Any) -> tuple[Any, float]:
        """Return what it answers, and after how many seconds."""
        began = self._virtual.loop.time()
        return self.run(work), round(self._virtual.loop.time() - began, 3)

    def goes_on(self, *loops: Any) -> None:
        self._tasks += [self._virtual.loop.create_task(loop) for loop in loops]

    def dies(self) -> None:
        """End every loop that goes on, without a farewell."""
        while self._tasks:
            task = self._tasks.pop()
            task.cancel()
            self.run(asyncio.wait({task}))

    def look(self) -> list[LaneStatus]:
        self.run(self.doors.look())
        return self.doors.lanes()

    def doubt(self, client_order_id: str = "c-1") -> str:
        """Leave one order in doubt; return its key."""
        claimed = self.books.sending(client_order_id)
        key = claimed.broker_order_key
        self.run(self.ledger.settle([Settlement(key, Unknown("timeout"), 1)]))
        return key

    async def sets(self, tps: int) -> int:
        before = (await self.ledger.controls())["north"]
        after = await self.ledger.set_control(before._replace(tps=tps), before.version, ME)
        return after.version


@pytest.fixture
def house(virtual: Virtual) -> Iterator[House]:
    books = Books(virtual)
    house = House(virtual, books)
    yield house
    house.dies()
    books.check()
    books.database.close()


# --- lanes ------------------------------------------------------------------------------


def test_before_anybody_has_shown_a_lane_there_is_none(house: House) -> None:
    assert house.doors.lanes() == []
    assert house.look() == []


def test_the_doors_see_a_lane_as_its_dispatcher_does(house: House) -> None:
    house.run(house.lane.open())
    house.witness.sending("north")
    house.witness.answered("north", [Rejected("price"), Rejected("lot"), Rejected("lot")], 1)
    house.run(house.showing.step())

    (seen,) = house.look()
    assert [seen] == house.floor.lanes()
    assert seen.heard is not None
    assert seen.heard.refusals == (("lot", 2), ("price", 1))
    assert (seen.broker_id, seen.owner_epoch, seen.tps_configured) == ("north", 2, 100)


def test_a_lane_that_stands_by_is_shown_by_its_owner_alone(house: House) -> None:
    house.run(house.showing.step())

    assert house.floor.lanes() != []
    assert house.look() == []


def test_a_lane_that_nobody_has_shown_for_ten_seconds_has_no_dispatcher(house: House) -> None:
    house.lane.why_not = None
    house.run(house.lane.open())
    house.goes_on(house.showing.run())
    house.passes(3 * SILENT_S)
    assert house.look()[0].running
    house.dies()
    house.passes(SILENT_S - 2 * SHOW_EVERY_S)
    assert house.look()[0].running

    house.passes(2 * SHOW_EVERY_S)
    (seen,) = house.look()
    assert (seen.running, seen.why_not) == (False, "no dispatcher")
    assert seen.tps_configured == 100
    house.run(house.showing.step())
    assert house.look()[0].running


def test_the_doors_go_on_looking(house: House) -> None:
    house.run(house.lane.open())
    house.goes_on(house.showing.run(), house.doors.run())
    house.passes(1)
    assert [lane.why_not for lane in house.doors.lanes()] == ["starting"]
    house.lane.why_not = "at its rate"
    house.passes(2 * SHOW_EVERY_S + 0.01)

    assert [lane.why_not for lane in house.doors.lanes()] == ["at its rate"]


# --- the operator's number --------------------------------------------------------------


def test_a_new_number_is_applied_when_the_dispatcher_shows_its_version(house: House) -> None:
    house.run(house.lane.open())
    house.goes_on(house.showing.run(), house.board.run())
    house.passes(1)
    version = house.run(house.sets(7))
    applied, took = house.timed(house.doors.applied("north", version, 2.0))

    assert applied
    assert took <= 2 * SHOW_EVERY_S
    assert [lane.tps_effective for lane in house.doors.lanes()] == [7]


def test_a_number_that_nobody_acts_on_is_not_said_to_be_applied(house: House) -> None:
    house.run(house.lane.open())
    house.goes_on(house.showing.run())  # its board reads nothing any more
    version = house.run(house.sets(7))

    assert house.timed(house.doors.applied("north", version, 2.0)) == (False, 2.0)
    assert house.run(house.doors.applied("north", version - 1, 2.0))


def test_nothing_is_applied_where_nobody_runs(house: House) -> None:
    assert house.timed(house.doors.applied("north", 1, 1.5)) == (False, 1.5)
    house.run(house.lane.open())
    house.run(house.showing.step())
    assert not house.run(house.doors.applied("south", 1, 1.5))


# --- questions --------------------------------------------------------------------------


def test_a_question_on_a_doubt_is_answered_by_whoever_follows_it(house: House) -> None:
    key = house.doubt()
    house.broker.lookup = Unknown("busy")
    house.run(house.reconciler.step())
    house.goes_on(house.showing.run())
    house.broker.lookup = THERE
    answer, took = house.timed(house.doors.probe(key))

    assert answer == "north shows it: new"
    assert took <= 2 * SHOW_EVERY_S
    assert house.run(house.ledger.questions()) == []
    assert house.books.order(key[:-2]).status is Status.NEW


def test_the_last_probe_of_a_doubt_is_seen_until_the_doubt_ends(house: House) -> None:
    keys = sorted(house.doubt(f"c-{i}") for i in range(PROBES_SHOWN + 1))
    house.broker.lookup = Absent()
    house.run(house.lane.open())
    house.run(house.reconciler.ask(keys[:1]))  # nobody follows it yet
    assert house.floor.lanes()[0].probes == ()
    for _ in keys:  # a step asks about a few
        house.run(house.reconciler.step())
    house.broker.lookup = Unknown("busy " * HEARD_MAX)
    house.run(house.reconciler.ask(keys[:1]))
    house.run(house.showing.step())
    (seen,) = house.look()

    assert [seen] == house.floor.lanes()
    assert [probe.broker_order_key for probe in seen.probes] == keys[:PROBES_SHOWN]
    assert {probe.at for probe in seen.probes} == {NOW}
    assert seen.probes[0].heard == ("the look-up failed: " + "busy " * HEARD_MAX)[:HEARD_MAX]
    assert seen.probes[1].heard == "asked before the last send"

    house.broker.lookup = THERE
    house.run(house.reconciler.ask(keys))
    house.run(house.reconciler.step())
    assert house.floor.lanes()[0].probes == ()


def test_a_question_that_nobody_answers_says_so_in_the_end(house: House) -> None:
    key = house.doubt()
    house.goes_on(house.showing.run())  # it does not follow this doubt
    answered = house.timed(house.doors.probe(key))

    assert answered == (NOBODY_ANSWERED, PROBE_TIMEOUT_S)
    assert house.books.order(key[:-2]).status is Status.IN_DOUBT


def test_an_answer_that_came_too_late_is_not_the_answer_to_the_next_question(
    house: House,
) -> None:
    key = house.doubt()
    house.broker.lookup = Unknown("busy")
    house.run(house.reconciler.step())
    assert house.run(house.doors.probe(key)) == NOBODY_ANSWERED
    house.run(house.showing.step())
    house.broker.lookup = THERE
    house.goes_on(house.showing.run())

    assert house.run(house.doors.probe(key)) == "north shows it: new"


def test_a_broker_that_answers_late_does_not_make_its_lane_look_dead(house: House) -> None:
    key = house.doubt()
    house.broker.lookup = Unknown("busy")
    house.run(house.reconciler.step())
    house.run(house.lane.open())
    house.lane.why_not = None
    house.broker.find_s = 1.5 * SILENT_S
    house.goes_on(house.showing.run())
    house.run(house.ledger.ask(key))
    house.passes(1.2 * SILENT_S)

    assert house.look()[0].running


def test_two_who_ask_at_once_both_hear_the_answer(house: House) -> None:
    key = house.doubt()
    house.broker.lookup = Unknown("busy")
    house.run(house.reconciler.step())
    house.broker.lookup = THERE
    house.goes_on(house.showing.run())

    async def both() -> list[str]:
        return list(await asyncio.gather(house.doors.probe(key), house.doors.probe(key)))

    assert house.run(both()) == ["north shows it: new"] * 2


def test_a_halt_is_a_row_and_needs_no_word_from_the_doors(house: House) -> None:
    house.goes_on(house.board.run())
    house.run(house.ledger.halt("symbol", "AAPL", ME))
    house.doors.halts_changed()
    house.passes(0.1)

    assert house.board.halts.covers("XNAS", "ann", "AAPL")


# --- sessions ---------------------------------------------------------------------------


def test_a_session_is_seen_and_ended_through_the_record(house: House) -> None:
    house.run(house.lane.open())
    house.goes_on(house.showing.run())
    house.passes(2 * SHOW_EVERY_S)

    assert house.look()[0].session == house.live.session()
    words, _ = house.timed(house.doors.log_out("north", "a drill"))
    assert words == "it logs out, and on again as after any loss"
    assert len(house.live.logged_out) == 1


def test_a_session_that_nobody_holds_is_not_ended_by_silence(house: House) -> None:
    house.goes_on(house.showing.run())
    words, seconds = house.timed(house.doors.log_out("north", "a drill"))

    assert (words, seconds) == ("no dispatcher has answered", PROBE_TIMEOUT_S)
    assert house.live.logged_out == []


def test_a_wish_that_nobody_heard_is_not_obeyed_by_who_holds_the_session_later(
    house: House,
) -> None:
    house.timed(house.doors.log_out("north", "a drill"))
    house.run(house.lane.open())
    house.goes_on(house.showing.run())
    house.passes(4 * SHOW_EVERY_S)
    assert house.live.logged_out == []

    house.timed(house.doors.log_out("north", "the numbers were reset"))
    assert len(house.live.logged_out) == 1
