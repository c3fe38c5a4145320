"""Halts and doubts: in force at once, lifted and settled by two, audited in any case."""

import pytest

from app.domain.records import Actor
from tests.web.house import Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, audit, reserve, seen, sure


def test_a_halt_is_seen_by_the_lanes_and_lifted_by_another_person(gateway: Gateway) -> None:
    mina, jun = gateway.key("mina"), gateway.key("jun")
    body = {"scope": "symbol", "id": "AA", "reason": "wild prices"}

    halted = gateway.client.post(f"{ADMIN}/halt", json=body, headers=mina | {"If-Match": "*"})
    looked = seen(halted.json()["version"])
    own = gateway.client.post(f"{ADMIN}/resume", json=body, headers=mina | looked)

    assert (halted.status_code, halted.json()["halted_by"]) == (200, "mina")
    assert gateway.floor.halts_seen == 1
    assert (own.status_code, own.json()["code"]) == (409, "second-principal-required")
    assert gateway.floor.halts_seen == 1
    standing = gateway.client.get(f"{ADMIN}/halts", headers=jun).json()["data"]
    assert [(halt["scope"], halt["target"]) for halt in standing] == [("symbol", "AA")]

    lifted = gateway.client.post(f"{ADMIN}/resume", json=body, headers=jun | looked)
    assert lifted.status_code == 200
    assert gateway.client.get(f"{ADMIN}/halts", headers=jun).json() == {"data": []}
    assert gateway.floor.halts_seen == 2
    none = gateway.client.post(f"{ADMIN}/resume", json=body, headers=jun | looked)
    assert none.status_code == 404


def test_a_halt_names_what_it_stops(gateway: Gateway) -> None:
    key = gateway.key() | sure("all")
    nothing = gateway.client.post(
        f"{ADMIN}/halt", json={"scope": "broker", "reason": "wild prices"}, headers=key
    )
    everything = gateway.client.post(
        f"{ADMIN}/halt", json={"scope": "all", "reason": "wild prices"}, headers=key
    )

    assert (nothing.status_code, nothing.json()["param"]) == (422, "id")
    assert everything.status_code == 200


def doubt(gateway: Gateway) -> tuple[str, str]:
    order_id = reserve(gateway, 1)
    return order_id, run(put_in_doubt(gateway.ledger))


def version(gateway: Gateway) -> int:
    """Return the version of the oldest order in doubt."""
    listed = gateway.client.get(f"{ADMIN}/in-doubt", headers=gateway.key("eye")).json()
    return int(listed["data"][0]["version"])


@pytest.mark.parametrize("second", ["nobody", "myself", "poor", "blind"])
def test_a_doubt_is_not_settled_by_one(gateway: Gateway, second: str) -> None:
    order_id, attempt_id = doubt(gateway)
    mina = gateway.key("mina")
    other = {
        "nobody": {"Authorization": ""},
        "myself": gateway.key("mina"),
        "poor": gateway.key("jun", frozenset({"admin:read"})),
        "blind": gateway.key("jun", accounts=("A-2",)),  # it is an order of A-1
    }[second]

    reply = gateway.client.post(
        f"{ADMIN}/in-doubt/{order_id}/resolve",
        json={
            "attempt_id": attempt_id,
            "verdict": "not_received",
            "evidence": "broker's day file",
            "reason": "after the outage",
        },
        headers=mina | seen(3) | {"X-Approver-Key": other["Authorization"].partition(" ")[2]},
    )

    assert (reply.status_code, reply.json()["code"]) == (409, "second-principal-required")
    order = gateway.client.get(f"/v1/orders/{order_id}", headers=mina).json()
    assert order["status"] == "in_doubt"
    assert audit(gateway)[-1]["action"] == "denied.resolve_doubt"


def test_a_doubt_is_settled_by_two_once(gateway: Gateway) -> None:
    order_id, attempt_id = doubt(gateway)
    jun = gateway.key("jun")["Authorization"].removeprefix("Bearer ")
    headers = gateway.key("mina") | {"X-Approver-Key": jun} | seen(version(gateway))
    path = f"{ADMIN}/in-doubt/{order_id}/resolve"
    word = {
        "attempt_id": attempt_id,
        "verdict": "filled",
        "evidence": "broker's day file",
        "reason": "after the outage",
    }

    no_price = gateway.client.post(path, json=word, headers=headers)
    other = gateway.client.post(
        path, json=word | {"price": "38.5", "attempt_id": f"{order_id}09"}, headers=headers
    )
    first = gateway.client.post(path, json=word | {"price": "38.5"}, headers=headers)
    again = gateway.client.post(path, json=word | {"price": "38.5"}, headers=headers)

    assert (no_price.status_code, no_price.json()["param"]) == (422, "price")
    assert (other.status_code, other.json()["code"]) == (409, "doubt-settled")
    assert (first.status_code, first.json()["status"]) == (200, "filled")
    assert (again.status_code, again.json()["code"]) == (409, "doubt-settled")
    settled = next(row for row in audit(gateway) if row["action"] == "doubt.resolve")
    assert (settled["actor"], settled["after"]["approved_by"]) == ("mina", "jun")
    attempts = gateway.client.get(f"{ADMIN}/orders/{order_id}/attempts", headers=headers).json()
    assert [attempt["broker_order_key"] for attempt in attempts["data"]] == [attempt_id]


