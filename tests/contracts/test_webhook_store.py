"""What `WebhookStore` promises, on every implementation of the record."""

from typing import Any, Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.webhooks import (
    FAILING_MS_MAX,
    Answer,
    Delivery,
    DeliveryState,
    DisabledBy,
    Endpoint,
    EndpointState,
    Settled,
    Verdict,
    delivery_id_of,
    disabled,
    enabled,
    judged,
    rank_at,
)
from app.ledger.webhooks.endpoints import ENDPOINTS_OF_ACCOUNT_MAX
from app.ledger.webhooks.store import WebhookLedger
from app.ports.webhooks import Claim
from tests.builders import NOW
from tests.contracts.record import KIM, Shop, shop

__all__ = ["shop"]

STATE: Final = DeliveryState
LEASE_MS: Final = 60_000
OK: Final = Answer(200)
DOWN: Final = Answer(503, "HTTP 503")


def an_endpoint(number: int = 1, **facts: Any) -> Endpoint:
    endpoint = Endpoint(
        endpoint_id=f"we_{number}",
        version=1,
        url="https://customer.com/hook?token=hidden",
        accounts=("ann",),
        types=(),
        description="",
        state=EndpointState.ENABLED,
        disabled_by=None,
        root="r",
        salt="s",
        previous_salt=None,
        previous_until=None,
        created_at=NOW,
        changed_at=NOW,
    )
    return endpoint._replace(**facts)


def a_delivery(number: int = 1, endpoint: Endpoint | None = None, **facts: Any) -> Delivery:
    endpoint_id = "we_1" if endpoint is None else endpoint.endpoint_id
    delivery = Delivery(
        delivery_id=delivery_id_of(f"o-{number}", endpoint_id),
        endpoint_id=endpoint_id,
        event_id=f"o-{number}",
        type="order.filled",
        rank=rank_at(NOW, number),
        body='{"type":"order.filled","data":{"text":"\\u0000 \u20ac"}}',
        state=STATE.WAITING,
        attempts=0,
        due_at=NOW,
        created_at=NOW,
    )
    return delivery._replace(**facts)


