"""A broker's rate through its door: bounds, mode, schedule; each set apart from the others."""

from typing import Any

import pytest
from httpx2 import Response

from app.domain.errors import Code
from tests.web.house import OPENS_AT, Gateway, run
from tests.web.operators import ADMIN, audit

RATE = f"{ADMIN}/brokers/nova/rate"
WHY = {"reason": "desk asked, OPS-12"}
TOSS = [
    {"at": "open-60m", "tps": 600},
    {"at": "open", "tps": 300},
    {"at": "open+10m", "tps": 600},
]


def turned(
    gateway: Gateway,
    body: dict[str, Any],
    method: str = "PATCH",
    path: str = RATE,
    confirm: str | None = None,
) -> Response:
    key = gateway.key() | ({"X-Confirm": confirm} if confirm else {})
    seen = {"If-Match": gateway.client.get(f"{ADMIN}/brokers/nova", headers=key).headers["etag"]}
    return gateway.client.request(method, path, json=WHY | body, headers=key | seen)


def scheduled(gateway: Gateway, edges: object = TOSS) -> Response:
    return turned(gateway, {"schedule": edges}, "PUT", f"{RATE}/schedule")


def schedule(gateway: Gateway) -> dict[str, Any]:
    reply = gateway.client.get(f"{RATE}/schedule", headers=gateway.key())
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


def tuning(gateway: Gateway) -> dict[str, Any]:
    told = gateway.client.get(f"{ADMIN}/brokers/nova", headers=gateway.key()).json()["tuning"]
    assert isinstance(told, dict)
    return told


def test_what_is_absent_stays_and_what_is_null_goes_back(gateway: Gateway) -> None:
    first = turned(gateway, {"mode": "adaptive", "floor": 50, "target_ms": 250})
    assert (first.status_code, first.json()["mode"]) == (200, "adaptive")
    assert first.json()["configured"] == 500
    turned(gateway, {"ceiling": 400, "ramp_s": 10})
    turned(gateway, {"floor": None, "target_ms": None})

    told = tuning(gateway)
    assert (told["mode"], told["floor"], told["ceiling"]) == ("adaptive", None, 400)
    assert (told["target_ms"], told["ramp_s"]) == (500, 10)
    assert [row["action"] for row in audit(gateway)] == ["broker.control"] * 3


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"floor": 0}, "floor"),
        ({"floor": "5"}, "floor"),
        ({"ceiling": 1_001}, "ceiling"),
        ({"floor": 300, "ceiling": 200}, "floor"),
        ({"tps": None}, "tps"),
    ],
)
def test_a_bound_that_no_rate_can_have_is_refused(
    gateway: Gateway, body: dict[str, object], name: str
) -> None:
    reply = turned(gateway, body)

    assert (reply.status_code, reply.json()["code"]) == (422, Code.RATE_OUT_OF_BOUNDS.code)
    assert reply.json()["param"] == name


def test_a_bound_is_held_against_what_stands_there(gateway: Gateway) -> None:
    turned(gateway, {"ceiling": 200})

    reply = turned(gateway, {"floor": 300})
    assert reply.json()["code"] == Code.RATE_OUT_OF_BOUNDS.code


@pytest.mark.parametrize("body", [{}, {"mode": "clever"}, {"burst": 3}, {"ramp_s": -1}])
def test_a_change_that_says_nothing_or_nonsense_is_refused(
    gateway: Gateway, body: dict[str, object]
) -> None:
    reply = turned(gateway, body)

    assert (reply.status_code, reply.json()["code"]) == (422, Code.VALIDATION_FAILED.code)


def test_a_schedule_is_in_force_and_tells_its_next_change(gateway: Gateway) -> None:
    assert schedule(gateway)["next_change"] is None
    assert scheduled(gateway).status_code == 200
    gateway.clock.at = OPENS_AT - 30_000
    assert schedule(gateway)["in_force"] == {"tps": 600, "source": "schedule"}
    assert schedule(gateway)["next_change"] == {
        "at": "2026-03-02T14:30:00.000Z",
        "acts_at": "2026-03-02T14:29:58.000Z",
        "tps": 300,
    }
    gateway.clock.at = OPENS_AT + 1
    assert schedule(gateway)["in_force"]["tps"] == 300
    assert schedule(gateway)["next_change"]["acts_at"] == "2026-03-02T14:40:02.000Z"

    assert turned(gateway, {}, "DELETE", f"{RATE}/schedule").status_code == 200
    assert schedule(gateway)["in_force"] == {"tps": 500, "source": "operator"}


