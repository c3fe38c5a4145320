"""Operators: every change compared, reasoned, audited, told back, and undone by its URL."""

from typing import Any

import pytest

from app.domain.capabilities import Capabilities
from app.domain.errors import Code
from app.domain.windows import read_window
from tests.web.house import (
    CLOSES_AT,
    OPENS_AT,
    SESSION,
    Gateway,
    run,
)
from tests.web.operators import ADMIN, audit, reserve, sure
from tests.web.stand_ins import SignedBroker

RATE = f"{ADMIN}/brokers/nova/rate"
SEEN = {"If-Match": '"v1"'}


def test_a_rate_is_set_applied_and_audited(gateway: Gateway) -> None:
    body = {"tps": 800, "reason": "desk asked, OPS-12"}
    headers = gateway.key() | SEEN | {"X-Request-ID": "r-7"}

    reply = gateway.client.patch(RATE, json=body, headers=headers)
    told = reply.json()

    assert (reply.status_code, reply.headers["etag"]) == (200, '"v2"')
    assert (told["configured"], told["effective"], told["expires_at"]) == (800, 480, None)
    assert (told["applied"]["epoch"], told["applied"]["version"]) == (7, 2)
    (row,) = audit(gateway)
    assert (row["sequence"], row["actor"], row["request_id"]) == (told["audit_id"], "mina", "r-7")
    assert row["reason"] == "desk asked, OPS-12"
    assert (row["before"]["tps"], row["after"]["tps"]) == (500, 800)


def test_a_lane_that_does_not_answer_is_told_as_not_yet_applied(gateway: Gateway) -> None:
    gateway.floor.acts = False

    reply = gateway.client.patch(
        RATE, json={"tps": 800, "reason": "desk asked"}, headers=gateway.key() | SEEN
    )

    assert (reply.status_code, reply.json()["applied"]) == (200, None)


def test_an_undo_brings_back_what_stood_before_unless_something_came_between(
    gateway: Gateway,
) -> None:
    key = gateway.key()

    def rate(tps: int, version: int) -> Any:
        body = {"tps": tps, "reason": "desk asked"}
        seen = {"If-Match": f'"v{version}"'}
        return gateway.client.patch(RATE, json=body, headers=key | seen).json()

    first, second = rate(800, 1), rate(900, 2)
    undo = {"reason": "was wrong"}

    late = gateway.client.post(first["undo_url"], json=undo, headers=key)
    back = gateway.client.post(second["undo_url"], json=undo, headers=key)
    foreign = gateway.client.post(f"{ADMIN}/brokers/nova/undo?audit_id=99", json=undo, headers=key)

    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert (back.status_code, back.json()["configured"]) == (200, 800)
    assert foreign.status_code == 404


def test_a_dry_run_says_what_would_be_and_changes_nothing(gateway: Gateway) -> None:
    reserve(gateway, 3)
    body = {"tps": 1_000, "reason": "desk asked"}

    reply = gateway.client.patch(
        f"{RATE}?dry_run=true", json=body, headers=gateway.key() | {"If-Match": '"v1"'}
    )

    told = reply.json()
    assert (told["orders_affected"], told["eta_before"]) == (3, "00:00:01")
    assert told["warnings"] == ["at the contract of 1000: no room for our own error"]
    assert audit(gateway) == []
    broker = gateway.client.get(f"{ADMIN}/brokers/nova", headers=gateway.key())
    assert (broker.headers["etag"], broker.json()["tps"]) == ('"v1"', 500)
    assert (broker.json()["backlog"], broker.json()["contract"]) == (3, 1000)


def test_a_breaker_says_what_rules_it_and_how_it_stands(gateway: Gateway) -> None:
    key = gateway.key()
    shown = gateway.client.get(f"{ADMIN}/brokers/nova/breaker", headers=key)
    unseen = gateway.client.get(f"{ADMIN}/brokers/sol/breaker", headers=key).json()

    assert shown.headers["etag"] == '"v1"'
    assert (shown.json()["mode"], shown.json()["circuit"]) == ("auto", "closed")
    assert (unseen["mode"], unseen["circuit"], unseen["next_trial_s"]) == ("auto", None, None)


