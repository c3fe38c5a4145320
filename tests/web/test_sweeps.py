"""Mass cancel by its two doors: whose orders, which of them, and once."""

from typing import Any

import pytest

from tests.web.house import CLIENT_SCOPES, Gateway, an_order, put_in_doubt, run
from tests.web.operators import audit

PATH = "/v1/orders/mass-cancel"
ADMIN = "/admin/v1/orders/mass-cancel"


def placed(gateway: Gateway, count: int, account_id: str = "A-1", **facts: object) -> list[str]:
    key = gateway.key("clients", CLIENT_SCOPES)
    found = []
    for n in range(count):
        body = an_order(client_order_id=f"c-{gateway.clock.drawn}-{n}", account_id=account_id)
        found.append(gateway.client.post("/v1/orders", json=body | facts, headers=key).json())
    return [order["order_id"] for order in found]


def status(gateway: Gateway, order_id: str) -> str:
    order = run(gateway.ledger.get(order_id))
    assert order is not None
    return f"{order.status}/{order.pending_request}"


def post(gateway: Gateway, path: str, key: dict[str, str], **body: object) -> Any:
    return gateway.client.post(path, json={"request_id": "r-1"} | body, headers=key)


def test_a_client_cancels_his_own_and_asked_again_nothing_newer(gateway: Gateway) -> None:
    mine, foreign = placed(gateway, 3), placed(gateway, 2, "A-2")
    key = gateway.key("mina", CLIENT_SCOPES, ("A-1",))
    first = post(gateway, PATH, key, symbol="AA")
    (newer,) = placed(gateway, 1)
    again = post(gateway, PATH, key, symbol="AA")

    assert (first.status_code, again.status_code) == (200, 200)
    counts = {"canceled": 3, "cancel_requested": 0, "done": True, "replayed": False}
    assert first.json() == {"request_id": "r-1"} | counts
    assert again.json() == {"request_id": "r-1"} | counts | {"canceled": 0, "replayed": True}
    assert {status(gateway, o) for o in mine} == {"canceled/none"}
    assert {status(gateway, o) for o in (*foreign, newer)} == {"reserved/none"}


def test_what_is_in_doubt_is_asked_about_and_stays_so(gateway: Gateway) -> None:
    (order_id,) = placed(gateway, 1)
    run(put_in_doubt(gateway.ledger))
    key = gateway.key("mina", CLIENT_SCOPES, ("A-1",))

    reply = post(gateway, PATH, key, account_id="A-1").json()

    assert (reply["canceled"], reply["cancel_requested"]) == (0, 1)
    assert status(gateway, order_id) == "in_doubt/cancel"


@pytest.mark.parametrize(
    ("accounts", "body", "expected"),
    [
        (("A-1",), {"account_id": "A-2"}, 404),
        (("A-1",), {}, 422),
        (("*",), {"symbol": "AA"}, 422),
        (("A-1",), {"symbol": "AA", "request_id": ""}, 422),
        (("A-1",), {"symbl": "AA"}, 422),
        (("A-1",), {"symbol": "AA", "reason": "operators say why"}, 422),
    ],
)
def test_a_client_is_refused_what_is_not_his_or_names_nothing(
    gateway: Gateway, accounts: tuple[str, ...], body: dict[str, object], expected: int
) -> None:
    orders = placed(gateway, 1) + placed(gateway, 1, "A-2")
    reply = post(gateway, PATH, gateway.key("mina", CLIENT_SCOPES, accounts), **body)

    assert reply.status_code == expected
    assert {status(gateway, o) for o in orders} == {"reserved/none"}


def test_a_request_id_of_another_scope_is_refused(gateway: Gateway) -> None:
    key = gateway.key("mina", CLIENT_SCOPES, ("A-1",))
    post(gateway, PATH, key, symbol="AA")

    reply = post(gateway, PATH, key, account_id="A-1", list_id="l-1")

    assert (reply.status_code, reply.json()["code"]) == (422, "idempotency-key-reused")


def test_an_operator_sees_then_cancels_what_he_saw(gateway: Gateway) -> None:
    seen = placed(gateway, 3)
    key = gateway.key("kim")
    why = {"symbol": "AA", "reason": "the desk asked"}
    preview = post(gateway, f"{ADMIN}?dry_run=true", key, **why).json()
    (newer,) = placed(gateway, 1)
    selected = {"selection_id": preview["selection_id"], "expected_count": 3}
    done = post(gateway, ADMIN, key, **why, **selected)

    assert (preview["orders_affected"], preview["by_status"]) == (3, {"reserved": 3})
    assert done.status_code == 200, done.text
    assert done.json()["canceled"] == 3
    assert {status(gateway, o) for o in seen} == {"canceled/none"}
    assert status(gateway, newer) == "reserved/none"
    rows = [row for row in audit(gateway) if row["action"].startswith("orders.mass_cancel")]
    assert [row["action"] for row in rows] == ["orders.mass_cancel", "orders.mass_canceled"]
    assert {row["reason"] for row in rows} == {"the desk asked"}
    assert rows[-1]["sequence"] == done.json()["audit_id"]


def test_an_operator_is_refused_more_than_he_saw(gateway: Gateway) -> None:
    orders = placed(gateway, 3)
    key = gateway.key("kim")
    reply = post(gateway, ADMIN, key, everything=True, expected_count=2, reason="the desk asked")

    assert (reply.status_code, reply.json()["code"]) == (412, "selection-grew")
    assert {status(gateway, o) for o in orders} == {"reserved/none"}
    assert audit(gateway)[-1]["action"] == "denied.mass_cancel_as_operator"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"symbol": "AA", "reason": "the desk asked"}, 422),
        ({"reason": "the desk asked", "expected_count": 1}, 422),
        ({"symbol": "AA", "everything": True, "reason": "the desk", "expected_count": 1}, 422),
        ({"symbol": "AA", "expected_count": 1}, 422),
        ({"symbol": "AA", "expected_count": 1, "reason": "the desk", "selection_id": "x"}, 422),
    ],
)
def test_an_operator_who_does_not_say_enough_cancels_nothing(
    gateway: Gateway, body: dict[str, object], expected: int
) -> None:
    (order_id,) = placed(gateway, 1)
    reply = post(gateway, ADMIN, gateway.key("kim"), **body)

    assert reply.status_code == expected
    assert status(gateway, order_id) == "reserved/none"


def test_an_operator_of_some_accounts_reaches_no_others(gateway: Gateway) -> None:
    (mine,), (foreign,) = placed(gateway, 1), placed(gateway, 1, "A-2")
    key = gateway.key("kim", frozenset({"admin:halt"}), ("A-1",))
    reply = post(gateway, ADMIN, key, everything=True, expected_count=9, reason="the desk asked")

    assert reply.json()["canceled"] == 1
    assert status(gateway, mine) == "canceled/none"
    assert status(gateway, foreign) == "reserved/none"
