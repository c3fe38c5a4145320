"""What `OrderStore` and `DispatchStore` promise, on every implementation of the record.

`OrderStore`, `DispatchStore` and `ControlStore` are one record: what one of them commits, the
others see. What operators are promised stands in `test_ledger_control.py`.
"""

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import Accepted, ExecutionType, Unknown
from app.domain.order import Order
from app.domain.query import OrderQuery
from app.domain.records import (
    Applied,
    Claimed,
    Conflict,
    FenceLost,
    Settlement,
    Taken,
)
from app.domain.steps import Place, Step
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.domain.working import WorkingPage
from tests.builders import SESSION, TODAY, StillClock, a_report, a_taking
from tests.contracts.record import KIM, Shop, opened, sendable, shop

__all__ = ["shop"]

ODD: Final = ("c-1\0", "\0", "\ud800", "", "' OR true --", "c-1 ", "C-1", "%", "c-1\N{PILE OF POO}")

# --- OrderStore -------------------------------------------------------------------------


def test_what_was_taken_is_there(shop: Shop) -> None:
    order = shop.take(text='it\'s "q" \N{PILE OF POO}')

    assert shop.get(order.order_id) == order
    assert shop.run(shop.store.by_client_order_id("ann", "c-1")) == order
    assert shop.run(shop.store.page(OrderQuery("ann"))) == [order]
    assert [e.type for e in shop.run(shop.store.events(order.order_id))] == ["order.queued"]


def test_what_was_never_taken_is_not_there(shop: Shop) -> None:
    assert shop.run(shop.store.get("nothing")) is None
    assert shop.run(shop.store.by_client_order_id("ann", "c-1")) is None
    assert shop.run(shop.store.standing("ann", "c-1", "")) is None
    assert shop.run(shop.store.page(OrderQuery("ann"))) == []
    assert shop.run(shop.store.events("nothing")) == []
    assert shop.run(shop.store.executions("nothing")) == []
    assert shop.run(shop.store.attempts("nothing")) == []
    assert shop.run(shop.store.take([])) == []


def test_an_odd_text_is_found_nowhere_and_breaks_nothing(shop: Shop) -> None:
    """A server refuses a NUL and half a character; nothing was ever stored under one."""
    store = shop.store
    shop.take("c-1")
    for odd in ODD:
        for account, client in ((odd, "c-1"), ("ann", odd)):
            assert shop.run(store.by_client_order_id(account, client)) is None, odd
            assert shop.run(store.standing(account, client, "")) is None, odd
        assert shop.run(store.page(OrderQuery(odd))) == [], odd
        assert shop.run(store.page(OrderQuery("ann", symbol=odd))) == [], odd
        assert shop.run(store.page(OrderQuery("ann", list_id=odd))) == [], odd
        assert shop.run(store.get(odd)) is None, odd


def test_results_come_in_input_order_and_twins_are_one(shop: Shop) -> None:
    entries = [a_taking("c-1"), a_taking("c-2"), a_taking("c-1"), a_taking("c-2", symbol="X")]
    one, two, again, other = shop.run(shop.store.take(entries))

    assert isinstance(one, Taken)
    assert isinstance(two, Taken)
    assert again == Taken(one.order, created=False)
    assert other == Conflict(two.order.order_id, Status.QUEUED)
    assert two.order.accept_sequence == one.order.accept_sequence + 1


def test_takes_at_once_are_one_after_the_other(shop: Shop) -> None:
    async def together() -> list[Any]:
        takes = [shop.store.take([a_taking("twin"), a_taking(f"c-{n}")]) for n in range(8)]
        return await asyncio.gather(*takes)

    results = [result for batch in shop.run(together()) for result in batch]
    created = [result.order for result in results if result.created]

    assert len(created) == 9
    assert sorted(order.accept_sequence for order in created) == list(range(1, 10))