class Store:
    """The store under contract, and what a courier does with it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.it = WebhookLedger(shop.store._database, shop.clock)  # type: ignore[attr-defined]

    def has(self, *endpoints: Endpoint) -> None:
        for endpoint in endpoints:
            self.shop.run(self.it.create_endpoint(endpoint, KIM))

    def gets(self, *deliveries: Delivery, most: int = 100) -> int:
        return self.shop.run(self.it.enqueue(deliveries, most))

    def claims(self, **wanted: int) -> list[Claim]:
        wanted = wanted or {"we_1": 100}
        return self.shop.run(self.it.claim(wanted, self.shop.clock.at + LEASE_MS))

    def settles(self, claim: Claim, answer: Answer) -> list[Endpoint]:
        now = self.shop.clock.at
        verdict = judged(claim.delivery.attempts + 1, answer, now, 0)
        settled = Settled(claim.delivery, claim.lease, answer, verdict, now)
        return self.shop.run(self.it.settle([settled]))

    def endpoint(self, endpoint_id: str = "we_1") -> Endpoint:
        found = self.shop.run(self.it.endpoint(endpoint_id))
        assert found is not None
        return found

    def delivery(self, number: int = 1) -> Delivery:
        found = self.shop.run(self.it.delivery("we_1", a_delivery(number).delivery_id))
        assert found is not None
        return found

    def listed(self, state: DeliveryState | None = None) -> list[str]:
        found = self.shop.run(self.it.deliveries("we_1", state, None, 100))
        return [delivery.event_id for delivery in found]


@pytest.fixture
def store(shop: Shop) -> Store:
    return Store(shop)


# --- endpoints ----------------------------------------------------------------------------


def test_an_endpoint_is_kept_as_it_was_given_and_audited_without_its_path(store: Store) -> None:
    assert not store.shop.run(store.it.ever_used())
    given = an_endpoint(types=("order.filled",), accounts=("ann", "bob"), previous_salt="p")
    store.has(given)

    assert store.shop.run(store.it.endpoints()) == [given]
    assert store.endpoint() == given
    assert store.shop.run(store.it.endpoint("we_9")) is None
    assert store.shop.run(store.it.ever_used())
    (row,) = store.shop.run(store.shop.store.audit(0, 10))
    assert (row["action"], row["resource"]) == ("webhook.create", "webhook/we_1")
    assert "hidden" not in str(row)
    assert "customer.com" in str(row)


def test_a_change_compares_the_version_and_keeps_what_answers_have_made_of_it(
    store: Store,
) -> None:
    store.has(an_endpoint())
    store.gets(a_delivery())
    (claim,) = store.claims()
    store.settles(claim, DOWN)
    store.shop.clock.at += 5
    after = store.shop.run(
        store.it.change_endpoint(an_endpoint(description="ours", failing_since=None), 1, KIM)
    )
    with pytest.raises(Refused) as stale:
        store.shop.run(store.it.change_endpoint(an_endpoint(), 1, KIM))

    assert stale.value.code is Code.STALE_VERSION
    assert after == store.endpoint()
    assert (after.version, after.description, after.changed_at) == (2, "ours", NOW + 5)
    assert after.failing_since == NOW


def test_what_is_deleted_is_nowhere_and_its_deliveries_go(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(a_delivery())
    gone = an_endpoint(state=EndpointState.DELETED)
    store.shop.run(store.it.change_endpoint(gone, 1, KIM))
    with pytest.raises(Refused) as refused:
        store.shop.run(store.it.change_endpoint(gone, 2, KIM))

    assert refused.value.code is Code.NOT_FOUND
    assert store.shop.run(store.it.endpoints()) == []
    assert store.shop.run(store.it.endpoint("we_1")) is None
    assert (store.shop.run(store.it.due()), store.claims()) == ([], [])
    assert store.shop.run(store.it.ever_used())
    assert store.shop.run(store.it.forget(0, 100)) == 1
    assert store.listed() == []


def test_an_account_has_a_few_endpoints_and_no_more(store: Store) -> None:
    store.has(*(an_endpoint(n) for n in range(ENDPOINTS_OF_ACCOUNT_MAX)))
    store.has(an_endpoint(98, accounts=("bob",)))
    with pytest.raises(Refused):
        store.has(an_endpoint(99, accounts=("bob", "ann")))
    moved = an_endpoint(98, accounts=("bob", "ann"))
    with pytest.raises(Refused):
        store.shop.run(store.it.change_endpoint(moved, 1, KIM))

    assert len(store.shop.run(store.it.endpoints())) == ENDPOINTS_OF_ACCOUNT_MAX + 1


# --- deliveries ---------------------------------------------------------------------------


def test_a_delivery_is_kept_once_and_comes_back_byte_for_byte(store: Store) -> None:
    store.has(an_endpoint())

    assert store.gets(a_delivery(1), a_delivery(2)) == 2
    assert store.gets(a_delivery(1), a_delivery(3)) == 1
    assert store.delivery(1) == a_delivery(1)
    assert store.listed() == ["o-3", "o-2", "o-1"]


def test_what_finds_no_room_is_counted_and_delays_nobody_else(store: Store) -> None:
    one, other = an_endpoint(1), an_endpoint(2)
    store.has(one, other)
    made = [a_delivery(n, endpoint) for n in range(5) for endpoint in (one, other)]
    store.gets(*[d for d in made if d.endpoint_id == "we_1"][:2], most=3)

    assert store.gets(*made[:6], most=3) == 4
    assert store.gets(*made[:6], most=3) == 0
    assert store.gets(made[8], made[9], most=3) == 0
    assert (store.endpoint("we_1").missed, store.endpoint("we_2").missed) == (1, 1)
    assert store.endpoint("we_1").missed_at == NOW


def test_a_claim_takes_what_is_due_once_and_again_when_its_lease_is_over(store: Store) -> None:
    store.has(an_endpoint())
    later = a_delivery(3, due_at=NOW + LEASE_MS + 1)
    store.gets(a_delivery(2), a_delivery(1), later)

    (due,) = store.shop.run(store.it.due())
    first = store.claims(we_1=1)
    second = store.claims(we_1=9, we_9=9)
    third = store.claims()
    store.shop.clock.at += LEASE_MS
    again = store.claims()

    assert (due.endpoint, due.due_at) == (an_endpoint(), NOW)
    assert [c.delivery for c in first] == [a_delivery(1)]
    assert first[0].endpoint == an_endpoint()
    assert [c.delivery.event_id for c in second] == ["o-2"]
    assert third == []
    assert [c.delivery.delivery_id for c in again] == [
        c.delivery.delivery_id for c in (*first, *second)
    ]


def test_a_try_ends_as_it_was_judged(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(a_delivery(1), a_delivery(2))
    well, ill = store.claims()
    store.settles(well, OK)
    store.shop.clock.at += 3
    store.settles(ill, DOWN)

    assert store.delivery(1) == a_delivery(
        1, state=STATE.DELIVERED, attempts=1, last_at=NOW, last_status=200
    )
    assert store.delivery(2) == a_delivery(
        2,
        attempts=1,
        due_at=NOW + 5_003,
        last_at=NOW + 3,
        last_status=503,
        last_error="HTTP 503",
    )
    assert store.listed(STATE.DELIVERED) == ["o-1"]
    assert store.endpoint().failing_since == NOW + 3


def test_a_late_answer_counts_only_if_it_says_delivered(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(a_delivery())
    (late,) = store.claims()
    store.shop.clock.at += LEASE_MS
    (newer,) = store.claims()
    store.settles(late, DOWN)
    untouched = store.delivery()
    store.settles(late, OK)
    store.settles(newer, DOWN)

    assert (untouched.attempts, untouched.state) == (0, STATE.WAITING)
    assert store.delivery().state is STATE.DELIVERED
    assert store.endpoint().failing_since is None


def test_an_endpoint_that_asks_for_a_rest_gets_it(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(a_delivery(1), a_delivery(2))
    store.settles(store.claims(we_1=1)[0], Answer(429, "HTTP 429", 30.0))
    resting = store.claims()
    store.shop.clock.at += 30_000

    assert store.endpoint().quiet_until == NOW + 30_000
    assert resting == []
    assert len(store.claims()) == 2


@pytest.mark.parametrize(
    ("answer", "failing_for", "by"),
    [
        (Answer(410, "HTTP 410"), 0, DisabledBy.GONE),
        (DOWN, FAILING_MS_MAX, DisabledBy.FAILING),
        (DOWN, FAILING_MS_MAX - 1, None),
        (OK, FAILING_MS_MAX, None),
    ],
)
def test_answers_disable_an_endpoint_audited_and_what_comes_then_waits(
    store: Store, answer: Answer, failing_for: int, by: DisabledBy | None
) -> None:
    store.has(an_endpoint(failing_since=NOW - failing_for))
    store.gets(a_delivery(1), a_delivery(2))
    told = store.settles(store.claims(we_1=1)[0], answer)
    found = store.endpoint()

    assert found.disabled_by is by
    assert told == ([found] if by else [])
    assert (found.version, found.state) == (
        (2, EndpointState.DISABLED) if by else (1, EndpointState.ENABLED)
    )
    assert [c.delivery.event_id for c in store.claims()] == ([] if by else ["o-2"])
    if by:
        rows = store.shop.run(store.shop.store.audit(0, 10))
        assert [(r["actor"], r["action"]) for r in rows][1:] == [("openbell", "webhook.disable")]
        store.gets(a_delivery(3))
        wanted = enabled(found)
        assert store.shop.run(store.it.change_endpoint(wanted, 2, KIM)).failing_since is None
        assert {c.delivery.event_id for c in store.claims()} >= {"o-2", "o-3"}


def test_what_has_ended_can_be_told_again_under_its_own_id(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(*(a_delivery(n) for n in range(1, 6)))
    for claim in store.claims(we_1=4):
        at_last = Verdict(STATE.FAILED, NOW)
        if claim.delivery.event_id in {"o-1", "o-2"}:
            store.settles(claim, OK)
        else:
            one = Settled(claim.delivery, claim.lease, DOWN, at_last, NOW)
            store.shop.run(store.it.settle([one]))
    alone = store.shop.run(store.it.replay("we_1", a_delivery(1).delivery_id))
    nobody = store.shop.run(store.it.replay("we_2", a_delivery(1).delivery_id))
    failed = store.shop.run(store.it.replay_since("we_1", rank_at(NOW), STATE.FAILED, 1))
    rest = store.shop.run(store.it.replay_since("we_1", failed.last, None, 10))
    older = store.shop.run(store.it.replay_since("we_1", rest.last, None, 10))

    assert alone is not None
    assert (alone.state, alone.attempts, alone.due_at) == (STATE.WAITING, 0, NOW)
    assert nobody is None
    assert (failed.deliveries, failed.last) == (1, rank_at(NOW, 3))
    assert (rest.deliveries, rest.last) == (1, rank_at(NOW, 4))
    assert older == (0, rest.last)
    assert store.listed(STATE.DELIVERED) == ["o-2"]
    assert store.listed(STATE.WAITING) == ["o-5", "o-4", "o-3", "o-1"]


def test_pages_go_back_from_a_place(store: Store) -> None:
    store.has(an_endpoint())
    store.gets(*(a_delivery(n) for n in range(5)))
    page = store.shop.run(store.it.deliveries("we_1", None, rank_at(NOW, 3), 2))

    assert [d.event_id for d in page] == ["o-2", "o-1"]


def test_the_backlog_and_what_is_old(store: Store) -> None:
    store.has(an_endpoint(1), an_endpoint(2, failing_since=1))
    store.has(disabled(an_endpoint(3), DisabledBy.OWNER, NOW))
    store.gets(a_delivery(1), a_delivery(2), a_delivery(3, an_endpoint(3)))
    store.settles(store.claims(we_1=1)[0], OK)

    assert store.shop.run(store.it.backlog()) == (2, 1, 1)
    assert store.shop.run(store.it.forget(NOW, 10)) == 0
    assert store.shop.run(store.it.forget(NOW + 1, 2)) == 2
    assert store.shop.run(store.it.forget(NOW + 1, 2)) == 1
    assert store.shop.run(store.it.backlog()) == (0, 1, 1)
