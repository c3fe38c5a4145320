"""A gateway's trouble is found within five seconds of its cause, told once, and ends with it.

What the watch makes of every other sign stands in tests/diagnostics, where a second costs less.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.domain.anomaly import Anomaly, Severity
from app.domain.messages import ExecutionType
from app.domain.records import Health
from tests.scenarios.floor import Floor
from tests.virtual import Virtual

NAMES = [f"o-{n}" for n in range(150)]


@pytest.fixture
def floor(virtual: Virtual) -> Iterator[Floor]:
    """Lend a gateway that is watched."""
    floor = Floor(virtual, watched=True)
    yield floor
    floor.crash()


def trouble(floor: Floor) -> dict[str, Anomaly]:
    """Return what goes on, by rule and subject."""
    found = floor.run(floor.gateway.anomalies.open_anomalies())
    return {f"{a.rule_id} {a.subject}": a for a in found}


def until_told(floor: Floor, name: str, timeout_s: float = 30.0) -> float:
    """Let time pass until this is open in the store; return the seconds that it took."""
    began = floor.virtual.loop.time()
    while name not in trouble(floor):
        floor.passes(0.1)
        assert floor.virtual.loop.time() - began < timeout_s, sorted(trouble(floor))
    return floor.virtual.loop.time() - began


def health(floor: Floor, broker: str = "north") -> Health:
    (found,) = [lane.health for lane in floor.gateway.floor.lanes() if lane.broker_id == broker]
    assert found is not None
    return found


def test_a_good_open_has_nothing_to_tell(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.comes_to("new", *NAMES)

    assert trouble(floor) == {}
    assert health(floor).sent == len(NAMES)
    assert health(floor).good_since is not None


def test_a_broker_that_stops_answering_is_found_within_five_seconds(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.passes(1)
    for verb in ("new", "query", "cancel"):  # it takes connections and says nothing more
        floor.north.does(verb, arrives=False)
    floor.north.pings = False
    took = until_told(floor, "broker.reply_silence broker/north")
    took += until_told(floor, "broker.unreachable broker/north")
    assert took < 5
    floor.passes(11 - took)
    found = trouble(floor)
    assert found["broker.reply_silence broker/north"].severity is Severity.CRITICAL
    assert found["broker.reply_silence broker/north"].recommended.action == "failover"
    assert {str(a.subject) for a in found.values()} == {"broker/north"}
    assert len({a.incident_id for a in found.values()}) == 1
    bad = health(floor)
    assert bad.silent
    assert bad.bad_since is not None
    assert bad.at - bad.bad_since > 7_000


def test_a_broker_that_refuses_connections_is_found_within_five_seconds(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.passes(1)
    floor.north.does("new", refused=True)
    floor.north.pings = False
    took = until_told(floor, "broker.unreachable broker/north")

    assert took < 5
    assert "breaker.opened broker/north" in trouble(floor)
    assert health(floor).bad_since is not None


def test_orders_that_stay_silent_are_no_dead_broker_while_it_answers_pings(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.passes(1)
    floor.north.goes_silent_after_receiving()
    until_told(floor, "broker.reply_silence broker/north")

    assert health(floor).bad_since is None
    assert health(floor).good_since is None
    assert "broker.unreachable broker/north" not in trouble(floor)


def test_a_word_on_an_attempt_that_was_settled_is_a_second_life(floor: Floor) -> None:
    floor.north.does("new", arrives=False)
    floor.reserve("o-1")
    floor.bell()
    floor.until(lambda: "not_received" in [a.outcome for a in floor.attempts("o-1")], 60)
    floor.north.answers()
    floor.comes_to("new", "o-1", timeout_s=60)
    ghost = floor.north.report(floor.north.orders[floor.key("o-1", 2)], ExecutionType.NEW)
    floor.north.push(replace(ghost, broker_order_key=floor.key("o-1", 1)))
    until_told(floor, "duplicate.execution broker/north")
