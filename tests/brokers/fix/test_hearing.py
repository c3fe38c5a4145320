"""What a broker's words prove, table by table; and what they look like but do not prove."""

from datetime import date
from decimal import Decimal
from typing import Final

import pytest

from app.brokers.fix.executions import KINDS
from app.brokers.fix.hearing import heard
from app.brokers.fix.words import Dialect, cancel_id
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)
from app.domain.values import Status
from tests.brokers.fix.peer import NOW
from tests.brokers.fix.told import (
    A_FILL,
    AN_ANSWER,
    DIALECT,
    KEY,
    NEW_KEY,
    STAMP,
    a_message,
    changed,
    hear,
)

_E = ExecutionType


def test_a_fill_is_read_to_the_last_field() -> None:
    said = hear(A_FILL)

    assert said.key == KEY
    assert said.submitted == Accepted("N1")
    assert said.filled_quantity == Decimal(4)
    assert said.report == ExecutionReport(
        broker_id="north",
        broker_order_key=KEY,
        broker_order_id="N1",
        execution_id="E1",
        execution_type=_E.TRADE,
        trade_date=date(2026, 3, 3),
        at=NOW,
        last_quantity=Decimal(4),
        last_price=Decimal("185.49"),
    )


@pytest.mark.parametrize("type_", sorted(KINDS))
def test_every_exectype_of_fix_4_4_is_read(type_: str) -> None:
    said = hear(changed(A_FILL, t150=type_, t19="E0"))

    assert said.trouble is None
    assert said.report is not None
    assert said.report.execution_type is KINDS[type_]


@pytest.mark.parametrize("type_", ["1", "2", "J", "", "trade", "\xb2"])
def test_an_exectype_that_nobody_knows_is_told_and_leaves_the_order_in_doubt(type_: str) -> None:
    said = hear(changed(A_FILL, t150=type_))

    assert said.report is None
    assert isinstance(said.submitted, Unknown)
    assert said.trouble is not None
    assert "ExecType" in said.trouble


@pytest.mark.parametrize(
    ("type_", "transaction", "kind"),
    [
        ("1", None, _E.TRADE),
        ("2", "0", _E.TRADE),
        ("2", "1", _E.TRADE_CANCEL),
        ("1", "2", _E.TRADE_CORRECT),
        ("1", "3", _E.ORDER_STATUS),
        ("0", None, _E.NEW),
    ],
)
def test_fills_of_4_2_are_read_where_the_contract_says_so(
    type_: str, transaction: str | None, kind: ExecutionType
) -> None:
    fields = changed(A_FILL, t150=type_, t20=transaction, t19="E0")
    said = hear(fields, dialect=Dialect(fills_of_4_2=True))

    assert said.report is not None
    assert said.report.execution_type is kind


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"t32": None}, "tag 32"),
        ({"t32": "0"}, "a trade of nothing"),
        ({"t32": "-4"}, "tag 32"),
        ({"t32": "4e1"}, "tag 32"),
        ({"t32": "+4"}, "tag 32"),
        ({"t32": "NaN"}, "tag 32"),
        ({"t31": None}, "tag 31"),
        ({"t31": "1,5"}, "tag 31"),
        ({"t17": None}, "tag 17"),
        ({"t17": "an id"}, "tag 17"),
        ({"t37": None}, "tag 37"),
        ({"t37": "x" * 65}, "tag 37"),
        ({"t60": "noon"}, "tag 60"),
        ({"t60": "20261399-14:30:00"}, "tag 60"),
        ({"t75": "20260230"}, "trade date"),
        ({"t150": "H"}, "tag 19"),
        ({"t150": "G"}, "tag 19"),
    ],
)
def test_a_report_that_cannot_be_read_is_told_and_proves_nothing(
    changes: dict[str, str | None], words: str
) -> None:
    said = hear(changed(A_FILL, **changes))

    assert said.report is None
    assert isinstance(said.submitted, Unknown)
    assert said.trouble is not None
    assert words in said.trouble


