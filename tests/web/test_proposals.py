"""Four eyes by the doors: proposed by one, done by another's yes, once, as it was shown."""

from typing import Any, Final

import pytest

from app.web.access.keyfile import ROLES, revoke_key
from tests.web.house import Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, audit, reserve, sure

PATH: Final = f"{ADMIN}/proposals"
RATE: Final = {
    "operation": "set_broker_rate",
    "parts": {"broker_id": "nova"},
    "body": {"tps": 800},
    "if_match": '"v1"',
    "reason": "desk asked, OPS-12",
}
# Whoever approves types no name: so it is typed by who proposes, or not proposed at all.
FAILS_OVER: Final = {
    "operation": "fail_over",
    "parts": {"route_id": "XNYS"},
    "body": {"to": "sol", "expected_epoch": 1},
}
YES: Final = {"reason": "I looked at it"}


class Two:
    """Mina, who operates, and Jun, who approves."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.mina = gateway.key("mina", ROLES["operator"] | {"admin:approve"})
        self.jun = gateway.key("jun", ROLES["approver"])

    def propose(self, **facts: object) -> Any:
        return self.gateway.client.post(PATH, json=RATE | facts, headers=self.mina)

    def decide(self, url: str, who: dict[str, str], verb: str = "approve", seen: int = 1) -> Any:
        headers = who | {"If-Match": f'"v{seen}"'}
        return self.gateway.client.post(f"{url}/{verb}", json=YES, headers=headers)

    def state(self, url: str) -> str:
        return str(self.gateway.client.get(url, headers=self.jun).json()["state"])

    def tps(self) -> int:
        return run(self.gateway.ledger.controls())["nova"].tps


@pytest.fixture
def two(gateway: Gateway) -> Two:
    return Two(gateway)


def test_a_proposal_is_done_by_another_s_yes_and_both_are_named(two: Two) -> None:
    proposed = two.propose()
    url = proposed.headers["location"]
    assert (proposed.status_code, proposed.headers["etag"], two.tps()) == (201, '"v1"', 500)
    alone = two.decide(url, two.mina)
    done = two.decide(url, two.jun)
    again = two.decide(url, two.jun)

    assert (alone.status_code, alone.json()["code"]) == (409, "second-principal-required")
    assert (done.status_code, done.json()["configured"], two.tps()) == (200, 800, 800)
    assert (again.status_code, again.json()["code"]) == (412, "stale-version")
    assert two.decide(url, two.jun, seen=2).json()["code"] == "proposal-closed"
    assert two.state(url) == "executed"
    rows = [(row["actor"], row["action"]) for row in audit(two.gateway)]
    assert rows == [
        ("mina", "proposal.propose"),
        ("mina", "denied.approve_proposal"),
        ("mina", "broker.control"),
        ("jun", "proposal.approve"),
        ("jun", "denied.approve_proposal"),
        ("jun", "denied.approve_proposal"),
    ]
    change = audit(two.gateway)[2]
    assert (change["after"]["approved_by"], change["reason"]) == ("jun", RATE["reason"])
    assert done.json()["audit_id"] == change["sequence"]


def test_what_was_changed_meanwhile_fails_for_good(two: Two) -> None:
    url = two.propose().headers["location"]
    headers = two.mina | {"If-Match": '"v1"'}
    body = {"tps": 600, "reason": "meanwhile"}
    two.gateway.client.patch(f"{ADMIN}/brokers/nova/rate", json=body, headers=headers)
    reply = two.decide(url, two.jun)

    assert (reply.status_code, reply.json()["code"]) == (412, "stale-version")
    assert (two.state(url), two.tps()) == ("failed", 600)


def test_nobody_s_yes_comes_too_late_or_after_a_no(two: Two) -> None:
    late, refused = (two.propose(ttl_s=60).headers["location"] for _ in range(2))
    no = two.decide(refused, two.jun, "decline")
    after = two.decide(refused, two.jun, seen=2)
    two.gateway.clock.at += 60_000
    reply = two.decide(late, two.jun)

    assert (no.status_code, no.json()["state"], no.json()["decided_by"]) == (200, "declined", "jun")
    assert (after.status_code, after.json()["code"]) == (409, "proposal-closed")
    assert (reply.status_code, reply.json()["code"]) == (409, "proposal-closed")
    assert (two.state(late), two.tps()) == ("expired", 500)


@pytest.mark.parametrize(
    ("facts", "status", "what"),
    [
        ({"operation": "start_drill"}, 422, "operation"),
        ({"operation": "halt"}, 422, "operation"),
        ({"parts": {}}, 422, "parts"),
        ({"parts": {"broker_id": "nova", "route_id": "XNYS"}}, 422, "parts"),
        ({"body": {"tpz": 1}}, 422, "tps"),
        ({"query": {"dry_run": "true"}}, 422, "query"),
        ({"query": {"dry": "true"}}, 422, "dry"),
        ({"if_match": None}, 428, None),
        (FAILS_OVER, 428, None),
        (FAILS_OVER | {"confirm": "nova"}, 428, None),
        ({"operation": "resume", "parts": {}, "body": {"scope": "all"}}, 403, None),
    ],
)
def test_what_could_not_be_done_is_not_proposed(
    two: Two, facts: dict[str, object], status: int, what: str | None
) -> None:
    reply = two.propose(**facts)

    assert reply.status_code == status, reply.text
    if what not in {None, "tps"}:
        assert reply.json()["param"] == what
    listed = two.gateway.client.get(PATH, headers=two.jun).json()["data"]
    assert listed == []


def test_a_large_step_is_done_if_its_proposer_has_typed_the_name(two: Two) -> None:
    """And what an approval may be refused for is told, whatever the call is that it does."""
    down = {"body": {"tps": 100}, "if_match": '"v1"'}
    assert two.decide(two.propose(**down).headers["location"], two.jun).status_code == 200
    large = {"body": {"tps": 900}, "if_match": '"v2"'}
    mute, meant = (two.propose(**large, confirm=name) for name in (None, "nova"))
    refused = two.decide(mute.headers["location"], two.jun)
    done = two.decide(meant.headers["location"], two.jun)

    assert (refused.status_code, refused.json()["code"]) == (428, "confirm-required")
    assert (two.state(mute.headers["location"]), done.status_code) == ("failed", 200)
    answers = two.gateway.client.get("/openapi.json").json()["paths"][
        f"{PATH}/{{proposal_id}}/approve"
    ]
    told = {
        code
        for answer in answers["post"]["responses"].values()
        for code in answer.get("content", {})
        .get("application/problem+json", {})
        .get("examples", ())
    }
    assert told >= {"confirm-required", "not-stray", "selection-grew", "prechecks-failed"}


def test_a_proposer_whose_key_has_ended_proposes_nothing_any_more(two: Two) -> None:
    url = two.propose().headers["location"]
    revoke_key(two.gateway.key_file, two.mina["Authorization"].split("_")[2])
    two.gateway.clock.at += 1_000
    reply = two.decide(url, two.jun)

    assert (reply.status_code, reply.json()["code"]) == (409, "proposal-closed")
    assert two.tps() == 500


def test_who_does_not_see_the_proposer_s_accounts_sees_no_proposal_of_his(two: Two) -> None:
    url = two.propose().headers["location"]
    lee = two.gateway.key("lee", ROLES["approver"], ("A-2",))

    assert two.gateway.client.get(PATH, headers=lee).json()["data"] == []
    assert two.gateway.client.get(url, headers=lee).status_code == 404
    assert two.decide(url, lee).status_code == 404


def test_who_halted_may_propose_to_resume_and_another_decides(gateway: Gateway) -> None:
    two = Two(gateway)
    two.mina = gateway.key("mina")
    why = {"scope": "all", "reason": "wild prices"}
    halt = gateway.client.post(f"{ADMIN}/halt", json=why, headers=two.mina | sure("all"))
    looked = halt.headers["etag"]
    wanted = {"operation": "resume", "parts": {}, "body": {"scope": "all"}, "if_match": looked}
    url = two.propose(**wanted).headers["location"]
    reply = two.decide(url, two.jun)

    assert reply.status_code == 200, reply.text
    assert run(gateway.ledger.halts()) == []
    assert audit(gateway)[-2]["after"]["approved_by"] == "jun"


def test_a_doubt_is_settled_by_a_proposal_and_its_approval(gateway: Gateway) -> None:
    two = Two(gateway)
    order_id = reserve(gateway, 1)
    attempt_id = run(put_in_doubt(gateway.ledger))
    word = {"attempt_id": attempt_id, "verdict": "rejected", "evidence": "their day file"}
    wanted = {"operation": "resolve_doubt", "parts": {"order_id": order_id}, "body": word}
    (doubt,) = run(gateway.ledger.doubts())
    url = two.propose(**wanted, if_match=f'"v{doubt.version}"').headers["location"]
    reply = two.decide(url, two.jun)

    assert (reply.status_code, reply.json()["status"]) == (200, "rejected")
    assert two.state(url) == "executed"
    settled = next(row for row in audit(gateway) if row["action"] == "doubt.resolve")
    assert (settled["actor"], settled["after"]["approved_by"]) == ("mina", "jun")
