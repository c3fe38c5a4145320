"""A drill in a running gateway: openbell leaves the broker in earnest, and all of it is marked."""

from collections.abc import Iterator

import pytest

from app.domain.drill import Drill, DrillFault, report
from app.domain.messages import Unknown
from app.failover.drills import SimulatedDrills
from tests.scenarios.brokers import BrokerWorld
from tests.scenarios.builders import MARKET
from tests.scenarios.floor import ALICE, Floor
from tests.virtual import Virtual

NAMES = [f"o-{n}" for n in range(300)]
WANTED = Drill("", MARKET, "", DrillFault.ERRS, 1.0, 30, 0, "", "the monthly one")


class Ward:
    """The control plane of a broker of these stories."""

    def __init__(self, broker: BrokerWorld) -> None:
        self._broker = broker

    async def infect(self, fault: DrillFault, fraction: float, for_s: float) -> None:
        del fault, fraction, for_s
        self._broker.does("new", verdict=Unknown("HTTP 503"))
        self._broker.does("query", arrives=False)
        self._broker.pings = False

    async def heal(self) -> None:
        self._broker.answers()
        self._broker.pings = True


@pytest.fixture
def floor(virtual: Virtual) -> Iterator[Floor]:
    floor = Floor(virtual, tps=10, watched=True)
    policy = floor.run(floor.gateway.ledger.policies())[MARKET]
    wanted = policy._replace(candidates=("north", "south"))
    floor.run(floor.gateway.ledger.set_policy(wanted, policy.version, ALICE))
    yield floor
    floor.crash()


def test_a_drill_is_reported_from_the_first_failing_answer_to_the_first_order_taken(
    floor: Floor,
) -> None:
    gateway = floor.gateway
    lines = {"north": Ward(floor.north)}
    drills = SimulatedDrills(gateway.ledger, lines, floor.clock, gateway.grounds.calendar)
    floor.reserve_all(NAMES)
    floor.bell()
    floor.passes(12)
    drill = floor.run(drills.start(WANTED, ALICE, allow_live=True))
    floor.until(lambda: bool(floor.south.news()), timeout_s=15)
    floor.passes(2)
    floor.run(drills.end(drill.drill_id, ALICE))
    told = report(*floor.run(drills.report(drill.drill_id)), floor.clock.now())
    anomalies = floor.run(gateway.anomalies.open_anomalies())
    (failover,) = floor.run(gateway.ledger.failovers(0))

    times = told["times_s"]
    assert told["state"] == "succeeded"
    assert 0 < times["detected"] < times["decided"] <= times["fenced"] < times["first_accepted"]
    assert times["first_accepted"] <= 15
    assert anomalies
    assert all(a.drill for a in anomalies if str(a.subject) == "broker/north")
    assert failover.drill
    assert {a.incident_id for a in anomalies if a.drill} == {failover.incident_id}
