"""Endpoints by their doors: who may make one, where to, and what its owner is shown."""

from typing import Any

import pytest
from httpx2 import Response
from standardwebhooks.webhooks import Webhook

from app.clock import SystemClock
from app.domain.records import Actor
from app.domain.webhooks import (
    Answer,
    DeliveryState,
    DisabledBy,
    Endpoint,
    EndpointState,
    Settled,
    Verdict,
)
from app.ledger.webhooks.store import WebhookLedger
from app.webhooks.signing import headers, secrets_of
from tests.web.house import CLIENT_SCOPES, OPENS_AT, READER, Gateway, run
from tests.web.operators import audit, seen

PATH = "/v1/webhooks"
URL = "https://hooks.customer.com/openbell"
MADE = {"url": URL, "accounts": ["A-1"]}


def store(gateway: Gateway) -> WebhookLedger:
    endpoints = gateway.house.webhooks
    assert endpoints is not None
    assert isinstance(endpoints.store, WebhookLedger)
    return endpoints.store


def mine(gateway: Gateway) -> dict[str, str]:
    return gateway.key("mina", CLIENT_SCOPES, ("A-1", "A-2"))


def made(gateway: Gateway, key: dict[str, str] | None = None, **facts: object) -> dict[str, Any]:
    reply = gateway.client.post(PATH, json=MADE | facts, headers=key or mine(gateway))
    assert reply.status_code == 201, reply.text
    told = reply.json()
    assert isinstance(told, dict)
    return told


def of(endpoint: dict[str, Any], rest: str = "") -> str:
    return f"{PATH}/{endpoint['endpoint_id']}{rest}"


def ask(
    gateway: Gateway, method: str, path: str, version: int | None = 1, **body: object
) -> Response:
    key = mine(gateway) | ({} if version is None else {"If-Match": f'"v{version}"'})
    return gateway.client.request(method, path, json=body or None, headers=key)


def claimed(gateway: Gateway, endpoint: dict[str, Any]) -> Any:
    """Claim the one delivery that waits, as a courier does."""
    (claim,) = run(store(gateway).claim({endpoint["endpoint_id"]: 10}, gateway.clock.at + 60_000))
    return claim


def settled(
    gateway: Gateway, endpoint: dict[str, Any], answer: Answer, state: DeliveryState
) -> None:
    claim = claimed(gateway, endpoint)
    verdict = Verdict(state, gateway.clock.at + 5_000)
    one = Settled(claim.delivery, claim.lease, answer, verdict, gateway.clock.at)
    run(store(gateway).settle([one]))


def test_an_endpoint_is_made_with_a_secret_that_is_told_once_and_verifies(
    gateway: Gateway,
) -> None:
    reply = gateway.client.post(
        PATH, json=MADE | {"types": ["order.filled"]}, headers=mine(gateway)
    )
    endpoint = reply.json()
    secret = endpoint.pop("secret")
    shown = ask(gateway, "GET", of(endpoint))
    listed = ask(gateway, "GET", PATH).json()
    kept = run(store(gateway).endpoints())[0]
    now_s, body = SystemClock().now() // 1_000, b'{"type":"order.filled"}'
    root = gateway.key_file.with_suffix(".pepper").read_bytes()
    signed = headers(secrets_of(root, kept, 0), "msg_1", now_s, body)

    assert reply.headers["location"] == of(endpoint)
    assert reply.headers["etag"] == shown.headers["etag"] == '"v1"'
    assert shown.json() == endpoint
    assert listed == {"data": [endpoint]}
    assert secret not in gateway.client.get("/admin/v1/audit", headers=gateway.key()).text
    assert Webhook(secret).verify(body, signed) == {"type": "order.filled"}
    assert secret.removeprefix("whsec_") not in str(kept)
    assert "salt" not in endpoint


def test_making_changing_and_deleting_are_audited_without_the_path(gateway: Gateway) -> None:
    endpoint = made(gateway)
    ask(gateway, "PATCH", of(endpoint), enabled=False)
    ask(gateway, "DELETE", of(endpoint), None)
    rows = [
        row for row in audit(gateway) if row["resource"] == f"webhook/{endpoint['endpoint_id']}"
    ]

    assert {row["action"] for row in rows} == {"webhook.create", "webhook.change", "webhook.delete"}
    assert "openbell" not in str([(row["before"], row["after"]) for row in rows])


