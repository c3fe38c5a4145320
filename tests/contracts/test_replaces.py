"""What every record promises of requests to replace: one an order, fenced, settled by evidence."""

from decimal import Decimal
from typing import Any

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import (
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.order import Order
from app.domain.records import Applied, Claimed, ClaimedReplace, FenceLost, Settlement
from app.domain.values import CancelOrigin, PendingRequest, Status, replace_key
from tests.builders import a_report
from tests.contracts.record import KIM, LEE, Shop, sendable, shop

__all__ = ["shop"]

E = ExecutionType
D = Decimal
PRICE = D("187.50")


def working(shop: Shop, client_order_id: str = "c-1") -> Claimed:
    """Take an order of 10, send it, have it accepted."""
    claimed = shop.sending(client_order_id)
    accepted = Settlement(claimed.broker_order_key, Accepted("N-1"), 1)
    shop.run(shop.store.settle([accepted]))
    return claimed


def asks(shop: Shop, of: Claimed, quantity: int = 20) -> Order:
    order = shop.get(of.order.order_id)
    return shop.run(shop.store.amend(order.order_id, order.version, D(quantity), PRICE))


def claims(shop: Shop, limit: int = 10) -> list[ClaimedReplace]:
    return shop.run(shop.store.claim_replaces(shop.owned(), limit, sendable))


def out(shop: Shop, quantity: int = 20, client_order_id: str = "c-1") -> tuple[Claimed, str]:
    """Have a replace on disk as out; return its order's claim and its key."""
    of = working(shop, client_order_id)
    asks(shop, of, quantity)
    (claimed,) = claims(shop)
    return of, claimed.replacement.broker_order_key


def answered(shop: Shop, key: str, answer: Answer) -> None:
    shop.run(shop.store.settle_replaces([Settlement(key, answer, 7)]))


def told(shop: Shop, key: str, kind: ExecutionType, *words: Any, **facts: Any) -> Applied:
    report = a_report(kind, *words, broker_order_key=key, **facts)
    return shop.run(shop.store.apply([report], "report"))


def doubts(shop: Shop) -> list[str]:
    return [d.broker_order_key for d in shop.run(shop.store.in_doubt("north"))]


def states(shop: Shop) -> dict[str, str]:
    """Return each request's state, by the end of its key."""
    read = "SELECT broker_order_key, state FROM replaces UNION ALL"
    read += " SELECT broker_order_key, state FROM replace_requests"
    database = shop.store._database  # type: ignore[attr-defined]
    found = database.write_now(lambda c: list(c.exec_driver_sql(read)))
    return {key[-4:]: state for key, state in found}


def test_new_terms_are_a_wish_until_the_broker_accepts_them(shop: Shop) -> None:
    of = working(shop)
    asked = asks(shop, of)
    assert asked.pending_request is PendingRequest.REPLACE
    assert (asked.quantity, shop.run(shop.store.waits_to_replace("north"))) == (D(10), True)

    (claimed,) = claims(shop)
    key = replace_key(of.broker_order_key, 1)
    wanted = claimed.replacement
    assert (wanted.broker_order_key, wanted.original) == (key, of.broker_order_key)
    assert (wanted.quantity, wanted.limit_price, wanted.broker_order_id) == (D(20), PRICE, "N-1")
    assert (claims(shop), doubts(shop)) == ([], [])

    answered(shop, key, Accepted("N-1"))
    assert doubts(shop) == [key]
    assert told(shop, key, E.REPLACED, quantity=D(20), limit_price=PRICE) == Applied(1, 0, 0)
    after = shop.get(of.order.order_id)
    assert (after.status, after.quantity, after.limit_price) == (Status.NEW, D(20), PRICE)
    assert after.pending_request is PendingRequest.NONE
    assert (doubts(shop), states(shop)) == ([], {"R001": "accepted"})
    assert told(shop, key, E.REPLACED, quantity=D(20), limit_price=PRICE) == Applied(0, 1, 0)


def test_the_next_one_replaces_what_the_last_one_has_made(shop: Shop) -> None:
    of, first = out(shop)
    told(shop, first, E.REPLACED, quantity=D(20))
    asks(shop, of, 15)
    (claimed,) = claims(shop)
    second = claimed.replacement
    assert (second.broker_order_key[-4:], second.original) == ("R002", first)
    told(shop, second.broker_order_key, E.REPLACED, quantity=D(15))

    order_id = of.order.order_id
    shop.run(shop.store.cancel(order_id, None, CancelOrigin.CLIENT))
    (pending,) = shop.run(shop.store.pending_cancels("north", 10)).cancels
    assert (pending.broker_order_key, pending.pending_key) == (second.broker_order_key, None)
    for number, key in enumerate((of.broker_order_key, first, second.broker_order_key)):
        told(shop, key, E.TRADE, f"e-{number}", last_quantity=D(5))
    assert shop.get(order_id).status is Status.FILLED
    assert shop.get(order_id).filled_quantity == 15


def test_one_request_an_order_at_a_time(shop: Shop) -> None:
    of, _ = out(shop)
    order = shop.get(of.order.order_id)
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.amend(order.order_id, order.version, D(30), PRICE))
    assert refused.value.code is Code.ORDER_NOT_EDITABLE
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.amend(order.order_id, order.version - 1, D(30), PRICE))
    assert refused.value.code is Code.STALE_VERSION


