"""Every door and what it asks of whoever comes: whose id, which version, why.

The tables must be complete: a new door that takes an id or changes something fails here until
somebody has said how it behaves. That no door opens without its scope stands in `test_keys.py`.
"""

from typing import Final, NamedTuple

import pytest

from app.web.door import Door
from tests.web.house import CLIENT_SCOPES, Gateway, an_order, run
from tests.web.operators import audit

WHY: Final = {"reason": "the desk asked"}
# Doors that take an account's id in path, query or body; the foreign one stands in every place.
ACCOUNTS: Final[dict[str, tuple[str, dict[str, object]]]] = {
    "create_order": ("/v1/orders", an_order()),
    "list_orders": ("/v1/orders?account_id=A-1", {}),
    "get_order_by_client_order_id": ("/v1/accounts/A-1/orders/by-client-order-id/c-1", {}),
    "get_account_summary": ("/v1/accounts/A-1/summary", {}),
    "list_account_orders": ("/v1/accounts/A-1/orders", {}),
    "get_list": ("/v1/lists/l-1?account_id=A-1", {}),
    "stream_orders": ("/v1/stream?account_id=A-1", {}),
    "create_stream_ticket": ("/v1/stream/tickets", {"account_id": "A-1"}),
    "mass_cancel": ("/v1/orders/mass-cancel", {"account_id": "A-1", "request_id": "r-1"}),
    "mass_cancel_as_operator": (
        "/admin/v1/orders/mass-cancel",
        {"account_id": "A-1", "request_id": "r-1", "expected_count": 9, **WHY},
    ),
    "list_held_orders": ("/admin/v1/orders/held?account_id=A-1", {}),
    "hold_orders": (
        "/admin/v1/orders/hold",
        {"account_id": "A-1", "request_id": "r-1", "expected_count": 9, **WHY},
    ),
    "release_orders": (
        "/admin/v1/orders/release",
        {"account_id": "A-1", "request_id": "r-1", "expected_count": 9, **WHY},
    ),
}
# A batch answers for each item by itself, so its door is 200.
BATCHES: Final = {"create_orders"}
ORDERS: Final = {
    *("amend_order", "cancel_order", "get_order", "list_executions", "list_order_events"),
    *("list_attempts", "probe_doubt", "resolve_doubt"),
    *("hold_order", "release_order", "cancel_order_as_operator"),
}
# Doors that take an endpoint's id, each with a body that is sound.
ENDPOINTS: Final[dict[str, dict[str, object]]] = {
    "get_webhook": {},
    "change_webhook": {"enabled": False},
    "delete_webhook": {},
    "rotate_webhook_secret": {"overlap_s": 0},
    "test_webhook": {},
    "list_webhook_deliveries": {},
    "get_webhook_delivery": {},
    "replay_webhook_delivery": {},
    "replay_webhook": {"since": "2026-03-02T14:00:00Z"},
}
# Its body names accounts, and not one.
ACCOUNT_LISTS: Final = {"create_webhook", "change_webhook"}
# Writes under a version, each with a body that is sound: only the version is old.
VERSIONED: Final[dict[str, dict[str, object]]] = {
    "set_broker_breaker": {"mode": "auto"},
    "set_broker_dispatch": {"state": "paused"},
    "set_breaker_config": {"open_s": 10.0},
    "reset_breaker": {},
    "set_route_policy": {"automation": "off"},
    "lock_route": {"ttl_s": 60},
    "unlock_route": {},
    "set_broker_rate": {"tps": 400},
    "set_broker_schedule": {"schedule": [{"at": "open", "tps": 300}]},
    "end_broker_schedule": {},
    "set_anomaly_rule": {"document": {"rule_id": "broker.error_rate", "raise": 0.3}},
    "override_session": {
        "opens_at": "2026-03-02T14:35:00Z",
        "closes_at": "2026-03-02T18:00:00Z",
    },
    "lift_session_override": {},
    "pause_session": {},
    "resume_session": {},
}
# A FIX session's version is its numbering, and no such session stands here: see `tests/brokers`.
# An order's is its own, and no order stands under the id 0: see `test_holds.py`; nor a proposal:
# see `test_proposals.py`; nor a key: see `test_key_doors.py`.
ELSEWHERE: Final = {
    "reset_broker_session",
    *("approve_proposal", "decline_proposal", "revoke_key"),
    *("hold_order", "release_order", "cancel_order_as_operator"),
}
# It changes nothing, so nobody has to say why.
NO_REASON: Final = {"test_anomaly_rule"}
NAMES: Final = {
    "broker_id": "nova",
    "route_id": "XNYS",
    "rule_id": "broker.error_rate",
    "trading_session_id": "XNYS-2026-03-02-REG",
}


class Place(NamedTuple):
    """A door, by its name and where it stands."""

    door: Door
    path: str


def doors(gateway: Gateway) -> dict[str, Place]:
    found = {}
    for route in gateway.client.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Door) and route.spec.scope is not None:
            path = route.path
            for name in ("order_id", "failover_id", "drill_id", "anomaly_id"):
                path = path.replace(f"{{{name}}}", "0")
            found[route.spec.name] = Place(route, path.format_map(_Named()))
    return found


