"""What `FailoverStore` promises, on every implementation of the record.

The exact moments at which a claim meets a fence stand in `tests/ledger/test_postgres_fence.py`.
"""

import asyncio
import contextlib
from typing import Any, Final

import pytest
from sqlalchemy import text

from app import codec
from app.domain.capabilities import Capabilities
from app.domain.errors import Code, Refused
from app.domain.failover import (
    LEADER,
    Automation,
    Failover,
    FailoverKind,
    FailoverState,
    FailoverStep,
    Leader,
    RouteLock,
    RoutePolicy,
    told,
)
from app.domain.messages import Accepted, NotSent, Unknown
from app.domain.records import Claimed, Fence, FenceLost, Settlement
from app.domain.values import Status
from tests.builders import NOW, SESSION
from tests.contracts.record import KIM, LEE, Shop, sendable, shop

__all__ = ["shop"]

STATE: Final = FailoverState


def a_failover(number: str = "1", **facts: Any) -> Failover:
    failover = Failover(
        failover_id=f"fo_{number}",
        incident_id="in_1",
        route_id="XNAS",
        kind=FailoverKind.AUTO,
        state=STATE.CONFIRMED,
        from_broker="north",
        to_broker="south",
        epoch=1,
        reason="north: submit and ping for 8 s",
        steps=(FailoverStep(STATE.SUSPECTED, NOW - 8_000), FailoverStep(STATE.CONFIRMED, NOW)),
        by="openbell",
        witnesses=("submit", "ping"),
    )
    return failover._replace(**facts)


def leads(shop: Shop, holder: str = "me") -> Leader:
    return Leader(holder, shop.run(shop.store.take_lease(LEADER, holder, 10_000)))


def fenced(shop: Shop, number: str = "1") -> Failover:
    wanted = a_failover(number).came_to(STATE.PREPARED, STATE.FENCING, at=NOW, number=1)
    (route,) = shop.run(shop.store.routes())
    return shop.run(shop.store.fence(wanted, route.epoch, leads(shop)))


def events(shop: Shop) -> list[Any]:
    found = text(
        "SELECT event_id, aggregateid, type, payload FROM outbox"
        " WHERE aggregatetype = 'anomalies' ORDER BY id"
    )
    database = shop.store._database  # type: ignore[attr-defined]
    return list(database.write_now(lambda c: c.execute(found).all()))


def owner_of(shop: Shop, broker_id: str) -> Fence:
    epoch = shop.run(shop.store.take_lease(broker_id, "me", 10_000))
    return Fence(broker_id, "me", epoch, frozenset({SESSION.trading_session_id}))


def claims(shop: Shop, fence: Fence) -> list[Claimed]:
    try:
        return shop.run(shop.store.claim(fence, 10, sendable))
    except FenceLost:
        return []


# --- policies ---------------------------------------------------------------------------


def test_a_route_has_a_policy_before_anybody_set_one(shop: Shop) -> None:
    found = shop.run(shop.store.policies())

    assert found == {"XNAS": RoutePolicy("XNAS")}
    assert (found["XNAS"].version, found["XNAS"].candidates) == (0, ())


def test_a_policy_is_compare_and_set_and_audited(shop: Shop) -> None:
    lock = RouteLock(NOW + 60_000, "kim", "they test")
    wanted = RoutePolicy(
        "XNAS", automation=Automation.ADVISE, candidates=("north", "south"), lock=lock
    )
    after = shop.run(shop.store.set_policy(wanted, 0, KIM))
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.set_policy(wanted, 0, LEE))
    with pytest.raises(Refused) as unknown:
        shop.run(shop.store.set_policy(wanted._replace(route_id="x"), 0, LEE))

    assert (stale.value.code, unknown.value.code) == (Code.STALE_VERSION, Code.NOT_FOUND)
    assert (after.version, after.changed_by, after.lock) == (1, "kim", lock)
    assert shop.run(shop.store.policies()) == {"XNAS": after}
    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["action"], row["resource"]) == ("kim", "route.policy", "route/XNAS")


def test_a_lock_ends_by_itself() -> None:
    policy = RoutePolicy("XNAS", lock=RouteLock(NOW + 1_000, "kim", "they test"))

    assert policy.locked(NOW + 999) == policy.lock
    assert policy.locked(NOW + 1_000) is None


# --- failovers --------------------------------------------------------------------------


