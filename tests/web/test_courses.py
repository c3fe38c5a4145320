"""Routes and failovers at the doors: seen, allowed, moved, and refused with what to do instead."""

from pathlib import Path
from typing import Any, Final

import pytest

from app.domain.capabilities import Capabilities
from app.domain.failover import (
    Failover,
    FailoverState,
)
from app.domain.records import Actor, Health, Route
from tests.web.house import Gateway, a_gateway, run
from tests.web.operators import ADMIN, audit, reserve, seen, seen_at, sure
from tests.web.things import noted_failover

ROUTE: Final = f"{ADMIN}/routes/XNYS"
WHY: Final = {"reason": "nova is dead"}
KIM: Final = Actor("kim", "the test says so")


def headers(gateway: Gateway, version: int = 0) -> dict[str, str]:
    return gateway.key() | {"If-Match": f'"v{version}"'}


def names_sol(gateway: Gateway, **policy: Any) -> Any:
    body = {"candidates": ["nova", "sol"], "reason": "both have our accounts"} | policy
    return gateway.client.patch(f"{ROUTE}/policy", json=body, headers=headers(gateway))


def sol_is(gateway: Gateway, good_s: int | None = 60) -> None:
    """Let sol have a lane; None: it is sick."""
    now = gateway.clock.now()
    good = None if good_s is None else now - good_s * 1_000
    health = Health("sol", now + 2_000, 0, 0.0, None, False, True, good_s is not None, None, good)
    (nova, *_) = gateway.floor.lanes()
    gateway.floor.others = [nova._replace(broker_id="sol", health=health)]


def fails_over(gateway: Gateway, query: str = "", **body: Any) -> Any:
    wanted = {"to": "sol", "expected_epoch": 1} | WHY | body
    headers = gateway.key() | sure(str(wanted["to"]))
    return gateway.client.post(f"{ROUTE}/failover{query}", json=wanted, headers=headers)


def leads(gateway: Gateway) -> Route:
    (route,) = run(gateway.ledger.routes())
    return route


def held(gateway: Gateway) -> Failover:
    return noted_failover(gateway, KIM, "automation_advise")


def test_a_route_shows_where_it_leads_and_who_may_move_it(gateway: Gateway) -> None:
    reply = gateway.client.get(ROUTE, headers=gateway.key())
    (row,) = gateway.client.get(f"{ADMIN}/routes", headers=gateway.key()).json()["data"]

    assert (reply.status_code, reply.headers["etag"], reply.json()) == (200, '"v0"', row)
    assert (row["active_broker"], row["epoch"], row["failover"]) == ("nova", 1, None)
    assert (row["policy"]["automation"], row["policy"]["candidates"]) == ("auto", [])


def test_a_policy_is_patched_by_whoever_saw_it(gateway: Gateway) -> None:
    reply = names_sol(gateway, confirm_s=12)
    stale = names_sol(gateway)
    blind = gateway.client.patch(f"{ROUTE}/policy", json=WHY, headers=gateway.key())
    strange = gateway.client.patch(
        f"{ROUTE}/policy", json=WHY | {"candidates": ["luna"]}, headers=headers(gateway, 1)
    )

    assert (reply.status_code, reply.headers["etag"]) == (200, '"v1"')
    policy = reply.json()["policy"]
    assert (policy["candidates"], policy["confirm_s"], policy["cooldown_s"]) == (
        ["nova", "sol"],
        12,
        60,
    )
    assert (stale.status_code, blind.status_code, strange.status_code) == (412, 428, 422)
    assert stale.json()["context"]["changed_by"] == "mina"
    assert audit(gateway)[0]["action"] == "route.policy"


def test_a_lock_is_set_shown_and_lifted(gateway: Gateway) -> None:
    path, reason = f"{ROUTE}/lock", "they move their data centre"
    locked = gateway.client.put(
        path, json={"ttl_s": 60, "reason": reason}, headers=headers(gateway)
    )
    body = {"reason": "they are done"}
    lifted = gateway.client.request("DELETE", path, json=body, headers=headers(gateway, 1))

    assert (locked.json()["lock"]["locked_by"], locked.json()["lock"]["reason"]) == ("mina", reason)
    assert (lifted.status_code, lifted.json()["lock"]) == (200, None)


def test_a_dry_run_says_what_stands_in_the_way_and_moves_nothing(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway, good_s=3)
    told = fails_over(gateway, "?dry_run=true").json()
    failed = [c["name"] for c in told["prechecks"] if c["required"] and not c["passed"]]

    assert (told["would_switch"], failed) == (False, ["target_well"])
    assert {"drilled", "in_doubt", "old_broker_answers"} <= {c["name"] for c in told["prechecks"]}
    assert (leads(gateway).epoch, gateway.moved) == (1, [])


def test_a_broker_that_cannot_take_what_waits_says_how_much_it_is(tmp_path: Path) -> None:
    choosy = Capabilities(order_types=frozenset({"market"}))
    gateway = a_gateway(tmp_path, able={"sol": choosy})
    reserve(gateway, 3)
    names_sol(gateway)
    sol_is(gateway)
    told = fails_over(gateway, "?dry_run=true").json()
    (found,) = [c for c in told["prechecks"] if c["name"] == "orders_fit"]
    refused = fails_over(gateway)
    forced = fails_over(gateway, kind="forced")

    assert (told["would_switch"], found["passed"]) == (False, False)
    assert found["detail"] == "it cannot take 3 by its order_types"
    assert (refused.json()["code"], forced.status_code) == ("prechecks-failed", 202)


