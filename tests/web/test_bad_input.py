"""Whatever is wrong with a request: its status, its code, its shape, and nothing was stored."""

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
from httpx2 import Response

from app.domain.errors import Code
from tests.web.house import CLIENT_SCOPES, OPENS_AT, READER, SESSION, Gateway, an_order

POST = "/v1/orders"
BATCH = "/v1/orders/batch"


class Bad(NamedTuple):
    """One bad body, and what it must be told."""

    what: str
    body: bytes
    code: Code
    pointer: str | None = None
    path: str = POST


def sent(**changes: object) -> bytes:
    return json.dumps(an_order(**changes)).encode()


def many(count: int) -> bytes:
    orders = [an_order(client_order_id=f"c-{i}") for i in range(count)]
    return json.dumps({"orders": orders}).encode()


INVALID, MALFORMED = Code.VALIDATION_FAILED, Code.MALFORMED_REQUEST
BODIES = (
    Bad("no JSON", b"{", MALFORMED),
    Bad("nothing", b"", MALFORMED),
    Bad("no object", b"[]", MALFORMED),
    Bad("not UTF-8", b'{"account_id": "\xff"}', MALFORMED),
    Bad("half a surrogate pair", sent().replace(b'"A-1"', b'"\\ud800"'), MALFORMED),
    Bad("deep", b"[" * 60_000, MALFORMED),
    Bad("deep inside", b'{"text":' + b'{"a":' * 10_000, MALFORMED),
    Bad("10 MB", b" " * 10_000_000, Code.BODY_TOO_LARGE),
    Bad("an unknown field", sent(limt_price="1"), INVALID, "#/limt_price"),
    Bad("a field that is ours", sent(status="new"), INVALID, "#/status"),
    Bad("a missing field", sent(side=None), INVALID, "#/side"),
    Bad("a float price", sent(limit_price=38.5), INVALID, "#/limit_price"),
    Bad("a whole price that is no string", sent(limit_price=38), INVALID, "#/limit_price"),
    Bad("a whole quantity that is no string", sent(quantity=10), INVALID, "#/quantity"),
    Bad("a true quantity", sent(quantity=True), INVALID, "#/quantity"),
    Bad("an exponent", sent(quantity="1E1"), INVALID, "#/quantity"),
    Bad("not a number", sent(quantity="NaN"), INVALID, "#/quantity"),
    Bad("infinity", sent(quantity="Infinity"), INVALID, "#/quantity"),
    Bad("a number with a line end", sent(quantity="10\n"), INVALID, "#/quantity"),
    Bad("other digits", sent(quantity="\u0661\u0660"), INVALID, "#/quantity"),
    Bad("an enormous number", sent(quantity="9" * 40), INVALID, "#/quantity"),
    Bad("an unknown side", sent(side="hold"), INVALID, "#/side"),
    Bad("a long id", sent(client_order_id="c" * 65), INVALID, "#/client_order_id"),
    Bad("an id with a NUL", sent(client_order_id="c\0"), INVALID, "#/client_order_id"),
    Bad("an account with a slash", sent(account_id="A/1"), INVALID, "#/account_id"),
    Bad("a line in the text", sent(text="a\nb"), INVALID, "#/text"),
    Bad("a negative quantity", sent(quantity="-1"), Code.BAD_QUANTITY),
    Bad("no quantity", sent(quantity="0"), Code.BAD_QUANTITY),
    Bad("half a share", sent(quantity="0.5"), Code.BAD_QUANTITY),
    Bad("a price off its tick", sent(limit_price="38.501"), Code.PRICE_OFF_TICK),
    Bad("a price out of its band", sent(limit_price="385"), Code.PRICE_OUT_OF_BAND),
    Bad("no price", sent(limit_price=None), Code.PRICE_REQUIRED),
    Bad("a market order's price", sent(order_type="market"), Code.PRICE_NOT_ALLOWED),
    Bad("an unknown symbol", sent(symbol="APPL"), Code.UNKNOWN_SYMBOL),
    Bad("an unknown market", sent(market="XXXX"), Code.UNKNOWN_MARKET),
    Bad("another currency", sent(currency="KRW"), Code.BAD_CURRENCY),
    Bad("an unknown session", sent(trading_session_id="XNYS-1-REG"), Code.UNKNOWN_SESSION),
    Bad("a closed market", sent(trading_session_id=None), Code.SESSION_CLOSED),
    Bad("a batch of one too many", many(1_001), Code.TOO_MANY_ORDERS, None, BATCH),
    Bad("a batch that is a list", b"[]", INVALID, None, BATCH),
    Bad("a batch without orders", b'{"list_id":"l"}', INVALID, None, BATCH),
    Bad("a batch with more", b'{"orders":[],"all":true}', INVALID, None, BATCH),
    Bad("a strange list", b'{"orders":[],"list_id":"a b"}', INVALID, "#/list_id", BATCH),
    Bad("a broken batch", b'{"orders":[', MALFORMED, None, BATCH),
    Bad("a deep batch", b'{"orders":' + b"[" * 500_000, MALFORMED, None, BATCH),
    Bad("a batch of 2 MB", b" " * 2_000_000, Code.BODY_TOO_LARGE, None, BATCH),
)