def test_what_is_noted_is_kept_and_told(shop: Shop) -> None:
    leader, first = leads(shop), a_failover()
    shop.run(shop.store.note_failover(first, leader))
    held = first.came_to(STATE.HELD, at=NOW + 1, held_by=("locked",))
    shop.run(shop.store.note_failover(held, leader))

    assert shop.run(shop.store.failover("fo_1")) == held
    assert shop.run(shop.store.failovers(NOW + 60_000)) == [held]
    assert [tuple(e[:3]) for e in events(shop)] == [
        ("fo_1-1", "route/XNAS", "io.openbell.failover.confirmed.v1"),
        ("fo_1-2", "route/XNAS", "io.openbell.failover.held.v1"),
    ]
    assert codec.decode(events(shop)[1][3]) == told(held)
    assert shop.run(shop.store.audit(0, 10)) == []


def test_of_two_who_write_the_next_number_one_has_written_it(shop: Shop) -> None:
    leader, first = leads(shop), a_failover()
    shop.run(shop.store.note_failover(first, leader))
    held = first.came_to(STATE.HELD, at=NOW, held_by=("locked",))
    shop.run(shop.store.note_failover(held, leader))
    with pytest.raises(Refused) as twin:
        shop.run(shop.store.note_failover(held, leader))
    aborted = held.came_to(STATE.ABORTED, at=NOW, by="kim")
    shop.run(shop.store.note_failover(aborted, KIM))
    with pytest.raises(Refused) as late:
        shop.run(shop.store.note_failover(held.came_to(STATE.HELD, at=NOW), leader))

    assert (twin.value.code, late.value.code) == (Code.STALE_VERSION, Code.STALE_VERSION)
    assert shop.run(shop.store.failover("fo_1")) == aborted
    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["action"]) == ("kim", "failover.aborted")


def test_one_goes_on_at_a_time_on_a_route(shop: Shop) -> None:
    leader, first = leads(shop), a_failover()
    shop.run(shop.store.note_failover(first, leader))
    with pytest.raises(Refused) as second:
        shop.run(shop.store.note_failover(a_failover("2"), leader))
    shop.run(shop.store.note_failover(first.came_to(STATE.ABORTED, at=NOW), leader))
    shop.run(shop.store.note_failover(a_failover("2"), leader))

    assert second.value.code is Code.FAILOVER_RUNNING
    assert shop.run(shop.store.failovers(0))[0].failover_id == "fo_2"
    assert shop.run(shop.store.failovers(NOW + 1)) == [a_failover("2")]


def test_a_fence_moves_the_route_and_tells_it_in_one_commit(shop: Shop) -> None:
    after = fenced(shop)

    (route,) = shop.run(shop.store.routes())
    assert (route.active_broker, route.epoch, after.epoch) == ("south", 2, 2)
    assert shop.run(shop.store.failover("fo_1")) == after
    assert after.fenced_at == NOW
    assert [e[2] for e in events(shop)] == ["io.openbell.failover.fencing.v1"]
    (row,) = shop.run(shop.store.audit(0, 10))
    assert (row["actor"], row["action"]) == ("openbell", "route.failover")


def test_a_fence_on_another_epoch_changes_nothing(shop: Shop) -> None:
    wanted = a_failover().came_to(STATE.FENCING, at=NOW, number=1)
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.fence(wanted, 7, KIM))

    assert stale.value.code is Code.STALE_EPOCH
    assert shop.run(shop.store.routes())[0].epoch == 1
    assert shop.run(shop.store.failovers(0)) == []
    assert (events(shop), shop.run(shop.store.audit(0, 10))) == ([], [])


def test_one_who_leads_no_more_writes_nothing(shop: Shop) -> None:
    former = leads(shop, "former")
    shop.passes(20_000)
    now = leads(shop, "now")
    wanted = a_failover().came_to(STATE.FENCING, at=NOW, number=1)
    with pytest.raises(FenceLost):
        shop.run(shop.store.fence(wanted, 1, former))
    with pytest.raises(FenceLost):
        shop.run(shop.store.note_failover(a_failover(), former))
    assert (shop.run(shop.store.failovers(0)), events(shop)) == ([], [])

    shop.run(shop.store.fence(wanted, 1, now))
    assert shop.run(shop.store.routes())[0].active_broker == "south"


def test_a_lease_that_ran_out_leads_no_more_even_if_nobody_took_it(shop: Shop) -> None:
    leader = leads(shop)
    shop.passes(20_000)
    with pytest.raises(FenceLost):
        shop.run(shop.store.note_failover(a_failover(), leader))


def test_a_failover_is_acknowledged_once(shop: Shop) -> None:
    fenced(shop)
    first = shop.run(shop.store.acknowledge_failover("fo_1", KIM))
    again = shop.run(shop.store.acknowledge_failover("fo_1", LEE))
    with pytest.raises(Refused) as unknown:
        shop.run(shop.store.acknowledge_failover("fo_9", KIM))

    assert first == again
    assert (first.acknowledged_by, first.acknowledged_at) == ("kim", shop.clock.at)
    assert unknown.value.code is Code.NOT_FOUND
    assert len(events(shop)) == 1


