"""New terms at a broker: one request, one order, and the broker's word decides."""

from decimal import Decimal

import pytest

from app.dispatch.replaces import Replaces
from app.domain.errors import Refused
from app.domain.messages import ExecutionType, NotSent, Rejected, Throttled
from app.domain.values import PendingRequest, replace_key
from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import Floor


def replaces(floor: Floor) -> list[str]:
    return [r.key for r in floor.north.received if r.verb == "replace"]


def working(floor: Floor, name: str = "o-1") -> str:
    """Place an order of 10 that works at north; return its key."""
    floor.reserve(name)
    floor.bell()
    floor.comes_to("new", name)
    return floor.key(name)


def settles(floor: Floor, name: str = "o-1") -> float:
    return floor.until(lambda: floor.order(name).pending_request == "none")


def terms(floor: Floor, name: str = "o-1") -> tuple[object, ...]:
    order = floor.order(name)
    return order.status.value, order.quantity, order.filled_quantity


def there(floor: Floor, name: str = "o-1") -> tuple[object, ...]:
    placed = floor.north.orders[floor.key(name)]
    return placed.status.value, placed.quantity, placed.filled


def test_new_terms_are_the_orders_when_the_broker_says_so(floor: Floor) -> None:
    key = working(floor)
    floor.north.does("replace", decided_s=1.0)
    asked = floor.replace("o-1", 20, "270.00")
    assert (asked.pending_request, asked.quantity) == (PendingRequest.REPLACE, Decimal(10))
    floor.passes(0.5)
    assert terms(floor) == ("new", 10, 0)

    settles(floor)

    assert terms(floor) == there(floor) == ("new", 20, 0)
    assert floor.order("o-1").limit_price == 270
    assert replaces(floor) == [replace_key(key, 1)]


def test_an_adapter_that_holds_new_terms_back_hears_of_a_halt(floor: Floor) -> None:
    """As of an order: a session asks its lane right before the write, under the replace's key."""
    key = replace_key(working(floor), 1)
    floor.north.does("replace", leaves_s=0.5)
    floor.replace("o-1", 20)
    loops = [getattr(loop, "__self__", None) for loop in floor.gateway.forever]
    lanes = [one for one in loops if isinstance(one, Replaces)]
    floor.until(lambda: any(lane.stops(key) is None for lane in lanes))
    lane = next(one for one in lanes if one.stops(key) is None)

    floor.halt()
    assert lane.stops(key) == "halted"
    settles(floor)
    assert lane.stops(key) == "nobody sends it"


def test_three_in_a_chain_are_one_order_and_a_cancel_finds_its_end(floor: Floor) -> None:
    key = working(floor)
    for quantity in (20, 5, 30):
        floor.replace("o-1", quantity)
        settles(floor)
        assert terms(floor) == there(floor) == ("new", quantity, 0)
    floor.north.fills(key, 12)
    floor.comes_to("partially_filled", "o-1")
    floor.cancel("o-1")
    floor.comes_to("canceled", "o-1")

    assert terms(floor) == there(floor) == ("canceled", 30, 12)
    cancels = [r.key for r in floor.north.received if r.verb == "cancel"]
    assert cancels == [replace_key(key, 3)]
    assert floor.north.news() == [key]


@pytest.mark.parametrize(
    ("traded", "ends"), [(3, "partially_filled"), (5, "filled"), (7, "filled")]
)
def test_fills_that_pass_a_replace_amend_it(floor: Floor, traded: int, ends: str) -> None:
    key = working(floor)
    floor.north.does("replace", decided_s=1.0)
    floor.replace("o-1", 5)
    floor.passes(0.2)
    floor.north.fills(key, traded)
    settles(floor)

    assert terms(floor) == there(floor) == (ends, max(5, traded), traded)


def test_a_replace_that_is_too_late_leaves_the_filled_order_alone(floor: Floor) -> None:
    key = working(floor)
    floor.north.does("replace", decided_s=1.0)
    floor.replace("o-1", 20)
    floor.passes(0.2)
    floor.north.fills(key, 10)
    floor.comes_to("filled", "o-1")
    assert floor.order("o-1").pending_request == "replace"  # it may have been raised

    settles(floor)

    assert terms(floor) == ("filled", 10, 10)


def test_a_replace_whose_answer_and_report_were_lost_is_found(floor: Floor) -> None:
    key = working(floor)
    floor.north.does("replace", replies=False)
    floor.north.pushes_s = list
    floor.replace("o-1", 20)
    settles(floor)

    assert terms(floor) == there(floor) == ("new", 20, 0)
    assert replaces(floor) == [replace_key(key, 1)]