def told(reply: Response, code: Code) -> dict[str, object]:
    """Check the shape of a problem, and return it."""
    problem: dict[str, object] = reply.json()

    assert (reply.status_code, problem["code"]) == (code.status, code.code), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert problem["status"] == code.status
    assert all(problem[name] for name in ("type", "title", "detail", "instance", "doc_url"))
    assert problem["request_id"] == reply.headers["x-request-id"]
    assert "Traceback" not in reply.text
    return problem


@pytest.mark.parametrize("bad", BODIES, ids=lambda bad: bad.what)
def test_a_bad_body_is_told_what_is_wrong_and_nothing_is_stored(gateway: Gateway, bad: Bad) -> None:
    key = gateway.key(scopes=CLIENT_SCOPES)

    problem = told(gateway.client.post(bad.path, content=bad.body, headers=key), bad.code)

    if bad.pointer:
        assert [error["pointer"] for error in problem["errors"]] == [bad.pointer]  # type: ignore[attr-defined]
    assert gateway.events() == []


def test_a_body_without_a_declared_length_is_cut_off_as_well(gateway: Gateway) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 1_000

    reply = gateway.client.post(POST, content=endless(), headers=gateway.key())

    told(reply, Code.BODY_TOO_LARGE)
    assert reply.headers["connection"] == "close"
    assert gateway.events() == []


def test_the_same_id_with_another_body_is_a_conflict(gateway: Gateway) -> None:
    key = gateway.key()
    first = gateway.client.post(POST, json=an_order(), headers=key).json()

    problem = told(
        gateway.client.post(POST, json=an_order(quantity="11"), headers=key),
        Code.CLIENT_ORDER_ID_CONFLICT,
    )

    assert problem["context"] == {"existing_order_id": first["order_id"], "status": "reserved"}
    assert gateway.orders() == 1


def test_an_order_for_now_is_taken_only_while_the_market_is_open(gateway: Gateway) -> None:
    key = gateway.key()
    body = an_order(trading_session_id=None)

    told(gateway.client.post(POST, json=body, headers=key), Code.SESSION_CLOSED)
    gateway.clock.at = OPENS_AT

    assert gateway.client.post(POST, json=body, headers=key).status_code == 201


KEYS: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "no key": lambda _key: {},
    "another scheme": lambda key: {
        "Authorization": key["Authorization"].replace("Bearer", "Basic")
    },
    "a wrong secret": lambda key: {"Authorization": key["Authorization"][:-4] + "0000"},
    "an unknown id": lambda key: {
        "Authorization": "Bearer ob_test_" + "0" * 20 + key["Authorization"][-65:]
    },
    "a test key said to be live": lambda key: {
        "Authorization": key["Authorization"].replace("ob_test", "ob_live")
    },
    "more than a key": lambda key: {"Authorization": key["Authorization"] + "0"},
}


