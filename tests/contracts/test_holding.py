"""What `HoldStore` promises, on every implementation of the record."""

from decimal import Decimal
from typing import Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.holding import StrayVerdict, StrayWord
from app.domain.messages import Accepted, ExecutionReport, ExecutionType, Unknown
from app.domain.order import Order
from app.domain.records import Claimed, Settlement
from app.domain.session import TradingSession
from app.domain.sweep import Deed, SweepScope
from app.domain.values import CancelOrigin, Status
from tests.builders import CLOSES_AT, NOW, OPENS_AT, SESSION, a_report
from tests.contracts.record import KIM, LEE, Shop, sendable, shop

__all__ = ["shop"]

BY: Final = KIM._replace(request_id="r-1")
ALL: Final = SweepScope()
UPTO: Final = (0, 1_000, 100)
HELD_BY_OPERATOR: Final = Code.HELD_BY_OPERATOR.code


def session_of(trading_session_id: str) -> TradingSession | None:
    return SESSION if trading_session_id == SESSION.trading_session_id else None


def held(shop: Shop, client_order_id: str = "c-1", **facts: object) -> Order:
    order = shop.take(client_order_id, **facts)
    return shop.run(shop.store.hold(order.order_id, order.version, KIM))


def claimed(shop: Shop) -> list[str]:
    found: list[Claimed] = shop.run(shop.store.claim(shop.owned(), 10, sendable))
    return [c.order.client_order_id for c in found]


def rung(shop: Shop) -> tuple[int, int]:
    """Let the bell ring once; return how many were queued and how many denied."""
    return shop.run(shop.store.release(SESSION.trading_session_id, 10, sendable))


def acknowledged(sent: Claimed) -> ExecutionReport:
    return a_report(ExecutionType.NEW, "e-1", broker_order_key=sent.broker_order_key)


def actions(shop: Shop) -> list[tuple[object, object]]:
    return [(row["actor"], row["action"]) for row in shop.run(shop.store.audit(0, 100))]


@pytest.mark.parametrize("reserved", [True, False])
def test_what_is_held_stands_in_no_queue_and_ends_with_its_session(
    shop: Shop, *, reserved: bool
) -> None:
    order = held(shop, reserved=reserved)

    assert (order.status, order.reason_code) == (Status.HELD, HELD_BY_OPERATOR)
    assert claimed(shop) == []
    assert shop.run(shop.store.backlog()).held == {SESSION.trading_session_id: 1}
    assert rung(shop) == (0, 0)
    assert shop.run(shop.store.waiting_sessions()) == [SESSION.trading_session_id]
    assert shop.run(shop.store.expire(SESSION.trading_session_id, 10)) == 1
    after = shop.get(order.order_id)
    assert (after.status, after.reason_code) == (Status.EXPIRED, "session-over")
    assert shop.run(shop.store.held(None, None, 10)) == []
    assert shop.run(shop.store.waiting_sessions()) == []
    assert shop.run(shop.store.expire(SESSION.trading_session_id, 10)) == 0


def test_it_is_let_go_before_the_younger_ones_of_its_account(shop: Shop) -> None:
    first = held(shop, "c-1")
    shop.take("c-2")
    shop.take("c-3")

    after = shop.run(shop.store.let_go(first.order_id, first.version, session_of, LEE))

    assert (after.status, after.reason_code, after.released_at) == (Status.QUEUED, None, NOW)
    assert claimed(shop) == ["c-1", "c-2", "c-3"]
    assert actions(shop) == [("kim", "order.hold"), ("lee", "order.release")]


def test_before_the_bell_it_is_let_go_to_its_book(shop: Shop) -> None:
    order = held(shop, reserved=True)
    shop.clock.at = OPENS_AT - 1
    after = shop.run(shop.store.let_go(order.order_id, order.version, session_of, LEE))

    assert after.status is Status.RESERVED
    shop.clock.at = OPENS_AT
    assert rung(shop) == (1, 0)
    assert claimed(shop) == ["c-1"]


def test_a_held_order_is_canceled_at_once(shop: Shop) -> None:
    order = held(shop)
    after = shop.run(shop.store.cancel_by(order.order_id, order.version, LEE))

    assert (after.status, after.cancel_origin) == (Status.CANCELED, CancelOrigin.OPERATOR)
    assert shop.run(shop.store.held(None, None, 10)) == []
    assert actions(shop)[-1] == ("lee", "order.cancel")


