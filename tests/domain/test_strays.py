"""Evidence of a copy that we held to be nowhere: its fills count, its words move nothing else."""

from decimal import Decimal

import pytest

from app.domain.messages import ExecutionType
from app.domain.order import MAYBE_OUT, UNSENT
from app.domain.reports import applied
from app.domain.trades import NOTHING
from app.domain.values import Status
from tests.builders import a_report, an_order
from tests.domain.folded import LATER, STRAY, Folded, amounts, trade

S = Status
E = ExecutionType
D = Decimal


@pytest.mark.parametrize("kind", [E.NEW, E.ORDER_STATUS, E.DONE_FOR_DAY])
@pytest.mark.parametrize("status", Status)
def test_a_copy_that_turns_up_is_flagged_and_moves_only_what_waits(
    status: Status, kind: ExecutionType
) -> None:
    folded = Folded(an_order(status=status, broker_order_id="S-7"))
    (after,) = folded.report(a_report(kind), stray=True)

    assert after.status is (S.HELD if status in UNSENT else status)
    assert after.reason_code == STRAY
    assert after.broker_order_id == "S-7"  # of the attempt that is out now
    assert folded.report(a_report(kind), stray=True) == []


@pytest.mark.parametrize("kind", [E.REJECTED, E.CANCELED, E.EXPIRED])
@pytest.mark.parametrize("status", Status)
def test_the_end_of_a_stray_copy_ends_no_other_attempt(status: Status, kind: ExecutionType) -> None:
    assert applied(an_order(status=status), a_report(kind), NOTHING, LATER, stray=True) == []


@pytest.mark.parametrize("status", sorted(UNSENT))
def test_a_stray_fill_holds_what_waits_with_its_amounts(status: Status) -> None:
    folded = Folded(an_order(status=status))
    folded.report(trade("e-1", 4), stray=True)
    folded.report(trade("e-2", 6), stray=True)

    assert folded.order.status is S.HELD
    assert folded.order.reason_code == STRAY
    assert amounts(folded.order) == (10, 0, 10 * D("187.25"))


@pytest.mark.parametrize("status", sorted(MAYBE_OUT))
def test_a_stray_fill_says_nothing_of_the_attempt_that_is_out(status: Status) -> None:
    folded = Folded(an_order(status=status))
    folded.report(trade("e-1", 10), stray=True)

    assert folded.order.status is status
    assert folded.order.filled_quantity == 10
    assert folded.order.reason_code == STRAY


def test_a_held_copy_ends_as_its_broker_says() -> None:
    folded = Folded(an_order(status=S.QUEUED))
    folded.report(trade("e-1", 4), stray=True)
    folded.report(a_report(E.EXPIRED), stray=True)

    assert folded.order.status is S.EXPIRED
    assert folded.order.filled_quantity == 4
