"""Operators with tokens: their doors and no others, the same person whichever way they come."""

import logging
from typing import Any, Final

import pytest

from app.domain.records import Actor
from app.web.access.keyfile import ROLES, Grant, create_key
from app.web.access.keys import EXPECTED
from tests.web import things
from tests.web.house import Gateway, run
from tests.web.issuer import StillSource, bearer, claims, jwk, key_set, token, trusting
from tests.web.operators import ADMIN, audit, seen
from tests.web.test_authorization import doors

AA: Final = {"scope": "symbol", "id": "AA", "reason": "wild prices"}
RATE: Final = {
    "operation": "set_broker_rate",
    "parts": {"broker_id": "nova"},
    "body": {"tps": 400},
    "if_match": '"v1"',
    "reason": "desk asked, OPS-12",
}
YES: Final = {"reason": "I looked at it"}


@pytest.fixture
def house(gateway: Gateway) -> Gateway:
    return trusting(gateway)


def held(gateway: Gateway, name: str, person: str | None = None) -> dict[str, str]:
    """Make an operator's key that says whose it is, and return its header."""
    scopes = ROLES["operator"] | ROLES["approver"]
    made = create_key(gateway.key_file, Grant(name, scopes, ("*",), person=person), gateway.clock)
    gateway.clock.at += 1_000
    return {"Authorization": f"Bearer {made}"}


def code(reply: Any) -> tuple[int, str]:
    """Return the status, and the code of what was refused."""
    return reply.status_code, reply.json()["code"] if reply.is_error else ""


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_the_same_doors_by_token_as_by_key(house: Gateway, role: str) -> None:
    by_key, by_token = house.key("kim", ROLES[role]), bearer(house, "kim", role)
    for name, (door, path) in doors(house).items():
        if not path.startswith("/admin/") or door.spec.streams:
            continue
        method, ways = door.spec.method, (by_key, by_token)
        replies = [house.client.request(method, path, json={}, headers=who) for who in ways]
        assert code(replies[0]) == code(replies[1]), name
        assert (replies[1].status_code == 403) == (door.spec.scope not in ROLES[role]), name


def test_a_token_opens_no_client_door_and_no_console(house: Gateway) -> None:
    said = claims(openbell_role=list(ROLES), scope="orders:read orders:write")
    who = {"Authorization": f"Bearer {token(said)}"}
    clients = [place for place in doors(house).values() if place.path.startswith("/v1/")]
    for door, path in clients:
        reply = house.client.request(door.spec.method, path, json={}, headers=who)
        assert code(reply) == (401, "unauthenticated"), path

    assert len(clients) > 20
    assert house.client.get("/console", headers=who).status_code == 401
    assert house.client.get("/console/stream", headers=who).status_code == 401
    origin = {"Origin": "http://testserver", "Content-Type": "application/x-www-form-urlencoded"}
    typed = house.client.post("/console/login", content=f"key={token(said)}", headers=origin)
    assert (typed.status_code, "set-cookie" in typed.headers) == (401, False)


def test_without_an_issuer_a_token_is_no_key(gateway: Gateway) -> None:
    reply = gateway.client.get(f"{ADMIN}/overview", headers=bearer(gateway))

    assert code(reply) == (401, "unauthenticated")
    assert reply.json()["detail"] == EXPECTED


def test_a_token_ends_between_two_requests(house: Gateway) -> None:
    who = bearer(house)
    assert house.client.get(f"{ADMIN}/overview", headers=who).status_code == 200

    house.clock.at += 310_000
    late = house.client.get(f"{ADMIN}/overview", headers=who)
    assert code(late) == (401, "unauthenticated")
    assert late.headers["www-authenticate"] == "Bearer"


def test_a_role_that_nobody_knows_may_nothing_and_its_tries_are_noted(house: Gateway) -> None:
    who = bearer(house, "kim", "boss")

    assert code(house.client.get(f"{ADMIN}/overview", headers=who)) == (403, "scope-missing")
    assert code(house.client.post(f"{ADMIN}/halt", json=AA, headers=who)) == (403, "scope-missing")
    assert [(row["actor"], row["action"]) for row in audit(house)] == [("oidc:kim", "denied.halt")]


