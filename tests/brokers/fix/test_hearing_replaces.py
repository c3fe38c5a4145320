"""What a broker's words prove of new terms, and what they look like but do not prove."""

from datetime import date
from decimal import Decimal

import pytest

from app.brokers.fix.hearing import heard
from app.domain.messages import (
    Accepted,
    ExecutionReport,
    ExecutionType,
    Found,
    Rejected,
    Unknown,
)
from app.domain.values import Status
from tests.brokers.fix.peer import NOW
from tests.brokers.fix.told import (
    A_REFUSAL,
    A_REPLACE,
    DIALECT,
    KEY,
    NEW_KEY,
    a_message,
    changed,
    hear,
)

_E = ExecutionType


def test_a_refused_replace_is_no_refused_cancel() -> None:
    said = hear(A_REFUSAL, "9")

    assert (said.key, said.canceled, said.replaced) == (KEY, None, Rejected("too-late"))
    assert said.report == ExecutionReport(
        broker_id="north",
        broker_order_key=NEW_KEY,
        broker_order_id="N1",
        execution_id=f"reject-{NEW_KEY}",
        execution_type=_E.REPLACE_REJECTED,
        trade_date=date(2026, 3, 3),
        at=NOW,
    )


@pytest.mark.parametrize("refers_to", ["1", None])
def test_whose_id_is_a_replaces_own_is_refused_as_that(refers_to: str | None) -> None:
    said = hear(changed(A_REFUSAL, t434=refers_to, t37="NONE"), "9")

    assert (said.canceled, said.replaced) == (None, Rejected("too-late"))
    assert said.report is not None


def test_a_refusal_without_any_time_is_still_an_answer() -> None:
    said = hear(changed(A_REFUSAL, t52=None), "9")

    assert (said.replaced, said.report) == (Rejected("too-late"), None)
    assert said.trouble is not None


def test_a_duplicate_id_of_a_replace_is_this_very_replace() -> None:
    said = hear(changed(A_REFUSAL, t102="6"), "9")

    assert isinstance(said.replaced, Unknown)
    assert said.report is None


def test_new_terms_are_read_to_the_last_field() -> None:
    said = hear(A_REPLACE)

    assert said.replaced == Accepted("N1")
    assert said.report is not None
    assert (said.report.execution_type, said.report.broker_order_key) == (_E.REPLACED, NEW_KEY)
    assert (said.report.quantity, said.report.limit_price) == (Decimal(12), Decimal("186.5"))


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({"t38": None, "t44": None}, (None, None)),
        ({"t44": "0"}, (Decimal(12), None)),
        ({"t40": "1"}, (Decimal(12), None)),  # a market order, with some price in the field
        ({"t40": "2"}, (Decimal(12), Decimal("186.5"))),
    ],
)
def test_terms_that_are_not_said_are_none(
    changes: dict[str, str | None], terms: tuple[Decimal | None, Decimal | None]
) -> None:
    said = hear(changed(A_REPLACE, **changes))

    assert said.report is not None
    assert (said.report.quantity, said.report.limit_price) == terms


@pytest.mark.parametrize("tag", ["38", "44"])
@pytest.mark.parametrize("text", ["", "-1", "1e3", "NaN", "1,5", "\u0661"])
def test_terms_that_cannot_be_read_are_no_terms(tag: str, text: str) -> None:
    said = hear(changed(A_REPLACE, **{f"t{tag}": text}))

    assert said.report is None
    assert isinstance(said.replaced, Unknown)
    assert said.trouble is not None


@pytest.mark.parametrize("tag", [38, 44])
def test_terms_that_are_said_twice_are_no_terms(tag: int) -> None:
    (said,) = heard("north", DIALECT, a_message("8", [*A_REPLACE.items(), (tag, "13")]))

    assert said.report is None
    assert isinstance(said.replaced, Unknown)


def test_a_pending_replace_is_an_accepted_one_and_has_no_terms() -> None:
    said = hear(changed(A_REPLACE, t150="E", t39="E"))

    assert (said.replaced, said.is_pending) == (Accepted("N1"), True)
    assert said.report is not None
    assert (said.report.execution_type, said.report.quantity) == (_E.PENDING_REPLACE, None)


@pytest.mark.parametrize("original", [KEY, None])
def test_a_replace_refused_by_a_report_does_not_end_the_order(original: str | None) -> None:
    said = hear(changed(A_REPLACE, t41=original, t150="8", t39="8", t103="3"))

    assert (said.submitted, said.canceled) == (None, None)
    assert said.replaced == Rejected("order-exceeds-limit")
    assert said.report is not None
    assert said.report.execution_type is _E.REPLACE_REJECTED


@pytest.mark.parametrize("reason", ["5", "6"])
def test_an_odd_refusal_proves_nothing_of_a_replace(reason: str) -> None:
    said = hear(changed(A_REPLACE, t150="8", t39="8", t103=reason))

    assert isinstance(said.replaced, Unknown)
    assert said.report is None


def test_a_refusal_of_nothing_named_for_no_reason_may_mean_a_question() -> None:
    said = hear(changed(A_REPLACE, t37="NONE", t150="8", t39="8", t103="0"))

    assert isinstance(said.replaced, Unknown)
    assert said.report is None


def test_a_refused_replace_that_is_asked_about_is_no_refused_order() -> None:
    said = hear(changed(A_REPLACE, t150="8", t39="8", t790="Q-1"))

    assert said.shown is not None
    assert said.report is not None
    assert said.report.execution_type is _E.REPLACE_REJECTED


def test_a_status_shows_the_terms_and_whether_they_are_decided() -> None:
    said = hear(changed(A_REPLACE, t150="I", t39="E", t790="Q-1"))
    unread = hear(changed(A_REPLACE, t150="I", t38="lots", t790="Q-1"))

    assert said.is_pending
    assert said.shown == Found("N1", Status.NEW, quantity=Decimal(12), limit_price=Decimal("186.5"))
    assert unread.shown == Found("N1", Status.NEW)