def test_an_override_comes_back_by_itself(gateway: Gateway) -> None:
    body = {"mode": "forced_open", "ttl_s": 60, "reason": "desk asked"}
    reply = gateway.client.put(
        f"{ADMIN}/brokers/nova/breaker", json=body, headers=gateway.key() | SEEN
    )
    expires_at = gateway.clock.at + 60_000

    assert reply.json()["breaker"] == "forced_open"
    assert reply.json()["expires_at"] == "2026-03-02T14:30:01.000Z"
    gateway.clock.at = expires_at
    run(gateway.ledger.revert_expired())
    now = gateway.client.get(f"{ADMIN}/brokers/nova", headers=gateway.key()).json()
    assert (now["breaker"], now["expires_at"]) == ("auto", None)


def test_what_an_operator_was_denied_is_audited_too(gateway: Gateway) -> None:
    mina = gateway.key("mina")
    poor = gateway.key("poor", frozenset({"admin:read"}))
    rate = {"tps": 800, "reason": "desk asked"}
    halt = {"scope": "all", "reason": "wild prices"}

    gateway.client.patch(RATE, json=rate, headers=poor | SEEN)
    gateway.client.patch(RATE, json=rate, headers=mina | {"If-Match": '"v9"'})
    halted = gateway.client.post(f"{ADMIN}/halt", json=halt, headers=mina | sure("all"))
    seen = {"If-Match": halted.headers["ETag"]}
    gateway.client.post(f"{ADMIN}/resume", json=halt, headers=mina | seen)

    rows = [(row["actor"], row["action"]) for row in audit(gateway)]
    assert rows == [
        ("poor", "denied.set_broker_rate"),
        ("mina", "denied.set_broker_rate"),
        ("mina", "halt"),
        ("mina", "denied.resume"),
    ]
    assert audit(gateway)[1]["reason"] == "desk asked"
    assert audit(gateway)[1]["after"]["code"] == "stale-version"
    chain = gateway.client.get(f"{ADMIN}/audit/verify", headers=mina).json()
    assert (chain["intact"], chain["first_broken"]) == (True, None)


def test_a_plan_counts_every_order_twice_and_finds_them_equal(gateway: Gateway) -> None:
    reserve(gateway, 3)

    plan = gateway.client.get(f"{ADMIN}/sessions/{SESSION}/plan", headers=gateway.key()).json()

    assert plan["backlog"] == 3
    (line,) = plan["brokers"]
    assert (line["broker_id"], line["tps"], line["backlog"]) == ("nova", 500, 3)
    assert (line["expected_end"], line["will_miss_cut_off"]) == ("2026-03-02T14:30:00.006Z", 0)
    assert [stretch["tps"] for stretch in line["schedule"]] == [500]
    assert plan["conservation"] == {
        "accepted": 3,
        "by_status": {"reserved": 3},
        "open_attempts": 0,
        "balanced": True,
    }


def test_a_plan_reckons_with_the_schedule_and_not_with_the_number(gateway: Gateway) -> None:
    reserve(gateway, 9)
    key = gateway.key()
    seen = gateway.client.get(f"{ADMIN}/brokers/nova", headers=key).headers["etag"]
    schedule = [{"at": "open-60m", "tps": 3}, {"at": "open+2s", "tps": 6}]
    body = {"schedule": schedule, "reason": "their rule"}
    gateway.client.put(f"{RATE}/schedule", json=body, headers=key | {"If-Match": seen})
    (line,) = gateway.client.get(f"{ADMIN}/sessions/{SESSION}/plan", headers=key).json()["brokers"]

    assert (line["tps"], line["source"]) == (3, "schedule")
    assert line["expected_end"] == "2026-03-02T14:30:03.000Z"


