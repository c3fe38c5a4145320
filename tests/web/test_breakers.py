"""A breaker's numbers and its reset: seen, bounded, reasoned, audited, for a time, taken back."""

from typing import Any

import pytest

from tests.web.house import Gateway, run
from tests.web.operators import ADMIN, audit

BREAKER = f"{ADMIN}/brokers/nova/breaker"
CONFIG = f"{BREAKER}/config"
WHY = {"reason": "they come back slowly"}


def turn(gateway: Gateway, version: int, query: str = "", **numbers: Any) -> Any:
    headers = gateway.key() | {"If-Match": f'"v{version}"'}
    return gateway.client.patch(CONFIG + query, json=WHY | numbers, headers=headers)


def test_the_numbers_are_turned_and_shown_beside_the_usual_ones(gateway: Gateway) -> None:
    done = turn(gateway, 1, open_s=10.0, failures_max=5)
    shown = gateway.client.get(CONFIG, headers=gateway.key())
    told = shown.json()

    assert (done.status_code, done.headers["etag"], shown.headers["etag"]) == (200, '"v2"', '"v2"')
    assert (told["numbers"]["open_s"], told["usual"]["open_s"]) == (10.0, 5.0)
    assert told["turned"] == ["failures_max", "open_s"]
    (row,) = audit(gateway)
    assert (row["sequence"], row["reason"]) == (done.json()["audit_id"], WHY["reason"])

    back = gateway.client.post(done.json()["undo_url"], json=WHY, headers=gateway.key())
    assert back.status_code == 200
    assert gateway.client.get(CONFIG, headers=gateway.key()).json()["turned"] == []


def test_a_number_for_a_time_comes_back_by_itself_and_leaves_the_others(gateway: Gateway) -> None:
    turn(gateway, 1, open_s=10.0, ttl_s=60)
    turn(gateway, 2, trials=3)
    gateway.clock.at += 120_000
    run(gateway.ledger.revert_expired())

    assert gateway.client.get(CONFIG, headers=gateway.key()).json()["turned"] == ["trials"]


@pytest.mark.parametrize(
    ("numbers", "name"),
    [
        ({"open_s": 90.0}, "open_s"),
        ({"open_s_max": 4.0}, "open_s"),
        ({"trials": 1}, "trials_in_flight_max"),
        ({"failures_max": 0}, "failures_max"),
        ({"ping_s_max": 31.0}, "ping_s_max"),
        ({}, "failures_max"),
    ],
)
def test_numbers_that_cannot_stand_are_refused(
    gateway: Gateway, numbers: dict[str, Any], name: str
) -> None:
    reply = turn(gateway, 1, **numbers)

    assert reply.status_code == 422
    assert [error["pointer"] for error in reply.json()["errors"]] == [f"#/{name}"]
    assert gateway.client.get(CONFIG, headers=gateway.key()).headers["etag"] == '"v1"'


def test_a_dry_run_turns_nothing(gateway: Gateway) -> None:
    told = turn(gateway, 1, "?dry_run=true", open_s=10.0).json()

    assert (told["dry_run"], told["after"]["tuning"]["circuit"]) == (True, {"open_s": 10.0})
    assert audit(gateway) == []


def test_a_reset_asks_again_behind_trials_and_closes_only_for_who_names_the_broker(
    gateway: Gateway,
) -> None:
    key = gateway.key() | {"If-Match": '"v1"'}
    closed = WHY | {"to": "closed"}

    unnamed = gateway.client.post(f"{BREAKER}/reset", json=closed, headers=key)
    other = key | {"X-Confirm": "sol"}
    misnamed = gateway.client.post(f"{BREAKER}/reset", json=closed, headers=other)
    half = gateway.client.post(f"{BREAKER}/reset", json=WHY, headers=key)
    named = key | {"If-Match": '"v2"', "X-Confirm": "nova"}
    done = gateway.client.post(f"{BREAKER}/reset", json=closed, headers=named)

    assert [r.json()["code"] for r in (unnamed, misnamed)] == ["confirm-required"] * 2
    assert (half.status_code, done.status_code) == (200, 200)
    control = run(gateway.ledger.controls())["nova"]
    assert '"reset_version":3,"reset_to":"closed"' in str(control.tuning)
    assert [row["action"] for row in audit(gateway)][-2:] == ["broker.control"] * 2
