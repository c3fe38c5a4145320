"""Drills at their doors: on a simulated broker alone, marked, and reported as far as they came."""

from typing import Any, Final

import pytest

from app.domain.drill import DrillFault
from app.failover.drills import SimulatedDrills
from app.ports.away import StoreAway
from tests.web.house import OPENS_AT, Gateway, a_gateway, run
from tests.web.operators import ADMIN, audit, seen

DRILLS: Final = f"{ADMIN}/drills"
WANTED: Final = {"route": "XNYS", "fault": "errs", "reason": "the monthly one"}


class Ward:
    """A simulated broker, as far as it can be made ill."""

    def __init__(self) -> None:
        self.ill: list[tuple[DrillFault, float, float]] = []
        self.healed = 0
        self.away = False

    async def infect(self, fault: DrillFault, fraction: float, for_s: float) -> None:
        if self.away:
            raise StoreAway("no simulator there")
        self.ill.append((fault, fraction, for_s))

    async def heal(self) -> None:
        self.healed += 1


@pytest.fixture
def ward(gateway: Gateway) -> Ward:
    ward = Ward()
    gateway.house.drills.lines["nova"] = ward  # type: ignore[union-attr]
    return ward


def starts(gateway: Gateway, **facts: Any) -> Any:
    return gateway.client.post(DRILLS, json=WANTED | facts, headers=gateway.key())


def test_a_drill_makes_the_active_broker_ill_and_is_shown_as_far_as_it_came(
    gateway: Gateway, ward: Ward
) -> None:
    reply = starts(gateway, fraction=0.5, duration_s=20)
    shown = gateway.client.get(reply.headers["location"], headers=gateway.key())
    listed = gateway.client.get(DRILLS, headers=gateway.key()).json()["data"]
    told = reply.json()

    assert (reply.status_code, ward.ill) == (202, [(DrillFault.ERRS, 0.5, 20)])
    assert shown.json() == told == listed[0]
    assert (told["state"], told["broker_id"], told["failover"]) == ("running", "nova", None)
    assert set(told["times_s"]) == {"detected", "decided", "fenced", "first_accepted"}
    assert audit(gateway)[0]["action"] == "drill.start"


def test_a_broker_without_a_control_address_is_refused_and_that_is_audited(
    gateway: Gateway,
) -> None:
    reply = starts(gateway)

    assert (reply.status_code, reply.json()["code"]) == (422, "drill-refused")
    assert run(gateway.ledger.drills(0)) == []


def test_without_any_simulated_broker_every_door_says_so(tmp_path: Any) -> None:
    bare = a_gateway(tmp_path, drills=False)
    replies = [
        starts(bare),
        bare.client.get(DRILLS, headers=bare.key()),
        bare.client.get(f"{DRILLS}/dr_1", headers=bare.key()),
    ]

    assert {(r.status_code, r.json()["code"]) for r in replies} == {(422, "drill-refused")}


def test_an_open_market_is_drilled_only_by_whoever_says_so(gateway: Gateway, ward: Ward) -> None:
    gateway.clock.at = OPENS_AT + 60_000
    closed, allowed = starts(gateway), starts(gateway, allow_live=True)

    assert (closed.json()["code"], allowed.status_code) == ("drill-refused", 202)
    assert len(ward.ill) == 1


def test_a_second_drill_waits_for_the_first(gateway: Gateway, ward: Ward) -> None:
    starts(gateway)
    second = starts(gateway)

    assert (second.status_code, second.json()["code"]) == (409, "drill-running")
    assert len(ward.ill) == 1


def test_a_simulator_that_is_away_leaves_no_drill_behind(gateway: Gateway, ward: Ward) -> None:
    ward.away = True
    reply = starts(gateway)
    (kept,) = run(gateway.ledger.drills(0))
    ward.away = False
    again = starts(gateway)

    assert reply.json()["code"] == "drill-refused"
    assert kept.interrupted_at == kept.started_at
    assert again.status_code == 202


def test_a_drill_is_ended_before_its_time(gateway: Gateway, ward: Ward) -> None:
    location = starts(gateway).headers["location"]
    gateway.clock.at += 2_000
    body = {"reason": "somebody trades"}
    key = gateway.key() | seen(1)
    ended, again = (
        gateway.client.request("DELETE", location, json=body, headers=key) for _ in "12"
    )

    assert (ended.status_code, ended.json()["state"], ward.healed) == (200, "interrupted", 1)
    assert (again.status_code, again.json()["context"]["current"]["version"]) == (412, 2)
    assert gateway.client.get(f"{DRILLS}/dr_9", headers=gateway.key()).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"fault": "sneezes"}, {"fraction": 0}, {"duration_s": 1}, {"route": "XLON"}]
)
def test_what_is_no_drill_is_refused(gateway: Gateway, ward: Ward, wrong: dict[str, Any]) -> None:
    assert starts(gateway, **wrong).status_code in {404, 422}
    assert ward.ill == []


def test_only_who_may_move_a_route_may_drill_it(gateway: Gateway, ward: Ward) -> None:
    key = gateway.key("reader", frozenset({"admin:read"}))

    assert gateway.client.post(DRILLS, json=WANTED, headers=key).status_code == 403
    assert SimulatedDrills is type(gateway.house.drills)
    assert ward.ill == []