def test_a_plan_waits_for_a_brokers_blackout_to_end(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = {"days": "mon-fri", "opens": "09:25", "closes": "10:00", "zone": "America/New_York"}
    able = Capabilities(blackouts=(read_window(hours),))
    monkeypatch.setattr(SignedBroker, "capabilities", able)
    reserve(gateway, 3)

    plan = gateway.client.get(f"{ADMIN}/sessions/{SESSION}/plan", headers=gateway.key()).json()

    (line,) = plan["brokers"]
    assert [(s["tps"], s["source"]) for s in line["schedule"]] == [
        (0, "blackout"),
        (500, "operator"),
    ]
    assert line["schedule"][1]["at"] == "2026-03-02T15:00:02.000Z", "two seconds late: its clock"
    assert (line["expected_end"], line["will_miss_cut_off"]) == ("2026-03-02T15:00:02.006Z", 0)


def test_an_override_moves_the_bell_and_tells_the_house(gateway: Gateway) -> None:
    path = f"{ADMIN}/sessions/{SESSION}/override"
    body = {
        "opens_at": "2026-03-02T23:35:00+09:00",
        "closes_at": "2026-03-02T18:00:00Z",
        "reason": "half a day",
    }
    key = gateway.key() | {"If-Match": '"v0"'}

    reply = gateway.client.put(path, json=body, headers=key)

    assert reply.json()["opens_at"] == "2026-03-02T14:35:00.000Z"
    key |= {"If-Match": reply.headers["etag"]}
    assert len(gateway.overridden) == 1
    (moved,) = run(gateway.ledger.overrides())
    assert (moved.opens_at, moved.closes_at) == (OPENS_AT + 300_000, CLOSES_AT - 10_800_000)
    for wrong in (
        {"opens_at": "soon"},
        {"opens_at": "2026-03-02T14:35:00"},
        {"opens_at": "2026-03-02T19:00:00Z"},
    ):
        bad = gateway.client.put(path, json=body | wrong, headers=key)
        assert (bad.status_code, bad.json()["code"]) == (422, "validation-failed"), wrong
    key |= {"If-Match": '"v0"'}
    strange = gateway.client.put(f"{ADMIN}/sessions/XXXX-1/override", json=body, headers=key)
    assert strange.status_code == 422
    assert len(gateway.overridden) == 1


def test_the_overview_is_one_small_snapshot(gateway: Gateway) -> None:
    reserve(gateway, 2)

    reply = gateway.client.get(f"{ADMIN}/overview", headers=gateway.key())

    told = reply.json()
    assert len(reply.content) < 20_000
    assert told["backlog"]["reserved"] == {SESSION: 2}
    assert [lane["broker_id"] for lane in told["lanes"]] == ["nova"]
    assert [session["trading_session_id"] for session in told["sessions_next"]] == [SESSION]
    assert (told["sessions_open"], told["halts"], told["draining"]) == ([], [], False)


def test_the_view_is_rebuilt_and_verified(gateway: Gateway) -> None:
    key = gateway.key()
    rebuilt = gateway.client.post(f"{ADMIN}/view/rebuild", json={"reason": "a drill"}, headers=key)
    verified = gateway.client.get(f"{ADMIN}/view/verify", headers=key)

    assert rebuilt.json() == {"documents": 3, "audit_id": 1}
    assert verified.json() == {"equal": True, "differences": []}


def test_the_lag_of_the_view_is_told_also_while_its_bus_is_away(
    gateway: Gateway,
) -> None:
    key = gateway.key()
    reserve(gateway, 2)

    well = gateway.client.get(f"{ADMIN}/view/lag", headers=key)
    gateway.bus.down = True
    away = gateway.client.get(f"{ADMIN}/view/lag", headers=key)

    assert well.json() == {"events_behind": 0, "outbox": 2, "away": []}
    assert (away.status_code, away.json()) == (
        200,
        {"events_behind": None, "outbox": 2, "away": ["bus"]},
    )


def test_the_audit_log_is_read_on_from_where_one_stopped(gateway: Gateway) -> None:
    for _ in range(5):
        reserve(gateway, 0)
        gateway.client.post(
            f"{ADMIN}/halt",
            json={"scope": "all", "reason": "wild prices"},
            headers=gateway.key() | sure("all"),
        )
    key = gateway.key()

    first = gateway.client.get(f"{ADMIN}/audit?limit=3", headers=key).json()
    rest = gateway.client.get(f"{ADMIN}/audit?after={first['next_after']}", headers=key).json()

    assert [row["sequence"] for row in first["data"]] == [1, 2, 3]
    assert [row["sequence"] for row in rest["data"]] == [4, 5]
    assert rest["next_after"] is None


def test_the_audit_id_is_found_however_long_the_log_is(gateway: Gateway) -> None:
    key = gateway.key()
    for i in range(9):
        seen = {"If-Match": f'"v{i + 1}"'}
        body = {"tps": 600 + i, "reason": "desk asked"}
        told = gateway.client.patch(RATE, json=body, headers=key | seen).json()
        assert told["audit_id"] == i * 2 + 1
        gateway.client.post(
            f"{ADMIN}/halt",
            json={"scope": "all", "reason": "wild prices"},
            headers=key | sure("all"),
        )


def test_a_broker_that_nobody_has_is_not_found(gateway: Gateway) -> None:
    key = gateway.key() | SEEN
    body = {"tps": 1, "reason": "desk asked"}

    assert gateway.client.get(f"{ADMIN}/brokers/x", headers=key).status_code == 404
    reply = gateway.client.patch(f"{ADMIN}/brokers/x/rate", json=body, headers=key)
    assert (reply.status_code, reply.json()["code"]) == (404, Code.NOT_FOUND.code)
