"""Every fill once, in any order, none dropped; and amounts that no order of arrival can change."""

from decimal import Decimal

import pytest

from app.domain.errors import Code, InvalidTransition
from app.domain.messages import ExecutionType
from app.domain.order import MAYBE_OUT, TERMINAL, WORKING
from app.domain.reports import applied
from app.domain.trades import NOTHING
from app.domain.values import PendingRequest, Status
from tests.builders import a_report, an_order
from tests.domain.folded import LATER, WAITS, Folded, amounts, bust, fold, trade

S = Status
E = ExecutionType
D = Decimal


# --- words ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [E.NEW, E.ORDER_STATUS, E.DONE_FOR_DAY])
@pytest.mark.parametrize("status", sorted(MAYBE_OUT))
def test_whatever_a_broker_says_of_an_attempt_shows_that_it_got_there(
    status: Status, kind: ExecutionType
) -> None:
    steps = applied(an_order(status=status), a_report(kind), NOTHING, LATER)

    assert steps[-1].status is S.NEW
    assert steps[-1].broker_order_id == "N-1"


@pytest.mark.parametrize("kind", [E.TRADE_CANCEL, E.TRADE_CORRECT])
@pytest.mark.parametrize("status", sorted(MAYBE_OUT))
def test_a_bust_that_comes_before_everything_else_shows_it_too(
    status: Status, kind: ExecutionType
) -> None:
    folded = Folded(an_order(status=status))
    (after,) = folded.report(a_report(kind, "b-1", referenced_execution_id="e-1"))

    assert (after.status, after.broker_order_id) == (S.NEW, "N-1")
    assert not after.filled_quantity


@pytest.mark.parametrize("kind", [E.CANCELED, E.EXPIRED])
@pytest.mark.parametrize("status", sorted(MAYBE_OUT | WORKING))
def test_an_end_at_the_broker_is_an_end(status: Status, kind: ExecutionType) -> None:
    steps = applied(an_order(status=status), a_report(kind), NOTHING, LATER)

    assert steps[-1].status == kind.value
    assert [step.version for step in steps] == list(range(2, 2 + len(steps)))


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("kind", [E.CANCELED, E.EXPIRED, E.DONE_FOR_DAY])
def test_what_has_ended_does_not_end_again(status: Status, kind: ExecutionType) -> None:
    assert applied(an_order(status=status), a_report(kind), NOTHING, LATER) == []


@pytest.mark.parametrize("status", sorted(MAYBE_OUT | {S.NEW}))
def test_a_refusal_is_kept_with_its_reason(status: Status) -> None:
    (after,) = applied(
        an_order(status=status), a_report(E.REJECTED, reason="no-cash"), NOTHING, LATER
    )

    assert (after.status, after.reason_code) == (S.REJECTED, "no-cash")


def test_a_refusal_without_a_reason_has_one() -> None:
    (after,) = applied(an_order(status=S.NEW), a_report(E.REJECTED), NOTHING, LATER)

    assert after.reason_code == Code.BROKER_REFUSED.code


@pytest.mark.parametrize("status", [S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED])
def test_a_trade_is_not_undone_by_a_refusal(status: Status) -> None:
    with pytest.raises(InvalidTransition):
        applied(an_order(status=status), a_report(E.REJECTED), NOTHING, LATER)


def test_done_for_day_is_a_flag_and_no_end() -> None:
    folded = Folded(an_order(status=S.NEW))
    folded.report(a_report(E.DONE_FOR_DAY))

    assert (folded.order.status, folded.order.done_for_day) == (S.NEW, True)
    assert folded.report(a_report(E.DONE_FOR_DAY)) == []


def test_what_is_known_already_makes_no_new_version() -> None:
    folded = Folded(an_order(status=S.SENDING))
    folded.report(a_report(E.NEW))

    assert folded.report(a_report(E.NEW)) == []
    assert folded.report(a_report(E.ORDER_STATUS, "other-id")) == []


# --- trades -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "quantity", "to"),
    [
        (S.SENDING, 4, S.PARTIALLY_FILLED),  # an execution may precede the acknowledgement
        (S.SENDING, 10, S.FILLED),
        (S.IN_DOUBT, 4, S.PARTIALLY_FILLED),
        (S.IN_DOUBT, 10, S.FILLED),
        (S.NEW, 4, S.PARTIALLY_FILLED),
        (S.NEW, 10, S.FILLED),
        (S.CANCELED, 4, S.CANCELED),  # T20
        (S.CANCELED, 10, S.FILLED),
        (S.EXPIRED, 4, S.EXPIRED),
        (S.EXPIRED, 10, S.FILLED),
        (S.REJECTED, 10, S.REJECTED),  # T21
        (S.DENIED, 10, S.DENIED),
    ],
)
def test_a_fill_is_a_fact_wherever_the_order_stands(
    status: Status, quantity: int, to: Status
) -> None:
    after = fold([trade("e-1", quantity)], status=status)

    assert after.status is to
    assert after.filled_quantity == quantity
    assert after.filled_value == quantity * D("187.25")
    assert after.average_price == D("187.25")
    assert after.broker_order_id == "N-1"


def test_an_excess_is_flagged_and_not_dropped() -> None:
    after = fold([trade("e-1", 8), trade("e-2", 5)])

    assert amounts(after) == (10, 3, 13 * D("187.25"))
    assert after.status is S.FILLED


def test_a_complete_fill_ends_a_waiting_cancel() -> None:
    after = fold([trade("e-1", 10)], **WAITS)

    assert (after.pending_request, after.cancel_origin) == (PendingRequest.NONE, None)


def test_a_part_fill_leaves_a_waiting_cancel() -> None:
    after = fold([trade("e-1", 4)], **WAITS)

    assert (after.status, after.pending_request) == (S.PARTIALLY_FILLED, PendingRequest.CANCEL)


def test_a_bust_takes_a_fill_back() -> None:
    filled = [trade("e-1", 4), trade("e-2", 6)]

    assert fold([*filled, bust("b-1", "e-1")]).status is S.PARTIALLY_FILLED
    assert amounts(fold([*filled, bust("b-1", "e-1")])) == (6, 0, 6 * D("187.25"))
    assert fold([*filled, bust("b-1", "e-1"), bust("b-2", "e-2")]).status is S.NEW