def test_terms_that_change_nothing_or_have_traded_are_refused(shop: Shop) -> None:
    of = working(shop)
    told(shop, of.broker_order_key, E.TRADE, last_quantity=D(4))
    order = shop.get(of.order.order_id)
    for quantity, price in ((4, PRICE), (3, PRICE), (10, D("187.25"))):
        with pytest.raises(Refused):
            shop.run(shop.store.amend(order.order_id, order.version, D(quantity), price))

    assert shop.get(order.order_id) == order


def test_silence_is_a_doubt_and_absence_leaves_the_old_terms(shop: Shop) -> None:
    of, key = out(shop)
    answered(shop, key, Unknown("timeout"))
    (doubt,) = shop.run(shop.store.in_doubt("north"))
    assert (doubt.broker_order_key, doubt.sent_ns) == (key, 7)
    assert [d.broker_order_key for d in shop.run(shop.store.doubts())] == [key]
    assert shop.run(shop.store.vitals()).doubts["north"][0] == 1

    assert shop.run(shop.store.never_received([key], "lookup")) == 1
    assert shop.run(shop.store.never_received([key], "lookup")) == 0
    after = shop.get(of.order.order_id)
    assert (after.quantity, after.pending_request) == (D(10), PendingRequest.NONE)
    assert (doubts(shop), states(shop)) == ([], {"R001": "not_received"})


def test_what_took_effect_though_it_was_given_up_is_told_and_somebody_hears(shop: Shop) -> None:
    of, key = out(shop)
    answered(shop, key, Unknown("timeout"))
    shop.run(shop.store.never_received([key], "lookup"))
    applied = told(shop, key, E.REPLACED, quantity=D(20))

    assert applied == Applied(1, 0, 0, ("north",))
    assert shop.get(of.order.order_id).quantity == 20
    assert states(shop) == {"R001": "accepted"}


def test_what_was_not_sent_waits_again_under_the_next_key(shop: Shop) -> None:
    of, key = out(shop)
    answered(shop, key, NotSent("logged out"))
    assert states(shop) == {"R001": "not_sent", "R002": "waiting"}
    (second,) = claims(shop)
    answered(shop, second.replacement.broker_order_key, Throttled(1.0))
    (third,) = claims(shop)

    assert third.replacement.broker_order_key == replace_key(of.broker_order_key, 3)
    assert third.replacement.quantity == 20


def test_a_refused_one_is_over(shop: Shop) -> None:
    of, key = out(shop)
    answered(shop, key, Rejected("bad-price"))

    assert shop.get(of.order.order_id).pending_request is PendingRequest.NONE
    assert states(shop) == {"R001": "rejected"}
    assert claims(shop) == []


def test_a_late_answer_to_what_is_settled_says_nothing(shop: Shop) -> None:
    of, key = out(shop)
    told(shop, key, E.REPLACED, quantity=D(20))
    for answer in (NotSent("?"), Rejected("no"), Unknown("?")):
        answered(shop, key, answer)

    assert states(shop) == {"R001": "accepted"}
    assert shop.get(of.order.order_id).quantity == 20


def test_a_claim_belongs_to_the_owner_and_no_halt_covers_it(shop: Shop) -> None:
    of = working(shop)
    asks(shop, of)
    late = shop.owned()
    shop.owned()
    with pytest.raises(FenceLost):
        shop.run(shop.store.claim_replaces(late, 10, sendable))
    shop.run(shop.store.halt("account", of.order.account_id, KIM))
    assert claims(shop) == []
    shop.run(shop.store.resume("account", of.order.account_id, LEE))
    shop.run(shop.store.halt("broker", "north", KIM))
    with pytest.raises(FenceLost):
        claims(shop)
    shop.run(shop.store.resume("broker", "north", LEE))

    assert len(claims(shop)) == 1


def test_terms_that_break_a_limit_by_now_are_denied(shop: Shop) -> None:
    of = working(shop)
    asks(shop, of)

    def narrow(order: Order) -> Code | None:
        return Code.QUANTITY_TOO_LARGE if order.quantity > 10 else None

    assert shop.run(shop.store.claim_replaces(shop.owned(), 10, narrow)) == []
    assert states(shop) == {"R001": "denied"}
    assert shop.get(of.order.order_id).pending_request is PendingRequest.NONE


