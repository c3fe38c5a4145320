"""Held orders by their doors: held, shown, let go, ended, each as it was seen before."""

from typing import Any

import pytest

from app.domain.values import Status
from app.web.access.keyfile import ROLES
from tests.web.house import OPENS_AT, READER, SESSION, Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, audit, reserve

WHY = {"reason": "the desk asked"}


def act(gateway: Gateway, order_id: str, verb: str, version: int = 1, **query: str) -> Any:
    path = f"{ADMIN}/orders/{order_id}/{verb}"
    headers = gateway.key("mina") | {"If-Match": f'"v{version}"'}
    return gateway.client.post(path, json=WHY, headers=headers, params=query)


def status(gateway: Gateway, order_id: str) -> Status:
    order = run(gateway.ledger.get(order_id))
    assert order is not None
    return order.status


def held(gateway: Gateway, **query: str) -> Any:
    path = f"{ADMIN}/orders/held"
    return gateway.client.get(path, headers=gateway.key(), params=query).json()


def test_an_order_is_held_shown_and_let_go_to_its_bell(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    before = act(gateway, order_id, "hold", dry_run="true").json()
    reply = act(gateway, order_id, "hold")

    assert before == {"dry_run": True, "orders_affected": 1, "status": "held"}
    assert (reply.status_code, reply.headers["etag"]) == (200, '"v2"')
    assert (reply.json()["status"], reply.json()["reason_code"]) == ("held", "held-by-operator")
    (shown,) = held(gateway)["data"]
    assert (shown["order_id"], shown["trading_session_id"]) == (order_id, SESSION)
    path, headers = reply.json()["undo_url"], gateway.key("jun") | {"If-Match": '"v2"'}
    back = gateway.client.post(path, json=WHY, headers=headers)
    assert (back.status_code, back.json()["status"]) == (200, "reserved")
    assert held(gateway)["data"] == []
    rows = [(row["actor"], row["action"], row["after"]["status"]) for row in audit(gateway)]
    assert rows == [("mina", "order.hold", "held"), ("jun", "order.release", "reserved")]
    assert audit(gateway)[0]["reason"] == WHY["reason"]


def test_after_the_bell_it_is_let_go_to_those_that_wait(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    act(gateway, order_id, "hold")
    gateway.clock.at = OPENS_AT

    assert act(gateway, order_id, "release", 2).json()["status"] == "queued"


def test_an_operator_ends_an_order_at_once_or_asks_its_broker_to(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    would = act(gateway, order_id, "cancel", dry_run="true").json()
    at_once = act(gateway, order_id, "cancel")
    again = act(gateway, order_id, "cancel", 2)

    assert would == {"dry_run": True, "orders_affected": 1, "at_once": True}
    assert (at_once.status_code, at_once.json()["status"]) == (200, "canceled")
    assert at_once.json()["cancel_origin"] == "operator"
    assert (again.status_code, again.json()["code"]) == (409, "order-terminal")


def test_what_is_in_doubt_is_neither_held_nor_ended_by_us(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    run(put_in_doubt(gateway.ledger))
    order = run(gateway.ledger.get(order_id))
    assert order is not None
    hold = act(gateway, order_id, "hold", order.version)
    free = act(gateway, order_id, "release", order.version)
    end = act(gateway, order_id, "cancel", order.version)

    assert (hold.status_code, hold.json()["code"]) == (409, "not-holdable")
    assert (free.status_code, free.json()["code"]) == (409, "not-releasable")
    assert (end.status_code, end.json()["status"]) == (202, "in_doubt")
    assert end.json()["pending_request"] == "cancel"
    assert [row["action"] for row in audit(gateway)] == [
        "denied.hold_order",
        "denied.release_order",
        "order.cancel",
    ]


@pytest.mark.parametrize("verb", ["hold", "release", "cancel"])
def test_who_saw_another_version_is_shown_the_one_that_stands(gateway: Gateway, verb: str) -> None:
    order_id = reserve(gateway, 1)
    reply = act(gateway, order_id, verb, 7)

    assert (reply.status_code, reply.json()["code"]) == (412, "stale-version")
    assert reply.json()["context"]["current"]["version"] == 1
    assert status(gateway, order_id) is Status.RESERVED


@pytest.mark.parametrize("verb", ["hold", "release", "cancel"])
def test_a_foreign_order_is_not_there_and_a_poor_key_may_nothing(
    gateway: Gateway, verb: str
) -> None:
    order_id = reserve(gateway, 1)
    path = f"{ADMIN}/orders/{order_id}/{verb}"
    foreign = gateway.key("lee", accounts=("A-2",)) | {"If-Match": '"v1"'}
    poor = gateway.key("poor", READER | {"admin:read"}) | {"If-Match": '"v1"'}

    assert gateway.client.post(path, json=WHY, headers=foreign).status_code == 404
    assert gateway.client.post(path, json=WHY, headers=poor).status_code == 403
    assert status(gateway, order_id) is Status.RESERVED


def many(gateway: Gateway, verb: str, name: str = "mina", /, **body: object) -> Any:
    preview = {"dry_run": "true"} if body.pop("dry_run", False) else {}
    return gateway.client.post(
        f"{ADMIN}/orders/{verb}",
        json={"request_id": f"{verb}-1", **WHY} | body,
        headers=gateway.key(name),
        params=preview,
    )


def test_many_are_held_and_let_go_as_a_dry_run_showed_them(gateway: Gateway) -> None:
    order_id = reserve(gateway, 3)
    seen = many(gateway, "hold", symbol="AA", dry_run=True).json()
    expected = {"symbol": "AA", "expected_count": 3, "selection_id": seen["selection_id"]}
    done = many(gateway, "hold", **expected)
    again = many(gateway, "hold", **expected)

    assert (seen["orders_affected"], seen["by_status"]) == (3, {"reserved": 3})
    assert done.status_code == 200
    assert (done.json()["moved"], done.json()["left"], done.json()["done"]) == (3, 0, True)
    assert (again.json()["moved"], again.json()["replayed"]) == (0, True)
    assert status(gateway, order_id) is Status.HELD
    page = held(gateway, limit="2")
    rest = held(gateway, limit="2", cursor=page["next_cursor"])
    assert (len(page["data"]), len(rest["data"]), rest["has_more"]) == (2, 1, False)
    back = many(gateway, "release", everything=True, expected_count=3)
    assert back.json()["moved"] == 3
    assert status(gateway, order_id) is Status.RESERVED
    assert [row["action"] for row in audit(gateway)][-2:] == [
        "orders.mass_release",
        "orders.mass_release.done",
    ]


def test_more_than_was_shown_is_not_touched(gateway: Gateway) -> None:
    order_id = reserve(gateway, 3)
    grown = many(gateway, "hold", symbol="AA", expected_count=2)
    unseen = many(gateway, "hold", symbol="AA")
    nothing = many(gateway, "hold", expected_count=3)
    cancels = gateway.client.post(
        f"{ADMIN}/orders/mass-cancel",
        json={"request_id": "c-1", "symbol": "AA", **WHY},
        headers=gateway.key(),
        params={"dry_run": "true"},
    ).json()
    other = many(
        gateway, "hold", symbol="AA", expected_count=3, selection_id=cancels["selection_id"]
    )

    assert (grown.status_code, grown.json()["code"]) == (412, "selection-grew")
    assert (unseen.status_code, unseen.json()["param"]) == (422, "expected_count")
    assert (nothing.status_code, nothing.json()["param"]) == (422, "everything")
    assert (other.status_code, other.json()["param"]) == (422, "selection_id")
    assert status(gateway, order_id) is Status.RESERVED


def test_who_sees_some_accounts_holds_and_sees_these_alone(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    lee = gateway.key("lee", accounts=("A-2",))
    body = {"request_id": "r-1", "everything": True, "expected_count": 9, **WHY}
    reply = gateway.client.post(f"{ADMIN}/orders/hold", json=body, headers=lee)

    assert reply.json()["moved"] == 0
    act(gateway, order_id, "hold")
    assert gateway.client.get(f"{ADMIN}/orders/held", headers=lee).json()["data"] == []


def test_an_operator_sees_an_order_as_it_must_be_named(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    headers = gateway.key("olga", ROLES["operator"])
    seen = gateway.client.get(f"{ADMIN}/orders/{order_id}", headers=headers)
    path = f"{ADMIN}/orders/{order_id}/hold"
    named = headers | {"If-Match": seen.headers["etag"]}

    assert (seen.json()["order_id"], seen.json()["status"]) == (order_id, "reserved")
    assert gateway.client.post(path, json=WHY, headers=named).json()["status"] == "held"
    assert gateway.client.get(f"/v1/orders/{order_id}", headers=headers).status_code == 403