@pytest.mark.parametrize("name", KEYS)
def test_a_bad_key_opens_nothing(gateway: Gateway, name: str) -> None:
    key = KEYS[name](gateway.key())

    reply = gateway.client.post(POST, json=an_order(), headers=key)

    told(reply, Code.UNAUTHENTICATED)
    assert reply.headers["www-authenticate"] == "Bearer"
    assert gateway.events() == []


def test_a_key_without_the_scope_is_told_which_one_it_lacks(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER)

    problem = told(gateway.client.post(POST, json=an_order(), headers=key), Code.SCOPE_MISSING)

    assert problem["context"] == {"scope": "orders:write"}
    assert gateway.events() == []


RATES = (0, -1, 1.5, 5.0, True, "800", 1_001, 10**30, None)


@pytest.mark.parametrize("tps", RATES)
def test_a_rate_that_no_broker_can_have_is_refused(gateway: Gateway, tps: object) -> None:
    path, seen = "/admin/v1/brokers/nova/rate", {"If-Match": '"v1"'}
    body = {"tps": tps, "reason": "desk asked"}

    told(
        gateway.client.patch(path, json=body, headers=gateway.key() | seen),
        Code.RATE_OUT_OF_BOUNDS,
    )

    assert gateway.client.get("/admin/v1/audit", headers=gateway.key()).json()["data"] == []


CHANGES = (
    ("PATCH", "/admin/v1/brokers/nova/rate", {"tps": 600, "reason": "desk asked"}),
    ("PUT", "/admin/v1/brokers/nova/breaker", {"mode": "forced_open", "reason": "desk asked"}),
    ("PUT", "/admin/v1/brokers/nova/dispatch", {"state": "paused", "reason": "desk asked"}),
)


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_an_operator_must_name_the_version_that_he_saw(
    gateway: Gateway, method: str, path: str, body: dict[str, object]
) -> None:
    key = gateway.key()

    def change(version: dict[str, str]) -> Response:
        return gateway.client.request(method, path, json=body, headers=key | version)

    told(change({}), Code.IF_MATCH_REQUIRED)
    told(change({"If-Match": "*"}), Code.IF_MATCH_REQUIRED)
    stale = told(change({"If-Match": '"v0"'}), Code.STALE_VERSION)
    told(change({"If-Match": "v1"}), Code.STALE_VERSION)
    told(change({"If-Match": 'W/"v1"'}), Code.STALE_VERSION)

    assert stale["context"]["current"]["version"] == 1  # type: ignore[index]
    assert gateway.client.get(path.rpartition("/")[0], headers=key).headers["etag"] == '"v1"'


def test_a_reason_is_not_optional(gateway: Gateway) -> None:
    for reason in ("", "ok", "    x    ", None):
        body = {"scope": "all", "reason": reason}
        told(gateway.client.post("/admin/v1/halt", json=body, headers=gateway.key()), INVALID)

    assert gateway.client.get("/admin/v1/halts", headers=gateway.key()).json() == {"data": []}


def test_a_session_that_ended_takes_nothing(gateway: Gateway) -> None:
    gateway.clock.at = OPENS_AT + 86_400_000
    reply = gateway.client.post(
        POST, json=an_order(trading_session_id=SESSION), headers=gateway.key()
    )

    told(reply, Code.SESSION_OVER)


@pytest.mark.parametrize("odd", ["c%00", "%00", "%ED%A0%80", "%F0%9F%92%A9", "'%20OR%20true"])
def test_an_id_that_no_order_can_have_is_not_found(gateway: Gateway, odd: str) -> None:
    key = gateway.key()
    gateway.client.post(POST, json=an_order(client_order_id="c"), headers=key)

    found = gateway.client.get(f"/v1/accounts/A-1/orders/by-client-order-id/{odd}", headers=key)
    foreign = gateway.client.get(f"/v1/accounts/{odd}/orders/by-client-order-id/c", headers=key)

    told(found, Code.NOT_FOUND)
    told(foreign, Code.NOT_FOUND)