@pytest.mark.parametrize(
    ("facts", "pointer"),
    [
        ({"url": "http://customer.com/"}, "#/url"),
        ({"url": "https://127.0.0.1/"}, "#/url"),
        ({"url": "https://169.254.169.254/latest"}, "#/url"),
        ({"url": "https://[64:ff9b::7f00:1]/"}, "#/url"),
        ({"url": "https://2130706433/"}, "#/url"),
        ({"url": "https://user@customer.com/"}, "#/url"),
        ({"url": "https://customer.com:22/"}, "#/url"),
        ({"url": ""}, "#/url"),
        ({"url": "https://customer.com/" + "a" * 2_048}, "#/url"),
        ({"url": None}, "#/url"),
        ({"accounts": []}, "#/accounts"),
        ({"accounts": ["A/1"]}, "#/accounts/0"),
        ({"types": ["order.Filled"]}, "#/types/0"),
        ({"types": ["anomaly.opened"]}, "#/types/0"),
        ({"description": "a\nb"}, "#/description"),
        ({"secret": "whsec_mine"}, "#/secret"),
        ({"state": "enabled"}, "#/state"),
    ],
)
def test_what_an_endpoint_may_not_be_is_refused_and_not_kept(
    gateway: Gateway, facts: dict[str, object], pointer: str
) -> None:
    endpoint = made(gateway)
    fresh = gateway.client.post(PATH, json=MADE | facts, headers=mine(gateway))
    replies = [fresh]
    if None not in facts.values():  # in a change it means: as it was
        replies.append(ask(gateway, "PATCH", of(endpoint), 1, **facts))

    for reply in replies:
        assert reply.status_code == 422, reply.text
        assert reply.json()["errors"][0]["pointer"].startswith(pointer)
    assert [e.version for e in run(store(gateway).endpoints())] == [1]


def test_an_endpoint_hears_of_accounts_that_its_maker_sees_and_of_no_other(
    gateway: Gateway,
) -> None:
    own, all_ = mine(gateway), gateway.key("ops", CLIENT_SCOPES)
    foreign = gateway.client.post(PATH, json={"url": URL, "accounts": ["A-1", "A-3"]}, headers=own)
    everything = gateway.client.post(PATH, json={"url": URL, "accounts": ["*"]}, headers=own)
    absent = gateway.client.post(PATH, json={"url": URL}, headers=own).json()
    wide = gateway.client.post(PATH, json={"url": URL, "accounts": ["*"]}, headers=all_).json()
    wider = ask(gateway, "PATCH", of(absent), accounts=["A-1", "A-3"])
    listed = gateway.client.get(PATH, headers=own).json()["data"]

    assert [r.status_code for r in (foreign, everything, wider)] == [404, 404, 404]
    assert absent["accounts"] == ["A-1", "A-2"]
    assert wide["accounts"] == ["*"]
    assert [e["endpoint_id"] for e in listed] == [absent["endpoint_id"]]
    assert gateway.client.get(of(wide), headers=own).status_code == 404


@pytest.mark.parametrize("scopes", [READER, frozenset({"orders:write"})])
def test_who_may_not_both_read_and_write_changes_nothing(
    gateway: Gateway, scopes: frozenset[str]
) -> None:
    endpoint = made(gateway)
    key = gateway.key("half", scopes, ("A-1",)) | {"If-Match": '"v1"'}
    asked = [
        ("POST", PATH, MADE),
        ("PATCH", of(endpoint), {"enabled": False}),
        ("DELETE", of(endpoint), None),
        ("POST", of(endpoint, "/rotate-secret"), {}),
        ("POST", of(endpoint, "/test"), None),
        ("POST", of(endpoint, "/replay"), {"since": "2026-03-02T14:00:00Z"}),
    ]
    for method, path, body in asked:
        reply = gateway.client.request(method, path, json=body, headers=key)
        assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing"), path

    assert [e.version for e in run(store(gateway).endpoints())] == [1]
    assert run(store(gateway).due()) == []


@pytest.mark.parametrize(
    ("method", "rest", "body"),
    [("PATCH", "", {"enabled": False}), ("POST", "/rotate-secret", {"overlap_s": 0})],
)
def test_a_change_names_the_version_that_was_seen(
    gateway: Gateway, method: str, rest: str, body: dict[str, object]
) -> None:
    endpoint = made(gateway)
    blind = ask(gateway, method, of(endpoint, rest), None, **body)
    stale = ask(gateway, method, of(endpoint, rest), 7, **body)
    strange = ask(gateway, method, of(endpoint, rest), 1, **body, more=1)

    assert (blind.status_code, blind.json()["code"]) == (428, "if-match-required")
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-version")
    assert strange.status_code == 422
    assert ask(gateway, method, of(endpoint, rest), 1, **body).headers["etag"] == '"v2"'