def test_a_replace_that_never_arrived_is_given_up_after_the_window_and_not_sent_again(
    floor: Floor,
) -> None:
    key = working(floor)
    floor.north.does("replace", arrives=False)
    floor.replace("o-1", 20)
    took = settles(floor)

    assert took > PLAIN.visibility_window_s
    assert terms(floor) == there(floor) == ("new", 10, 0)
    floor.north.answers()
    floor.passes(5)
    assert replaces(floor) == []
    floor.replace("o-1", 15)
    settles(floor)
    assert replaces(floor) == [replace_key(key, 2)]


def test_while_one_is_unanswered_no_second_one_is_taken(floor: Floor) -> None:
    working(floor)
    floor.north.does("replace", arrives=False)
    floor.replace("o-1", 20)
    with pytest.raises(Refused, match="order-not-editable"):
        floor.replace("o-1", 30)
    floor.passes(4)
    with pytest.raises(Refused, match="order-not-editable"):
        floor.replace("o-1", 30)


def test_a_crash_with_a_replace_on_the_wire_makes_a_doubt_and_no_second_one(floor: Floor) -> None:
    key = working(floor)
    floor.north.does("replace", there_s=0.5)
    floor.replace("o-1", 20)
    floor.until(lambda: any(s.verb == "replace" for s in floor.north.sent))
    floor.restart()
    settles(floor)

    assert terms(floor) == there(floor) == ("new", 20, 0)
    assert replaces(floor) == [replace_key(key, 1)]


@pytest.mark.parametrize("verdict", [NotSent("logged out"), Throttled(0.2)])
def test_what_was_not_sent_waits_again_under_the_next_key(
    floor: Floor, verdict: NotSent | Throttled
) -> None:
    key = working(floor)
    floor.north.does("replace", verdict=verdict)
    floor.replace("o-1", 20)
    floor.passes(0.5)
    floor.north.answers()
    settles(floor)

    assert terms(floor) == there(floor) == ("new", 20, 0)
    keys = replaces(floor)
    assert keys == [replace_key(key, n) for n in range(1, len(keys) + 1)]
    assert len(keys) > 1


def test_a_refused_replace_leaves_the_old_terms_and_says_why(floor: Floor) -> None:
    working(floor)
    floor.north.does("replace", verdict=Rejected("bad-price", "off tick"))
    floor.replace("o-1", 20)
    settles(floor)

    assert terms(floor) == there(floor) == ("new", 10, 0)
    causes = floor.query("SELECT cause FROM order_events ORDER BY sequence DESC LIMIT 1")
    assert [cause for (cause,) in causes] == ["replace rejected: bad-price off tick"]


def test_too_late_is_where_the_end_hides(floor: Floor) -> None:
    key = working(floor)
    floor.north.pushes_s = list
    floor.north.ends(key, ExecutionType.EXPIRED)
    floor.replace("o-1", 20)
    floor.comes_to("expired", "o-1")

    assert floor.order("o-1").pending_request == "none"
    assert floor.order("o-1").quantity == 10


def test_a_halt_keeps_new_terms_here_and_lets_the_cancel_pass(floor: Floor) -> None:
    working(floor)
    floor.halt("symbol", "AAPL")
    order = floor.order("o-1")
    wanted = (Decimal(20), order.limit_price)
    floor.run(floor.gateway.ledger.amend(order.order_id, order.version, *wanted))
    floor.passes(3)
    assert replaces(floor) == []
    floor.cancel("o-1")
    floor.comes_to("canceled", "o-1")

    assert replaces(floor) == []
    assert floor.order("o-1").quantity == 10


def test_a_cancel_overtakes_a_replace_that_has_not_been_answered(floor: Floor) -> None:
    working(floor)
    floor.north.does("replace", there_s=0.5)
    floor.replace("o-1", 20)
    floor.until(lambda: any(s.verb == "replace" for s in floor.north.sent))
    floor.cancel("o-1")
    floor.comes_to("canceled", "o-1")
    floor.passes(10)

    assert terms(floor) == there(floor) == ("canceled", 10, 0)
    assert [r.decision for r in floor.north.received if r.verb == "replace"] == ["too-late"]


def test_a_broker_that_cannot_is_never_asked(floor: Floor) -> None:
    working(floor)
    floor.gateway.desk._replaces = frozenset({"south"})
    with pytest.raises(Refused, match="replace-unsupported"):
        floor.replace("o-1", 20)

    assert floor.order("o-1").pending_request == "none"


@pytest.mark.parametrize(
    ("quantity", "price"), [(10, None), (4, None), (20, "1"), (0, None), (20, "270.001")]
)
def test_new_terms_are_judged_as_at_intake(floor: Floor, quantity: int, price: str | None) -> None:
    key = working(floor)
    floor.north.fills(key, 4)
    floor.comes_to("partially_filled", "o-1")
    with pytest.raises(Refused):
        floor.replace("o-1", quantity, price)

    assert floor.order("o-1").pending_request == "none"