def test_a_report_that_says_a_fill_twice_is_none() -> None:
    (said,) = heard("north", DIALECT, a_message("8", [*A_FILL.items(), (32, "5")]))

    assert said.report is None
    assert said.trouble == "unreadable report: it says tag 32 twice"


def test_groups_that_repeat_other_tags_cost_no_fill() -> None:
    parties = [(453, "2"), (448, "A"), (447, "D"), (448, "B"), (447, "D")]
    (said,) = heard("north", DIALECT, a_message("8", [*A_FILL.items(), *parties]))

    assert said.report is not None


def test_a_hint_that_cannot_be_read_costs_no_fill() -> None:
    said = hear(changed(A_FILL, t14="lots"))

    assert said.report is not None
    assert said.filled_quantity is None


@pytest.mark.parametrize(
    ("stamp", "day"),
    [
        ("20260303-14:30:00", date(2026, 3, 3)),
        ("20260304-00:59:59.999", date(2026, 3, 3)),  # after hours in New York
        ("20260304-05:00:00.000001", date(2026, 3, 4)),
        ("20260704-03:59:60", date(2026, 7, 4)),  # a leap second is of the next minute
    ],
)
def test_a_report_without_a_trade_date_is_of_the_exchanges_own_day(stamp: str, day: date) -> None:
    said = hear(changed(A_FILL, t75=None, t60=stamp))

    assert said.report is not None
    assert said.report.trade_date == day


def test_a_report_without_any_time_of_its_own_is_of_when_it_was_first_sent() -> None:
    first = "20260303-20:00:00.500"
    said = hear(changed(A_FILL, t75=None, t60=None, t52=first))
    again = hear(changed(A_FILL, t75=None, t60=None, t52="20260305-09:00:00", t122=first, t43="Y"))

    assert said.report is not None
    assert again.report is not None
    assert again.report.possible_duplicate
    assert (said.report.at, said.report.trade_date) == (again.report.at, again.report.trade_date)


@pytest.mark.parametrize("tag", ["t43", "t97"])
def test_a_repeated_report_says_that_it_may_be_known(tag: str) -> None:
    said = hear(changed(A_FILL, **{tag: "Y"}))

    assert said.report is not None
    assert said.report.possible_duplicate


def test_an_order_that_nobody_here_placed_is_read_all_the_same() -> None:
    said = hear(changed(A_FILL, t11=None))

    assert said.key is None
    assert said.report is not None
    assert said.report.broker_order_key == "NONE"


# --- what answers prove -----------------------------------------------------------------------

ANSWERS: Final[list[tuple[dict[str, str | None], Answer]]] = [
    ({}, Accepted("N1")),
    ({"t150": "A", "t39": "A"}, Accepted("N1")),
    ({"t150": "F", "t32": "1", "t31": "2"}, Accepted("N1")),
    ({"t150": "4", "t39": "4"}, Accepted("N1")),
    ({"t150": "C", "t39": "C"}, Accepted("N1")),
    ({"t150": "8", "t39": "8", "t103": "2"}, Rejected("exchange-closed")),
    ({"t150": "8", "t39": "8", "t103": "99", "t58": "no"}, Rejected("other", "no")),
    ({"t150": "8", "t39": "8", "t103": "77"}, Rejected("broker-refused")),
    ({"t150": "8", "t39": "8"}, Rejected("broker-refused")),
    ({"t150": "8", "t39": "8", "t103": "6"}, Unknown("duplicate id: the broker has seen it")),
    ({"t150": "8", "t39": "0", "t103": "6"}, Unknown("duplicate id: the broker has seen it")),
    ({"t150": "8", "t39": "8", "t103": "5"}, Unknown("the broker says: unknown order")),
]


@pytest.mark.parametrize(("changes", "answer"), ANSWERS)
def test_an_answer_to_a_new_order_proves_this(
    changes: dict[str, str | None], answer: Answer
) -> None:
    assert hear(changed(AN_ANSWER, **changes)).submitted == answer


@pytest.mark.parametrize("reason", ["5", "6"])
def test_a_duplicate_and_an_unknown_order_never_end_a_live_one(reason: str) -> None:
    assert hear(changed(AN_ANSWER, t150="8", t39="8", t103=reason)).report is None


