"""What is claimed, how it is shaped, and when the rest will be gone."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.dispatch.plan import CLAIM_ORDERS_MAX, batches, claim_size, eta_s
from app.domain.capabilities import Capabilities
from app.domain.messages import Submission
from app.domain.values import OrderType, Side, TimeInForce


def orders(*account_and_symbol: str) -> list[Submission]:
    """Return submissions from words such as "ann:AAPL", keyed by their place."""
    return [
        Submission(
            broker_order_key=str(place),
            account_id=word.split(":")[0],
            symbol=word.split(":")[1],
            market="XNAS",
            side=Side.BUY,
            order_type=OrderType.MARKET,
            quantity=Decimal(1),
            limit_price=None,
            currency="USD",
            time_in_force=TimeInForce.DAY,
        )
        for place, word in enumerate(account_and_symbol)
    ]


def shape(capabilities: Capabilities, *words: str) -> list[str]:
    return [
        " ".join(order.broker_order_key for order in batch)
        for batch in batches(orders(*words), capabilities)
    ]


def test_batches_are_filled_in_the_order_of_the_claim() -> None:
    words = ("a:X", "b:Y", "a:X", "c:Z", "b:X")

    assert shape(Capabilities(batch_max=2), *words) == ["0 1", "2 3", "4"]
    assert shape(Capabilities(batch_max=1), *words) == ["0", "1", "2", "3", "4"]
    assert shape(Capabilities(batch_max=100), *words) == ["0 1 2 3 4"]
    assert shape(Capabilities(batch_max=100)) == []


SAME = Capabilities(batch_max=3, batch_same_symbol=True)


def test_a_broker_of_one_symbol_a_batch_gets_one_symbol_a_batch() -> None:
    assert shape(SAME, "a:X", "b:Y", "c:X", "d:Y", "e:X", "f:X") == ["0 2 4", "1 3", "5"]


def test_where_one_refusal_refuses_a_batch_no_batch_holds_two_accounts() -> None:
    atomic = Capabilities(batch_max=3, batch_atomic=True)
    both = Capabilities(batch_max=3, batch_atomic=True, batch_same_symbol=True)

    assert shape(atomic, "a:X", "b:Y", "a:Y", "b:X", "a:X", "a:X") == ["0 2 4", "1 3", "5"]
    assert shape(both, "a:X", "b:X", "a:X", "a:Y", "a:Y") == ["0 2", "1", "3 4"]


def test_an_order_does_not_overtake_an_earlier_one_of_its_account() -> None:
    assert shape(SAME, "a:X", "a:Y", "a:X", "b:X", "b:Y") == ["0", "1", "2 3", "4"]


def test_one_symbol_on_two_markets_is_two_instruments() -> None:
    one, other = orders("a:X", "b:X")

    assert len(batches([one, other._replace(market="XNYS")], SAME)) == 2


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("XYZ")), max_size=30),
    st.integers(1, 5),
    st.booleans(),
    st.booleans(),
)
def test_shaping_loses_nothing_and_keeps_each_account_in_line(
    pairs: list[tuple[str, str]],
    batch_max: int,
    same_symbol: bool,  # noqa: FBT001 - drawn
    atomic: bool,  # noqa: FBT001 - drawn
) -> None:
    claimed = orders(*(f"{account}:{symbol}" for account, symbol in pairs))
    capabilities = Capabilities(
        batch_max=batch_max, batch_same_symbol=same_symbol, batch_atomic=atomic
    )
    shaped = batches(claimed, capabilities)
    sent = [order for batch in shaped for order in batch]

    assert sorted(int(order.broker_order_key) for order in sent) == list(range(len(pairs)))
    assert all(1 <= len(batch) <= batch_max for batch in shaped)
    if same_symbol:
        assert all(len({order.symbol for order in batch}) == 1 for batch in shaped)
    if atomic:
        assert all(len({order.account_id for order in batch}) == 1 for batch in shaped)
    for account in "abc":
        keys = [int(order.broker_order_key) for order in sent if order.account_id == account]
        assert keys == sorted(keys)


SINGLE = Capabilities()
BATCHED = Capabilities(batch_max=50)
BY_REQUEST = Capabilities(batch_max=50, batch_cost="per_request")


@pytest.mark.parametrize(
    ("per_second", "window_room", "free_slots", "capabilities", "claimed"),
    [
        (1_000, 1_000, 64, SINGLE, 50),  # 50 ms of the rate
        (1_000, 1_000, 7, SINGLE, 7),  # but there are seven slots
        (1_000, 3, 64, SINGLE, 3),  # or room for three
        (10, 10, 64, SINGLE, 1),
        (100, 100, 64, BATCHED, 50),  # one batch at least
        (10, 10, 64, BATCHED, 10),  # never more than a second sends
        (100, 20, 64, BATCHED, 20),
        (10, 10, 64, BY_REQUEST, 50),  # one permit, one request, fifty orders
        (100, 100, 64, BY_REQUEST, 250),
        (100, 2, 64, BY_REQUEST, 100),
        (100, 100, 1, BY_REQUEST, 50),
        (0, 100, 64, BATCHED, 0),
        (100, 0, 64, BATCHED, 0),
        (100, 100, 0, BATCHED, 0),
        (100, 100, -1, BATCHED, 0),
        (None, 1 << 40, 3, BATCHED, 150),
        (None, 1 << 40, 64, BATCHED, CLAIM_ORDERS_MAX),
        (1_000_000, 1_000_000, 1_000_000, SINGLE, CLAIM_ORDERS_MAX),
    ],
)
def test_a_claim_is_fifty_milliseconds_and_no_more_than_can_leave(
    per_second: int | None,
    window_room: int,
    free_slots: int,
    capabilities: Capabilities,
    claimed: int,
) -> None:
    size = claim_size(
        per_second=per_second,
        window_room=window_room,
        free_slots=free_slots,
        capabilities=capabilities,
    )

    assert size == claimed


def test_the_rest_leaves_at_the_steady_pace() -> None:
    assert eta_s(985, 1_000) == 1.0
    assert eta_s(0, 1_000) == 0.0
    assert eta_s(0, 0) == 0.0
    assert eta_s(5, 0) is None
    assert eta_s(5, None) == 0.0
