"""Idempotency-Key: the first answer again, and nothing done twice."""

import pytest

from app.domain.errors import Code, Refused
from app.web.clients.replays import ENTRY_BYTES, KEPT_MS, Replays
from app.web.spec import Reply
from tests.web.house import Gateway, an_order
from tests.web.operators import audit, seen
from tests.web.stand_ins import SteadyClock

BATCH = "/v1/orders/batch"


def orders(*names: str) -> dict[str, object]:
    return {"orders": [an_order(client_order_id=name) for name in names]}


def test_a_batch_under_the_same_key_gets_the_same_answer(gateway: Gateway) -> None:
    key = gateway.key() | {"Idempotency-Key": '"b-1"'}
    first = gateway.client.post(BATCH, json=orders("c-1"), headers=key)
    again = gateway.client.post(BATCH, json=orders("c-1"), headers=key | {"Idempotency-Key": "b-1"})
    other = gateway.client.post(BATCH, json=orders("c-2"), headers=key)
    whose = gateway.key("lee") | {"Idempotency-Key": "b-1"}
    theirs = gateway.client.post(BATCH, json=orders("c-3"), headers=whose)

    assert again.content == first.content
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (
        None,
        "true",
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert theirs.json()["accepted"] == 1
    assert gateway.orders() == 2


def test_an_operators_change_is_made_once(gateway: Gateway) -> None:
    key = gateway.key("kim") | {"Idempotency-Key": "halt-1"}
    body = {"scope": "symbol", "id": "AA", "reason": "the desk asked"}
    first, again = (gateway.client.post("/admin/v1/halt", json=body, headers=key) for _ in "12")

    assert again.content == first.content
    assert len([row for row in audit(gateway) if "halt" in row["action"]]) == 1


@pytest.mark.parametrize("bad", ["", '""', "a" * 256, "a b", '"a'])
def test_a_key_that_is_none_is_refused(gateway: Gateway, bad: str) -> None:
    key = gateway.key() | {"Idempotency-Key": bad}

    assert gateway.client.post(BATCH, json=orders("c-1"), headers=key).status_code == 422
    assert gateway.orders() == 0


def test_what_was_refused_is_not_kept(gateway: Gateway) -> None:
    standing = seen(gateway.clock.at + 2_000)  # of the halt that comes a key later
    key = gateway.key("kim") | {"Idempotency-Key": "r-1"} | standing
    body = {"scope": "symbol", "id": "AA", "reason": "the desk asked"}
    refused = gateway.client.post("/admin/v1/resume", json=body, headers=key)
    gateway.client.post("/admin/v1/halt", json=body, headers=gateway.key("lee"))

    assert refused.status_code == 404
    assert gateway.client.post("/admin/v1/resume", json=body, headers=key).status_code == 200


def test_the_second_of_two_at_once_is_told_to_come_again() -> None:
    replays = Replays(SteadyClock(0))
    assert replays.begin("k", "one", b"body") is None
    with pytest.raises(Refused) as refused:
        replays.begin("k", "one", b"body")

    assert refused.value.code is Code.REQUEST_IN_PROGRESS


def test_answers_are_kept_for_a_day_in_so_much_memory_and_no_fault_is() -> None:
    clock = SteadyClock(0)
    replays = Replays(clock, bytes_max=3 * ENTRY_BYTES + 100)
    for name in ("one", "two", "three", "four"):
        assert replays.begin("k", name, b"body") is None
        replays.end("k", name, Reply(200, b"told"))
    assert replays.begin("k", "one", b"body") is None  # the oldest went
    replays.end("k", "one", Reply(503, b""))
    assert replays.begin("k", "one", b"body") is None  # a fault was not kept
    assert replays.begin("k", "four", b"body") is not None
    clock.at += KEPT_MS + 1
    assert replays.begin("k", "four", b"body") is None