def test_a_refusal_is_a_report_with_its_reason() -> None:
    said = hear(changed(AN_ANSWER, t150="8", t39="8", t103="3", t58="limit 5000"))

    assert said.report is not None
    assert said.report.execution_type is _E.REJECTED
    assert said.report.reason == "order-exceeds-limit: limit 5000"


LOOKUPS: Final[list[tuple[dict[str, str | None], Lookup]]] = [
    ({}, Found("N1", Status.NEW)),
    ({"t39": "A"}, Found("N1", Status.NEW)),
    ({"t39": "6", "t14": "4"}, Found("N1", Status.PARTIALLY_FILLED, filled_quantity=Decimal(4))),
    ({"t39": "1", "t14": "4"}, Found("N1", Status.PARTIALLY_FILLED, filled_quantity=Decimal(4))),
    ({"t39": "2", "t14": "10"}, Found("N1", Status.FILLED, filled_quantity=Decimal(10))),
    ({"t39": "4"}, Found("N1", Status.CANCELED)),
    ({"t39": "C"}, Found("N1", Status.EXPIRED)),
    ({"t39": "8", "t103": "2"}, Found("N1", Status.REJECTED, reason="exchange-closed")),
    ({"t39": "8", "t103": "5"}, Absent()),
    ({"t150": "8", "t39": "8", "t103": "5"}, Absent()),
    ({"t150": "8", "t39": "8", "t103": "5", "t37": None}, Absent()),
    ({"t39": "8", "t103": "6"}, Unknown("duplicate id")),
    ({"t39": "8", "t103": "99"}, Found("N1", Status.REJECTED, reason="other")),
    (
        {"t39": "8", "t103": "2", "t37": "NONE"},
        Found("NONE", Status.REJECTED, reason="exchange-closed"),
    ),
    ({"t39": "Z"}, Unknown("found, but in no state that FIX knows: Z")),
    ({"t39": None}, Unknown("found, but in no state that FIX knows: ")),
]


@pytest.mark.parametrize(("changes", "lookup"), LOOKUPS)
def test_an_answer_to_a_question_shows_this(changes: dict[str, str | None], lookup: Lookup) -> None:
    said = hear(changed(AN_ANSWER, **{"t150": "I", "t790": "Q-1", **changes}))

    assert (said.status_id, said.shown) == ("Q-1", lookup)
    assert (said.submitted is None) == isinstance(lookup, Absent)


@pytest.mark.parametrize("type_", ["I", "8"])
@pytest.mark.parametrize("reason", [None, "0", "99"])
def test_a_question_refused_without_an_order_or_a_reason_ends_nothing(
    type_: str, reason: str | None
) -> None:
    """Many a broker says so of an order that it does not know (yet)."""
    said = hear(changed(AN_ANSWER, t150=type_, t790="Q-1", t37="NONE", t39="8", t103=reason))

    assert said.shown == Unknown("refused, with neither an order nor a reason")
    assert (said.report, said.submitted) == (None, None)


def test_a_question_answered_by_what_cannot_be_read_proves_nothing() -> None:
    said = hear(changed(AN_ANSWER, t150="I", t790="Q-1", t37=None))

    assert isinstance(said.shown, Unknown)


def test_a_broker_may_say_unknown_order_in_its_own_way() -> None:
    fields = changed(AN_ANSWER, t150="8", t39="8", t103="1", t790="Q-1")

    assert hear(fields).shown != Absent()
    assert hear(fields, dialect=Dialect(unknown_order_reasons=frozenset({"1"}))).shown == Absent()


@pytest.mark.parametrize("zone", ["Asia/Seoul", "America/New_York"])
def test_a_report_of_the_last_night_of_all_is_unreadable_and_no_crash(zone: str) -> None:
    fields = changed(A_FILL, t60="99991231-23:59:59", t75=None)

    said = hear(fields, dialect=Dialect(zone=zone))
    assert (said.report is None) == (zone == "Asia/Seoul")