def test_a_probe_asks_the_broker_and_is_audited(gateway: Gateway) -> None:
    order_id, attempt_id = doubt(gateway)
    key = gateway.key()
    listed = gateway.client.get(f"{ADMIN}/in-doubt", headers=key).json()["data"]

    reply = gateway.client.post(
        f"{ADMIN}/in-doubt/{order_id}/probe", json={"reason": "customer calls"}, headers=key
    )

    assert [(row["order_id"], row["attempt_id"]) for row in listed] == [(order_id, attempt_id)]
    assert reply.json()["proved"] == "still in doubt"
    assert gateway.floor.probed == [attempt_id]
    assert audit(gateway)[-1]["action"] == "doubt.probe"


def test_an_order_is_not_settled_under_the_name_of_another(gateway: Gateway) -> None:
    reserve(gateway, 2)
    run(put_in_doubt(gateway.ledger))
    jun = gateway.key("jun")["Authorization"].removeprefix("Bearer ")
    headers = gateway.key("mina") | {"X-Approver-Key": jun} | seen(version(gateway))
    one, two = gateway.client.get(f"{ADMIN}/in-doubt", headers=headers).json()["data"]

    reply = gateway.client.post(
        f"{ADMIN}/in-doubt/{one['order_id']}/resolve",
        json={
            "attempt_id": two["attempt_id"],
            "verdict": "not_received",
            "evidence": "broker's day file",
            "reason": "after the outage",
        },
        headers=headers,
    )

    assert (reply.status_code, reply.json()["code"]) == (409, "doubt-settled")
    left = gateway.client.get(f"{ADMIN}/in-doubt", headers=headers).json()["data"]
    assert [doubt["order_id"] for doubt in left] == [one["order_id"], two["order_id"]]


@pytest.mark.parametrize(
    ("scope", "name", "orders"),
    [
        ("all", None, 3),
        ("account", "A-1", 3),
        ("symbol", "AA", 3),
        ("symbol", "BB", 0),
        ("route", "XNYS", 3),
        ("broker", "nova", 3),
        ("broker", "sol", 0),
    ],
)
def test_a_halt_and_a_resume_are_tried_first(
    gateway: Gateway, scope: str, name: str | None, orders: int
) -> None:
    reserve(gateway, 3)
    body = {"scope": scope, "reason": "wild prices"} | ({"id": name} if name else {})
    path = f"{ADMIN}/halt?dry_run=true"
    told = [gateway.client.post(path, json=body, headers=gateway.key()).json()]
    assert run(gateway.ledger.halts()) == []
    standing = run(gateway.ledger.halt(scope, name or "*", Actor("jun", "wild prices")))
    headers = gateway.key() | seen(standing.halted_at)
    told.append(
        gateway.client.post(f"{ADMIN}/resume?dry_run=true", json=body, headers=headers).json()
    )
    assert [(t["dry_run"], t["orders_affected"]) for t in told] == [(True, orders)] * 2
    lee = gateway.key("lee", accounts=("A-2",))
    foreign = gateway.client.post(f"{ADMIN}/halt?dry_run=true", json=body, headers=lee)

    assert foreign.status_code == (404 if scope == "account" else 200)
    if scope in {"all", "symbol"}:
        assert foreign.json()["orders_affected"] == 0
    assert run(gateway.ledger.halts()) == [standing]


def test_the_next_halt_of_the_same_scope_is_another_one(gateway: Gateway) -> None:
    """Who looked before may lift what he saw, and not what somebody has stopped since."""
    body = {"scope": "symbol", "id": "AA", "reason": "wild prices"}
    first = run(gateway.ledger.halt("symbol", "AA", Actor("jun", "wild prices")))
    run(gateway.ledger.resume("symbol", "AA", Actor("lee", "calm again")))
    gateway.clock.at += 1
    second = run(gateway.ledger.halt("symbol", "AA", Actor("lee", "wilder yet")))
    headers = gateway.key("mina") | seen(first.halted_at)
    late = gateway.client.post(f"{ADMIN}/resume", json=body, headers=headers)

    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert late.json()["context"]["current"]["version"] == second.halted_at
    assert late.json()["context"]["changed_by"] == "lee"
    assert run(gateway.ledger.halts()) == [second]