class _Named(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return NAMES.get(name, "x-1")


def asked_for(door: Door) -> set[str]:
    """Return every name that a caller may put an id under."""
    models = [door.spec.asks, door.spec.reads and door.spec.reads.model]
    names = {name for model in models if model for name in model.model_fields}
    return names | {part[1:-1] for part in door.path.split("/") if part.startswith("{")}


def test_the_tables_name_every_door_that_takes_an_id_or_changes_something(
    gateway: Gateway,
) -> None:
    found = {name: asked_for(place.door) for name, place in doors(gateway).items()}

    takes_account = {name for name, asked in found.items() if "account_id" in asked}
    takes_order = {name for name, asked in found.items() if "order_id" in asked}
    versioned = {
        name
        for name, place in doors(gateway).items()
        if place.door.spec.if_match == "required" and place.door.spec.audited
    }
    changes = {
        name
        for name, place in doors(gateway).items()
        if place.path.startswith("/admin") and place.door.spec.method != "GET"
    }
    assert takes_account == set(ACCOUNTS)
    assert takes_order == ORDERS
    of_endpoint = {name for name, asked in found.items() if "endpoint_id" in asked}
    assert of_endpoint == set(ENDPOINTS) | {"disable_webhook", "enable_webhook"}
    assert {name for name, asked in found.items() if "accounts" in asked} == ACCOUNT_LISTS
    assert {name for name, asked in found.items() if "orders" in asked} == BATCHES
    assert versioned == set(VERSIONED) | ELSEWHERE
    assert all(doors(gateway)[name].door.spec.audited for name in changes)


@pytest.mark.parametrize("name", ACCOUNTS)
def test_a_foreign_account_is_not_there_wherever_its_id_stands(gateway: Gateway, name: str) -> None:
    gateway.client.post("/v1/orders", json=an_order(list_id="l-1"), headers=gateway.key())
    before = gateway.events()
    path, body = ACCOUNTS[name]
    door = doors(gateway)[name].door

    reply = gateway.client.request(
        door.spec.method, path, json=body or None, headers=gateway.key("lee", accounts=("A-2",))
    )

    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")
    assert gateway.events() == before
    assert run(gateway.ledger.list_status("A-1", "l-1")) == {"reserved": 1}


@pytest.mark.parametrize("name", ENDPOINTS)
@pytest.mark.parametrize("accounts", [("A-2",), ("A-3",)])
def test_an_endpoint_that_hears_of_a_foreign_account_is_not_there(
    gateway: Gateway, name: str, accounts: tuple[str, ...]
) -> None:
    body = {"url": "https://customer.com/", "accounts": ["A-1", "A-2"]}
    mine = gateway.client.post("/v1/webhooks", json=body, headers=gateway.key()).json()
    place = f"/v1/webhooks/{mine['endpoint_id']}"
    test = gateway.client.post(f"{place}/test", headers=gateway.key()).json()
    door = doors(gateway)[name].door
    path = door.path.format(endpoint_id=mine["endpoint_id"], delivery_id=test["delivery_id"])
    foreign = gateway.key("lee", CLIENT_SCOPES, accounts) | {"If-Match": '"v1"'}

    reply = gateway.client.request(
        door.spec.method, path, json=ENDPOINTS[name] or None, headers=foreign
    )

    assert (reply.status_code, reply.json()["code"]) == (404, "not-found")
    assert gateway.client.get(place, headers=gateway.key()).headers["etag"] == '"v1"'
    listed = gateway.client.get("/v1/webhooks", headers=foreign).json()
    assert listed == {"data": []}


def test_a_foreign_item_of_a_batch_is_not_there_and_the_others_are_taken(gateway: Gateway) -> None:
    items = [an_order(account_id=account) for account in ("A-1", "A-2")]
    key = gateway.key("lee", CLIENT_SCOPES, ("A-2",))

    told = gateway.client.post("/v1/orders/batch", json={"orders": items}, headers=key).json()

    assert [result["status"] for result in told["results"]] == [404, 201]
    assert gateway.events() == ["A-2"]


def test_a_cursor_of_another_account_shows_nothing(gateway: Gateway) -> None:
    for n in range(3):
        body = an_order(client_order_id=f"c-{n}")
        gateway.client.post("/v1/orders", json=body, headers=gateway.key())
    page = gateway.client.get("/v1/orders?account_id=A-1&limit=1", headers=gateway.key()).json()
    key = gateway.key("lee", accounts=("A-2",))

    path = f"/v1/orders?account_id=A-2&cursor={page['next_cursor']}"
    assert gateway.client.get(path, headers=key).status_code == 422


def test_every_change_of_an_operator_says_why(gateway: Gateway) -> None:
    key = gateway.key() | {"If-Match": '"v1"'}
    for name, (door, path) in doors(gateway).items():
        if not door.spec.audited or name in NO_REASON:
            continue
        asked = {"audit_id": "1"} if name.startswith("undo_") else {}
        reply = gateway.client.request(door.spec.method, path, json={}, params=asked, headers=key)

        assert reply.status_code == 422, (name, reply.text)
        assert "#/reason" in {error["pointer"] for error in reply.json()["errors"]}, name
    assert audit(gateway) == []


@pytest.mark.parametrize("name", sorted({*VERSIONED, *ELSEWHERE}))
def test_a_change_without_the_version_that_was_seen_is_refused(gateway: Gateway, name: str) -> None:
    door, path = doors(gateway)[name]
    body = WHY | VERSIONED.get(name, {})
    for seen in ({}, {"If-Match": "*"}):
        reply = gateway.client.request(
            door.spec.method, path, json=body, headers=gateway.key() | seen
        )
        assert (reply.status_code, reply.json()["code"]) == (428, "if-match-required")


@pytest.mark.parametrize("name", VERSIONED)
def test_a_change_of_an_old_version_is_refused_and_noted(gateway: Gateway, name: str) -> None:
    door, path = doors(gateway)[name]
    key = gateway.key("kim") | {"If-Match": '"v99"'}

    reply = gateway.client.request(door.spec.method, path, json=WHY | VERSIONED[name], headers=key)

    assert (reply.status_code, reply.json()["code"]) == (412, "stale-version"), reply.text
    assert audit(gateway)[-1]["action"] == f"denied.{name}"