def test_a_status_is_evidence_and_never_a_fill() -> None:
    said = hear(changed(A_FILL, t150="I", t790="Q-1", t39="2"))

    assert said.report is not None
    assert said.report.execution_type is _E.ORDER_STATUS
    assert said.report.last_quantity == 0


def test_a_mass_status_says_when_it_is_through() -> None:
    said = hear(changed(AN_ANSWER, t150="I", t584="M-1", t912="Y"))

    assert (said.mass_id, said.is_last) == ("M-1", True)
    assert said.shown == Found("N1", Status.NEW)


# --- cancels and refusals ---------------------------------------------------------------------


def test_a_cancel_is_done_when_its_report_says_so() -> None:
    fields = changed(AN_ANSWER, t11=cancel_id(KEY, NOW), t41=KEY, t150="4", t39="4")
    said = hear(fields)

    assert said.key == KEY
    assert said.canceled == Accepted("N1")
    assert said.report is not None
    assert said.report.broker_order_key == KEY
    assert said.report.execution_type is _E.CANCELED


def test_a_pending_cancel_is_an_accepted_one() -> None:
    fields = changed(AN_ANSWER, t11=cancel_id(KEY, NOW), t41=KEY, t150="6", t39="6")

    assert hear(fields).canceled == Accepted("N1")


@pytest.mark.parametrize("original", [KEY, None])
def test_a_refused_request_does_not_end_the_order(original: str | None) -> None:
    """Some answer a bad cancel with an ExecutionReport: 150=8, under the cancel's own id."""
    fields = changed(AN_ANSWER, t11=cancel_id(KEY, NOW), t41=original, t150="8", t39="8")
    said = hear(fields)

    assert said.report is None
    assert said.submitted is None
    assert isinstance(said.canceled, Rejected)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("0", "too-late"),
        ("1", "unknown-order"),
        ("3", "already-pending"),
        ("6", "already-pending"),
        ("2", "broker-option"),
        ("42", "other"),
    ],
)
def test_a_refused_cancel_says_what_it_means(reason: str, code: str) -> None:
    fields = {37: "N1", 11: cancel_id(KEY, NOW), 41: KEY, 39: "2", 434: "1", 102: reason, 58: "x"}
    said = hear(fields, "9")

    assert (said.key, said.canceled, said.replaced) == (KEY, Rejected(code, "x"), None)


BUSINESS: Final[list[tuple[str, Answer]]] = [
    ("2", Rejected("unknown-security", "why")),
    ("5", Rejected("field-missing", "why")),
    ("6", NotSent("why", credentials=True)),
    ("4", NotSent("why")),
    ("8", Throttled()),
    ("0", Unknown("business reject 0: why")),
    ("1", Unknown("business reject 1: why")),
    ("3", Unknown("business reject 3: why")),
]


@pytest.mark.parametrize(("reason", "answer"), BUSINESS)
def test_a_business_reject_of_an_order_proves_this(reason: str, answer: Answer) -> None:
    said = hear({45: "7", 372: "D", 379: KEY, 380: reason, 58: "why"}, "j")

    assert (said.number, said.submitted) == (7, answer)


@pytest.mark.parametrize("reason", ["4", "8"])
def test_a_business_reject_proves_nothing_where_the_contract_says_so(reason: str) -> None:
    dialect = Dialect(business_rejects_prove=False)

    said = hear({45: "7", 372: "D", 380: reason}, "j", dialect)
    assert isinstance(said.submitted, Unknown)


def test_a_business_reject_of_a_question_is_no_answer_unless_it_knows_no_such_id() -> None:
    absent = hear({45: "7", 372: "H", 379: "Q-1", 380: "1"}, "j")
    assert (absent.shown, absent.status_id) == (Absent(), "Q-1")

    assert isinstance(hear({45: "7", 372: "H", 380: "3"}, "j").shown, Unknown)


def test_a_business_reject_of_a_cancel_that_knows_no_such_order_says_so() -> None:
    assert hear({45: "7", 372: "F", 380: "1"}, "j").canceled == Rejected("unknown-order")
    assert hear({45: "7", 372: "G", 380: "1"}, "j").replaced == Rejected("unknown-order")
    assert hear({45: "7", 372: "G", 380: "3"}, "j").replaced == Rejected("unsupported")


