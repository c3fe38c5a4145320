"""Orders through the door: taken once, told whole, changed and canceled by their version."""

import json
from collections.abc import Iterator

import pytest

from app.domain.errors import Busy, Code
from app.domain.messages import Accepted
from app.domain.records import Settlement
from app.web.clients.schemas import OrderTold, ResultsTold
from tests.web.house import (
    NEXT_SESSION,
    SESSION,
    Gateway,
    an_order,
    put_in_doubt,
    run,
)

POST = "/v1/orders"


def test_a_new_order_is_201_and_told_whole(gateway: Gateway) -> None:
    reply = gateway.client.post(POST, json=an_order(quantity="10.0"), headers=gateway.key())
    order = OrderTold.model_validate(reply.json())

    assert reply.status_code == 201
    assert reply.headers["location"] == f"/v1/orders/{order.order_id}"
    assert reply.headers["etag"] == '"v1"'
    assert (order.status, order.order_status) == ("reserved", "pending_new")
    assert order.effective_time == "2026-03-02T14:30:00.000Z"
    assert (order.quantity, order.remaining_quantity) == ("10.0", "10.0")
    assert not order.in_doubt
    assert not order.working_indicator
    assert gateway.orders() == 1


def test_the_same_request_again_is_the_same_order(gateway: Gateway) -> None:
    key = gateway.key()
    first = gateway.client.post(POST, json=an_order(), headers=key)

    second = gateway.client.post(POST, json=an_order(quantity="10.00"), headers=key)

    assert second.status_code == 200
    assert second.headers["idempotent-replayed"] == "true"
    assert "location" not in second.headers
    assert second.json() == first.json()
    assert gateway.orders() == 1


def test_an_order_is_found_by_our_id_and_by_the_clients(gateway: Gateway) -> None:
    key = gateway.key()
    order = gateway.client.post(POST, json=an_order(), headers=key).json()

    by_ours = gateway.client.get(f"{POST}/{order['order_id']}", headers=key)
    by_theirs = gateway.client.get("/v1/accounts/A-1/orders/by-client-order-id/c-1", headers=key)

    assert by_ours.json() == by_theirs.json() == order
    assert by_ours.headers["etag"] == '"v1"'
    events = gateway.client.get(f"{POST}/{order['order_id']}/events", headers=key).json()
    assert [event["type"] for event in events["data"]] == ["order.reserved"]
    executions = gateway.client.get(f"{POST}/{order['order_id']}/executions", headers=key)
    assert executions.json() == {"data": []}


def test_an_unsent_order_is_canceled_at_once_and_only_once(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]

    stale = gateway.client.delete(path, headers=key | {"If-Match": '"v9"'})
    first = gateway.client.delete(path, headers=key | {"If-Match": '"v1"'})
    second = gateway.client.delete(path, headers=key)

    assert stale.status_code == 412
    assert stale.json()["context"]["current"]["version"] == 1
    assert (first.status_code, first.json()["status"]) == (200, "canceled")
    assert (second.status_code, second.json()["code"]) == (409, "order-terminal")
    assert second.json()["context"] == {"status": "canceled"}


def test_new_terms_of_an_order_at_a_broker_wait_for_its_word(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]
    attempt = run(put_in_doubt(gateway.ledger))
    body = {"quantity": "20"}
    doubtful = gateway.client.patch(path, json=body, headers=key | {"If-Match": '"v4"'})
    run(gateway.ledger.settle([Settlement(attempt, Accepted("N-1"), 1)]))

    asked = gateway.client.patch(path, json=body, headers=key | {"If-Match": '"v5"'})
    again = gateway.client.patch(path, json=body, headers=key | {"If-Match": '"v6"'})
    canceled = gateway.client.delete(path, headers=key)

    assert (doubtful.status_code, doubtful.json()["code"]) == (409, "order-not-editable")
    assert (asked.status_code, asked.json()["pending_request"]) == (202, "replace")
    assert (asked.json()["quantity"], asked.json()["order_status"]) == ("10", "pending_replace")
    assert (again.status_code, again.json()["code"]) == (409, "order-not-editable")
    assert (canceled.status_code, canceled.json()["pending_request"]) == (202, "cancel")
    shown = gateway.client.get(path, headers=key).json()
    assert (shown["status"], shown["order_status"]) == ("new", "pending_cancel")


