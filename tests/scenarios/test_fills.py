"""Every fill counts once: twice told, out of order, before its acknowledgement, after the end."""

from decimal import Decimal

from app.domain.messages import ExecutionType
from app.domain.values import Status
from tests.scenarios.fates import Placed
from tests.scenarios.floor import Floor


def test_duplicate_and_disordered_fills_count_once(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    key = floor.key("o-1")
    floor.north.pushes_s = lambda: [0.5, 0.01, 0.01, 2.0]
    floor.north.fills(key, 3, "185.00")
    floor.north.pushes_s = lambda: [0.001, 0.3]
    floor.north.fills(key, 4, "186.00")
    floor.passes(5)

    order = floor.order("o-1")
    assert order.status is Status.PARTIALLY_FILLED
    assert order.filled_quantity == 7
    assert order.filled_value == 3 * Decimal(185) + 4 * Decimal(186)
    assert len(floor.executions("o-1")) == 2


def test_a_fill_may_come_before_the_acknowledgement(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.north.does("new", back_s=1.0)

    def at_once(placed: Placed) -> None:
        floor.north.fills(placed.submission.broker_order_key, 10)

    floor.north.on_accepted = at_once
    floor.bell()
    assert floor.comes_to("filled", "o-1") < 0.9
    floor.passes(5)

    assert floor.state("o-1") == "filled"
    assert [a.outcome for a in floor.attempts("o-1")] == ["accepted"]


def test_a_fill_after_the_cancel_is_still_a_fill(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    key = floor.key("o-1")
    placed = floor.north.orders[key]
    floor.cancel("o-1")
    floor.comes_to("canceled", "o-1")
    late = floor.north.report(
        placed, ExecutionType.TRADE, last_quantity=Decimal(4), last_price=Decimal(185)
    )
    floor.north.push(late)
    floor.passes(1)

    order = floor.order("o-1")
    assert order.status is Status.CANCELED
    assert order.filled_quantity == 4


def test_fills_told_while_nobody_listened_are_told_again(floor: Floor) -> None:
    floor.reserve("o-1")
    floor.bell()
    floor.comes_to("new", "o-1")
    floor.crash()
    floor.north.fills(floor.key("o-1"), 10)
    floor.passes(20)
    floor.start()
    floor.comes_to("filled", "o-1")

    assert len(floor.executions("o-1")) == 1
