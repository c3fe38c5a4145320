"""Stray copies by their doors: shown, proposed by one, settled by another, never by one alone."""

from decimal import Decimal
from typing import Any, Final

import pytest

from app.domain.errors import Code
from app.domain.messages import ExecutionType
from app.domain.order import Order
from app.domain.values import Status
from app.web.access.keyfile import ROLES
from tests.builders import a_report
from tests.web.house import Gateway, run
from tests.web.operators import ADMIN, audit, seen
from tests.web.things import Thing, a_stray

STRAYS: Final = f"{ADMIN}/strays"
PROPOSALS: Final = f"{ADMIN}/proposals"
WHY: Final = {"reason": "after the outage"}
YES: Final = {"reason": "I asked them too"}


class Two:
    """Mina, who has asked the broker, and Jun, who has asked again."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.stray: Thing = a_stray(gateway)
        self.order_id = self.stray.parts["order_id"]
        self.mina = gateway.key("mina", ROLES["operator"])
        self.jun = gateway.key("jun", ROLES["approver"])

    def order(self) -> Order:
        found = run(self.gateway.ledger.get(self.order_id))
        assert found is not None
        return found

    def trades(self, quantity: int) -> None:
        facts = {"broker_id": "nova", "broker_order_key": self.stray.body["attempt_id"]}
        report = a_report(ExecutionType.TRADE, "e-7", last_quantity=Decimal(quantity), **facts)
        run(self.gateway.ledger.apply([report], "report"))

    def propose(self, version: int | None = None, **word: Any) -> Any:
        body = {
            "operation": "settle_stray",
            "parts": {"order_id": self.order_id},
            "body": {**self.stray.body, **word},
            "if_match": f'"v{version or self.order().version}"',
            **WHY,
        }
        return self.gateway.client.post(PROPOSALS, json=body, headers=self.mina)

    def settle(self, proposed: Any, who: dict[str, str] | None = None) -> Any:
        path = f"{proposed.headers['location']}/approve"
        return self.gateway.client.post(path, json=YES, headers=(who or self.jun) | seen(1))


@pytest.fixture
def two(gateway: Gateway) -> Two:
    return Two(gateway)


def test_what_is_held_for_a_copy_is_shown_with_the_attempt_that_was_seen(two: Two) -> None:
    (told,) = two.gateway.client.get(STRAYS, headers=two.jun).json()["data"]
    foreign = two.gateway.key("lee", ROLES["approver"], ("A-2",))

    assert (told["order_id"], told["version"]) == (two.order_id, two.order().version)
    attempt = {"attempt_id": two.stray.body["attempt_id"], "broker_id": "nova"}
    assert told["attempts"] == [attempt | {"outcome": "not_received"}]
    assert two.gateway.client.get(STRAYS, headers=foreign).json() == {"data": []}


def test_one_person_alone_settles_nothing_whoever_lends_a_key(two: Two) -> None:
    lent = {"X-Approver-Key": two.jun["Authorization"].partition(" ")[2]}
    path = f"{STRAYS}/{two.order_id}/settle"
    headers = two.mina | seen(two.order().version) | lent
    alone = two.gateway.client.post(path, json={**two.stray.body, **WHY}, headers=headers)
    own = two.settle(two.propose(), two.mina)

    assert (alone.status_code, alone.json()["code"]) == (409, "second-principal-required")
    assert own.status_code == 403
    assert two.order().status is Status.HELD


@pytest.mark.parametrize(
    ("word", "status", "filled"),
    [
        ({"verdict": "canceled"}, Status.CANCELED, 4),
        ({"verdict": "expired"}, Status.EXPIRED, 4),
        ({"verdict": "filled", "price": "38.60"}, Status.FILLED, 10),
    ],
)
def test_two_people_end_it_and_what_has_traded_counts(
    two: Two, word: dict[str, Any], status: Status, filled: int
) -> None:
    two.trades(4)
    proposed = two.propose(**word)
    assert (proposed.status_code, two.order().status) == (201, Status.HELD)
    done = two.settle(proposed)

    assert (done.status_code, done.json()["status"]) == (200, status)
    after = two.order()
    assert (after.status, after.overfilled_quantity) == (status, Decimal(0))
    assert after.filled_quantity == Decimal(filled)
    assert two.gateway.client.get(STRAYS, headers=two.jun).json() == {"data": []}
    rows = [(row["actor"], row["action"]) for row in audit(two.gateway)]
    assert rows == [
        ("mina", "proposal.propose"),
        ("mina", "stray.settle"),
        ("jun", "proposal.approve"),
    ]
    settled = audit(two.gateway)[1]
    assert (settled["reason"], settled["after"]["approved_by"]) == (WHY["reason"], "jun")
    assert settled["after"]["evidence"] == "their day file"


def test_that_there_never_was_one_sends_nothing_and_is_released_by_another_act(two: Two) -> None:
    done = two.settle(two.propose(verdict="not_received"))
    after = two.order()
    path = f"{ADMIN}/orders/{two.order_id}/release"
    freed = two.gateway.client.post(path, json=WHY, headers=two.mina | seen(after.version))

    assert done.json()["reason_code"] == Code.HELD_BY_OPERATOR.code
    assert (after.status, after.broker_id) == (Status.HELD, None)
    assert (freed.status_code, freed.json()["status"]) == (200, "reserved")


def test_what_has_traded_was_there_whatever_two_people_say(two: Two) -> None:
    two.trades(1)
    refused = two.settle(two.propose(verdict="not_received"))

    assert (refused.status_code, refused.json()["code"]) == (409, "not-stray")
    assert two.order().reason_code == Code.STRAY_EVIDENCE.code


def test_what_was_reported_meanwhile_is_looked_at_again(two: Two) -> None:
    proposed = two.propose()
    two.trades(2)
    late = two.settle(proposed)

    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert late.json()["context"]["current"]["filled_quantity"] == "2"
    assert two.order().status is Status.HELD


def test_a_verdict_names_the_copy_that_is_in_question(two: Two) -> None:
    other = two.settle(two.propose(attempt_id=f"{two.order_id}77"))
    again = two.settle(two.propose())
    over = two.settle(two.propose())

    assert (other.status_code, other.json()["code"]) == (409, "not-stray")
    assert again.status_code == 200
    assert (over.status_code, over.json()["code"]) == (409, "not-stray")
