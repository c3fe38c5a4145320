"""The fold: the same event, the same bytes; the laws are those of the domain."""

from decimal import Decimal
from random import Random

import pytest

from app import codec
from app.accounts.fold import NotAnOrder, fold, newest
from app.domain.order import order_status
from app.domain.values import PendingRequest, Status
from tests.accounts.orders import ORDER, an_order, payload


def test_a_document_is_the_payload_and_what_the_laws_derive() -> None:
    order = an_order(
        7,
        version=4,
        status=Status.PARTIALLY_FILLED,
        filled_quantity=Decimal(30),
        filled_value=Decimal("5617.50"),
    )
    folded = fold(payload(order))

    assert folded[:9] == (
        order.order_id,
        "acc-1",
        7,
        4,
        "partially_filled",
        "AAPL",
        "30",
        "5617.50",
        "USD",
    )
    assert codec.decode(folded.document) == codec.decode(payload(order)) | {
        "order_status": "partially_filled",
        "remaining_quantity": "70",
        "in_doubt": False,
        "working_indicator": True,
    }


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("pending", PendingRequest)
@pytest.mark.parametrize("done_for_day", [False, True])
def test_what_is_derived_is_the_domains_own_opinion(
    status: Status, pending: PendingRequest, *, done_for_day: bool
) -> None:
    order = an_order(status=status, pending_request=pending, done_for_day=done_for_day)
    shown = codec.decode(fold(payload(order)).document)

    assert shown["order_status"] == order_status(order)
    assert shown["remaining_quantity"] == str(order.remaining_quantity)
    assert shown["in_doubt"] is (status is Status.IN_DOUBT)
    assert shown["working_indicator"] is (status in {Status.NEW, Status.PARTIALLY_FILLED})


def test_the_order_of_fields_does_not_matter_to_the_bytes() -> None:
    fields = list(codec.decode(payload(ORDER)).items())
    Random(7).shuffle(fields)

    assert fold(codec.encode(dict(fields))).document == fold(payload(ORDER)).document


def test_a_field_that_a_newer_ledger_adds_survives() -> None:
    assert codec.decode(fold(payload(ORDER, desk="seoul")).document)["desk"] == "seoul"


def test_text_that_looks_like_anything_else_stays_text() -> None:
    strange = '$AAPL "quoted" \\ \u0000 \u2028 한글'

    assert codec.decode(fold(payload(ORDER._replace(text=strange))).document)["text"] == strange


def without(name: str) -> bytes:
    fields = codec.decode(payload(ORDER))
    del fields[name]
    return codec.encode(fields)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[1, 2]",
        b'{"order_id": "x"}',
        *[without(name) for name in ORDER._fields],
        payload(ORDER, version="4"),
        payload(ORDER, version=True),
        payload(ORDER, version=2**63),
        payload(ORDER, accept_sequence="1"),
        payload(ORDER, accept_sequence=2**63),
        payload(ORDER, desk=0).replace(b'"desk":0', b'"desk":' + b"[" * 5_000 + b"]" * 5_000),
        payload(ORDER, status="asleep"),
        payload(ORDER, quantity=100),
        payload(ORDER, quantity="a hundred"),
        payload(ORDER, filled_value="NaN"),
        payload(ORDER, done_for_day=0),
        payload(ORDER, account_id=""),
        payload(ORDER, account_id="acc-1\0"),
        payload(ORDER, trade_date="9 March"),
        payload(ORDER, updated_at="2026-03-09T13:30:00"),
        payload(ORDER).replace(b'"AAPL"', b'"\\ud800"'),
    ],
)
def test_what_is_no_order_says_so(raw: bytes) -> None:
    with pytest.raises(NotAnOrder):
        fold(raw)


def test_newest_keeps_one_of_each_order() -> None:
    versions = [fold(payload(an_order(n, version=v))) for n, v in [(1, 2), (2, 1), (1, 3), (1, 1)]]

    assert [(d.accept_sequence, d.version) for d in newest(versions)] == [(1, 3), (2, 1)]


def test_history_may_count_below_zero() -> None:
    assert fold(payload(ORDER, accept_sequence=-7)).accept_sequence == -7