def test_a_cancel_of_an_order_in_doubt_waits_for_evidence(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]
    run(put_in_doubt(gateway.ledger))

    reply = gateway.client.delete(path, headers=key)

    assert reply.status_code == 202
    assert reply.json()["pending_request"] == "cancel"
    assert (reply.json()["status"], reply.json()["in_doubt"]) == ("in_doubt", True)


def test_an_unsent_order_is_edited_at_the_version_that_was_seen(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]
    body = {"quantity": "7"}

    missing = gateway.client.patch(path, json=body, headers=key)
    edited = gateway.client.patch(path, json=body, headers=key | {"If-Match": '"v1"'})
    stale = gateway.client.patch(path, json=body, headers=key | {"If-Match": '"v1"'})
    empty = gateway.client.patch(path, json={}, headers=key | {"If-Match": '"v2"'})

    assert missing.status_code == 428
    assert (edited.status_code, edited.headers["etag"]) == (200, '"v2"')
    assert (edited.json()["quantity"], edited.json()["limit_price"]) == ("7", "38.50")
    assert stale.status_code == 412
    assert stale.json()["context"]["current"]["quantity"] == "7"
    assert empty.status_code == 422


def test_an_order_that_may_be_out_is_not_edited(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]
    run(put_in_doubt(gateway.ledger))
    seen = gateway.client.get(path, headers=key).headers["etag"]

    reply = gateway.client.patch(path, json={"quantity": "7"}, headers=key | {"If-Match": seen})

    assert (reply.status_code, reply.json()["code"]) == (409, "order-not-editable")


def test_a_listing_shows_each_order_once_newest_first(gateway: Gateway) -> None:
    key = gateway.key()
    for i in range(5):
        gateway.client.post(POST, json=an_order(client_order_id=f"c-{i}"), headers=key)
    gateway.client.post(POST, json=an_order(account_id="A-2"), headers=key)

    pages = list(_pages(gateway, key, "account_id=A-1&status=reserved&limit=2"))

    assert pages == [["c-4", "c-3"], ["c-2", "c-1"], ["c-0"]]
    other = list(_pages(gateway, key, "account_id=A-1&trade_date=2026-03-03"))
    assert other == [[]]