# --- four eyes ------------------------------------------------------------------------------


def lifted(house: Gateway, who: dict[str, str]) -> tuple[int, str]:
    """Try to lift the halt, having looked at it; return how that ended, and why."""
    standing = house.client.get(f"{ADMIN}/halts", headers=who).json()["data"][0]
    headers = who | seen(standing["version"])
    reply = house.client.post(f"{ADMIN}/resume", json=AA, headers=headers)
    return reply.status_code, reply.json().get("detail", "")


def test_who_halted_with_a_token_resumes_with_nothing_of_his_own(house: Gateway) -> None:
    halted = house.client.post(f"{ADMIN}/halt", json=AA, headers=bearer(house, "mina"))
    assert (halted.status_code, halted.json()["halted_by"]) == (200, "oidc:mina")
    own = [
        bearer(house, "mina", ["operator", "approver"]),
        held(house, "mina-laptop", person="mina"),
        held(house, "mina-phone", person="Mina"),  # as somebody typed it
    ]
    for who in own:
        assert lifted(house, who) == (409, "oidc:mina halted; another person must resume")

    for name in ("mina", "laptop-7"):  # whose are they?
        status, why = lifted(house, held(house, name))
        assert status == 409
        assert "openbell key create --person" in why
    assert lifted(house, held(house, "laptop-8", person="jun")) == (200, "")


def test_a_key_that_says_nothing_and_a_token_are_not_two(house: Gateway) -> None:
    run(house.ledger.halt("symbol", "AA", Actor("laptop-7", "wild prices")))

    assert lifted(house, bearer(house, "mina", "approver"))[0] == 409
    assert lifted(house, held(house, "laptop-8")) == (200, "")  # as it was before tokens


def test_what_the_house_did_by_itself_anybody_may_end(house: Gateway) -> None:
    for who in (bearer(house, "mina", "approver"), held(house, "laptop-7")):
        run(house.ledger.halt("symbol", "AA", Actor("openbell", "nobody owns nova")))
        assert lifted(house, who) == (200, "")


@pytest.mark.parametrize(
    ("second", "status"), [("mina", 409), ("jun", 200), ("poor", 409), ("late", 409)]
)
def test_a_token_beside_a_token_settles_a_doubt(house: Gateway, second: str, status: int) -> None:
    parts, body = things.a_doubt(house)
    listed = house.client.get(f"{ADMIN}/in-doubt", headers=bearer(house)).json()
    version = listed["data"][0]["version"]
    others = {
        "mina": bearer(house, "mina", "approver"),
        "jun": bearer(house, "jun", "approver"),
        "poor": bearer(house, "jun", "viewer"),
        "late": {"Authorization": f"Bearer {token(claims(house.clock.at - 400_000, sub='jun'))}"},
    }
    lent = others[second]["Authorization"].partition(" ")[2]

    reply = house.client.post(
        f"{ADMIN}/in-doubt/{parts['order_id']}/resolve",
        json={**body, "reason": "after the outage"},
        headers=bearer(house, "mina") | seen(version) | {"X-Approver-Key": lent},
    )

    assert reply.status_code == status, reply.json()
    assert status == 200 or reply.json()["code"] == "second-principal-required"


class Desk:
    """Mina proposes with a token of five minutes."""

    def __init__(self, house: Gateway) -> None:
        self.house = house
        asked = RATE | {"ttl_s": 3_600}
        self.proposed = house.client.post(
            f"{ADMIN}/proposals", json=asked, headers=bearer(house, "mina")
        )

    def approve(self, who: dict[str, str]) -> tuple[int, str]:
        url = f"{self.proposed.headers['location']}/approve"
        reply = self.house.client.post(url, json=YES, headers=who | seen(1))
        return code(reply)


