"""The console's doors: who gets in, what a cookie opens, and that it changes nothing by itself."""

import gzip
import html
import json
import re
from typing import Any, cast

import pytest
from starlette.requests import Request

from app.domain.errors import Code, Refused
from app.ports.away import StoreAway
from app.web.access.keyfile import read_keys, revoke_key
from app.web.console.lookout import Lookout
from app.web.console.session import COOKIE, LASTS_S
from app.web.console.sight import Viewer
from app.web.console.stream import Panels
from tests.virtual import VirtualClock, run_virtual
from tests.web import things
from tests.web.console.sights import OPERATOR
from tests.web.house import SESSION, Gateway, an_order, owned, put_in_doubt, run
from tests.web.operators import audit, reserve, sure

OURS = {"Origin": "http://testserver"}
CHANGE = OURS | {"X-Openbell-Console": "1"}
RATE = "/admin/v1/brokers/nova/rate"
LOOK = frozenset({"admin:read"})
WEIGHT_MAX = 100_000


def sign_in(gateway: Gateway, name: str = "mina", **facts: Any) -> None:
    """Let the client's browser come in by a key, which it then forgets."""
    token = gateway.key(name, **facts)["Authorization"].removeprefix("Bearer ")
    reply = gateway.client.post(
        "/console/login", data={"key": token}, headers=OURS, follow_redirects=False
    )
    assert (reply.status_code, reply.headers["location"]) == (303, "/console"), reply.text


def acts(page: str) -> list[dict[str, Any]]:
    """Return what the page offers, as its script reads it."""
    alike = {
        name: json.loads(html.unescape(told))
        for name, told in re.findall(r'<template id="like-(\w+)" data-like="([^"]*)"', page)
    }
    found = [json.loads(html.unescape(told)) for told in re.findall(r'data-act="([^"]*)"', page)]
    return [act | alike.get(act["like"], {}) for act in found]


def test_without_a_session_there_is_only_the_sign_in(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)

    for path in ("/console", "/console/orders?q=A-1", f"/console/orders/{order_id}"):
        reply = gateway.client.get(path)
        assert reply.status_code == 401
        assert "Operator key" in reply.text
        assert "A-1" not in reply.text
        assert "nova" not in reply.text
    assert gateway.client.get("/console/stream").status_code == 401


def test_a_key_is_entered_once_and_kept_nowhere_in_the_browser(gateway: Gateway) -> None:
    run(owned(gateway.ledger, "nova", "sol"))
    token = gateway.key()["Authorization"].removeprefix("Bearer ")

    reply = gateway.client.post(
        "/console/login", data={"key": token}, headers=OURS, follow_redirects=False
    )

    cookie = reply.headers["set-cookie"]
    assert token.rpartition("_")[2] not in cookie
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert "All is well" in gateway.client.get("/console").text


def test_a_cookie_over_https_stays_there(gateway: Gateway) -> None:
    token = gateway.key()["Authorization"].removeprefix("Bearer ")

    reply = gateway.client.post(
        "/console/login",
        data={"key": token},
        headers=OURS | {"X-Forwarded-Proto": "https"},
        follow_redirects=False,
    )

    assert "; Secure" in reply.headers["set-cookie"]


def test_a_wrong_key_opens_nothing(gateway: Gateway) -> None:
    for typed in ("", "nonsense", "ob_test_" + "0" * 20 + "_" + "0" * 64):
        reply = gateway.client.post("/console/login", data={"key": typed}, headers=OURS)

        assert reply.status_code == 401
        assert "unknown, expired or revoked" in reply.text
        assert "set-cookie" not in reply.headers


def test_a_clients_key_is_no_operators_key(gateway: Gateway) -> None:
    token = gateway.key(scopes=frozenset({"orders:read"}))["Authorization"].split()[1]

    reply = gateway.client.post("/console/login", data={"key": token}, headers=OURS)

    assert (reply.status_code, "set-cookie" in reply.headers) == (401, False)


def test_a_session_ends_with_its_time(gateway: Gateway) -> None:
    sign_in(gateway)
    gateway.clock.at += LASTS_S * 1000 - 10_000
    assert gateway.client.get("/console").status_code == 200

    gateway.clock.at += 10_000

    assert gateway.client.get("/console").status_code == 401
    assert gateway.client.get("/admin/v1/overview").status_code == 401


