"""What `SweepStore` promises, on every implementation of the record."""

from typing import Final

import pytest

from app.domain.errors import Code, Refused
from app.domain.messages import Accepted
from app.domain.records import Settlement
from app.domain.sweep import SweepScope
from app.domain.values import CancelOrigin, PendingRequest, Status
from tests.contracts.record import KIM, LEE, Shop, shop

__all__ = ["shop"]

ANN: Final = SweepScope(accounts=("ann",))
BY: Final = KIM._replace(request_id="r-1")
CLIENT: Final = CancelOrigin.CLIENT


def swept(shop: Shop, scope: SweepScope, upto: int = 1_000, limit: int = 100) -> list[int]:
    after: int | None = 0
    found = [0, 0]
    while after is not None:
        step = shop.run(shop.store.sweep(scope, (after, upto, limit), CLIENT))
        found = [found[0] + step.canceled, found[1] + step.requested]
        after = step.after
    return found


def test_what_never_left_ends_and_what_may_have_is_asked_for(shop: Shop) -> None:
    works, doubt = shop.sending("c-1"), shop.sending("c-2")
    shop.run(shop.store.settle([Settlement(works.broker_order_key, Accepted("b-1"), 1)]))
    reserved, queued = shop.take("c-3", reserved=True), shop.take("c-4")

    selection = shop.run(shop.store.select(ANN))
    found = swept(shop, ANN)

    assert selection.orders == 4
    assert found == [2, 2]
    for order in (reserved, queued):
        assert shop.get(order.order_id).status is Status.CANCELED
        assert shop.get(order.order_id).cancel_origin is CLIENT
    for claimed in (works, doubt):
        after = shop.get(claimed.order.order_id)
        assert after.pending_request is PendingRequest.CANCEL
        assert not after.is_terminal
    assert shop.run(shop.store.select(ANN)).orders == 0
    assert swept(shop, ANN) == [0, 0]
    asked = shop.run(shop.store.pending_cancels("north", 10)).cancels
    assert [cancel.order_id for cancel in asked] == [works.order.order_id]  # the doubt comes first


@pytest.mark.parametrize(
    "scope",
    [
        ANN._replace(symbol="MSFT"),
        ANN._replace(list_id="l-1"),
        SweepScope(symbol="MSFT"),
        SweepScope(list_id="l-1", symbol="MSFT"),
    ],
)
def test_a_sweep_touches_what_it_names_and_nothing_else(shop: Shop, scope: SweepScope) -> None:
    named = [shop.take(f"c-{n}", symbol="MSFT", list_id="l-1") for n in range(5)]
    others = [
        shop.take("c-8", symbol="AAPL"),
        shop.take("c-9", account_id="bob", symbol="AAPL"),
    ]

    assert swept(shop, scope, limit=2) == [5, 0]
    assert all(shop.get(order.order_id).status is Status.CANCELED for order in named)
    assert all(shop.get(order.order_id) == order for order in others)


def test_a_sweep_ends_where_it_was_to_end_however_often_it_is_asked_for(shop: Shop) -> None:
    shop.take("c-1")
    first = shop.run(shop.store.begin_sweep(ANN, shop.run(shop.store.select(ANN)), BY))
    later = shop.take("c-2")
    second = shop.run(shop.store.begin_sweep(ANN, shop.run(shop.store.select(ANN)), BY))
    other = shop.run(shop.store.begin_sweep(ANN, shop.run(shop.store.select(ANN)), LEE))

    assert (first.again, second.again, other.again) == (False, True, False)
    assert second.upto == first.upto < other.upto
    assert swept(shop, ANN, upto=second.upto) == [1, 0]
    assert shop.get(later.order_id) == later
    assert [row["action"] for row in shop.run(shop.store.audit(0, 10))] == [
        "orders.mass_cancel"
    ] * 2


def test_a_request_id_is_good_for_one_scope(shop: Shop) -> None:
    shop.run(shop.store.begin_sweep(ANN, shop.run(shop.store.select(ANN)), BY))
    other = ANN._replace(symbol="MSFT")
    selection = shop.run(shop.store.select(other))
    with pytest.raises(Refused) as refused:
        shop.run(shop.store.begin_sweep(other, selection, BY))

    assert refused.value.code is Code.IDEMPOTENCY_KEY_REUSED
