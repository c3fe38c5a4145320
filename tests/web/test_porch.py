"""What all doors have in common: ids, headers, problems, probes, documents."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.domain.errors import Code, Refused
from app.ports.accounts import AccountDocument
from app.web.app import create_app
from app.web.door import Door
from app.web.quotas.toll import Toll
from app.web.spec import Call, Reply, Retirement, Spec
from tests.web.house import Gateway, a_gateway, an_order, run


def test_a_request_keeps_its_id_or_gets_one(gateway: Gateway) -> None:
    own = gateway.client.get("/livez", headers={"X-Request-ID": "mine-1"})
    bad = gateway.client.get("/livez", headers={"X-Request-ID": "a b"})
    none = gateway.client.get("/livez")

    assert own.headers["x-request-id"] == "mine-1"
    assert bad.headers["x-request-id"].startswith("req_")
    assert none.headers["x-request-id"] != bad.headers["x-request-id"]


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        (TRACE, TRACE),
        (TRACE.upper(), None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"ff{TRACE[2:]}", None),
        ("x", None),
    ],
)
def test_a_trace_goes_on_in_the_reply(gateway: Gateway, sent: str, echoed: str | None) -> None:
    for path in ("/livez", "/nowhere"):
        headers = gateway.client.get(path, headers={"traceparent": sent}).headers

        assert headers.get("traceparent") == echoed


def test_a_door_that_is_going_says_so_in_every_reply(gateway: Gateway) -> None:
    async def old(_call: Call[None, None]) -> Reply:
        raise Refused(Code.NOT_FOUND, "gone already")

    spec: Spec[None, None] = Spec(
        method="GET",
        path="/v1/old",
        name="old",
        scope=None,
        handler=old,
        answers={200: None},
        retires=Retirement(1_772_461_800_000, 1_803_997_800_000, "/v2/new"),
    )
    app = create_app(replace(gateway.house, registry=CollectorRegistry()))
    app.router.routes.append(
        Door(spec, gateway.house, Toll(replace(gateway.house, registry=CollectorRegistry())))
    )
    reply = TestClient(app).get("/v1/old")

    assert reply.status_code == 404
    assert reply.headers["deprecation"] == "@1772461800"
    assert reply.headers["sunset"] == "Tue, 02 Mar 2027 14:30:00 GMT"
    assert reply.headers["link"] == '</docs>; rel="deprecation", </v2/new>; rel="successor-version"'
    assert app.openapi()["paths"]["/v1/old"]["get"]["deprecated"] is True


def test_the_page_for_people_shows_fields_with_their_tags(gateway: Gateway) -> None:
    page = gateway.client.get("/docs").text

    assert "<code>client_order_id</code>" in page
    assert "Tag 11." in page
    assert "http://" not in page
    # But for the address of an example, which nobody asks for.
    assert "https://" not in page.replace("https://hooks.customer.com/", "")


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/v1/orders", "/docs"])
def test_every_reply_is_dressed(gateway: Gateway, path: str) -> None:
    headers = gateway.client.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'self'")


def test_what_is_not_there_and_what_is_not_done_are_problems(gateway: Gateway) -> None:
    missing = gateway.client.get("/v2/orders")
    slash = gateway.client.get("/livez/", follow_redirects=False)
    verb = gateway.client.delete("/livez")

    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    assert slash.status_code == 404
    assert (verb.status_code, verb.json()["code"]) == (405, "method-not-allowed")
    assert verb.json()["detail"] == f"this path takes {verb.headers['Allow']}"
    assert verb.headers["allow"] == "GET"
    assert verb.headers["content-type"] == "application/problem+json"


def test_a_verb_that_is_not_taken_is_told_all_that_are(gateway: Gateway) -> None:
    orders = gateway.client.put("/v1/orders").headers["allow"]
    order = gateway.client.put("/v1/orders/o-1").headers["allow"]
    batch = gateway.client.put("/v1/orders/batch").headers["allow"]

    assert set(orders.split(", ")) == {"GET", "POST"}
    assert set(order.split(", ")) == {"DELETE", "GET", "PATCH"}
    assert batch == "POST"


def test_a_bug_says_nothing_of_itself(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.desk, "place", None)

    reply = gateway.client.post("/v1/orders", json=an_order(), headers=gateway.key())

    assert (reply.status_code, reply.json()["code"]) == (500, "internal-error")
    assert "NoneType" not in reply.text


def test_livez_never_asks_whether_we_are_ready(gateway: Gateway) -> None:
    gateway.house.health.not_ready = lambda: ["the disk is full"]
    gateway.house.health.started = False

    assert gateway.client.get("/livez").status_code == 200
    ready = gateway.client.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["the disk is full"])
    assert gateway.client.get("/startupz").status_code == 503
    gateway.house.health.alive = lambda: False
    assert gateway.client.get("/livez").status_code == 503


def test_orders_are_counted_by_words_of_ours(gateway: Gateway) -> None:
    key = gateway.key()
    for quantity in ("10", "10", "11"):
        gateway.client.post("/v1/orders", json=an_order(quantity=quantity), headers=key)

    text = gateway.client.get("/metrics").text

    accepted = 'openbell_orders_accepted_total{market="XNYS",order_type="limit"} 1.0'
    refused = 'openbell_orders_refused_total{code="client-order-id-conflict"} 1.0'
    assert accepted in text
    assert refused in text
    assert "A-1" not in text


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.code)
def test_every_code_has_its_page(gateway: Gateway, code: Code) -> None:
    page = gateway.client.get(f"/errors/{code.code}")

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert code.code in page.text


def test_a_code_that_we_do_not_have_has_no_page(gateway: Gateway) -> None:
    assert gateway.client.get("/errors/nothing").status_code == 404


def test_the_document_describes_bodies_answers_and_stable_names(gateway: Gateway) -> None:
    document = gateway.client.get("/openapi.json").json()
    create = document["paths"]["/v1/orders"]["post"]
    new_order = document["components"]["schemas"]["NewOrder"]

    names = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(names) == len(set(names))
    assert {"create_order", "create_orders", "cancel_order", "set_broker_rate"} <= set(names)
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/NewOrder"}
    assert set(create["responses"]) >= {"200", "201", "400", "401", "403", "409", "422", "503"}
    assert create["security"] == [{"api_key": ["orders:write"]}]
    assert new_order["additionalProperties"] is False
    assert "Tag 38" in new_order["properties"]["quantity"]["description"]
    assert new_order["properties"]["quantity"]["type"] == "string"
    parameters = document["paths"]["/v1/orders/{order_id}"]["patch"]["parameters"]
    assert [(p["name"], p["required"]) for p in parameters] == [
        ("order_id", True),
        ("If-Match", True),
    ]


def test_every_reference_in_the_document_leads_somewhere(gateway: Gateway) -> None:
    text = gateway.client.get("/openapi.json").text
    schemas = gateway.client.get("/openapi.json").json()["components"]["schemas"]

    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(schemas)


def test_the_documents_can_be_left_out_and_the_error_pages_stay(tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path, docs=False)

    assert gateway.client.get("/docs").status_code == 404
    assert gateway.client.get("/openapi.json").status_code == 404
    assert gateway.client.get("/asyncapi.json").status_code == 404
    assert gateway.client.get("/errors/not-found").status_code == 200


def test_the_page_for_people_runs_no_script(gateway: Gateway) -> None:
    page = gateway.client.get("/docs")

    assert "create_order" in page.text
    assert "<script" not in page.text


def test_an_account_is_shown_from_its_view(gateway: Gateway) -> None:
    def seen(number: int) -> AccountDocument:
        name = f"o-{number}"
        document = b'{"order_id":"%s"}' % name.encode()
        return AccountDocument(name, "A-1", number, 1, "new", "AA", "0", "0", "USD", document)

    run(gateway.house.accounts.upsert([seen(1), seen(2), seen(3)]))
    key = gateway.key(accounts=("A-1",))

    first = gateway.client.get("/v1/accounts/A-1/orders?limit=2", headers=key).json()
    path = f"/v1/accounts/A-1/orders?cursor={first['next_cursor']}"
    rest = gateway.client.get(path, headers=key).json()

    assert first["data"] == [{"order_id": "o-3"}, {"order_id": "o-2"}]
    assert (rest["data"], rest["has_more"]) == ([{"order_id": "o-1"}], False)
    summary = gateway.client.get("/v1/accounts/A-1/summary", headers=key).json()
    assert summary == {"account_id": "A-1", "by_status": {"new": 3}, "filled_value": {}}
    too_many = gateway.client.get("/v1/accounts/A-1/orders?limit=501", headers=key)
    assert (too_many.status_code, too_many.json()["param"]) == (422, "limit")


def test_the_events_are_described_beside_the_doors(gateway: Gateway) -> None:
    document = gateway.client.get("/asyncapi.json").json()

    assert document["asyncapi"] == "3.0.0"
    assert document["channels"]["anomalies"]["address"] == "openbell.anomalies.v1"
