"""Every door and what it asks of whoever comes: whose id, which version, why.

The tables must be complete: a new door that takes an id or changes something fails here until
somebody has said how it behaves. That no door opens without its scope stands in `test_keys.py`.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import pytest

from app.web.door import Door
from tests.builders import a_lane
from tests.web import things
from tests.web.house import CLIENT_SCOPES, Gateway, an_order, put_in_doubt, run
from tests.web.operators import audit, reserve
from tests.web.things import Thing

WHY: Final = {"reason": "the desk asked"}
HALT: Final = "/admin/v1/halt"
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
    *("list_attempts", "probe_doubt", "resolve_doubt", "settle_stray"),
    *("get_order_as_operator", "hold_order", "release_order", "cancel_order_as_operator"),
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


class Versioned(NamedTuple):
    """A write under a version: what must be there, and a body that is sound but for its age."""

    thing: Callable[[Gateway], Thing]
    body: Mapping[str, object] = {}


HOUSE: Final = things.a_house  # its brokers, routes, rules and sessions
VERSIONED: Final[dict[str, Versioned]] = {
    "set_broker_breaker": Versioned(HOUSE, {"mode": "auto"}),
    "set_broker_dispatch": Versioned(HOUSE, {"state": "paused"}),
    "set_breaker_config": Versioned(HOUSE, {"open_s": 10.0}),
    "reset_breaker": Versioned(HOUSE),
    "set_route_policy": Versioned(HOUSE, {"automation": "off"}),
    "lock_route": Versioned(HOUSE, {"ttl_s": 60}),
    "unlock_route": Versioned(HOUSE),
    "set_broker_rate": Versioned(HOUSE, {"tps": 400}),
    "set_broker_schedule": Versioned(HOUSE, {"schedule": [{"at": "open", "tps": 300}]}),
    "end_broker_schedule": Versioned(HOUSE),
    "set_anomaly_rule": Versioned(
        HOUSE, {"document": {"rule_id": "broker.error_rate", "raise": 0.3}}
    ),
    "override_session": Versioned(
        HOUSE, {"opens_at": "2026-03-02T14:35:00Z", "closes_at": "2026-03-02T18:00:00Z"}
    ),
    "lift_session_override": Versioned(HOUSE),
    "pause_session": Versioned(HOUSE),
    "resume_session": Versioned(HOUSE),
    "resume": Versioned(things.a_halt),
    "resolve_doubt": Versioned(things.a_doubt),
    "settle_stray": Versioned(things.a_stray),
    **dict.fromkeys(
        ("hold_order", "release_order", "cancel_order_as_operator"), Versioned(things.an_order)
    ),
    **dict.fromkeys(("ack_anomaly", "resolve_anomaly"), Versioned(things.an_anomaly)),
    "silence_anomaly": Versioned(things.an_anomaly, {"ttl_s": 60}),
    **dict.fromkeys(("abort_failover", "acknowledge_failover"), Versioned(things.a_failover)),
    "end_drill": Versioned(things.a_drill),
    **dict.fromkeys(("approve_proposal", "decline_proposal"), Versioned(things.a_proposal)),
    "revoke_key": Versioned(things.a_key),
    **dict.fromkeys(("disable_webhook", "enable_webhook"), Versioned(things.an_endpoint)),
    "reset_broker_session": Versioned(things.a_session),
}
# Writes that name what was seen in another way: where, and what is said when it is old.
SEEN_OTHERWISE: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(
        ("undo_broker_change", "undo_route_change"),
        ("audit_id", "412 unless the change of that row is still the last: test_undoing.py"),
    ),
    **dict.fromkeys(
        ("undo_anomaly_rule_change", "undo_session_override"),
        ("audit_id", "412 unless the change of that row is still the last: test_undoing.py"),
    ),
    **dict.fromkeys(
        ("fail_over", "fail_back"),
        ("expected_epoch", "412 stale-epoch once the route leads elsewhere: test_courses.py"),
    ),
    **dict.fromkeys(
        ("hold_orders", "release_orders", "mass_cancel_as_operator"),
        ("expected_count", "412 selection-grew beyond the dry run: test_holds, test_sweeps.py"),
    ),
}
# Writes for which nobody must have seen anything, and why.
BLIND: Final[dict[str, str]] = {
    "halt": "it takes nothing back and must not wait for a look; a second one leaves the first",
    "kill": "a halt; what it cancels besides is named by X-Confirm, and its dry run counts it",
    "raise_anomaly": "new; raised again it adds to what stands, and takes nothing back",
    "start_drill": "new; one at a time, of simulated brokers alone, and it says who fell ill",
    "propose": "new; the call in it names what its proposer saw, and is read here already",
    "probe_doubt": "it asks a broker, and only the answer changes anything",
    "log_out_broker_session": "the session comes up again by itself; nothing that was set is lost",
    "rebuild_view": "it makes again what can be made again at any time",
    "test_anomaly_rule": "it changes nothing",
}
# What must be typed (X-Confirm), the body that wants it, and what must not be asked for by name.
CONFIRMED: Final[dict[str, tuple[str, Mapping[str, object]]]] = {
    "halt": ("nova", {"scope": "broker", "id": "nova"}),
    "kill": ("all", {"scope": "all", "request_id": "k-1"}),
    "fail_over": ("sol", {"to": "sol", "expected_epoch": 1, "kind": "forced"}),
    "fail_back": ("XNYS", {"expected_epoch": 1}),
    "set_broker_breaker": ("nova", {"mode": "forced_closed"}),
    "reset_breaker": ("nova", {"to": "closed"}),
    "set_broker_rate": ("sol", {"tps": 900}),  # of 200: more than twice
    "set_broker_schedule": ("sol", {"schedule": [{"at": "open+10m", "tps": 900}]}),
}
# Where something must stand before the step is a large one: test_rates.py.
CONFIRMED_LATER: Final = {"undo_broker_change", "end_broker_schedule"}
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
    assert versioned == set(VERSIONED)
    assert changes == {*VERSIONED, *SEEN_OTHERWISE, *BLIND}, "a new door: what must be seen first?"
    assert len(changes) == len(VERSIONED) + len(SEEN_OTHERWISE) + len(BLIND)
    assert all(place in found[name] for name, (place, _) in SEEN_OTHERWISE.items())
    assert all(doors(gateway)[name].door.spec.audited for name in changes)
    takes_name = {
        name
        for name, place in doors(gateway).items()
        if place.door.spec.confirms or place.door.spec.names
    }
    assert takes_name == set(CONFIRMED) | CONFIRMED_LATER


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


def test_an_operator_of_some_accounts_learns_nothing_of_the_others(gateway: Gateway) -> None:
    """What names accounts is shown without the foreign ones, or not at all."""
    lee, kim = gateway.key("lee", accounts=("A-2",)), gateway.key("kim")
    reserve(gateway, 2)
    run(put_in_doubt(gateway.ledger))
    named = {"scope": "account", **WHY}
    for account_id in ("A-1", "A-2"):
        gateway.client.post(HALT, json={**named, "id": account_id}, headers=kim)
    seen = {"If-Match": f'"v{gateway.clock.at}"'}
    rows = len(audit(gateway))
    asked = [(HALT, {}), (f"{HALT}?dry_run=true", {}), ("/admin/v1/resume", seen)]
    for path, headers in asked:
        body = {**named, "id": "A-1"}
        reply = gateway.client.post(path, json=body, headers=lee | headers)
        assert (reply.status_code, reply.json()["code"]) == (404, "not-found"), path
    assert (len(run(gateway.ledger.halts())), len(audit(gateway))) == (2, rows)

    whole = {"list_audit", "export_audit", "verify_view"}
    for name, (door, path) in doors(gateway).items():
        if door.spec.method != "GET" or not path.startswith("/admin") or door.spec.streams:
            continue
        reply = gateway.client.get(path, headers=lee)
        assert "A-1" not in reply.text, name
        assert (name in whole) == (reply.status_code == 403), (name, reply.text)
    found = gateway.client.get("/admin/v1/halts", headers=lee).json()["data"]
    assert [halt["target"] for halt in found] == ["A-2"]


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


def brought_about(gateway: Gateway, name: str) -> tuple[str, str, dict[str, object]]:
    """Return the method, the path and a sound body of a write, with what it changes in place."""
    wanted = VERSIONED[name]
    thing, door = wanted.thing(gateway), doors(gateway)[name].door
    path = door.path.format_map(_Named(thing.parts))
    return door.spec.method, path, {**WHY, **wanted.body, **thing.body}


@pytest.mark.parametrize("name", sorted(VERSIONED))
def test_a_change_without_the_version_that_was_seen_is_refused(gateway: Gateway, name: str) -> None:
    method, path, body = brought_about(gateway, name)
    rows = len(audit(gateway))
    for seen in ({}, {"If-Match": "*"}):
        reply = gateway.client.request(method, path, json=body, headers=gateway.key() | seen)
        assert (reply.status_code, reply.json()["code"]) == (428, "if-match-required")
    assert len(audit(gateway)) == rows


@pytest.mark.parametrize("name", sorted(VERSIONED))
def test_a_change_of_an_old_version_is_refused_with_what_stands_and_noted(
    gateway: Gateway, name: str
) -> None:
    method, path, body = brought_about(gateway, name)
    jun = gateway.key("jun")["Authorization"].removeprefix("Bearer ")
    key = gateway.key("kim") | {"If-Match": '"v99"', "X-Approver-Key": jun}
    rows = [row["action"] for row in audit(gateway)]

    reply = gateway.client.request(method, path, json=body, headers=key)

    assert (reply.status_code, reply.json()["code"]) == (412, "stale-version"), reply.text
    current = reply.json()["context"]["current"]
    assert current.keys() & {"version", "numbering"}, "what stands, to look at before one asks anew"
    assert [row["action"] for row in audit(gateway)] == [*rows, f"denied.{name}"]


@pytest.mark.parametrize("name", sorted(CONFIRMED))
def test_what_is_dangerous_is_not_done_unless_its_very_name_is_typed(
    gateway: Gateway, name: str
) -> None:
    """Past that lock it may be refused for something else: nobody has looked at sol yet."""
    wanted, body = CONFIRMED[name]
    gateway.floor.others = [a_lane("sol", tps_contract=1_000)]
    door = doors(gateway)[name].door
    path = door.path.format_map(_Named({"broker_id": wanted}))
    key = gateway.key("kim") | {"If-Match": '"v1"'}

    def reply(**typed: str) -> Any:
        named = {"X-Confirm": typed["as_"]} if typed else {}
        told = {**WHY, **body}
        return gateway.client.request(door.spec.method, path, json=told, headers=key | named)

    slips = [reply()] + [reply(as_=slip.format(wanted)) for slip in ("", "{}x", "{0}, {0}", "*")]
    assert {(r.status_code, r.json()["code"]) for r in slips} == {(428, "confirm-required")}
    assert all(wanted in r.json()["detail"] for r in slips)
    assert (audit(gateway), run(gateway.ledger.halts()), gateway.floor.halts_seen) == ([], [], 0)
    meant = reply(as_=wanted).json()
    assert meant.get("code") in {None, "prechecks-failed"}, meant


@pytest.mark.parametrize("scope", ["account", "symbol"])
def test_a_small_halt_waits_for_no_name(gateway: Gateway, scope: str) -> None:
    body = {"scope": scope, "id": "A-1", **WHY}

    assert gateway.client.post(HALT, json=body, headers=gateway.key()).status_code == 200