def test_a_deleted_endpoint_is_not_there(gateway: Gateway) -> None:
    endpoint = made(gateway)
    stale = ask(gateway, "DELETE", of(endpoint), 7)
    gone = ask(gateway, "DELETE", of(endpoint), 1)

    assert (stale.status_code, gone.status_code) == (412, 200)
    assert gone.json() == {"endpoint_id": endpoint["endpoint_id"], "deleted": True}
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        assert ask(gateway, method, of(endpoint, rest), None).status_code == 404
    assert ask(gateway, "GET", PATH).json() == {"data": []}


def test_a_secret_rotates_and_the_old_one_signs_beside_it_for_a_while(gateway: Gateway) -> None:
    endpoint = made(gateway)
    rotated = ask(gateway, "POST", of(endpoint, "/rotate-secret"), 1, overlap_s=60).json()
    (kept,) = run(store(gateway).endpoints())
    root = gateway.key_file.with_suffix(".pepper").read_bytes()
    now_s = SystemClock().now() // 1_000
    both = headers(secrets_of(root, kept, gateway.clock.at), "msg_1", now_s, b"{}")

    assert rotated["secret"] != endpoint["secret"]
    assert rotated["previous_secret_until"] is not None
    for secret in (rotated["secret"], endpoint["secret"]):
        Webhook(secret).verify(b"{}", both)
    gateway.clock.at += 61_000
    assert ask(gateway, "GET", of(endpoint)).json()["previous_secret_until"] is None
    leaked = ask(gateway, "POST", of(endpoint, "/rotate-secret"), 2, overlap_s=0).json()
    assert leaked["previous_secret_until"] is None
    too_long = ask(gateway, "POST", of(endpoint, "/rotate-secret"), 3, overlap_s=604_801)
    assert too_long.status_code == 422


def test_a_test_is_a_delivery_like_any_other_and_its_log_tells_how_it_went(
    gateway: Gateway,
) -> None:
    endpoint = made(gateway)
    test = ask(gateway, "POST", of(endpoint, "/test"), None)
    settled(gateway, endpoint, Answer(503, "HTTP 503"), DeliveryState.WAITING)
    (told,) = ask(gateway, "GET", of(endpoint, "/deliveries")).json()["data"]
    one = ask(gateway, "GET", of(endpoint, f"/deliveries/{told['delivery_id']}")).json()

    assert test.status_code == 202
    assert test.json()["delivery_id"] == told["delivery_id"]
    assert (told["type"], told["state"], told["attempts"]) == ("webhook.test", "waiting", 1)
    assert (told["last_status"], told["last_error"]) == (503, "HTTP 503")
    assert told["next_attempt_at"] is not None
    assert one == told | {"body": one["body"]}
    assert endpoint["endpoint_id"] in one["body"]
    assert ask(gateway, "GET", of(endpoint)).json()["failing_since"] is not None


def test_a_disabled_endpoint_is_tested_by_nobody_and_enabled_by_its_owner(gateway: Gateway) -> None:
    endpoint = made(gateway)
    off = ask(gateway, "PATCH", of(endpoint), enabled=False).json()
    refused = ask(gateway, "POST", of(endpoint, "/test"), None)
    on = ask(
        gateway, "PATCH", of(endpoint), 2, enabled=True, url="https://new.customer.com/"
    ).json()

    assert (off["state"], off["disabled_by"]) == ("disabled", "owner")
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-not-ready")
    assert (on["state"], on["disabled_by"], on["version"]) == ("enabled", None, 3)
    assert on["url"] == "https://new.customer.com/"
    assert ask(gateway, "POST", of(endpoint, "/test"), None).status_code == 202


