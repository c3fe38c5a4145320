"""The switch on a real ledger, in virtual time: it leads alone, and sleeps safely."""

from typing import Any

import pytest

from app.domain.anomaly import (
    Anomaly,
    AnomalyState,
    Observed,
    Recommended,
    Severity,
    Subject,
    Threshold,
)
from app.domain.records import LaneStatus
from app.failover import switch as switch_module
from app.failover.policy import Case, Move, decide
from app.failover.switch import Switch
from tests.failover.house import KIM, MARKET, House


def leads(switch: Switch) -> bool:
    return switch.leadership.leader is not None


def an_anomaly(rule_id: str, subject: Subject, **facts: Any) -> Anomaly:
    return Anomaly(
        anomaly_id=f"an_{rule_id}",
        incident_id="in_7",
        rule_id=rule_id,
        rule_version=1,
        state=AnomalyState.OPEN,
        severity=Severity.CRITICAL,
        subject=subject,
        route_id=None,
        trading_session_id=None,
        phase=None,
        observed=Observed("m", 1.0, "ratio", 10.0, 1),
        threshold=Threshold(">=", 1.0, 0.0, 0.0),
        recommended=Recommended("failover"),
        evidence={},
        opened_at=0,
        updated_at=0,
        resolved_at=None,
        valid_until=1 << 60,
        occurrences=1,
        route_epoch=None,
        drill=False,
    )._replace(**facts)


def test_a_dead_broker_is_left_by_itself_and_every_step_is_told(house: House) -> None:
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(60)

    (failover,) = house.failovers
    assert (house.active, failover.from_broker, failover.to_broker) == ("south", "north", "south")
    assert (failover.state, failover.by, house.moved) == ("done", "openbell", 1)
    assert [s.state.value for s in failover.steps] == [
        *("suspected", "confirmed", "prepared", "fencing", "draining", "ramping", "done")
    ]
    took = next(s.at for s in failover.steps if s.state == "fencing") - failover.started_at
    assert 8_000 <= took <= 9_000
    assert house.events() == ["fencing", "draining", "ramping", "done"]


def test_without_kafka_the_switch_still_happens_and_its_events_wait(house: House) -> None:
    """Nothing of this house has a bus at all: what is to be told stands in the outbox."""
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(12)

    assert house.active == "south"
    assert house.events()[0] == "fencing"


def test_the_trouble_that_was_noticed_names_the_incident(house: House) -> None:
    house.anomalies = [an_anomaly("broker.error_rate", Subject("broker", "north"))]
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(12)

    assert house.failovers[0].incident_id == "in_7"


def test_a_common_cause_inhibits_while_it_is_fresh(house: House) -> None:
    house.anomalies = [an_anomaly("common.cause", Subject("gateway", "brokers"))]
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(60)
    assert (house.active, house.failovers[0].held_by) == ("north", ("common_cause",))

    house.anomalies = [house.anomalies[0]._replace(valid_until=house.virtual.clock.now() - 1)]
    house.passes(2)
    assert house.active == "south"


def test_a_leader_that_was_paused_past_its_lease_writes_nothing(house: House) -> None:
    former, life = house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(7)
    life.freeze()
    house.passes(1)
    assert leads(former)
    second, _ = house.starts()
    house.passes(60)
    assert house.active == "south"
    before, events = house.failovers, house.events()

    house.lanes.dead = {"south"}
    life.thaw()
    house.passes(3)
    assert (leads(former), leads(second)) == (False, True)
    assert (house.failovers, house.events(), house.active) == (before, events, "south")


def test_whoever_was_asleep_decides_nothing_for_half_a_minute(house: House) -> None:
    _, life = house.starts()
    house.passes(15)
    life.freeze()
    house.passes(6)
    house.lanes.dead.add("north")
    life.thaw()
    house.passes(29)
    assert (house.active, house.failovers) == ("north", [])

    house.passes(4)
    assert house.active == "south"


def test_a_new_leader_goes_on_where_the_former_stopped(house: House) -> None:
    _, life = house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(11)
    assert house.failovers[0].state == "ramping"
    life.end()
    house.starts()
    house.passes(40)

    (failover,) = house.failovers
    assert (failover.state, house.active) == ("done", "south")


def test_a_person_who_was_faster_is_not_overruled(house: House) -> None:
    policy = house.run(house.ledger.policies())[MARKET]
    advised = policy._replace(automation="advise")
    house.run(house.ledger.set_policy(advised, policy.version, KIM))
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(15)
    (held,) = house.failovers
    assert held.held_by == ("automation_advise",)

    ended = held.came_to(type(held.state)("aborted"), at=house.virtual.clock.now(), by="kim")
    house.run(house.ledger.note_failover(ended, KIM))
    house.passes(30)
    assert (house.failovers, house.active) == ([ended], "north")


def test_a_route_that_makes_it_throw_stops_no_other_and_is_said_aloud(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throws_at_korea(case: Case) -> Move:
        if case.route.route_id == "XKRX":
            raise ZeroDivisionError
        return decide(case)

    house.ledger.declare({"north": 100, "south": 100}, {"XKRX": "south"})
    monkeypatch.setattr(switch_module, "decide", throws_at_korea)
    house.starts()
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(15)
    (anomaly,) = house.run(house.trouble.open_anomalies())
    assert (str(anomaly.subject), anomaly.severity) == ("subscriber/failover", "critical")
    assert anomaly.evidence["causes"] == {"XKRX": "ZeroDivisionError: "}
    routes = {route.route_id: route for route in house.run(house.ledger.routes())}
    assert (routes[MARKET].active_broker, routes[MARKET].epoch) == ("south", 2)

    monkeypatch.setattr(switch_module, "decide", decide)
    house.passes(3)
    assert house.run(house.trouble.open_anomalies()) == []


def test_a_look_that_throws_is_followed_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = house.lanes.lanes

    def throws() -> list[LaneStatus]:
        raise ZeroDivisionError

    monkeypatch.setattr(house.lanes, "lanes", throws)
    house.starts()
    house.passes(5)
    assert len(house.run(house.trouble.open_anomalies())) == 1

    monkeypatch.setattr(house.lanes, "lanes", lanes)
    house.passes(15)
    house.lanes.dead.add("north")
    house.passes(12)
    assert (house.active, house.run(house.trouble.open_anomalies())) == ("south", [])
