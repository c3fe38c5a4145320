"""What executions come to: no order of arrival and no repetition changes it."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import InvalidTransition
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import MAYBE_OUT, MOVES, TERMINAL, UNSENT
from app.domain.reports import average
from app.domain.trades import AMOUNT_END, EXACT, TRADES, Amounts, Trades
from app.domain.values import PendingRequest, Status
from tests.builders import NOW, a_report, an_order
from tests.domain.folded import WAITS, Folded, amounts, bust, correct, fold, trade

S = Status
E = ExecutionType
D = Decimal


def test_two_busts_of_one_trade_take_it_back_once() -> None:
    after = fold([trade("e-1", 4), trade("e-2", 4), bust("b-1", "e-1"), bust("b-2", "e-1")])

    assert amounts(after) == (4, 0, 4 * D("187.25"))


def test_a_bust_of_a_corrected_trade_takes_back_the_correction() -> None:
    after = fold([trade("e-1", 4), correct("g-1", "e-1", 6), bust("b-1", "e-1")])

    assert amounts(after) == (0, 0, 0)


@pytest.mark.parametrize("names", [("g-1", "g-2"), ("g-2", "g-1")])
def test_the_last_correction_stands(names: tuple[str, str]) -> None:
    one, two = correct(names[0], "e-1", 6, at=NOW), correct(names[1], "e-1", 3, at=NOW + 1)

    for order in permutations([trade("e-1", 4), one, two]):
        assert amounts(fold(order)) == (3, 0, 3 * D("187.25"))


def test_a_correction_may_speak_of_a_correction() -> None:
    chain = [trade("e-1", 4), correct("g-1", "e-1", 6), correct("g-2", "g-1", 2, "190")]

    for order in permutations(chain):
        assert amounts(fold(order)) == (2, 0, 380)
    for order in permutations([*chain, bust("b-1", "g-2")]):
        assert amounts(fold(order)) == (0, 0, 0)


def test_executions_that_speak_of_each_other_in_a_circle_say_nothing() -> None:
    circle = [correct("g-1", "g-2", 6), correct("g-2", "g-1", 5), correct("g-3", "g-3", 5)]

    assert amounts(fold([trade("e-1", 4), *circle])) == (4, 0, 4 * D("187.25"))


def test_a_trade_of_another_broker_is_another_trade() -> None:
    elsewhere = replace(bust("b-1", "e-1"), broker_id="south")

    assert fold([trade("e-1", 4), elsewhere]).filled_quantity == 4


@pytest.mark.parametrize(
    "facts",
    [
        {"last_quantity": D(0)},
        {"last_quantity": D(-1)},
        {"last_quantity": D("NaN")},
        {"last_quantity": D("sNaN")},
        {"last_quantity": D("Infinity")},
        {"last_quantity": D("1E+999999")},
        {"last_quantity": D("1E-999999")},
        {"last_quantity": AMOUNT_END},
        {"last_price": None},
        {"last_price": D(0)},
        {"last_price": D("NaN")},
        {"last_price": D("1E-19")},
        {"at": -1},
        {"at": 2**64},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [E.TRADE, E.TRADE_CORRECT])
def test_an_execution_that_cannot_be_is_refused_before_it_counts(
    kind: ExecutionType, facts: dict[str, Any]
) -> None:
    trades = Trades([trade("e-1", 4)])
    with pytest.raises(InvalidTransition):
        trades.add(a_report(kind, "x-1", **{"referenced_execution_id": "e-1"} | facts))

    assert trades.add(bust("b-1", "e-1")) == Amounts(D(-4), -4 * D("187.25"))


@pytest.mark.parametrize("kind", [E.TRADE_CANCEL, E.TRADE_CORRECT])
@pytest.mark.parametrize("of", [None, ""])
def test_a_bust_names_a_trade(kind: ExecutionType, of: str | None) -> None:
    with pytest.raises(InvalidTransition, match="names no trade"):
        Trades().add(a_report(kind, "b-1", referenced_execution_id=of))


def test_thirty_digits_are_kept_to_the_last_one() -> None:
    price = D("123456789012345678.123456789012")
    reports = [trade("e-1", "0.000000000001", price), trade("e-2", "999999999999999999", price)]

    one, two = fold(reports), fold(reports[::-1])

    assert one.filled_value == two.filled_value
    exact = 123456789012345678123456789012 * 999999999999999999000000000001
    assert one.filled_value == D(exact).scaleb(-24, EXACT)
    assert one.average_price == two.average_price == D("123456789012345678.12345679")


def test_an_average_of_a_huge_price_is_still_an_average() -> None:
    assert average(D(3), D(10)) == D("3.33333333")
    assert average(D(1), AMOUNT_END * AMOUNT_END) == AMOUNT_END * AMOUNT_END
    assert average(D(0), D(0)) is None


# --- properties -------------------------------------------------------------------------

AMOUNTS = st.decimals(min_value="0.000001", max_value=30, places=6)
PRICES = st.decimals(min_value="0.0001", max_value=1_000_000, places=4)


@st.composite
def executions(draw: st.DrawFn) -> list[ExecutionReport]:
    """Draw trades, and busts and corrections of them, of each other, and of nothing."""
    size = draw(st.integers(1, 7))
    found: list[ExecutionReport] = []
    for number in range(size):
        kind = draw(st.sampled_from(sorted(TRADES)))
        fields: dict[str, Any] = {"at": NOW + draw(st.integers(0, 2))}
        if kind is not E.TRADE:
            names = [r.execution_id for r in found] + ["never-came", f"e-{number}"]
            fields["referenced_execution_id"] = draw(st.sampled_from(names))
        if kind is not E.TRADE_CANCEL:
            fields |= {"last_quantity": draw(AMOUNTS), "last_price": draw(PRICES)}
        found.append(a_report(kind, f"e-{number}", **fields))
    return found


@given(executions(), st.data(), st.sampled_from(sorted(set(Status) - UNSENT)))
def test_no_order_of_arrival_and_no_repetition_changes_what_was_traded(
    reports: list[ExecutionReport], data: st.DataObject, status: Status
) -> None:
    repeated = reports + data.draw(st.lists(st.sampled_from(reports), max_size=5))
    one = fold(reports, status=status)
    two = fold(data.draw(st.permutations(repeated)), status=status)

    assert amounts(one) == amounts(two)
    assert one.average_price == two.average_price


WORDS: Final = sorted(set(ExecutionType) - TRADES)


@given(
    reports=executions(),
    data=st.data(),
    status=st.sampled_from(sorted(set(Status) - UNSENT)),
    waits=st.booleans(),
)
def test_whatever_comes_each_step_is_legal_and_counts_one(
    reports: list[ExecutionReport], data: st.DataObject, status: Status, *, waits: bool
) -> None:
    words = [a_report(kind, f"w-{kind}") for kind in data.draw(st.lists(st.sampled_from(WORDS)))]
    arrived = data.draw(st.permutations(reports + words))
    folded = Folded(an_order(status=status, **WAITS if waits else {}))
    for report in arrived:
        try:
            folded.report(report, stray=data.draw(st.booleans()))
        except InvalidTransition:
            # T19 and a refusal after the end; and words on a replace that nobody asked for.
            assert report.execution_type in {E.REJECTED, E.REPLACED, E.REPLACE_REJECTED}

    for before, after in zip(folded.versions, folded.versions[1:], strict=False):
        assert after.version == before.version + 1
        assert after.status in MOVES[before.status]
        assert after.filled_quantity <= after.quantity
        assert after.overfilled_quantity >= 0
        assert not after.overfilled_quantity or after.filled_quantity == after.quantity
        if before.status in TERMINAL - {S.FILLED}:
            assert after.status in {before.status, S.FILLED}
        if after.status in TERMINAL and before.status not in TERMINAL:
            assert after.pending_request is PendingRequest.NONE


@given(executions(), st.sampled_from(sorted(MAYBE_OUT)))
def test_evidence_always_ends_the_doubt(reports: list[ExecutionReport], status: Status) -> None:
    (after, *_) = Folded(an_order(status=status)).report(reports[0])

    assert after.status not in MAYBE_OUT