def test_recovery_puts_what_was_out_in_doubt_and_nothing_leaves_again(shop: Shop) -> None:
    _, key = out(shop)
    epoch = shop.owned().owner_epoch

    assert shop.run(shop.store.recover("north", epoch)) == 1
    assert shop.run(shop.store.recover("north", epoch)) == 0
    assert doubts(shop) == [key]
    assert claims(shop) == []


def test_a_cancel_overtakes_what_waits_and_names_what_is_out(shop: Shop) -> None:
    of = working(shop)
    asks(shop, of)
    shop.run(shop.store.cancel(of.order.order_id, None, CancelOrigin.CLIENT))
    assert states(shop) == {"R001": "withdrawn"}
    shop.run(shop.store.refuse_cancel([of.order.order_id]))
    assert shop.get(of.order.order_id).pending_request is PendingRequest.NONE

    asks(shop, of)
    (claimed,) = claims(shop)
    asked = shop.run(shop.store.cancel(of.order.order_id, None, CancelOrigin.CLIENT))
    assert asked.pending_request is PendingRequest.CANCEL
    (pending,) = shop.run(shop.store.pending_cancels("north", 10)).cancels
    key = claimed.replacement.broker_order_key
    assert (pending.broker_order_key, pending.pending_key) == (of.broker_order_key, key)
    shop.run(shop.store.refuse_cancel([of.order.order_id]))
    assert shop.get(of.order.order_id).pending_request is PendingRequest.REPLACE


def test_the_end_of_the_order_ends_its_request(shop: Shop) -> None:
    of, key = out(shop)
    told(shop, of.broker_order_key, E.EXPIRED)

    assert shop.get(of.order.order_id).status is Status.EXPIRED
    assert (doubts(shop), states(shop)) == ([], {"R001": "ended"})
    assert told(shop, key, E.REPLACE_REJECTED) == Applied(0, 1, 0)


def test_a_filled_order_keeps_what_is_out_and_works_again_if_it_was_raised(shop: Shop) -> None:
    of, key = out(shop)
    answered(shop, key, Unknown("timeout"))
    told(shop, of.broker_order_key, E.TRADE, last_quantity=D(10))
    filled = shop.get(of.order.order_id)
    assert (filled.status, filled.pending_request) == (Status.FILLED, PendingRequest.REPLACE)
    assert doubts(shop) == [key]

    told(shop, key, E.REPLACED, quantity=D(20))
    after = shop.get(of.order.order_id)
    assert (after.status, after.remaining_quantity) == (Status.PARTIALLY_FILLED, D(10))


def test_a_word_under_a_key_that_never_left_is_kept_apart(shop: Shop) -> None:
    of = working(shop)
    asks(shop, of)  # waits as R001
    before = shop.get(of.order.order_id)
    for number, kind in enumerate((E.TRADE, E.REPLACED, E.REPLACE_REJECTED, E.NEW)):
        key = replace_key(of.broker_order_key, 1 + number % 2)
        assert told(shop, key, kind, f"e-{number}") == Applied(0, 0, 1)

    assert shop.get(of.order.order_id) == before


def test_a_person_may_settle_it(shop: Shop) -> None:
    for verdict, quantity in (("accepted", 20), ("rejected", 10), ("not_received", 10)):
        _, key = out(shop, client_order_id=verdict)
        answered(shop, key, Unknown("timeout"))
        with pytest.raises(Refused):
            shop.run(shop.store.resolve_doubt(key, "filled", {"price": "1"}, KIM))
        after = shop.run(shop.store.resolve_doubt(key, verdict, {}, KIM))

        assert (after.quantity, after.pending_request) == (D(quantity), PendingRequest.NONE)
        with pytest.raises(Refused):
            shop.run(shop.store.resolve_doubt(key, verdict, {}, KIM))
        assert doubts(shop) == []


def test_fills_and_a_replace_of_one_batch_are_one_step_each(shop: Shop) -> None:
    of, key = out(shop, 5)
    words: list[ExecutionReport] = [
        a_report(E.TRADE, "e-1", broker_order_key=of.broker_order_key, last_quantity=D(4)),
        a_report(E.PENDING_REPLACE, "e-2", broker_order_key=key),
        a_report(E.TRADE, "e-3", broker_order_key=of.broker_order_key, last_quantity=D(3)),
        a_report(E.REPLACED, "e-4", broker_order_key=key, quantity=D(7), limit_price=PRICE),
    ]
    assert shop.run(shop.store.apply([*words, *words], "report")) == Applied(3, 5, 0)

    after = shop.get(of.order.order_id)
    assert (after.status, after.quantity, after.filled_quantity) == (Status.FILLED, D(7), D(7))
    history = shop.run(shop.store.events(after.order_id))
    assert [event.sequence for event in history] == list(range(1, after.version + 1))