def test_an_edit_is_compare_and_set(shop: Shop) -> None:
    order = shop.take()
    edit = shop.store.amend
    after = shop.run(edit(order.order_id, order.version, Decimal(7), Decimal(180)))
    with pytest.raises(Refused) as stale:
        shop.run(edit(order.order_id, order.version, Decimal(8), Decimal(180)))

    assert stale.value.code is Code.STALE_VERSION
    assert shop.get(order.order_id) == after


def test_what_never_left_is_canceled_and_the_rest_is_asked_for(shop: Shop) -> None:
    claimed, waiting = shop.sending("c-1"), shop.take("c-2")
    cancel = shop.store.cancel
    canceled = shop.run(cancel(waiting.order_id, None, CancelOrigin.CLIENT))
    asked = shop.run(cancel(claimed.order.order_id, None, CancelOrigin.CLIENT))

    assert canceled.status is Status.CANCELED
    assert (asked.status, asked.pending_request) == (Status.SENDING, PendingRequest.CANCEL)
    for order_id, code in ((waiting.order_id, Code.ORDER_TERMINAL), ("no", Code.NOT_FOUND)):
        with pytest.raises(Refused) as refused:
            shop.run(cancel(order_id, None, CancelOrigin.CLIENT))
        assert refused.value.code is code


def test_a_cancel_and_a_claim_at_once_have_one_winner(shop: Shop) -> None:
    fence = shop.owned()
    orders = [shop.take(f"c-{n}") for n in range(10)]

    async def race() -> tuple[list[Claimed], list[Order]]:
        works: list[Any] = [
            shop.store.cancel(o.order_id, None, CancelOrigin.CLIENT) for o in orders
        ]
        works.insert(5, shop.store.claim(fence, 10, sendable))
        done = await asyncio.gather(*works)
        return done.pop(5), done

    claimed, asked = shop.run(race())

    sent = {claim.order.order_id for claim in claimed}
    canceled = {order.order_id for order in asked if order.status is Status.CANCELED}
    assert canceled.isdisjoint(sent)
    assert canceled | sent == {order.order_id for order in orders}
    assert not sent & canceled


# --- DispatchStore ----------------------------------------------------------------------


def test_an_epoch_only_rises_and_fences_the_one_before(shop: Shop) -> None:
    old = shop.owned()
    new = shop.owned()
    shop.take()
    with pytest.raises(FenceLost):
        shop.run(shop.store.claim(old, 1, sendable))

    assert new.owner_epoch > old.owner_epoch
    assert not shop.run(shop.store.renew_lease("north", "me", old.owner_epoch, 1))
    assert shop.run(shop.store.renew_lease("north", "me", new.owner_epoch, 10_000))
    assert len(shop.run(shop.store.claim(new, 1, sendable))) == 1
    shop.run(shop.store.drop_lease("north", "me", new.owner_epoch))
    with pytest.raises(FenceLost):
        shop.run(shop.store.claim(new, 1, sendable))
    assert shop.owned().owner_epoch > new.owner_epoch


def test_a_lease_ends_by_the_clock(shop: Shop) -> None:
    fence = shop.owned()
    shop.passes(5_000)
    assert shop.run(shop.store.claim(fence, 1, sendable)) == []
    shop.passes(5_000)
    with pytest.raises(FenceLost):
        shop.run(shop.store.claim(fence, 1, sendable))


def test_claims_at_once_take_each_order_once(shop: Shop) -> None:
    fence = shop.owned()
    shop.run(shop.store.take([a_taking(f"c-{n}") for n in range(50)]))

    async def together() -> list[list[Claimed]]:
        return await asyncio.gather(*(shop.store.claim(fence, 20, sendable) for _ in range(5)))

    claimed = [claim.order.order_id for batch in shop.run(together()) for claim in batch]

    assert len(claimed) == len(set(claimed)) == 50