def test_what_ended_is_sent_again_under_its_own_id(gateway: Gateway) -> None:
    endpoint = made(gateway)
    test = ask(gateway, "POST", of(endpoint, "/test"), None).json()
    settled(gateway, endpoint, Answer(200), DeliveryState.DELIVERED)
    place = of(endpoint, f"/deliveries/{test['delivery_id']}")
    again = ask(gateway, "POST", f"{place}/replay", None)
    settled(gateway, endpoint, Answer(500, "HTTP 500"), DeliveryState.FAILED)
    none = ask(gateway, "POST", of(endpoint, "/replay"), None, since="2026-03-02T15:00:00Z")
    other = ask(
        gateway,
        "POST",
        of(endpoint, "/replay"),
        None,
        since="2026-03-02T14:00:00Z",
        state="delivered",
    )
    all_ = ask(gateway, "POST", of(endpoint, "/replay"), None, since="2026-03-02T14:00:00Z")

    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert [r.json()["replayed"] for r in (none, other, all_)] == [0, 0, 1]
    assert all_.json() == {"replayed": 1, "done": True, "next_since": None}
    assert claimed(gateway, endpoint).delivery.delivery_id == test["delivery_id"]


@pytest.mark.parametrize(
    ("rest", "body", "status"),
    [
        ("/replay", {}, 422),
        ("/replay", {"since": "yesterday"}, 422),
        ("/replay", {"since": "2026-99-02T14:00:00Z"}, 422),
        ("/replay", {"since": "2026-03-02T14:00:00Z", "state": "waiting"}, 422),
        ("/deliveries/msg_0/replay", None, 404),
        (f"/deliveries/msg_{'0' * 26}/replay", None, 404),
    ],
)
def test_a_replay_of_nothing_is_refused(
    gateway: Gateway, rest: str, body: dict[str, object] | None, status: int
) -> None:
    endpoint = made(gateway)
    reply = gateway.client.post(of(endpoint, rest), json=body, headers=mine(gateway))

    assert reply.status_code == status


@pytest.mark.parametrize("odd", ["we_1", "x%00y", "we_" + "0" * 26, "we_" + "é" * 26])
def test_an_id_that_is_none_is_not_there(gateway: Gateway, odd: str) -> None:
    for method, rest in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        assert ask(gateway, method, f"{PATH}/{odd}{rest}", None).status_code == 404


def test_deliveries_come_in_pages_that_fit_one_listing(gateway: Gateway) -> None:
    one, other = made(gateway), made(gateway)
    for _ in range(3):
        ask(gateway, "POST", of(one, "/test"), None)
    first = ask(gateway, "GET", of(one, "/deliveries?limit=2")).json()
    cursor = first["next_cursor"]
    rest = ask(gateway, "GET", of(one, f"/deliveries?limit=2&cursor={cursor}")).json()
    foreign = ask(gateway, "GET", of(other, f"/deliveries?limit=2&cursor={cursor}"))
    odd = ask(gateway, "GET", of(one, "/deliveries?state=lost"))
    ids = [d["delivery_id"] for d in first["data"] + rest["data"]]

    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)
    assert len(set(ids)) == 3
    assert (foreign.status_code, odd.status_code) == (422, 422)
    assert len(ask(gateway, "GET", of(one, "/deliveries?state=waiting")).json()["data"]) == 3


def test_made_twice_under_one_idempotency_key_is_made_once(gateway: Gateway) -> None:
    key = mine(gateway) | {"Idempotency-Key": "once"}
    first, again = (gateway.client.post(PATH, json=MADE, headers=key) for _ in range(2))

    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert len(run(store(gateway).endpoints())) == 1


def test_an_account_has_so_many_endpoints(gateway: Gateway) -> None:
    for _ in range(10):
        made(gateway)
    one_more = gateway.client.post(PATH, json=MADE, headers=mine(gateway))

    assert (one_more.status_code, one_more.json()["code"]) == (422, "validation-failed")


def test_whoever_scrapes_sees_what_waits_and_no_customer(gateway: Gateway) -> None:
    endpoint = made(gateway)
    ask(gateway, "POST", of(endpoint, "/test"), None)
    text = gateway.client.get("/metrics").text

    assert "openbell_webhooks_waiting 1.0" in text
    assert 'openbell_webhook_endpoints{state="disabled"} 0.0' in text
    assert endpoint["endpoint_id"] not in text


def test_what_answers_disabled_shows_why(gateway: Gateway) -> None:
    endpoint = made(gateway)
    ask(gateway, "POST", of(endpoint, "/test"), None)
    claim = claimed(gateway, endpoint)
    gone = Verdict(DeliveryState.FAILED, OPENS_AT, gone=True)
    one = Settled(claim.delivery, claim.lease, Answer(410, "HTTP 410"), gone, OPENS_AT)
    run(store(gateway).settle([one]))
    told = ask(gateway, "GET", of(endpoint)).json()

    assert (told["state"], told["disabled_by"]) == (EndpointState.DISABLED, "gone")
    assert told["version"] == 2