# --- what moves, and what stays ---------------------------------------------------------


def test_only_what_was_never_sent_goes_the_new_way(shop: Shop) -> None:
    doubtful = shop.sending("c-1")
    north = owner_of(shop, "north")
    shop.run(shop.store.settle([Settlement(doubtful.broker_order_key, Unknown("?"), 7)]))
    queued = shop.take("c-2")
    south = owner_of(shop, "south")
    assert claims(shop, south) == []
    fenced(shop)

    assert claims(shop, north) == []
    (claimed,) = claims(shop, south)
    assert (claimed.order.order_id, claimed.route_epoch) == (queued.order_id, 2)
    assert shop.get(doubtful.order.order_id).status is Status.IN_DOUBT
    assert shop.run(shop.store.left_behind("XNAS", "north")) == (0, 1)


def test_what_was_claimed_and_never_written_comes_back_and_goes_the_new_way(shop: Shop) -> None:
    claimed = shop.sending("c-1")
    fenced(shop)
    south = owner_of(shop, "south")
    assert shop.run(shop.store.left_behind("XNAS", "north")) == (1, 0)
    assert claims(shop, south) == []

    key = claimed.broker_order_key
    shop.run(shop.store.settle([Settlement(key, NotSent("the route has moved"), None)]))
    (again,) = claims(shop, south)
    late = Settlement(key, Accepted("N-1"), 7)
    shop.run(shop.store.settle([late]))

    assert (again.order.order_id, again.route_epoch) == (claimed.order.order_id, 2)
    assert again.broker_order_key != key
    assert shop.get(again.order.order_id).broker_id == "south"
    attempts = shop.run(shop.store.attempts(again.order.order_id))
    assert [(a.broker_id, a.outcome) for a in attempts] == [
        ("north", "not_sent"),
        ("south", "open"),
    ]


def test_a_doubt_goes_the_new_way_only_when_it_is_proved_to_be_none(shop: Shop) -> None:
    claimed = shop.sending("c-1")
    key = claimed.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("?"), 7)]))
    fenced(shop)
    south = owner_of(shop, "south")
    assert claims(shop, south) == []

    shop.run(shop.store.never_received([key], "reconciler"))
    (again,) = claims(shop, south)
    assert again.order.order_id == claimed.order.order_id


def test_claims_and_fences_at_once_leave_each_order_at_one_broker(shop: Shop) -> None:
    """Odd epochs lead to north, even ones to south: each claim says under which one it was made."""
    for n in range(12):
        shop.take(f"c-{n}", account_id=f"a-{n % 3}")
    owners = {name: owner_of(shop, name) for name in ("north", "south")}
    made: list[tuple[str, Claimed]] = []

    async def claiming(broker_id: str) -> None:
        for _ in range(20):
            with contextlib.suppress(FenceLost):
                found = await shop.store.claim(owners[broker_id], 1, sendable)
                made.extend((broker_id, claimed) for claimed in found)
            await asyncio.sleep(0)

    async def fencing() -> None:
        for epoch in range(1, 9):
            to = "south" if epoch % 2 else "north"
            wanted = a_failover(str(epoch), to_broker=to).came_to(STATE.FENCING, at=NOW, number=1)
            after = await shop.store.fence(wanted, epoch, KIM)
            await shop.store.note_failover(after.came_to(STATE.DONE, at=NOW), KIM)

    async def together() -> None:
        await asyncio.gather(claiming("north"), claiming("south"), fencing())

    shop.run(together())
    assert {b: {c.route_epoch % 2 for x, c in made if x == b} for b, _ in made} == {
        b: {1 if b == "north" else 0} for b, _ in made
    }
    ids = [c.order.order_id for _, c in made]
    assert len(ids) == len(set(ids)) > 0
    assert shop.run(shop.store.audit_broken_at()) is None


# --- what fits --------------------------------------------------------------------------


def test_what_a_broker_cannot_take_is_counted_by_what_it_lacks(shop: Shop) -> None:
    shop.take("c-1")
    shop.take("c-2", account_id="A-2")
    shop.take("c-3", reserved=True)
    shop.take("c-4", order_type="market", limit_price=None)

    def lacking(**able: Any) -> dict[str, int]:
        return shop.run(shop.store.misfits("XNAS", Capabilities(**able)))

    assert lacking() == lacking(markets=["XNAS"], order_types=["limit", "market"]) == {}
    assert lacking(markets=["XNYS"]) == {"markets": 4}
    assert lacking(order_types=["limit"]) == {"order_types": 1}
    assert lacking(accounts=["A-2"]) == {"accounts": 3}
    assert lacking(accounts=[], times_in_force=[]) == {"times_in_force": 4}
    assert shop.run(shop.store.misfits("XKRX", Capabilities(markets=frozenset()))) == {}