def test_a_proposal_by_token_is_approved_by_another_person(house: Gateway) -> None:
    desk = Desk(house)
    for who in (bearer(house, "mina", "approver"), held(house, "x", "mina"), held(house, "y")):
        assert desk.approve(who) == (409, "second-principal-required")

    assert desk.approve(bearer(house, "jun", "approver")) == (200, "")
    assert run(house.ledger.controls())["nova"].tps == 400
    done = [row for row in audit(house) if not row["action"].startswith("denied.")]
    assert [row["actor"] for row in done] == ["oidc:mina", "oidc:mina", "oidc:jun"]


def test_a_proposal_ends_with_the_token_that_made_it(house: Gateway) -> None:
    desk = Desk(house)
    assert desk.proposed.json()["expires_at"] == "2026-03-02T14:34:00.000Z"

    house.clock.at += 300_000
    assert desk.approve(bearer(house, "jun", "approver"))[0] == 409
    assert run(house.ledger.controls())["nova"].tps == 500


def test_an_issuer_that_is_believed_no_more_has_proposed_nothing(
    gateway: Gateway, house: Gateway
) -> None:
    url = Desk(house).proposed.headers["location"]
    jun = held(gateway, "night", person="jun")
    reply = gateway.client.post(f"{url}/approve", json=YES, headers=jun | seen(1))

    assert code(reply) == (409, "proposal-closed")


# --- what a token leaves behind -------------------------------------------------------------


def test_a_renewed_token_gets_the_first_answer_again_and_another_person_does_not(
    house: Gateway,
) -> None:
    once = {"Idempotency-Key": "let-go-1"}
    first = house.client.post(f"{ADMIN}/halt", json=AA, headers=bearer(house) | once)
    house.clock.at += 120_000
    again = house.client.post(f"{ADMIN}/halt", json=AA, headers=bearer(house) | once)
    other = house.client.post(f"{ADMIN}/halt", json=AA, headers=bearer(house, "jun") | once)

    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    assert (other.status_code, "idempotent-replayed" in other.headers) == (200, False)


def test_nothing_of_a_token_is_kept_or_told(
    house: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    good, bad = bearer(house, role="approver"), bearer(house, "jun", "viewer")
    bad["Authorization"] += "x"
    told = [
        house.client.post(f"{ADMIN}/halt", json=AA, headers=good),  # a scope that is missing
        house.client.post(f"{ADMIN}/halt", json=AA, headers=bad),
        house.client.get("/v1/orders", headers=good),
        house.client.get(f"{ADMIN}/config", headers=good),
        house.client.post(f"{ADMIN}/proposals", json=RATE, headers=bearer(house)),
    ]
    kept = [str(audit(house)), *(reply.text for reply in told), caplog.text]
    kept += [str(reply.headers) for reply in told]
    for who in (good, bad):
        for part in who["Authorization"].removeprefix("Bearer ").split("."):
            assert not any(part in text for text in kept)


# --- the issuer's keys ----------------------------------------------------------------------


def test_the_first_token_of_a_new_key_opens_and_strange_ones_are_no_load(gateway: Gateway) -> None:
    source = StillSource()
    house = trusting(gateway, source)
    path = f"{ADMIN}/overview"
    assert house.client.get(path, headers=bearer(house)).status_code == 200

    source.document = key_set(jwk("ed-1"), jwk("ec-1"))
    house.clock.at += 30_000
    fresh = {"Authorization": f"Bearer {token(claims(house.clock.at), 'ec-1')}"}
    assert house.client.get(path, headers=fresh).status_code == 200
    assert source.asked == 2
    for _ in range(20):
        strange = {"Authorization": f"Bearer {token(claims(), 'ed-2')}"}
        assert house.client.get(path, headers=strange).status_code == 401
    assert source.asked == 2


def test_a_set_that_cannot_be_had_is_told_to_operators(gateway: Gateway) -> None:
    house = trusting(gateway, StillSource(b"<html>"))
    path = f"{ADMIN}/overview"
    assert house.client.get(path, headers=bearer(house)).status_code == 401

    shown = house.client.get(path, headers=house.key()).json()
    assert shown["keyring"] == "the keys of operators' tokens: expected a JSON Web Key Set"