def test_who_has_not_seen_the_order_as_it_stands_changes_nothing(shop: Shop) -> None:
    order = shop.take()
    for change in (
        shop.store.hold(order.order_id, 9, KIM),
        shop.store.let_go(order.order_id, 9, session_of, KIM),
        shop.store.cancel_by(order.order_id, 9, KIM),
    ):
        with pytest.raises(Refused) as stale:
            shop.run(change)
        assert stale.value.code is Code.STALE_VERSION
    with pytest.raises(Refused) as free:
        shop.run(shop.store.let_go(order.order_id, order.version, session_of, KIM))
    with pytest.raises(Refused) as nobody:
        shop.run(shop.store.hold(f"{order.order_id[:-1]}X", 1, KIM))

    assert free.value.code is Code.NOT_RELEASABLE
    assert nobody.value.code is Code.NOT_FOUND
    assert shop.get(order.order_id) == order
    assert actions(shop) == []


def test_what_may_be_at_a_broker_is_not_held_and_is_asked_to_end(shop: Shop) -> None:
    sent = shop.sending()
    shop.run(shop.store.settle([Settlement(sent.broker_order_key, Unknown("timeout"), 1)]))
    order = shop.get(sent.order.order_id)
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.hold(order.order_id, order.version, KIM))
    after = shop.run(shop.store.cancel_by(order.order_id, order.version, KIM))

    assert refused.value.code is Code.NOT_HOLDABLE
    assert (after.status, after.pending_request) == (Status.IN_DOUBT, "cancel")


def test_of_what_a_broker_has_shown_a_copy_nothing_is_let_go_and_no_timer_ends_it(
    shop: Shop,
) -> None:
    sent = shop.sending()
    shop.run(shop.store.settle([Settlement(sent.broker_order_key, Unknown("timeout"), 1)]))
    shop.run(shop.store.never_received([sent.broker_order_key], "lookup"))
    shop.run(shop.store.apply([acknowledged(sent)], "report"))
    stray = shop.get(sent.order.order_id)
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.let_go(stray.order_id, stray.version, session_of, KIM))

    assert (stray.status, stray.reason_code) == (Status.HELD, "stray-evidence")
    assert refused.value.code is Code.NOT_RELEASABLE
    assert shop.run(shop.store.select(ALL, None, Deed.RELEASE)).orders == 0
    assert shop.run(shop.store.expire(SESSION.trading_session_id, 10)) == 0
    assert shop.run(shop.store.waiting_sessions()) == []
    assert [h.reason_code for h in shop.run(shop.store.held(None, None, 10))] == ["stray-evidence"]


def strayed(shop: Shop) -> tuple[Order, str]:
    """Prove that an order never arrived, and have its broker show it after all."""
    sent = shop.sending()
    key = sent.broker_order_key
    shop.run(shop.store.settle([Settlement(key, Unknown("timeout"), 1)]))
    shop.run(shop.store.never_received([key], "lookup"))
    shop.run(shop.store.apply([acknowledged(sent)], "report"))
    return shop.get(sent.order.order_id), key


@pytest.mark.parametrize(
    ("verdict", "terms", "status", "filled"),
    [
        (StrayVerdict.CANCELED, {}, Status.CANCELED, 0),
        (StrayVerdict.EXPIRED, {}, Status.EXPIRED, 0),
        (StrayVerdict.FILLED, {"price": "187.25"}, Status.FILLED, 10),
        (StrayVerdict.NOT_RECEIVED, {}, Status.HELD, 0),
    ],
)
def test_a_word_settles_what_is_held_for_a_copy(
    shop: Shop, verdict: StrayVerdict, terms: dict[str, str], status: Status, filled: int
) -> None:
    stray, key = strayed(shop)
    assert shop.run(shop.store.strays(["nobody's"], 10)) == []
    assert shop.run(shop.store.strays([stray.account_id], 10)) == [stray]
    word = StrayWord(key, verdict, {"evidence": "their day file", **terms})
    with pytest.raises(Refused) as stale:
        shop.run(shop.store.settle_stray(stray.order_id, stray.version - 1, word, KIM))
    after = shop.run(shop.store.settle_stray(stray.order_id, stray.version, word, KIM))

    assert stale.value.code is Code.STALE_VERSION
    assert (after.status, after.filled_quantity) == (status, Decimal(filled))
    assert after == shop.get(stray.order_id)
    assert shop.run(shop.store.strays(None, 10)) == []
    assert claimed(shop) == []
    assert actions(shop) == [("kim", "stray.settle")]
    with pytest.raises(Refused) as over:
        shop.run(shop.store.settle_stray(stray.order_id, after.version, word, LEE))
    assert over.value.code is Code.NOT_STRAY


