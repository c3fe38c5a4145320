"""Who may do what: a viewer looks, an operator begins, an approver says yes to another.

The trap is a door that was added with a scope that happened to be at hand. Each change of an
operator stands in one of these rows, or this suite fails.
"""

import json
from typing import Final

import pytest

from app.web.access.denials import NOTED_MAX
from app.web.access.keyfile import ROLES, SCOPES, role_of
from app.web.door import NAMED_MAX
from tests.web.house import CLIENT_SCOPES, Gateway, run
from tests.web.operators import ADMIN, audit
from tests.web.test_authorization import doors

# Both settle: one says what the evidence is, the other stands by it.
OF_APPROVERS: Final = {
    *("resume", "probe_doubt", "resolve_doubt", "settle_stray"),
    *("approve_proposal", "decline_proposal"),
}
# Who gives and takes keys, and stops customers' endpoints, is none of these.
NOT_OF_OPERATORS: Final = {
    *("resume", "approve_proposal", "decline_proposal"),
    *("revoke_key", "disable_webhook", "enable_webhook"),
}
# Whoever may see may propose, but only a call that he might make himself.
OF_ALL: Final = {"propose"}


def changes(gateway: Gateway) -> dict[str, str]:
    """Return every door through which an operator changes something, with its scope."""
    return {
        name: str(place.door.spec.scope)
        for name, place in doors(gateway).items()
        if place.path.startswith("/admin") and place.door.spec.method != "GET"
    }


def allowed(gateway: Gateway, role: str) -> set[str]:
    return {name for name, scope in changes(gateway).items() if scope in ROLES[role]}


def test_each_role_has_its_doors(gateway: Gateway) -> None:
    every = set(changes(gateway))

    assert allowed(gateway, "viewer") == OF_ALL
    assert allowed(gateway, "approver") == OF_APPROVERS | OF_ALL
    assert allowed(gateway, "operator") == every - NOT_OF_OPERATORS
    assert all(scopes < SCOPES for scopes in ROLES.values())


@pytest.mark.parametrize("role", ROLES)
def test_a_change_by_the_wrong_role_is_refused_and_noted(gateway: Gateway, role: str) -> None:
    key = gateway.key("kim", ROLES[role])
    refused = set(changes(gateway)) - allowed(gateway, role)
    for name in refused:
        door, path = doors(gateway)[name]
        reply = gateway.client.request(door.spec.method, path, json={}, headers=key)
        assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing"), name

    noted = {row["action"] for row in audit(gateway)}
    assert noted == {f"denied.{name}" for name in refused}


@pytest.mark.parametrize("role", ROLES)
def test_every_role_sees_what_operators_see(gateway: Gateway, role: str) -> None:
    key = gateway.key("kim", ROLES[role])
    for path in ("overview", "brokers", "audit", "orders/held", "in-doubt"):
        assert gateway.client.get(f"/admin/v1/{path}", headers=key).status_code == 200


def test_a_role_is_told_by_its_scopes() -> None:
    assert [role_of(sorted(scopes)) for scopes in ROLES.values()] == list(ROLES)
    assert role_of(["admin:read"]) == ""


def test_who_is_refused_all_the_time_fills_no_log_and_the_next_row_says_how_often(
    gateway: Gateway,
) -> None:
    """A note is a commit, behind which orders wait: any key could ask for what it may not do."""
    key, other = gateway.key("app", CLIENT_SCOPES), gateway.key("lee", CLIENT_SCOPES)
    body = {"scope": "all", "reason": "wild prices"}
    long = f"{ADMIN}/orders/{'x' * 3_000}/hold"
    for path, times in ((f"{ADMIN}/halt", NOTED_MAX + 5), (f"{ADMIN}/kill", 2), (long, 1)):
        for _ in range(times):
            reply = gateway.client.post(path, json=body, headers=key)
            assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")
    gateway.client.post(long, json=body, headers=other)
    assert len(run(gateway.ledger.audit(0, 1_000))) == NOTED_MAX + 1
    gateway.clock.at += 60_000
    gateway.client.post(f"{ADMIN}/halt", json=body, headers=key)

    *_, theirs, last = run(gateway.ledger.audit(0, 1_000))
    assert len(str(theirs["resource"])) == NAMED_MAX
    assert json.loads(str(last["after"]))["unnoted"] == "8 before it"