def test_a_session_ends_with_its_key(gateway: Gateway) -> None:
    sign_in(gateway)
    revoke_key(gateway.key_file, read_keys(gateway.key_file)[0].id)
    gateway.clock.at += 1_000

    assert gateway.client.get("/console").status_code == 401


def test_a_cookie_that_was_written_on_is_worth_nothing(gateway: Gateway) -> None:
    sign_in(gateway)
    sealed = gateway.client.cookies[COOKIE]

    for part in range(3):
        parts = sealed.split(".")
        parts[part] = parts[part][:-1] + ("0" if parts[part][-1] != "0" else "1")
        gateway.client.cookies.clear()
        gateway.client.cookies.set(COOKIE, ".".join(parts))
        assert gateway.client.get("/console").status_code == 401, part
    gateway.client.cookies.clear()
    gateway.client.cookies.set(COOKIE, sealed)
    assert gateway.client.get("/console").status_code == 200


def test_signing_out_forgets_the_cookie(gateway: Gateway) -> None:
    sign_in(gateway)

    gateway.client.post("/console/logout", headers=OURS)

    assert COOKIE not in gateway.client.cookies
    assert gateway.client.get("/console").status_code == 401


def test_a_link_from_a_chat_asks_again_from_our_own_page(gateway: Gateway) -> None:
    reply = gateway.client.get("/console", headers={"Sec-Fetch-Site": "cross-site"})

    assert reply.status_code == 200
    assert 'http-equiv="refresh" content="0; url=/console"' in reply.text


def test_what_another_page_sends_along_with_the_cookie_is_refused(gateway: Gateway) -> None:
    sign_in(gateway)
    forged = [
        {},
        OURS,
        {"X-Openbell-Console": "1"},
        CHANGE | {"Origin": "https://evil.example"},
        CHANGE | {"Origin": "null"},
        CHANGE | {"Origin": "http://testserver.evil.example"},
    ]

    for headers in forged:
        body = {"tps": 400, "reason": "forged by another"}
        reply = gateway.client.patch(RATE, json=body, headers=headers | {"If-Match": '"v1"'})
        assert (reply.status_code, reply.json()["code"]) == (403, "forged-request"), headers
    gateway.client.cookies.clear()
    assert audit(gateway) == []


def test_a_forged_sign_in_or_sign_out_is_refused(gateway: Gateway) -> None:
    for path in ("/console/login", "/console/logout"):
        reply = gateway.client.post(path, headers={"Origin": "https://evil.example"})
        assert (reply.status_code, reply.json()["code"]) == (403, "forged-request")


def test_the_cookie_opens_no_door_of_clients(gateway: Gateway) -> None:
    sign_in(gateway)

    read = gateway.client.get("/v1/orders?account_id=A-1", headers=CHANGE)
    placed = gateway.client.post("/v1/orders", json=an_order(), headers=CHANGE)

    assert (read.status_code, placed.status_code) == (401, 401)


def typed(act: dict[str, Any], body: dict[str, Any]) -> str:
    """Return what the script wants typed: a name, or what stands in the first filled field."""
    if not act["typed"].startswith("="):
        return str(act["typed"])
    return str(next(body[name] for name in act["typed"][1:].split("|") if body.get(name)))