def test_a_cancel_that_waited_for_the_broker_has_won_once_there_never_was_a_copy(
    shop: Shop,
) -> None:
    stray, key = strayed(shop)
    asked = shop.run(shop.store.cancel(stray.order_id, None, CancelOrigin.CLIENT))
    word = StrayWord(key, StrayVerdict.NOT_RECEIVED, {"evidence": "their day file"})
    after = shop.run(shop.store.settle_stray(asked.order_id, asked.version, word, KIM))

    assert (after.status, after.cancel_origin) == (Status.CANCELED, CancelOrigin.CLIENT)
    assert after.pending_request == "none"
    assert shop.run(shop.store.pending_cancels("north", 10)).cancels == []


def test_a_sweep_holds_what_it_names_and_lets_it_go_again(shop: Shop) -> None:
    named = [shop.take(f"c-{n}", symbol="MSFT", reserved=n % 2 == 0) for n in range(4)]
    other = shop.take("c-9")
    scope = SweepScope(symbol="MSFT")
    selection = shop.run(shop.store.select(scope, None, Deed.HOLD))
    begun = shop.run(shop.store.begin_sweep(scope, selection, BY, Deed.HOLD))
    shop.take("c-10", symbol="MSFT")  # later: not of this sweep

    one = shop.run(shop.store.hold_some(scope, (0, begun.upto, 3)))
    assert (one.moved, one.left) == (3, 0)
    assert one.after is not None
    two = shop.run(shop.store.hold_some(scope, (one.after, begun.upto, 3)))
    assert two == (1, 0, None)
    assert shop.get(other.order_id) == other
    assert shop.run(shop.store.select(ALL, None, Deed.RELEASE)).by_status == {Status.HELD: 4}
    back = shop.run(shop.store.let_some_go(ALL, UPTO, session_of))
    assert back == (4, 0, None)
    assert {shop.get(order.order_id).status for order in named} == {Status.QUEUED}
    assert shop.run(shop.store.held(None, None, 10)) == []
    assert sorted(claimed(shop)) == ["c-0", "c-1", "c-10", "c-2", "c-3", "c-9"]


def test_a_sweep_leaves_what_its_session_has_left_behind(shop: Shop) -> None:
    order = held(shop)
    shop.clock.at = CLOSES_AT

    assert shop.run(shop.store.let_some_go(ALL, UPTO, session_of)) == (0, 1, None)
    assert shop.get(order.order_id).status is Status.HELD


def test_the_list_shows_the_accounts_that_it_is_asked_for_page_by_page(shop: Shop) -> None:
    mine = [held(shop, f"c-{n}") for n in range(3)]
    held(shop, "c-9", account_id="bob")
    page = shop.run(shop.store.held(["ann"], None, 2))
    rest = shop.run(shop.store.held(["ann"], page[-1].accept_sequence, 2))

    found = [h.order_id for h in (*page, *rest)]
    assert found == [order.order_id for order in reversed(mine)]
    assert len(shop.run(shop.store.held(None, None, 10))) == 4
    assert shop.run(shop.store.held([], None, 10)) == []


def test_an_accepted_order_has_left(shop: Shop) -> None:
    sent = shop.sending()
    shop.run(shop.store.settle([Settlement(sent.broker_order_key, Accepted("b-1"), 1)]))

    assert shop.run(shop.store.select(ALL, None, Deed.HOLD)).orders == 0
    assert shop.run(shop.store.hold_some(ALL, UPTO)) == (0, 0, None)