def test_no_side_door_leads_round_the_name_of_a_large_step(gateway: Gateway) -> None:
    """Down is a small step; the way back up, an edge, and the end of a profile are large ones."""

    def twice(body: dict[str, Any], method: str, path: str) -> None:
        refused = turned(gateway, body, method, path)
        assert (refused.status_code, refused.json()["code"]) == (428, "confirm-required"), path
        assert refused.json()["context"]["confirm"] == "nova"
        assert turned(gateway, body, method, path, confirm="nova").status_code == 200

    gateway.clock.at = OPENS_AT - 30_000
    place, edge = f"{RATE}/schedule", {"at": "open-60m", "tps": 100}
    lowered = turned(gateway, {"tps": 100}).json()
    twice({}, "POST", lowered["undo_url"])
    assert turned(gateway, {"schedule": [edge]}, "PUT", place).status_code == 200
    twice({}, "DELETE", place)  # what acts is 500 again, of 100
    turned(gateway, {"tps": 100})
    later = {"at": "open+10m", "tps": 300}
    twice({"schedule": [edge, later]}, "PUT", place)
    moved = {"at": "open+5m", "tps": 300}  # the number has been looked at
    assert turned(gateway, {"schedule": [edge, moved]}, "PUT", place).status_code == 200
    breaker = f"{ADMIN}/brokers/nova/breaker"
    twice({"mode": "forced_closed"}, "PUT", breaker)
    auto = turned(gateway, {"mode": "auto"}, "PUT", breaker).json()
    twice({}, "POST", auto["undo_url"])
    assert gateway.client.get(breaker, headers=gateway.key()).json()["mode"] == "forced_closed"


def test_a_persons_number_stands_above_the_schedule_for_its_time(gateway: Gateway) -> None:
    scheduled(gateway)
    gateway.clock.at = OPENS_AT + 1
    turned(gateway, {"tps": 450, "ttl_s": 60})
    assert schedule(gateway)["in_force"] == {"tps": 450, "source": "operator"}
    turned(gateway, {"mode": "advise"})

    gateway.clock.at += 60_000
    run(gateway.ledger.revert_expired())
    assert schedule(gateway)["in_force"] == {"tps": 300, "source": "schedule"}
    assert tuning(gateway)["mode"] == "advise", "set for good, by somebody else"

    turned(gateway, {"tps": 450})
    turned(gateway, {"tps": None})
    assert schedule(gateway)["in_force"] == {"tps": 300, "source": "schedule"}


def test_a_preview_reckons_with_what_will_be_in_force(gateway: Gateway) -> None:
    scheduled(gateway)
    gateway.clock.at = OPENS_AT + 1

    told = turned(gateway, {"floor": 10}, path=f"{RATE}?dry_run=true").json()

    assert (told["dry_run"], told["warnings"]) == (True, [])
    assert tuning(gateway)["floor"] is None


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ([{"at": "noon", "tps": 5}], Code.SCHEDULE_INVALID),
        ([{"at": "open", "tps": 5}, {"at": "open+0s", "tps": 6}], Code.SCHEDULE_INVALID),
        ([{"at": "open", "tps": 1_001}], Code.RATE_OUT_OF_BOUNDS),
        ([{"at": "open", "tps": 0}], Code.VALIDATION_FAILED),
        ([], Code.VALIDATION_FAILED),
    ],
)
def test_a_schedule_that_no_clock_can_keep_is_refused(
    gateway: Gateway, edges: object, code: Code
) -> None:
    reply = scheduled(gateway, edges)

    assert (reply.status_code, reply.json()["code"]) == (422, code.code)
    assert schedule(gateway)["schedule"] == []


def test_a_step_above_twice_the_number_is_confirmed_by_the_brokers_name(gateway: Gateway) -> None:
    turned(gateway, {"tps": 300})
    refused = [turned(gateway, {"tps": 601}, confirm=name) for name in (None, "sol")]
    twice = turned(gateway, {"tps": 600})
    turned(gateway, {"tps": 300})
    meant = turned(gateway, {"tps": 601}, confirm="nova")

    assert {(r.status_code, r.json()["code"]) for r in refused} == {(428, "confirm-required")}
    assert (twice.status_code, meant.status_code, meant.json()["configured"]) == (200, 200, 601)


def test_a_preview_of_a_large_step_needs_no_confirmation_and_warns(gateway: Gateway) -> None:
    turned(gateway, {"tps": 100})
    told = turned(gateway, {"tps": 900}, path=f"{RATE}?dry_run=true").json()

    assert "more than 2 times the present 100" in told["warnings"]


def test_a_number_for_a_while_goes_back_to_the_one_that_was_named(gateway: Gateway) -> None:
    turned(gateway, {"tps": 450, "ttl_s": 60, "revert_to": 350})
    gateway.clock.at += 60_001
    (reverted,) = run(gateway.ledger.revert_expired())

    assert (reverted.tps, reverted.expires_at, reverted.reverts_to) == (350, None, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"tps": 400, "revert_to": 300}, 422),
        ({"floor": 50, "ttl_s": 60, "revert_to": 300}, 422),
        ({"tps": 400, "ttl_s": 60, "revert_to": 0}, 422),
        ({"tps": 400, "ttl_s": 60, "revert_to": 1_001}, 422),
        ({"tps": 300, "ttl_s": 60, "revert_to": 1_000}, 200),
        ({"tps": 200, "ttl_s": 60, "revert_to": 601}, 428),
    ],
)
def test_what_a_number_goes_back_to_is_checked_as_it_is(
    gateway: Gateway, body: dict[str, Any], status: int
) -> None:
    if status == 428:
        turned(gateway, {"tps": 300})

    assert turned(gateway, body).status_code == status