def filled(gateway: Gateway, act: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the body and the headers that the script makes of a dialog as it opens."""
    body, headers = dict(act["fixed"]), dict(CHANGE)
    for field in act["fields"]:
        value = field["value"] or ("evidence" if field["name"] == "evidence" else "")
        if field["header"]:
            headers[field["header"]] = gateway.key("lee")["Authorization"].partition(" ")[2]
        elif value:
            body[field["name"]] = int(value) if field["kind"] == "number" else value
    if act["grade"] == "name":
        headers["X-Confirm"] = typed(act, body)
    return body, headers


def test_what_the_page_offers_is_the_call_that_the_api_takes(gateway: Gateway) -> None:
    """Each act of the page, sent as its script sends it, passes the door's own checks."""
    reserve(gateway, 1)
    run(put_in_doubt(gateway.ledger))
    sign_in(gateway)
    offered = acts(gateway.client.get("/console").text)
    assert {act["title"].partition(":")[0] for act in offered} >= {"Halt", "nova"}

    for act in offered:
        if "/brokers/sol/" in act["path"]:  # all is alike there
            continue
        body, headers = filled(gateway, act)
        if act["version"] is not None:
            version = act["version"]
            if "/brokers/" in act["path"]:  # the act before this one has changed it
                version = gateway.client.get(act["path"].rpartition("/")[0]).json()["version"]
            headers["If-Match"] = f'"v{version}"'
            unsaid = dict(headers)
            del unsaid["If-Match"]
            reply = gateway.client.request(
                act["method"], act["path"], json=body | {"reason": "because"}, headers=unsaid
            )
            assert reply.status_code == 428, act
        mute = gateway.client.request(act["method"], act["path"], json=body, headers=headers)
        assert (mute.status_code, mute.json()["code"]) == (422, "validation-failed"), act
        reply = gateway.client.request(
            act["method"], act["path"], json=body | {"reason": "because"}, headers=headers
        )
        stood = reply.status_code in {200, 201, 202}
        assert stood or reply.json()["code"] == "prechecks-failed", (act, reply.text)


def test_a_second_person_approves_a_proposal_from_the_banner(gateway: Gateway) -> None:
    things.a_proposal(gateway)
    sign_in(gateway)
    banner = gateway.client.get("/console").text
    (approve,) = (act for act in acts(banner) if act["title"].startswith("Approve"))
    assert "tps 400" in approve["says"]  # the dialog shows what is to be done
    headers = CHANGE | {"If-Match": f'"v{approve["version"]}"'}

    reply = gateway.client.post(approve["path"], json={"reason": "seen it too"}, headers=headers)

    assert (reply.status_code, reply.json()["configured"]) == (200, 400)
    gateway.clock.at += 2_000
    assert "proposes" not in gateway.client.get("/console").text


def test_who_proposed_is_offered_no_answer_and_another_person_is(gateway: Gateway) -> None:
    """Screens that show the same are drawn once, and these two do not."""
    wanted = {"operation": "set_broker_dispatch", "parts": {"broker_id": "nova"}}
    wanted |= {"body": {"state": "paused"}, "if_match": '"v1"', "reason": "desk asked"}
    path = "/admin/v1/proposals"
    assert gateway.client.post(path, json=wanted, headers=gateway.key("mina")).status_code == 201
    found = []
    for name, account in (("jun", "*"), ("mina", "*"), ("mina", "A-1"), ("lee", "A-1")):
        gateway.client.cookies.clear()
        sign_in(gateway, name, accounts=(account,))
        page = gateway.client.get("/console").text
        offered = any(act["title"].startswith("Approve: ") for act in acts(page))
        found.append(("mina proposes" in page, offered))

    assert found == [(True, True), (True, False), (True, False), (False, False)]


def test_a_stale_version_is_a_conflict_that_says_who(gateway: Gateway) -> None:
    sign_in(gateway)
    lee = gateway.key("lee") | {"If-Match": '"v1"'}
    gateway.client.patch(RATE, json={"tps": 800, "reason": "desk asked"}, headers=lee)

    reply = gateway.client.patch(
        RATE, json={"tps": 400, "reason": "too fast"}, headers=CHANGE | {"If-Match": '"v1"'}
    )

    told = reply.json()["context"]
    assert (reply.status_code, told["changed_by"]) == (412, "lee")
    assert (told["current"]["tps"], told["current"]["version"]) == (800, 2)


def test_what_the_console_does_stands_in_the_audit_log(gateway: Gateway) -> None:
    sign_in(gateway)
    headers = CHANGE | {"If-Match": '"v1"', "X-Request-ID": "console-7"}

    gateway.client.patch(RATE, json={"tps": 475, "reason": "desk asked"}, headers=headers)

    gateway.client.cookies.clear()
    (row,) = audit(gateway)
    assert (row["actor"], row["request_id"], row["after"]["tps"]) == ("mina", "console-7", 475)


def test_who_may_only_look_is_refused_by_the_server_too(gateway: Gateway) -> None:
    sign_in(gateway, "jun", scopes=LOOK)

    page = gateway.client.get("/console").text
    reply = gateway.client.patch(
        RATE, json={"tps": 400, "reason": "desk asked"}, headers=CHANGE | {"If-Match": '"v1"'}
    )

    assert acts(page) == []
    assert (reply.status_code, reply.json()["code"]) == (403, "scope-missing")


def test_nothing_but_our_own_files_may_run(gateway: Gateway) -> None:
    sign_in(gateway)
    paths = ("/console", "/console/login", "/console/orders?q=A-1", "/console/static/console.js")

    for path in paths:
        policy = gateway.client.get(path).headers["content-security-policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        assert rules == {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": "'self'",
            "connect-src": "'self'",
            "form-action": "'self'",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        assert gateway.client.get(path).headers["x-content-type-options"] == "nosniff"
    assert gateway.client.get("/console").headers["cache-control"] == "no-store"


def test_files_are_packed_and_tagged_and_no_other_is_served(gateway: Gateway) -> None:
    path = "/console/static/console.css"
    first = gateway.client.get(path)
    again = gateway.client.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.headers["content-encoding"] == "gzip"
    assert (again.status_code, again.content) == (304, b"")
    for name in ("..%2Fdoors.py", "doors.py", "console.txt", "%2Fetc%2Fpasswd"):
        assert gateway.client.get(f"/console/static/{name}").status_code == 404


def test_the_page_and_all_its_files_are_light(gateway: Gateway) -> None:
    reserve(gateway, 60)
    run(put_in_doubt(gateway.ledger))
    sign_in(gateway)
    html = gateway.client.get("/console").text

    files = set(re.findall(r'(?:src|href)="(/console/static/[^"]+)"', html))
    texts = [html, *(gateway.client.get(path).text for path in files)]
    weight = sum(len(gzip.compress(one.encode())) for one in texts)

    assert len(files) == 5
    assert weight < WEIGHT_MAX, weight


def test_orders_are_found_by_each_of_their_names(gateway: Gateway) -> None:
    order_id = reserve(gateway, 2)
    sign_in(gateway)

    for query in (order_id, "A-1", "A-1/c-1"):
        assert order_id in gateway.client.get("/console/orders", params={"q": query}).text
    life = gateway.client.get(f"/console/orders/{order_id}").text
    assert '<td class="says">reserved</td>' in life
    assert SESSION in life


def test_the_orders_of_foreign_accounts_are_not_there(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    sign_in(gateway, "jun", accounts=("B-2",))

    for query in (order_id, "A-1", "A-1/c-0"):
        page = gateway.client.get("/console/orders", params={"q": query}).text
        assert "No such order, or it is not yours to see." in page
    assert gateway.client.get(f"/console/orders/{order_id}").status_code == 404


def test_a_hostile_search_is_shown_as_text(gateway: Gateway) -> None:
    sign_in(gateway)

    page = gateway.client.get("/console/orders", params={"q": "<script>alert(1)</script>"}).text

    assert "<script>alert" not in page


def test_the_bus_and_the_account_book_may_be_away(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> int:
        raise ConnectionError("the bus is down")

    for name in ("lag", "poll", "publish", "wait", "commit"):
        monkeypatch.setattr(gateway.bus, name, away)
    for name in ("page", "summary", "upsert", "clear"):
        monkeypatch.setattr(gateway.house.accounts, name, away)
    sign_in(gateway)

    page = gateway.client.get("/console")

    assert page.status_code == 200
    assert "unknown: the bus does not answer" in page.text
    halt = {"scope": "all", "reason": "it is strange"}
    reply = gateway.client.post("/admin/v1/halt", json=halt, headers=CHANGE | sure("all"))
    assert reply.status_code == 200
    gateway.clock.at += 1_000
    assert "everything, by mina" in gateway.client.get("/console").text


def test_one_late_answer_of_the_bus_is_not_yet_a_bus_that_is_away(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> int:
        raise TimeoutError

    sign_in(gateway)
    gateway.client.get("/console")
    monkeypatch.setattr(gateway.bus, "lag", away)

    gateway.clock.at += 6_000
    assert "the bus does not answer" not in gateway.client.get("/console").text
    gateway.clock.at += 16_000
    assert "the bus does not answer" in gateway.client.get("/console").text


def test_a_ledger_that_is_away_leaves_its_last_word_with_its_age(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StoreAway("no route to host")

    sign_in(gateway)
    gateway.client.get("/console")
    monkeypatch.setattr(gateway.ledger, "halts", away)
    gateway.clock.at += 8_000

    page = gateway.client.get("/console").text

    assert "Ledger: cannot be read" in page
    assert "nova" in page


def test_many_consoles_are_one_reading(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    backlog = gateway.ledger.backlog

    async def counted() -> object:
        readings.append(1)
        return await backlog()

    monkeypatch.setattr(gateway.ledger, "backlog", counted)
    sign_in(gateway)

    for _ in range(20):
        assert gateway.client.get("/console").status_code == 200

    assert len(readings) == 1


def test_a_dear_reading_rests_the_longer(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    readings = []
    backlog = gateway.ledger.backlog

    async def slow() -> object:
        readings.append(1)
        gateway.clock.at += 500
        return await backlog()

    monkeypatch.setattr(gateway.ledger, "backlog", slow)
    sign_in(gateway)

    gateway.client.get("/console")
    lee = gateway.key("lee") | {"If-Match": '"v1"'}
    gateway.client.patch(RATE, json={"tps": 440, "reason": "desk asked"}, headers=lee)
    for _ in range(7):
        gateway.clock.at += 1_000
        assert "set 440" in gateway.client.get("/console").text  # this is cheap, and is not late
    assert len(readings) == 1
    gateway.clock.at += 2_500
    gateway.client.get("/console")
    assert len(readings) == 2


def test_the_stream_sends_the_very_words_of_the_page_and_ends_with_the_gateway(
    gateway: Gateway,
) -> None:
    reserve(gateway, 3)
    sign_in(gateway)
    gateway.house.health.draining = True  # so that the stream ends after its first event
    page = gateway.client.get("/console").text

    told = gateway.client.get("/console/stream")

    assert told.headers["content-type"] == "text/event-stream"
    assert told.headers["cache-control"] == "no-store"
    retry, event, *rest = told.text.split("\n\n")
    assert (retry, rest) == ("retry: 2000", [""])
    name, _, data = event.partition("\n")
    assert name == "event: screen"
    drawn = json.loads(data.removeprefix("data: "))["panels"]
    assert set(drawn) == set(re.findall(r'data-panel="(\w+)"', page))
    assert drawn["session"] in page
    assert drawn["drain"] in page


def test_a_stream_sends_what_has_changed_and_ends_with_its_key(gateway: Gateway) -> None:
    gateway.key()

    class Reader:
        """A browser that stays."""

        async def is_disconnected(self) -> bool:
            return False

    def who() -> Viewer:
        gateway.clock.at += 1_000
        if gateway.clock.at > started + 3_000:
            raise Refused(Code.UNAUTHENTICATED, "revoked")
        return OPERATOR

    async def heard(_: VirtualClock) -> list[bytes]:
        stream = Panels(Lookout(gateway.house), gateway.clock).stream(
            cast("Request", Reader()), who
        )
        return [event async for event in stream.events]

    started = gateway.clock.at
    retry, first, second, third, gone = run_virtual(heard)

    assert retry == b"retry: 2000\n\n"
    told = [json.loads(event.partition(b"data: ")[2]) for event in (first, second, third)]
    assert [one["at"] - started for one in told] == [1_000, 2_000, 3_000]
    assert set(told[0]["panels"]) > {"brokers", "doubts", "session"}
    # The bell is nearer, and the pace has another point; nothing else has changed.
    assert set(told[1]["panels"]) <= {"session", "drain", "brokers", "pipelines"}
    assert gone == b"event: gone\ndata: {}\n\n"


def test_only_so_many_streams_are_open(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.web.console.stream.STREAMS_MAX", 0)
    sign_in(gateway)

    reply = gateway.client.get("/console/stream")

    assert (reply.status_code, reply.json()["code"]) == (503, "overloaded")


def test_the_audit_log_is_a_page_for_those_who_may_read_all_of_it(gateway: Gateway) -> None:
    wild = {"scope": "symbol", "id": "AA", "reason": "wild prices"}
    lee = gateway.key("lee")
    for _ in range(101):
        gateway.client.post("/admin/v1/halt", json=wild, headers=lee)
    for who, facts in (("jun", {"scopes": LOOK}), ("kai", {"accounts": ("A-1",)})):
        sign_in(gateway, who, **facts)
        refused = gateway.client.get("/console/audit")
        assert refused.status_code == 403
        assert "wild prices" not in refused.text
        gateway.client.cookies.clear()
    assert gateway.client.get("/console/audit").status_code == 401

    sign_in(gateway)
    newest = gateway.client.get("/console/audit")
    (back,) = re.findall(r'href="(/console/audit\?before=\d+)"', newest.text)
    export = html.unescape(re.findall(r'href="(/admin/v1/audit/export[^"]*)"', newest.text)[0])
    oldest = gateway.client.get(back).text

    assert "default-src 'none'" in newest.headers["content-security-policy"]
    assert newest.text.count("halted symbol AA") == 100
    assert (oldest.count("halted symbol AA"), "before=" in oldest) == (1, False)
    assert len(gateway.client.get(export).text.splitlines()) == 100
    assert "No row stands here" in gateway.client.get("/console/audit?before=999").text
    assert gateway.client.get("/console/audit?before=0").status_code == 422
