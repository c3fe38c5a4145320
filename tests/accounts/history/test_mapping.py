"""A row becomes the order that it says, by the mapping that was given, or is refused."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from app import codec
from app.accounts.fold import fold
from app.accounts.history.fields import BadRow, sequence_of
from app.accounts.history.mapping import EXAMPLE, BadMapping, SourceMapping, read_mapping
from app.accounts.history.readings import Form

ROW: dict[str, tuple[Form, Any]] = {
    "accept_sequence": (Form.INTEGER, 7),
    "order_id": (Form.TEXT, b"SRC-7"),
    "trade_date": (Form.TEXT, "2026-01-05"),
    "account_id": (Form.TEXT, b"acc-1"),
    "symbol": (Form.TEXT, b"$AAPL"),
    "market": (Form.TEXT, b"XNAS"),
    "side": (Form.TEXT, b"BUY"),
    "order_type": (Form.TEXT, b"limit"),
    "quantity": (Form.DECIMAL, Decimal("10.0000")),
    "limit_price": (Form.DECIMAL, Decimal("187.2500")),
    "currency": (Form.TEXT, b"USD"),
    "time_in_force": (Form.TEXT, b"day"),
    "accepted_at": (Form.WALL, 1_767_655_800_007),  # 23:30:00.007 on a wall of 5 January 2026
    "status": (Form.TEXT, b"filled"),
    "filled_quantity": (Form.DECIMAL, Decimal("10.0000")),
    "average_price": (Form.DECIMAL, Decimal("187.2000")),
}
SEOUL = SourceMapping(zone="Asia/Seoul")


def read(mapping: SourceMapping = SEOUL, /, **changes: tuple[Form, Any] | None) -> dict[str, Any]:
    """Return the payload of a row; a change of None takes the column away."""
    columns = {name: column for name, column in {**ROW, **changes}.items() if column is not None}
    bound = mapping.bind({name: form for name, (form, _) in columns.items()})
    payload = bound.payload([columns[name][1] for name in bound.columns])
    fold(payload)  # whatever comes out is an order
    order: dict[str, Any] = codec.decode(payload)
    return order


def test_a_row_becomes_what_the_ledger_would_have_published() -> None:
    assert read() == {
        "accept_sequence": 7,
        "order_id": "SRC-7",
        "trade_date": "2026-01-05",
        "session_date": "2026-01-05",
        "trading_session_id": "XNAS-2026-01-05-REG",
        "account_id": "acc-1",
        "client_order_id": "SRC-7",
        "list_id": None,
        "symbol": "$AAPL",
        "market": "XNAS",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10",
        "limit_price": "187.25",
        "currency": "USD",
        "time_in_force": "day",
        "text": None,
        "accepted_at": "2026-01-05T14:30:00.007Z",
        "version": 0,
        "status": "filled",
        "pending_request": "none",
        "filled_quantity": "10",
        "overfilled_quantity": "0",
        "filled_value": "1872",
        "average_price": "187.2",
        "broker_id": None,
        "broker_order_id": None,
        "reason_code": None,
        "cancel_origin": None,
        "done_for_day": False,
        "released_at": None,
        "updated_at": "2026-01-05T14:30:00.007Z",
    }


def test_a_mapping_renames_translates_and_fills_in() -> None:
    mapping = read_mapping(
        '[columns]\norder_id = "ORD_NO"\n[constants]\nmarket = "XNYS"\ndone_for_day = true\n'
        '[words.side]\n"1" = "buy"\n"2" = "sell"\n',
        json=False,
        zone="Asia/Seoul",
    )

    order = read(
        mapping, order_id=None, ord_no=(Form.INTEGER, 99), market=None, side=(Form.INTEGER, 2)
    )

    assert (order["order_id"], order["client_order_id"]) == ("99", "99")
    assert (order["market"], order["side"], order["done_for_day"]) == ("XNYS", "sell", True)


def test_the_printed_example_changes_nothing() -> None:
    assert read_mapping(EXAMPLE, json=False, zone="Asia/Seoul") == SEOUL


def test_a_mapping_may_be_json() -> None:
    text = '{"columns": {"order_id": "key"}, "time": {"ambiguous": "later"}}'

    mapping = read_mapping(text, json=True, zone="UTC")

    assert mapping == SourceMapping(zone="UTC", columns={"order_id": "key"}, ambiguous="later")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[columns]\nodrer_id = 'x'", "no such fields"),
        ("[columns]\nversion = 'x'", "no such fields"),
        ("[columns]\nmarket = 'x'\n[constants]\nmarket = 'XNAS'", "a column and a constant"),
        ("[words.symbol]\nA = 'B'", "tables of words"),
        ("[time]\nambiguous = 'guess'", "reject, earlier or later"),
        ("[time]\nzone = 'UTC'", "expected tables"),
        ("[culomns]\nmarket = 'x'", "expected tables"),
        ("[constants]\nquantity = 'ten'", "constants: quantity"),
        ("columns = 3", "expected tables"),
        ("[columns]\nmarket = 3", "name of a column"),
        ("[", "cannot be read"),
    ],
)
def test_a_mapping_that_says_what_cannot_be_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadMapping, match=sentence):
        read_mapping(text, json=False, zone="UTC")


def test_a_zone_is_required_and_known() -> None:
    with pytest.raises(BadMapping, match="expected a zone"):
        SourceMapping(zone="Korea")


@pytest.mark.parametrize(
    ("field", "column", "sentence"),
    [
        ("limit_price", (Form.OTHER, 187.25), "cast it"),  # a DOUBLE
        ("accepted_at", (Form.INTEGER, 1_767_655_800), "cast it"),  # seconds or milliseconds?
        ("quantity", None, "no column quantity"),
        ("accepted_at", None, "no column accepted_at"),
    ],
)
def test_a_source_that_does_not_fit_is_refused_before_its_first_row(
    field: str, column: tuple[Form, Any] | None, sentence: str
) -> None:
    with pytest.raises(BadMapping, match=sentence):
        read(**{field: column})


def test_a_column_that_the_mapping_names_must_be_there() -> None:
    with pytest.raises(BadMapping, match="no column comment"):
        read(SourceMapping(zone="UTC", columns={"text": "comment"}))


@pytest.mark.parametrize(
    ("field", "column", "sentence"),
    [
        ("order_id", (Form.TEXT, None), "order_id: expected text, was NULL"),
        ("account_id", (Form.TEXT, b"\xff\xfe"), "account_id: is not UTF-8"),
        ("trade_date", (Form.TEXT, "5.1.2026"), "trade_date"),
        ("trade_date", (Form.WALL, 1), "expected a date"),
        ("trade_date", (Form.DATE, 2**31 - 1), "trade_date: cannot be read"),
        ("quantity", (Form.DECIMAL, Decimal(0)), "expected a positive quantity"),
        ("quantity", (Form.DECIMAL, Decimal(-1)), "expected a positive quantity"),
        ("quantity", (Form.TEXT, b"NaN"), "quantity"),
        ("quantity", (Form.TEXT, b"ten"), "quantity"),
        ("limit_price", (Form.DECIMAL, None), "a limit order needs one"),
        ("limit_price", (Form.DECIMAL, Decimal(-1)), "expected a positive price"),
        ("filled_quantity", (Form.DECIMAL, Decimal(-1)), "zero or more"),
        ("average_price", (Form.DECIMAL, None), "needs its average_price"),
        ("accepted_at", (Form.WALL, -1_000), "after 1970"),
        ("accept_sequence", (Form.DECIMAL, Decimal("1.5")), "whole number"),
    ],
)
def test_a_row_of_which_no_order_can_be_made_says_why(
    field: str, column: tuple[Form, Any], sentence: str
) -> None:
    with pytest.raises(BadRow, match=sentence):
        read(**{field: column})


def test_a_word_that_the_mapping_does_not_know_is_refused() -> None:
    words = SourceMapping(zone="UTC", words={"side": {"1": "buy"}})

    with pytest.raises(BadRow, match="side: the mapping has no word for 'BUY'"):
        read(words)


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Form.DATE, (date(2026, 1, 5) - date(1970, 1, 1)).days),
        (Form.TEXT, b"2026-01-05"),
        (Form.INTEGER, 20260105),
        (Form.WALL, 1_767_571_200_000),
    ],
)
def test_a_date_is_read_from_whatever_holds_one(form: Form, value: object) -> None:
    assert read(trade_date=(form, value))["trade_date"] == "2026-01-05"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (Form.INSTANT, 1_767_623_400_007),
        (Form.TEXT, b"2026-01-05T14:30:00.007Z"),
        (Form.TEXT, b"2026-01-05 23:30:00.007"),
        (Form.TEXT, b"2026-01-05 09:30:00.007999-05:00"),
    ],
)
def test_an_instant_is_read_with_its_zone_or_in_that_of_the_source(
    form: Form, value: object
) -> None:
    assert read(accepted_at=(form, value))["accepted_at"] == "2026-01-05T14:30:00.007Z"


def test_amounts_are_exact_to_the_last_digit() -> None:
    huge = Decimal("99999999999999999.999999999999999999")

    order = read(
        quantity=(Form.DECIMAL, huge),
        filled_quantity=(Form.DECIMAL, huge),
        average_price=(Form.DECIMAL, Decimal("0.000000000000000003")),
    )

    assert order["quantity"] == str(huge)
    assert order["filled_value"] == "0.299999999999999999999999999999999997"


def test_what_was_never_filled_needs_no_price() -> None:
    order = read(
        status=(Form.TEXT, b"canceled"),
        filled_quantity=(Form.INTEGER, 0),
        average_price=None,
        limit_price=(Form.DECIMAL, None),
        order_type=(Form.TEXT, b"market"),
    )

    assert (order["filled_value"], order["average_price"]) == ("0", None)


def test_a_place_is_made_of_the_time_below_every_order_of_a_ledger() -> None:
    day = 86_400_000
    at = int(datetime(2026, 1, 5, 14, 30).timestamp() * 1000)  # noqa: DTZ001 - any time will do

    places = [sequence_of(at + n * day, f"o-{n}") for n in range(-20_000, 4_000, 1_000)]

    assert places == sorted(places)
    assert -(2**63) <= places[0] < places[-1] < 0
    assert sequence_of(at, "o-1") != sequence_of(at, "o-2")
    assert sequence_of(10**15, "o-1") < 0


def test_a_digest_names_all_that_decides_what_a_row_becomes() -> None:
    one = SourceMapping(zone="UTC", columns={"side": "s", "text": "t"})
    same = SourceMapping(zone="UTC", columns={"text": "t", "side": "s"})
    others = [
        SourceMapping(zone="Asia/Seoul", columns=one.columns),
        SourceMapping(zone="UTC", columns={"side": "t", "text": "s"}),
        SourceMapping(zone="UTC", columns=one.columns, ambiguous="later"),
        SourceMapping(zone="UTC", columns=one.columns, constants={"market": "XNAS"}),
        SourceMapping(zone="UTC", columns=one.columns, words={"side": {"1": "buy"}}),
    ]

    assert one.digest == same.digest
    assert len({one.digest, *(other.digest for other in others)}) == 6