def test_a_business_reject_of_something_else_is_told() -> None:
    assert hear({45: "7", 372: "8", 380: "0"}, "j").trouble is not None


def test_a_session_reject_refuses_what_its_number_was() -> None:
    said = hear({45: "7", 372: "D", 371: "44", 373: "6", 58: "bad price"}, "3")

    assert said.number == 7
    assert said.submitted == Rejected("session-reject-6", "tag 44: bad price")
    assert isinstance(said.shown, Unknown)
    assert said.trouble is not None


@pytest.mark.parametrize("reason", ["9", "10"])
def test_a_session_reject_of_us_does_not_kill_the_order(reason: str) -> None:
    submitted = hear({45: "7", 372: "D", 373: reason}, "3").submitted

    assert isinstance(submitted, NotSent)
    assert submitted.credentials


@pytest.mark.parametrize("number", ["", "x", "1" * 11, "\xb2"])
def test_a_reject_of_no_number_of_ours_is_still_told(number: str) -> None:
    said = hear({45: number, 373: "6"}, "3")

    assert said.number is None
    assert said.trouble is not None


def test_a_lists_status_speaks_of_each_order_and_only_a_refusal_is_news() -> None:
    fields = [(66, "L-1"), (431, "3"), (73, "3")]
    fields.append((60, STAMP))
    for key, status, reason in (("K1", "0", ""), ("K2", "8", "2"), ("K3", "8", "6")):
        fields += [(11, key), (14, "0"), (39, status), *([(103, reason)] if reason else [])]
    said = heard("north", DIALECT, a_message("N", fields))

    assert [(each.key, each.submitted, each.unread) for each in said] == [
        ("K1", None, False),
        ("K2", Rejected("exchange-closed"), False),
        ("K3", None, False),
    ]
    assert {each.list_id for each in said} == {"L-1"}
    # Whoever waits may wait no longer, so the refusal is a report, too.
    (report,) = (each.report for each in said if each.report is not None)
    assert (report.broker_order_key, report.execution_type) == ("K2", _E.REJECTED)
    assert (report.reason, report.execution_id) == ("exchange-closed", "reject-K2")


def test_a_refused_list_that_names_no_order_is_the_word_of_each_of_it() -> None:
    refused = hear({66: "L-1", 431: "7", 1386: "11", 444: "no lists"}, "N")
    again = hear({66: "L-1", 431: "7", 1386: "6"}, "N")

    assert (refused.list_id, refused.key) == ("L-1", None)
    assert refused.submitted == Rejected("unsupported-order", "no lists")
    assert isinstance(again.submitted, Unknown)


@pytest.mark.parametrize("request_id", [NEW_KEY, cancel_id(KEY, NOW)])
def test_a_lists_status_that_names_another_request_ends_no_order(request_id: str) -> None:
    fields = [(66, "L-1"), (431, "7"), (60, STAMP), (11, request_id), (39, "8"), (103, "2")]
    (said,) = heard("north", DIALECT, a_message("N", fields))

    assert (said.submitted, said.report) == (None, None)


def test_a_refusal_in_a_list_at_no_time_is_kept_for_a_person() -> None:
    fields = [(66, "L-1"), (431, "7"), (11, KEY), (39, "8"), (103, "2")]
    (said,) = heard("north", DIALECT, a_message("N", fields))

    assert (said.submitted, said.report) == (Rejected("exchange-closed"), None)
    assert said.unread


@pytest.mark.parametrize("kind", ["1", "3", "6"])
def test_a_list_without_orders_is_told(kind: str) -> None:
    said = hear({66: "L-1", 431: kind}, "N")

    assert said.trouble is not None
    assert said.submitted is None


def test_what_is_quoted_can_be_stored() -> None:
    submitted = hear(changed(AN_ANSWER, t150="8", t39="8", t58="bad\0" + "x" * 999)).submitted

    assert isinstance(submitted, Rejected)
    assert "\0" not in submitted.detail
    assert len(submitted.detail) <= 256
