"""Policies, bells and rules: tried, set for a time, taken back, each under what was seen."""

from typing import Any, Final, NamedTuple

import pytest

from tests.web.house import SESSION, Gateway, run
from tests.web.operators import ADMIN, audit, reserve

WHY: Final = {"reason": "the desk asked"}
HALF: Final = {"opens_at": "2026-03-02T14:35:00Z", "closes_at": "2026-03-02T18:00:00Z"}
RULE: Final = {"document": {"rule_id": "broker.error_rate", "raise": 0.3}}


class Thing(NamedTuple):
    """What an operator changes, how, and where its value is seen."""

    seen: str
    method: str
    path: str
    body: dict[str, Any]
    value: tuple[str, ...]


THINGS: Final = {
    "breaker": Thing("brokers/nova", "PUT", "/breaker", {"mode": "forced_open"}, ("breaker",)),
    "dispatch": Thing("brokers/nova", "PUT", "/dispatch", {"state": "paused"}, ("dispatch",)),
    "schedule": Thing(
        "brokers/nova",
        "PUT",
        "/rate/schedule",
        {"schedule": [{"at": "open", "tps": 300}]},
        ("tuning", "schedule"),
    ),
    "policy": Thing(
        "routes/XNYS", "PATCH", "/policy", {"candidates": ["sol"]}, ("policy", "candidates")
    ),
    "bells": Thing(f"sessions/{SESSION}/override", "PUT", "", HALF, ("opens_at",)),
    "rule": Thing("anomaly-rules/broker.error_rate", "PUT", "", RULE, ("document", "raise")),
}


class Desk:
    """One operator at one thing."""

    def __init__(self, gateway: Gateway, thing: Thing) -> None:
        self.gateway, self.thing = gateway, thing

    def get(self) -> Any:
        return self.gateway.client.get(f"{ADMIN}/{self.thing.seen}", headers=self.gateway.key())

    def value(self) -> Any:
        found = self.get().json()
        for name in self.thing.value:
            found = found[name]
        return found

    def change(self, query: str = "", **more: object) -> Any:
        headers = self.gateway.key("mina") | {"If-Match": self.get().headers["etag"]}
        path = f"{ADMIN}/{self.thing.seen}{self.thing.path}{query}"
        body = WHY | self.thing.body | more
        return self.gateway.client.request(self.thing.method, path, json=body, headers=headers)

    def undo(self, url: str) -> Any:
        return self.gateway.client.post(url, json=WHY, headers=self.gateway.key("jun"))

    def passes(self, milliseconds: int) -> None:
        self.gateway.clock.at += milliseconds
        run(self.gateway.ledger.revert_expired())
        run(self.gateway.ledger.end_overrides())


@pytest.fixture(params=THINGS)
def desk(gateway: Gateway, request: pytest.FixtureRequest) -> Desk:
    return Desk(gateway, THINGS[request.param])


def test_what_is_tried_changes_nothing_and_what_is_set_for_a_time_goes_back(desk: Desk) -> None:
    before = desk.value()
    told = desk.change("?dry_run=true").json()
    assert told["dry_run"]
    assert told["before"] != told["after"]
    assert (desk.value(), audit(desk.gateway)) == (before, [])
    reply = desk.change(ttl_s=60)
    assert reply.status_code == 200, reply.text
    assert desk.value() != before
    desk.passes(30_000)
    assert desk.value() != before

    desk.passes(30_000)
    assert desk.value() == before
    assert audit(desk.gateway)[-1]["actor"] == "openbell"


def test_an_undo_brings_back_what_stood_and_names_itself(desk: Desk) -> None:
    before = desk.value()
    told = desk.change().json()
    back = desk.undo(told["undo_url"])

    assert back.status_code == 200, back.text
    assert desk.value() == before
    row, again = audit(desk.gateway)
    assert (row["sequence"], row["actor"], again["actor"]) == (told["audit_id"], "mina", "jun")
    late = desk.undo(told["undo_url"])
    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert desk.undo(back.json()["undo_url"]).status_code == 200
    assert desk.value() != before


def test_an_undo_of_a_change_over_an_override_does_not_make_it_stay(desk: Desk) -> None:
    before = desk.value()
    desk.change(ttl_s=60)
    for_good = desk.change().json()
    desk.gateway.clock.at += 60_000
    back = desk.undo(for_good["undo_url"])

    assert back.status_code == 200, back.text
    assert desk.value() == before


def test_an_override_of_bells_is_lifted_and_its_version_goes_on(gateway: Gateway) -> None:
    desk = Desk(gateway, THINGS["bells"])
    desk.change()
    seen = desk.get().headers["etag"]
    path = f"{ADMIN}/{desk.thing.seen}"
    headers = gateway.key() | {"If-Match": seen}
    lifted = gateway.client.request("DELETE", path, json=WHY, headers=headers)
    again = gateway.client.request("PUT", path, json=WHY | HALF, headers=headers)

    assert (lifted.json()["opens_at"], lifted.headers["etag"]) == (None, '"v2"')
    assert len(gateway.overridden) == 2
    assert run(gateway.ledger.overrides()) == []
    assert (again.status_code, again.json()["code"]) == (412, "stale-version")
    listed = gateway.client.get(f"{ADMIN}/sessions/overrides", headers=gateway.key()).json()
    assert listed == {"data": []}


def test_a_lock_is_no_part_of_what_a_policy_gives_back(gateway: Gateway) -> None:
    desk = Desk(gateway, THINGS["policy"])
    desk.change(ttl_s=60)
    headers = gateway.key("mina") | {"If-Match": desk.get().headers["etag"]}
    body = WHY | {"ttl_s": 600}
    gateway.client.put(f"{ADMIN}/routes/XNYS/lock", json=body, headers=headers)
    desk.passes(60_000)

    assert desk.value() == []
    assert desk.get().json()["lock"]["locked_by"] == "mina"


def test_a_release_is_paused_for_a_time_and_resumed(gateway: Gateway) -> None:
    path = f"{ADMIN}/sessions/{SESSION}"
    reserve(gateway, 2)

    def act(verb: str, version: int, query: str = "", **more: object) -> Any:
        headers = gateway.key("mina") | {"If-Match": f'"v{version}"'}
        return gateway.client.post(f"{path}/{verb}{query}", json=WHY | more, headers=headers)

    would = act("pause", 0, "?dry_run=true").json()
    paused = act("pause", 0, ttl_s=60)
    assert would == {"dry_run": True, "orders_affected": 2, "paused": True}
    assert (paused.status_code, paused.json()["paused"]) == (200, True)
    assert gateway.floor.halts_seen == 1
    gateway.clock.at += 60_000
    run(gateway.ledger.end_overrides())
    shown = gateway.client.get(path, headers=gateway.key())
    release = shown.json()["release"]
    assert (release["paused"], release["changed_by"]) == (False, "openbell")
    assert shown.headers["etag"] == '"v2"'
    assert act("pause", 2).status_code == 200
    assert act("resume", 2).status_code == 412
    assert act("resume", 3).json()["paused"] is False
    assert gateway.client.get(f"{ADMIN}/sessions/X", headers=gateway.key()).status_code == 404