def test_a_planned_failover_moves_the_route_and_says_where_to_look(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway)
    reply = fails_over(gateway)
    told = gateway.client.get(reply.headers["location"], headers=gateway.key()).json()
    listed = gateway.client.get(f"{ADMIN}/failovers", headers=gateway.key()).json()["data"]

    assert reply.status_code == 202
    assert (told["kind"], told["state"], told["by"]) == ("planned", "fencing", "mina")
    assert listed == [told]
    assert leads(gateway) == Route("XNYS", "sol", 2)
    assert len(gateway.moved) == 1
    assert [row["action"] for row in audit(gateway)] == ["route.policy", "route.failover"]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"expected_epoch": 9}, "stale-epoch"),
        ({"to": "nova"}, "prechecks-failed"),
        ({"to": "luna"}, "prechecks-failed"),
        ({"expected_epoch": 0}, "validation-failed"),
    ],
)
def test_what_cannot_be_is_refused(gateway: Gateway, facts: dict[str, Any], code: str) -> None:
    names_sol(gateway)
    sol_is(gateway)
    for kind in ("planned", "forced"):
        assert fails_over(gateway, kind=kind, **facts).json()["code"] == code
    assert leads(gateway).epoch == 1


def test_a_sick_target_is_gone_to_only_by_force_and_a_lock_as_well(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway, good_s=None)
    body = {"ttl_s": 60, "reason": "nobody moves it"}
    gateway.client.put(f"{ROUTE}/lock", json=body, headers=headers(gateway, 1))
    refused = fails_over(gateway)
    forced = fails_over(gateway, kind="forced")

    assert (refused.status_code, refused.json()["code"]) == (422, "prechecks-failed")
    assert "locked by mina" in refused.json()["detail"]
    assert (forced.status_code, leads(gateway).active_broker) == (202, "sol")


def test_a_second_one_waits_for_the_first_and_the_way_home_is_a_failover(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway)
    fails_over(gateway)
    nova = gateway.floor.others[0]._replace(broker_id="nova")
    back = {"expected_epoch": 2, "reason": "nova is well again"}
    key = gateway.key() | sure("XNYS")
    early = gateway.client.post(f"{ROUTE}/failback", json=back, headers=key)
    (going_on,) = run(gateway.ledger.failovers(0))
    done = going_on.came_to(FailoverState.DONE, at=gateway.clock.now())
    run(gateway.ledger.note_failover(done, KIM))
    gateway.floor.lanes = lambda: [nova]  # type: ignore[method-assign]
    home = gateway.client.post(f"{ROUTE}/failback", json=back, headers=key)

    assert (early.status_code, early.json()["code"]) == (409, "failover-running")
    assert (home.status_code, home.json()["kind"]) == (202, "failback")
    assert leads(gateway) == Route("XNYS", "nova", 3)


def test_what_was_held_for_a_person_goes_on_as_the_same_episode(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway)
    held(gateway)
    told = fails_over(gateway).json()

    assert (told["failover_id"], told["incident_id"], told["held_by"]) == ("fo_1", "in_1", [])
    assert [s["state"] for s in told["steps"]] == ["held", "prepared", "fencing"]


def test_what_was_held_can_be_aborted_and_what_was_fenced_cannot(gateway: Gateway) -> None:
    names_sol(gateway)
    sol_is(gateway)
    held(gateway)
    path = f"{ADMIN}/failovers/fo_1"
    key = gateway.key() | seen(1)
    aborted = gateway.client.post(f"{path}/abort", json=WHY, headers=key)
    other = fails_over(gateway).headers["location"]
    headers = key | seen_at(gateway, other)
    late = gateway.client.post(f"{other}/abort", json=WHY, headers=headers)
    unknown = gateway.client.post(f"{ADMIN}/failovers/x/abort", json=WHY, headers=key)

    assert (aborted.status_code, aborted.json()["state"]) == (200, "aborted")
    assert (late.status_code, late.json()["code"]) == (409, "failover-fenced")
    assert unknown.status_code == 404


def test_a_failover_is_acknowledged_by_name(gateway: Gateway) -> None:
    held(gateway)
    path = f"{ADMIN}/failovers/fo_1/ack"
    body, key = {"reason": "I have read it"}, gateway.key() | seen(1)
    told = gateway.client.post(path, json=body, headers=key)
    late = gateway.client.post(path, json=body, headers=gateway.key("lee") | seen(1))

    assert (told.status_code, told.json()["acknowledged_by"]) == (200, "mina")
    assert (told.headers["etag"], told.json()["version"]) == ('"v2"', 2)
    assert (late.status_code, late.json()["context"]["changed_by"]) == (412, "mina")


def test_who_may_only_look_moves_nothing(gateway: Gateway) -> None:
    looker = gateway.key("lee", frozenset({"admin:read", "admin:tune"}))
    wanted = {"to": "sol", "expected_epoch": 1, "kind": "forced"} | WHY

    assert gateway.client.get(ROUTE, headers=looker).status_code == 200
    assert gateway.client.post(f"{ROUTE}/failover", json=wanted, headers=looker).status_code == 403
    assert gateway.client.get(f"{ADMIN}/routes/none", headers=looker).status_code == 404
