"""Advice: written once for each event, for brokers in mode advise alone, and for nobody else."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from app import codec
from app.bus.log import LogBus
from app.dispatch.adviser import GROUP, TOPIC, Adviser
from app.dispatch.shown import ShownFloor
from app.domain.records import Actor, LaneStatus
from app.domain.tuning import with_facts
from app.domain.values import rfc3339
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.letters import SUFFIX
from app.mishaps import Mishaps
from app.ports.bus import Event
from app.sqlite import Database
from tests.builders import NOW
from tests.ledger.books import Books
from tests.virtual import Virtual

ME = Actor("mina", "desk asked")


class Desk:
    """An adviser, its bus and its record; `north` is a broker of 100 a second."""

    def __init__(self, virtual: Virtual) -> None:
        virtual.clock.set_now(NOW)
        self._virtual = virtual
        self.books = Books(virtual)
        self.log = Database(None)
        self.bus = LogBus(self.log, virtual.clock)
        self.ledger = Ledger(self.books.database, virtual.clock)
        self.floor = ShownFloor(self.ledger, virtual.clock)
        self.starts()

    def starts(self) -> None:
        """Begin as a new process does: after what its group has committed."""
        self.bus = LogBus(self.log, self._virtual.clock)
        self.mishaps = Mishaps(AnomalyLedger(self.books.database, self.books.clock), GROUP)
        clock = self._virtual.clock
        self.adviser = Adviser(self.bus, self.ledger, self.floor, clock, self.mishaps)

    def run(self, work: Any) -> Any:
        return self._virtual.run(work)

    def tunes(self, **facts: Any) -> None:
        before = self.run(self.ledger.controls())["north"]
        self.run(self.ledger.set_control(with_facts(before, facts), before.version, ME))

    def tells(self, event_id: str = "an_1-1", step: str = "opened", **facts: Any) -> None:
        payload = {
            "anomaly_id": "an_1",
            "rule": {"id": "broker.throttled", "version": 1},
            "subject": {"kind": "broker", "id": "north", "route": "XNAS"},
            "valid_until": rfc3339(NOW + 30_000),
            "drill": False,
        }
        kind = f"io.openbell.anomaly.{step}.v1"
        body = codec.encode(payload | facts)
        self.run(self.bus.publish([Event(TOPIC, "broker/north", event_id, kind, body)]))

    def hears(self) -> list[dict[str, Any]]:
        """Let it hear all that there is; return what was ever advised."""
        while self.run(self.adviser.step()):
            pass
        rows = self.run(self.ledger.audit(0, 100))
        return [codec.decode(row["after"]) for row in rows if row["action"] == "throttle.advised"]


@pytest.fixture
def desk(virtual: Virtual) -> Iterator[Desk]:
    desk = Desk(virtual)
    yield desk
    desk.log.close()
    desk.books.database.close()


def test_in_mode_advise_one_row_says_where_the_rate_should_be(desk: Desk) -> None:
    desk.tunes(mode="advise")
    tps = desk.run(desk.ledger.controls())["north"].tps
    desk.tells()

    wanted = {"tps": int(tps * 0.8), "rule": "broker.throttled", "anomaly_id": "an_1"}
    assert desk.hears() == [wanted]
    assert desk.run(desk.ledger.controls())["north"].tps == tps


@pytest.mark.parametrize("mode", ["manual", "adaptive"])
def test_in_other_modes_it_says_nothing(desk: Desk, mode: str) -> None:
    desk.tunes(mode=mode)
    desk.tells()

    assert desk.hears() == []


def test_what_the_lane_has_found_is_what_is_advised(desk: Desk) -> None:
    desk.tunes(mode="advise")
    lane = LaneStatus(
        *("north", 1, True, None, 100, 100, 1, 0, 0, 0, {}, "closed", "", None, 100),
        tps_in_force=100,
        tps_advised=37,
    )
    desk.run(desk.ledger.show_lanes([lane]))
    desk.run(desk.floor.look())
    desk.tells()

    assert [row["tps"] for row in desk.hears()] == [37]


def test_an_event_that_comes_twice_is_advised_on_once(desk: Desk) -> None:
    desk.tunes(mode="advise")
    desk.tells()
    desk.tells()
    desk.hears()
    desk.starts()
    desk.tells()
    desk.tells("an_1-2", "escalated")

    assert len(desk.hears()) == 2
    assert desk.adviser.advised == 1


def test_what_is_over_is_practice_or_is_somebody_elses_is_passed_over(desk: Desk) -> None:
    desk.tunes(mode="advise")
    desk.tells("1", valid_until=rfc3339(NOW))
    desk.tells("2", drill=True)
    desk.tells("3", rule={"id": "broker.in_doubt", "version": 1})
    desk.tells("4", subject={"kind": "route", "id": "north", "route": None})
    desk.tells("5", subject={"kind": "broker", "id": "nobody", "route": None})
    desk.tells("6", "resolved")
    desk.run(desk.bus.publish([Event(TOPIC, "route/x", "7", "io.openbell.failover.done.v1", b"x")]))

    assert desk.hears() == []
    assert desk.adviser.parked == 0


def test_what_nobody_can_read_is_parked_and_the_rest_goes_on(desk: Desk) -> None:
    desk.tunes(mode="advise")
    kind = "io.openbell.anomaly.opened.v1"
    for body in (b"", b"[]", b'{"rule": 1}'):
        desk.run(desk.bus.publish([Event(TOPIC, "broker/north", "bad", kind, body)]))
    desk.tells()

    assert len(desk.hears()) == 1
    assert len(desk.run(desk.bus.poll(TOPIC + SUFFIX, GROUP, 10))) == 3


def test_a_fault_of_ours_parks_the_event_says_so_and_stops_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = desk.floor.lanes

    def throws() -> list[LaneStatus]:
        raise ZeroDivisionError

    async def a_minute() -> None:
        async with asyncio.TaskGroup() as loops:
            running = loops.create_task(desk.adviser.run())
            await asyncio.sleep(60)
            running.cancel()

    desk.tunes(mode="advise")
    anomalies = AnomalyLedger(desk.books.database, desk.books.clock)
    monkeypatch.setattr(desk.floor, "lanes", throws)
    desk.tells("an_1-1")
    desk.run(a_minute())
    (anomaly,) = desk.run(anomalies.open_anomalies())
    assert str(anomaly.subject) == "subscriber/throttle"

    monkeypatch.setattr(desk.floor, "lanes", lanes)
    desk.tells("an_1-2", "escalated", valid_until=rfc3339(NOW + 600_000))
    desk.run(a_minute())
    assert desk.run(anomalies.open_anomalies()) == []
    assert len(desk.hears()) == 1
    assert len(desk.run(desk.bus.poll(TOPIC + SUFFIX, GROUP, 10))) == 1
