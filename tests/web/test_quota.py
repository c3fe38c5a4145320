"""Quotas at the doors: who pays, what a refusal says, and who is never refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response
from prometheus_client import CollectorRegistry

from app.clock import SystemClock
from app.ports.control import Allowance, Charge, Quotas
from app.settings import QuotaSettings, Settings, read_settings
from app.web.app import create_app
from app.web.quotas.quota import SlidingQuotas, open_quotas
from tests.web.house import CLIENT_SCOPES, Gateway, a_gateway, an_order

POST = "/v1/orders"
BATCH = "/v1/orders/batch"
ITSELF = "https://iana.org/assignments/http-problem-types#quota-exceeded"


class AwayQuotas:
    """Quotas whose shared store is away."""

    def __init__(self) -> None:
        self.policies: Mapping[str, int] = {"key": 5}
        self.degraded = True

    async def take(self, charges: Sequence[Charge]) -> Allowance:
        return Allowance(True, charges[0], 5, 4, 0.0)

    async def close(self) -> None:
        return None


def counting(folder: Path, **policies: int) -> Gateway:
    gateway = a_gateway(folder)
    return counted_by(SlidingQuotas(policies, gateway.clock), gateway)


def counted_by(quotas: Quotas, gateway: Gateway) -> Gateway:
    house = replace(gateway.house, quotas=quotas, registry=CollectorRegistry())
    return replace(gateway, house=house, client=TestClient(create_app(house)))


def send(gateway: Gateway, key: dict[str, str], name: str, **changes: object) -> Response:
    body = an_order(client_order_id=name, **changes)
    return gateway.client.post(POST, json=body, headers=key)


def send_all(
    gateway: Gateway, key: dict[str, str], count: int, account_id: str = "A-1"
) -> Response:
    orders = [an_order(client_order_id=f"b-{i}", account_id=account_id) for i in range(count)]
    return gateway.client.post(BATCH, json={"orders": orders}, headers=key)


def test_without_quotas_nobody_is_counted(gateway: Gateway) -> None:
    reply = send(gateway, gateway.key(), "c-1")

    assert reply.status_code == 201
    assert not [name for name in reply.headers if name.startswith("ratelimit")]


def test_an_order_over_its_accounts_quota_is_refused_and_says_so(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=2, key=100)
    key = gateway.key()
    replies = [send(gateway, key, f"c-{i}") for i in range(3)]

    assert [reply.status_code for reply in replies] == [201, 201, 429]
    problem = replies[2].json()
    assert (problem["code"], problem["type"]) == ("quota-exceeded", ITSELF)
    assert problem["violated-policies"] == ["account"]
    assert problem["retryable"] is True
    assert problem["context"] == {"quota": 2, "remaining": 0, "cost": 1, "account_id": "A-1"}
    assert problem["retry_after"] == int(replies[2].headers["retry-after"]) >= 1
    assert gateway.orders() == 2
    assert send(gateway, key, "c-3", account_id="A-2").status_code == 201
    gateway.clock.at += 2_000
    assert send(gateway, key, "c-2").status_code == 201


def test_every_reply_of_a_counted_door_says_what_is_left(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=3, key=100, reads=9)
    key = gateway.key()
    policies = '"account";q=3;w=1;pk=:QS0x:, "key";q=100;w=1'

    taken, wrong, read = (
        send(gateway, key, "c-1"),
        send(gateway, key, "c-2", quantity="-1"),
        gateway.client.get(f"{POST}?account_id=A-1", headers=key),
    )
    broken = gateway.client.post(POST, content=b"{", headers=key)
    replies = (taken, wrong, broken, read)

    assert [reply.status_code for reply in replies] == [201, 422, 400, 200]
    assert [reply.headers["ratelimit-policy"] for reply in replies] == [
        policies,
        policies,
        '"key";q=100;w=1',
        '"reads";q=9;w=1',
    ]
    assert [reply.headers["ratelimit"] for reply in replies] == [
        '"account";r=2;t=1',
        '"account";r=1;t=1',
        '"key";r=97;t=1',
        '"reads";r=8;t=1',
    ]
    send(gateway, key, "c-4")
    assert send(gateway, key, "c-5").headers["ratelimit"] == '"account";r=0;t=1'


def test_an_account_over_its_quota_costs_its_key_nothing(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=1, key=3)
    key = gateway.key()

    statuses = [send(gateway, key, f"c-{i}").status_code for i in range(5)]
    others = [send(gateway, key, f"d-{i}", account_id=f"B-{i}").status_code for i in range(3)]

    assert statuses == [201, 429, 429, 429, 429]
    assert others == [201, 201, 429]


def test_a_key_pays_for_all_its_accounts_and_for_no_other_key(tmp_path: Path) -> None:
    gateway = counting(tmp_path, key=2)
    mina, jun = gateway.key("mina"), gateway.key("jun")

    mine = [send(gateway, mina, "c-1", account_id=f"A-{i}") for i in range(3)]

    assert [reply.status_code for reply in mine] == [201, 201, 429]
    assert mine[2].json()["violated-policies"] == ["key"]
    assert "account_id" not in mine[2].json()["context"]
    assert send(gateway, jun, "c-9").status_code == 201


def test_a_batch_pays_for_each_and_is_refused_as_a_whole(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=10, key=12)
    key = gateway.key()
    assert send_all(gateway, key, 7).json()["accepted"] == 7

    by_account = send_all(gateway, key, 4)
    by_key = send_all(gateway, key, 6, "A-2")

    for reply, policy in ((by_account, "account"), (by_key, "key")):
        assert (reply.status_code, reply.json()["violated-policies"]) == (429, [policy])
        assert "retry-after" in reply.headers
    assert (gateway.orders("A-1"), gateway.orders("A-2")) == (7, 0)
    assert send_all(gateway, key, 5, "A-2").json()["accepted"] == 5
    assert 'orders_refused_total{code="quota-exceeded"} 10.0' in metrics(gateway)


def test_a_batch_that_never_fits_is_told_how_many_would(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=10, key=100)
    key = gateway.key()

    reply = send_all(gateway, key, 11)

    assert (reply.status_code, reply.json()["code"]) == (422, "too-many-orders")
    assert reply.json()["detail"] == "account: expected at most 10 orders in one batch, were 11"
    assert reply.json()["retryable"] is False
    assert gateway.orders() == 0


def test_the_broken_items_of_a_batch_are_paid_by_the_key_alone(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=9, key=5)
    key = gateway.key(accounts=("A-1",))
    orders = [an_order(), 7, an_order(account_id="A-2"), an_order(quantity="x")]

    reply = gateway.client.post(BATCH, json={"orders": orders}, headers=key)

    assert [result["status"] for result in reply.json()["results"]] == [201, 400, 404, 422]
    assert reply.headers["ratelimit"] == '"key";r=1;t=1'


def test_guessing_and_garbage_are_not_free(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=100, key=3)
    key = gateway.key("c", CLIENT_SCOPES, ("A-1",))

    tries = [
        gateway.client.post(POST, content=b"{", headers=key),
        send(gateway, key, "c-1", account_id="A-2"),
        gateway.client.post(BATCH, content=b"{", headers=key),
        gateway.client.post(POST, content=b"{", headers=key),
        send(gateway, key, "c-1", account_id="A-2"),
        send(gateway, key, "c-1"),
    ]

    assert [reply.status_code for reply in tries] == [400, 404, 400, 429, 429, 429]


def test_no_quota_of_orders_or_reads_ever_refuses_a_cancel(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=1, key=1, reads=1, **{"global": 1})
    key = gateway.key()
    path = send(gateway, key, "c-1").headers["location"]
    assert send(gateway, key, "c-2").status_code == 429
    gateway.client.get(path, headers=key)
    assert gateway.client.get(path, headers=key).status_code == 429

    canceled = gateway.client.delete(path, headers=key)
    again = [gateway.client.delete(path, headers=key).status_code for _ in range(5)]

    assert (canceled.status_code, canceled.json()["status"]) == (200, "canceled")
    assert again == [409] * 5
    assert "ratelimit" not in canceled.headers


def test_cancels_have_a_budget_of_their_own_and_say_what_is_left(tmp_path: Path) -> None:
    gateway = counting(tmp_path, key=1, cancels=2)
    key = gateway.key()
    path = send(gateway, key, "c-1").headers["location"]
    swept = {"request_id": "r-1", "account_id": "A-1"}

    first = gateway.client.delete(path, headers=key)
    second = gateway.client.post("/v1/orders/mass-cancel", json=swept, headers=key)
    third = gateway.client.delete(path, headers=key)

    assert [first.status_code, second.status_code, third.status_code] == [200, 200, 429]
    assert first.headers["ratelimit-policy"] == '"cancels";q=2;w=1'
    assert first.headers["ratelimit"].startswith('"cancels";r=1;')
    assert third.json()["violated-policies"] == ["cancels"]
    assert third.headers["retry-after"]


def test_an_amendment_counts_as_an_order(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=2)
    key = gateway.key()
    path = send(gateway, key, "c-1").headers["location"]
    seen = key | {"If-Match": '"v1"'}

    first = gateway.client.patch(path, json={"quantity": "7"}, headers=seen)
    second = gateway.client.patch(path, json={"quantity": "8"}, headers=key | {"If-Match": '"v2"'})

    assert (first.status_code, second.status_code) == (200, 429)


def test_reads_have_a_quota_of_their_own(tmp_path: Path) -> None:
    gateway = counting(tmp_path, key=1, reads=2)
    key = gateway.key()

    statuses = [gateway.client.get("/v1/sessions", headers=key).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]
    assert send(gateway, key, "c-1").status_code == 201
    assert gateway.client.get("/admin/v1/halts", headers=key).status_code == 200
    assert gateway.client.get("/livez").status_code == 200


def test_what_all_together_are_too_many_for_is_our_fault_and_not_the_callers(
    tmp_path: Path,
) -> None:
    gateway = counting(tmp_path, account=5, **{"global": 2})
    mina, jun = gateway.key("mina"), gateway.key("jun")
    assert send_all(gateway, mina, 2).status_code == 200

    one = send(gateway, jun, "c-1", account_id="A-2")
    many = send_all(gateway, jun, 2, "A-2")

    for reply in (one, many):
        assert (reply.status_code, reply.json()["code"]) == (503, "overloaded")
        assert "retry-after" in reply.headers
    assert gateway.orders("A-2") == 0


def test_a_repeated_order_pays_again_and_is_the_same_order(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=2)
    key = gateway.key()

    statuses = [send(gateway, key, "c-1").status_code for _ in range(3)]

    assert statuses == [201, 200, 429]


def test_while_draining_nobody_pays(tmp_path: Path) -> None:
    gateway = counting(tmp_path, key=1)
    key = gateway.key()
    gateway.house.health.draining = True
    assert send(gateway, key, "c-1").status_code == 503
    gateway.house.health.draining = False

    assert send(gateway, key, "c-1").status_code == 201


def metrics(gateway: Gateway) -> str:
    return gateway.client.get("/metrics").text


def test_refusals_are_counted_by_policy(tmp_path: Path) -> None:
    gateway = counting(tmp_path, account=1)
    key = gateway.key()
    for i in range(3):
        send(gateway, key, f"c-{i}")

    text = metrics(gateway)

    assert 'openbell_quota_refused_total{policy="account"} 2.0' in text
    assert 'openbell_requests_shed_total{reason="quota-exceeded"} 2.0' in text
    assert "openbell_quota_degraded 0.0" in text


def test_a_shared_store_that_is_away_shows(gateway: Gateway) -> None:
    assert "openbell_quota_degraded 1.0" in metrics(counted_by(AwayQuotas(), gateway))


def test_the_document_names_the_refusal_where_it_can_come(gateway: Gateway) -> None:
    paths = gateway.client.get("/openapi.json").json()["paths"]
    refusing = {
        operation["operationId"]
        for operations in paths.values()
        for operation in operations.values()
        if "quota-exceeded" in operation["responses"].get("429", {}).get("description", "")
    }

    assert {"create_order", "create_orders", "amend_order", "get_order", "list_orders"} <= refusing
    assert {"cancel_order", "mass_cancel"} <= refusing
    assert not [name for name in refusing if re.search("broker|halt|doubt|audit|alert", name)]


def test_quotas_are_off_unless_asked_for() -> None:
    assert open_quotas(None, None, SystemClock()) is None


@pytest.mark.parametrize(
    ("settings", "url"), [(QuotaSettings(), None), (None, "redis://127.0.0.1:1/0")]
)
def test_asked_for_they_are_generous(settings: QuotaSettings | None, url: str | None) -> None:
    quotas = open_quotas(settings, url, SystemClock())

    assert quotas is not None
    assert quotas.policies == {
        "key": 20_000,
        "account": 1_000,
        "reads": 2_000,
        "cancels": 20_000,
    }


def test_each_number_is_a_variable_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBELL_QUOTAS__ACCOUNT_ORDERS_PER_SECOND", "50")
    assert read_settings().quotas == QuotaSettings(account_orders_per_second=50)
    monkeypatch.setenv("OPENBELL_QUOTAS", '{"key_orders_per_second": null}')

    asked = read_settings().quotas
    quotas = open_quotas(asked, None, SystemClock())

    assert quotas is not None
    assert quotas.policies == {"account": 50, "reads": 2_000, "cancels": 20_000}


@pytest.mark.parametrize("url", ["127.0.0.1:6379", "http://127.0.0.1"])
def test_a_store_is_named_by_its_scheme(url: str) -> None:
    with pytest.raises(ValueError, match="redis_url"):
        Settings(redis_url=url)