# --- operators ----------------------------------------------------------------------------


def test_what_an_operator_stops_no_owner_starts_again(gateway: Gateway) -> None:
    endpoint, ops = made(gateway), gateway.key("kim")
    place = f"/admin{of(endpoint)}"
    why = {"reason": "its key has leaked"}
    off = gateway.client.post(f"{place}/disable", json=why, headers=ops | seen(1))
    mine_again = ask(gateway, "PATCH", of(endpoint), 2, enabled=True)
    by_detour = ask(gateway, "PATCH", of(endpoint), 2, enabled=False).json()
    blind = gateway.client.post(f"{place}/enable", json=why, headers=ops | seen(1))
    on = gateway.client.post(f"{place}/enable", json=why, headers=ops | seen(3))
    (row,) = [r for r in audit(gateway) if r["reason"] == why["reason"]][:1]

    assert (off.status_code, off.json()["disabled_by"]) == (200, "operator")
    assert (mine_again.status_code, blind.status_code) == (422, 412)
    assert blind.json()["context"]["current"]["disabled_by"] == "operator"
    assert by_detour["disabled_by"] == "operator"
    assert (on.json()["state"], on.json()["disabled_by"]) == ("enabled", None)
    assert (row["actor"], row["action"]) == ("kim", "webhook.change")


def test_whoever_names_a_version_to_come_does_not_overrule_the_operator_who_makes_it(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = made(gateway)
    kept = store(gateway)
    read = kept.endpoint

    async def read_a_moment_before(endpoint_id: str) -> Endpoint | None:
        found = await read(endpoint_id)
        monkeypatch.undo()
        assert found is not None
        off = found._replace(state=EndpointState.DISABLED, disabled_by=DisabledBy.OPERATOR)
        await kept.change_endpoint(off, 1, Actor("kim", "its key has leaked"))
        return found

    monkeypatch.setattr(kept, "endpoint", read_a_moment_before)
    guessed = ask(gateway, "PATCH", of(endpoint), 2, description="mine")
    now = ask(gateway, "GET", of(endpoint)).json()

    assert (guessed.status_code, guessed.json()["code"]) == (412, "stale-version")
    assert (now["state"], now["disabled_by"]) == ("disabled", "operator")


def test_operators_see_whose_it_is_and_where_it_leads_but_no_path(gateway: Gateway) -> None:
    endpoint = made(gateway, url="https://hooks.customer.com/secret-path")
    listed = gateway.client.get("/admin/v1/webhooks", headers=gateway.key("kim"))

    (told,) = listed.json()["data"]
    assert (told["endpoint_id"], told["accounts"]) == (endpoint["endpoint_id"], ["A-1"])
    assert told["url"] == "https://hooks.customer.com"
    assert "secret" not in listed.text


def test_an_operator_of_other_accounts_sees_no_endpoint_and_stops_none(gateway: Gateway) -> None:
    endpoint = made(gateway)
    other = gateway.key("kim", accounts=("A-2",)) | {"If-Match": '"v1"'}
    listed = gateway.client.get("/admin/v1/webhooks", headers=other).json()
    stops = [
        gateway.client.post(
            f"/admin{of(endpoint)}/{verb}", json={"reason": "why" * 3}, headers=other
        )
        for verb in ("disable", "enable")
    ]

    assert listed == {"data": []}
    assert [reply.status_code for reply in stops] == [404, 404]
    assert ask(gateway, "GET", of(endpoint)).json()["version"] == 1


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_who_may_not_or_says_not_why_stops_nothing(gateway: Gateway, verb: str) -> None:
    endpoint = made(gateway)
    path = f"/admin{of(endpoint)}/{verb}"
    why = {"reason": "because of it"}
    wrong = gateway.client.post(path, json=why, headers=gateway.key("v", frozenset({"admin:read"})))
    kim = gateway.key("kim") | seen(1)
    silent = gateway.client.post(path, json={}, headers=kim)
    nobody = gateway.client.post(
        path.replace(endpoint["endpoint_id"], "we_1"), json=why, headers=kim
    )

    assert [r.status_code for r in (wrong, silent, nobody)] == [403, 422, 404]
    assert [e.version for e in run(store(gateway).endpoints())] == [1]