def test_silence_is_doubt_until_evidence_ends_it(shop: Shop) -> None:
    claimed = shop.sending()
    key = claimed.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("timeout"), 7)]))
    (doubt,) = shop.run(shop.store.in_doubt("north"))
    assert (doubt.broker_order_key, doubt.sent_ns) == (key, 7)
    assert [d.broker_order_key for d in shop.run(shop.store.doubts())] == [key]

    status = a_report(ExecutionType.ORDER_STATUS, broker_order_key=key)
    assert shop.run(shop.store.apply([status], "lookup")) == Applied(1, 0, 0)
    assert shop.run(shop.store.in_doubt("north")) == []
    assert shop.run(shop.store.never_received([key], "lookup")) == 0
    assert shop.get(claimed.order.order_id).status is Status.NEW


def test_proof_of_absence_gives_the_order_back(shop: Shop) -> None:
    claimed = shop.sending()
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, Unknown("?"), None)]))

    assert shop.run(shop.store.never_received([claimed.broker_order_key], "lookup")) == 1
    (again,) = shop.run(shop.store.claim(shop.owned(), 10, sendable))
    assert again.broker_order_key == claimed.broker_order_key[:-2] + "02"
    attempts = shop.run(shop.store.attempts(claimed.order.order_id))
    assert [(a.outcome, a.settled_by) for a in attempts] == [
        ("not_received", "lookup"),
        ("open", None),
    ]


def test_recovery_puts_what_was_left_open_in_doubt(shop: Shop) -> None:
    claimed = shop.sending()

    epoch = shop.owned().owner_epoch

    with pytest.raises(FenceLost):  # under a lease that another one has now
        shop.run(shop.store.recover("north", epoch - 1))
    assert shop.run(shop.store.recover("north", epoch)) == 1
    assert shop.run(shop.store.recover("north", epoch)) == 0
    assert shop.get(claimed.order.order_id).status is Status.IN_DOUBT


def test_each_execution_is_applied_once(shop: Shop) -> None:
    claimed = shop.sending()
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, Accepted("N-1"), 1)]))
    fill = a_report(broker_order_key=claimed.broker_order_key, last_quantity=Decimal(4))
    stray = a_report(broker_order_key="nobody's")

    assert shop.run(shop.store.apply([fill, fill, stray], "report")) == Applied(1, 1, 1)
    assert shop.run(shop.store.apply([fill], "report")) == Applied(0, 1, 0)
    assert shop.get(claimed.order.order_id).filled_quantity == 4
    assert shop.run(shop.store.executions(claimed.order.order_id)) == [fill]


def test_a_wish_to_cancel_is_listed_until_it_is_refused(shop: Shop) -> None:
    claimed = shop.sending()
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, Accepted("N-1"), 1)]))
    shop.run(shop.store.cancel(claimed.order.order_id, None, CancelOrigin.CLIENT))
    pending = shop.run(shop.store.pending_cancels("north", 10)).cancels
    shop.run(shop.store.refuse_cancel([claimed.order.order_id]))

    assert pending == [(claimed.order.order_id, claimed.broker_order_key, "N-1", None)]
    assert shop.run(shop.store.pending_cancels("north", 10)).cancels == []


def test_what_works_at_a_broker_is_read_page_by_page(shop: Shop) -> None:
    """Not what waits, is out, has ended, or works elsewhere; and what has ended is passed over."""
    fence = shop.owned()
    for n in range(6):
        shop.take(f"c-{n}")
    claimed = shop.run(shop.store.claim(fence, 5, sendable))
    keys = [claim.broker_order_key for claim in claimed]
    shop.run(shop.store.settle([Settlement(key, Accepted("N"), 1) for key in keys[:4]]))
    part = a_report(broker_order_key=keys[2], last_quantity=Decimal(4))
    end = a_report(ExecutionType.CANCELED, broker_order_key=keys[0], execution_id="x-2")
    shop.run(shop.store.apply([part, end], "report"))

    def page(after: int, limit: int, broker: str = "north") -> WorkingPage:
        return shop.run(shop.store.working(broker, TODAY, after, limit))

    assert shop.run(shop.store.standing_days()) == [TODAY]
    whole = page(0, 10)
    assert [(o.accept_sequence, o.broker_order_key) for o in whole.orders] == [
        (2, keys[1]),
        (3, keys[2]),
        (4, keys[3]),
    ]
    assert {o.quantity for o in whole.orders} == {claimed[0].order.quantity}
    assert whole.after is None
    first = page(0, 2)
    assert (first.orders, first.after) == (whole.orders[:2], 3)
    assert page(3, 2).orders == whole.orders[2:]
    assert page(0, 10, "south").orders == page(4, 10).orders == []
    assert whole.ended_to == 0  # a transaction of that moment may still be on its way
    shop.clock.at += 600_000
    assert (page(0, 10).ended_to, page(1, 10).ended_to) == (1, 1)
    assert shop.run(shop.store.working("north", TODAY - timedelta(7), 0, 10)).orders == []
    found = shop.run(shop.store.orders_of([*keys[:2], "nobody's"]))
    assert {k: o.status for k, o in found.items()} == {
        keys[0]: Status.CANCELED,
        keys[1]: Status.NEW,
    }