def _pages(gateway: Gateway, key: dict[str, str], query: str) -> Iterator[list[str]]:
    cursor = ""
    while True:
        page = gateway.client.get(f"{POST}?{query}{cursor}", headers=key).json()
        yield [order["client_order_id"] for order in page["data"]]
        assert page["has_more"] == (page["next_cursor"] is not None)
        if not page["has_more"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("query", ["account_id=A-2", "account_id=A-1&status=filled"])
def test_a_cursor_fits_only_its_own_listing(gateway: Gateway, query: str) -> None:
    key = gateway.key()
    for i in range(2):
        gateway.client.post(POST, json=an_order(client_order_id=f"c-{i}"), headers=key)
    page = gateway.client.get(f"{POST}?account_id=A-1&limit=1", headers=key).json()

    reply = gateway.client.get(f"{POST}?{query}&cursor={page['next_cursor']}", headers=key)

    assert (reply.status_code, reply.json()["code"]) == (422, "validation-failed")


def test_a_batch_answers_for_each_order_by_itself(gateway: Gateway) -> None:
    key = gateway.key(accounts=("A-1",))
    gateway.client.post(POST, json=an_order(client_order_id="old", list_id="l-1"), headers=key)
    orders = [
        an_order(client_order_id="new"),
        an_order(client_order_id="old"),
        an_order(client_order_id="old", quantity="9"),
        an_order(client_order_id="float", quantity=1.5),
        an_order(client_order_id="foreign", account_id="A-2"),
        7,
    ]

    body = {"list_id": "l-1", "orders": orders}
    reply = gateway.client.post(f"{POST}/batch", json=body, headers=key)
    told = ResultsTold.model_validate(reply.json())

    assert (reply.status_code, told.list_id, told.accepted, told.rejected) == (200, "l-1", 2, 4)
    assert [result.index for result in told.results] == [0, 1, 2, 3, 4, 5]
    names = [result.client_order_id for result in told.results]
    assert names == ["new", "old", "old", "float", "foreign", None]
    assert [result.status for result in told.results] == [201, 200, 409, 422, 404, 400]
    codes = [result.error.code for result in told.results if result.error]
    assert codes == [
        "client-order-id-conflict",
        "validation-failed",
        "not-found",
        "malformed-request",
    ]
    assert told.results[0].order
    assert told.results[0].order.list_id == "l-1"
    assert gateway.orders() == 2
    assert gateway.orders("A-2") == 0


def test_a_batch_may_come_a_line_an_order(gateway: Gateway) -> None:
    lines = [json.dumps(an_order(client_order_id=f"c-{i}")) for i in range(3)]
    lines[1] = lines[1][:-1]
    headers = gateway.key() | {"Content-Type": "application/x-ndjson; charset=utf-8"}

    reply = gateway.client.post(f"{POST}/batch", content="\n".join(lines) + "\n", headers=headers)

    assert [result["status"] for result in reply.json()["results"]] == [201, 400, 201]


def test_a_thousand_orders_are_one_batch(gateway: Gateway) -> None:
    orders = [an_order(client_order_id=f"c-{i}") for i in range(1_000)]

    reply = gateway.client.post(f"{POST}/batch", json={"orders": orders}, headers=gateway.key())

    assert reply.json()["accepted"] == 1_000


def test_who_is_too_busy_says_when_to_come_again(gateway: Gateway) -> None:
    key = gateway.key()
    gateway.desk.busy = Busy(Code.OVERLOADED, 2.0)

    one = gateway.client.post(POST, json=an_order(), headers=key)
    many = gateway.client.post(f"{POST}/batch", json={"orders": [an_order()]}, headers=key)

    assert (one.status_code, one.json()["code"]) == (503, "overloaded")
    assert one.json()["type"].endswith("#temporary-reduced-capacity")
    assert one.json()["retryable"] is True
    assert 2 <= int(one.headers["retry-after"]) <= 4
    assert one.json()["retry_after"] == int(one.headers["retry-after"])
    assert many.json()["results"][0]["status"] == 503
    assert gateway.events() == []


def test_the_retries_of_many_do_not_come_back_at_once(gateway: Gateway) -> None:
    key = gateway.key()
    gateway.desk.busy = Busy(Code.OVERLOADED, 10.0)

    waits = {
        gateway.client.post(POST, json=an_order(), headers=key).headers["retry-after"]
        for _ in range(20)
    }

    assert len(waits) > 3


def test_while_draining_reads_and_cancels_pass_and_new_orders_do_not(gateway: Gateway) -> None:
    key = gateway.key()
    path = gateway.client.post(POST, json=an_order(), headers=key).headers["location"]
    gateway.house.health.draining = True

    for door, body in ((POST, an_order()), (f"{POST}/batch", {"orders": []})):
        reply = gateway.client.post(door, json=body, headers=key)
        assert (reply.status_code, reply.json()["code"]) == (503, "draining")
        assert "retry-after" in reply.headers
    assert gateway.client.get(path, headers=key).status_code == 200
    assert gateway.client.delete(path, headers=key).status_code == 200
    ready = gateway.client.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["draining"])


def test_sessions_say_when_the_bell_rings(gateway: Gateway) -> None:
    key = gateway.key()

    listed = gateway.client.get("/v1/sessions?market=XNYS", headers=key).json()["data"]
    one = gateway.client.get(f"/v1/sessions/{SESSION}", headers=key).json()

    assert [session["trading_session_id"] for session in listed] == [SESSION, NEXT_SESSION]
    assert one == listed[0]
    assert (one["opens_at"], one["state"]) == ("2026-03-02T14:30:00.000Z", "upcoming")
    assert gateway.client.get("/v1/sessions?market=X", headers=key).status_code == 422
    assert gateway.client.get("/v1/sessions/XNYS-1", headers=key).status_code == 404