def test_the_bell_and_the_end_of_the_session(shop: Shop) -> None:
    session = SESSION.trading_session_id
    orders = [shop.take(f"c-{n}", reserved=True) for n in range(3)]

    assert shop.run(shop.store.waiting_sessions()) == [session]
    assert shop.run(shop.store.release(session, 2, sendable)) == (2, 0)
    assert shop.run(shop.store.by_status(session, TODAY)) == {"queued": 2, "reserved": 1}
    assert shop.run(shop.store.expire(session, 10)) == 3
    assert {shop.get(o.order_id).status for o in orders} == {Status.EXPIRED}
    assert shop.run(shop.store.waiting_sessions()) == []


# --- across processes -------------------------------------------------------------------


def test_all_of_it_survives_a_restart(tmp_path: Path) -> None:
    clock = StillClock()
    database, ledger = opened(tmp_path / "ledger.db", clock)
    with asyncio.Runner() as runner:
        shop = Shop(ledger, runner, clock)
        sending, waiting = shop.sending("c-1"), shop.take("c-2")
        shop.run(ledger.halt("symbol", "MSFT", KIM))
    database.close()

    database, ledger = opened(tmp_path / "ledger.db", clock)
    with asyncio.Runner() as runner:
        shop = Shop(ledger, runner, clock)
        assert shop.get(sending.order.order_id) == sending.order
        assert shop.get(waiting.order_id) == waiting
        assert shop.take("c-3").accept_sequence == 3
        assert shop.run(ledger.take([a_taking("c-2")])) == [Taken(waiting, created=False)]
        assert [h.target for h in shop.run(ledger.halts())] == ["MSFT"]
        assert shop.run(ledger.recover("north", shop.owned().owner_epoch)) == 1
        assert shop.owned().owner_epoch == 3
    database.close()


def test_the_steps_of_some_accounts_are_read_in_order_and_page_by_page(shop: Shop) -> None:
    one, foreign, other = (shop.take(f"c-{a}", account_id=a) for a in ("ann", "bob", "cat"))
    shop.clock.at += 5
    shop.run(shop.store.cancel(one.order_id, None, CancelOrigin.CLIENT))

    def steps(place: Place, limit: int) -> list[Step]:
        return shop.run(shop.store.steps(["ann", "cat"], place, limit))

    whole = steps(Place(one.accepted_at), 10)
    paged = steps(Place(one.accepted_at), 1)
    while len(paged) < len(whole):
        paged += steps(paged[-1].place, 1)

    assert paged == whole
    assert [s.place for s in whole] == sorted(s.place for s in whole)
    assert {(s.order.order_id, s.event.sequence) for s in whole} == {
        (one.order_id, 1),
        (one.order_id, 2),
        (other.order_id, 1),
    }
    assert all(s.order == shop.get(s.order.order_id) for s in whole)
    assert whole[-1].event == shop.run(shop.store.events(one.order_id))[-1]
    assert steps(whole[-1].place, 10) == []
    assert foreign.order_id not in {s.order.order_id for s in whole}
