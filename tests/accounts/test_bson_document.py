"""The stored form: typed where that loses nothing, and always the same bytes back."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.decimal128 import Decimal128
from hypothesis import given, settings
from hypothesis import strategies as st

from app import codec
from app.accounts.bson_document import AMOUNTS, DATES, INSTANTS, PLAIN, pack, unpack
from app.accounts.fold import fold
from app.domain.order import Order
from app.domain.values import PendingRequest, Status
from app.ports.accounts import AccountDocument
from tests.accounts.orders import ORDER, an_order, payload

# As `mongo.make_client` reads: times with their zone.
AS_READ: CodecOptions[Any] = CodecOptions(tz_aware=True)


def carried(document: AccountDocument) -> bytes:
    """Return the bytes that come back when the document went over the wire."""
    return unpack(bson.decode(bson.encode(pack(document)), AS_READ))


def stored(**fields: Any) -> dict[str, Any]:
    return pack(fold(payload(ORDER, **fields)))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text() | st.sampled_from(
    ["$set", "a.b", "_id", "more", "verbatim", "", "\0", "id", "desk_at", "desk_date", "symbol "]
)
AMOUNT = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.integers(-(10**45), 10**45).map(str),
    st.sampled_from(["0.00", "-0", "1E+3", "1e-7000", "0E+9", "+1", "007", " 1", "1_0", "\uff11"]),
)
ORDERS = st.builds(
    Order,
    accept_sequence=st.integers(-(2**63) + 1, 2**63 - 1),
    order_id=st.text(min_size=1).filter(lambda text: "\0" not in text),
    trade_date=st.dates(),
    session_date=st.dates(),
    account_id=st.text(min_size=1).filter(lambda text: "\0" not in text),
    symbol=st.sampled_from(["$AAPL", "BRK.B", "삼성전자"]),
    text=st.none() | st.text(),
    version=st.integers(0, 2**63 - 1),
    status=st.sampled_from(Status),
    pending_request=st.sampled_from(PendingRequest),
    **{
        name: st.just(getattr(ORDER, name))
        for name in set(Order._fields)
        - {"accept_sequence", "order_id", "trade_date", "session_date", "account_id", "symbol"}
        - {"text", "version", "status", "pending_request"}
    },
)
MILLISECONDS = st.datetimes(timezones=st.just(UTC)).map(
    lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
)
INSTANT = MILLISECONDS | st.sampled_from(
    [
        "2026-03-09T13:30:00Z",
        "2026-03-09T13:30:00.000001Z",
        "2026-03-09T22:30:00.000+09:00",
        "0001-01-01T00:00:00.000+09:00",
        "9999-12-31T23:59:59.999-09:00",
    ]
)


@settings(deadline=None, max_examples=300)
@given(
    order=ORDERS,
    amounts=st.fixed_dictionaries({"quantity": AMOUNT, "filled_value": AMOUNT}),
    instants=st.fixed_dictionaries({"accepted_at": INSTANT, "updated_at": INSTANT}),
    newer=st.dictionaries(NAMES.filter(lambda name: name not in Order._fields), JSON, max_size=4),
)
def test_whatever_fold_makes_comes_back_byte_for_byte(
    order: Order, amounts: dict[str, str], instants: dict[str, str], newer: dict[str, Any]
) -> None:
    document = fold(payload(order, **amounts, **instants, **newer))

    assert carried(document) == document.document
    assert "verbatim" not in pack(document)


@settings(deadline=None, max_examples=200)
@given(
    raw=st.binary() | JSON.map(codec.encode),
    facts=st.fixed_dictionaries({"filled_value": AMOUNT, "version": st.integers(0, 2**63 - 1)}),
)
def test_any_bytes_at_all_come_back(raw: bytes, facts: dict[str, Any]) -> None:
    document = fold(payload(ORDER))._replace(document=raw, **facts)

    assert carried(document) == raw
    assert pack(document)["version"] == facts["version"]


WHOLE = fold(payload(ORDER))


@pytest.mark.parametrize(
    "raw",
    [
        payload(ORDER),  # all of it, in another order
        WHOLE.document.replace(b",", b", ", 1),
        WHOLE.document.replace(b'"AAPL"', b'"\\u0041APL"'),
        WHOLE.document.replace(b'"version":1', b'"version":true'),
        WHOLE.document.replace(b'"version":1', b'"version":1.0'),
        WHOLE.document.replace(b'"version":1', b'"version":1,"version":1'),
        WHOLE.document.replace(b'"trade_date":"2026-03-09"', b'"trade_date":"20260309"'),
    ],
)
def test_an_order_that_is_written_otherwise_comes_back_as_it_was_written(raw: bytes) -> None:
    packed = pack(WHOLE._replace(document=raw))

    assert carried(WHOLE._replace(document=raw)) == raw
    assert type(packed["version"]) is int
    assert packed["trade_date"] == datetime(2026, 3, 9, tzinfo=UTC)


@pytest.mark.parametrize("text", ["20260309", "2026-W11-1", "tomorrow"])
def test_a_day_in_another_form_stays_text(text: str) -> None:
    raw = WHOLE.document.replace(
        b'"session_date":"2026-03-09"', b'"session_date":"%s"' % text.encode()
    )
    packed = pack(WHOLE._replace(document=raw))

    assert packed["session_date"] == text
    assert unpack(packed) == raw


def test_money_is_decimal_and_time_is_a_date() -> None:
    order = an_order(1, average_price=Decimal("0.10"), released_at=1_773_063_000_004)
    packed = pack(fold(payload(order)))

    assert packed["_id"] == order.order_id
    assert packed["trade_date"] == datetime(2026, 3, 9, tzinfo=UTC)
    assert packed["accepted_at"] == datetime(2026, 3, 9, 13, 30, 0, 4_000, tzinfo=UTC)
    assert packed["average_price"] == Decimal128("0.10")
    kinds = dict.fromkeys(AMOUNTS, Decimal128) | dict.fromkeys(DATES | INSTANTS, datetime)
    assert {name: type(packed[name]) for name in kinds} == kinds
    assert set(packed) == {"_id"} | kinds.keys() | PLAIN


@pytest.mark.parametrize("name", sorted(AMOUNTS - {"remaining_quantity"}))
@pytest.mark.parametrize("text", ["1" * 35, "0." + "1" * 35, "1E+2", "-1.50E-9"])
def test_what_decimal128_would_change_stays_text(name: str, text: str) -> None:
    packed = stored(**{name: text})

    assert packed[name] == text
    assert b'"%s":"%s"' % (name.encode(), text.encode()) in unpack(packed)


@pytest.mark.parametrize(
    "text", ["2026-03-09T13:30:00Z", "2026-03-09T22:30:00.000+09:00", "2026-03-09T13:30:00.0001Z"]
)
def test_an_instant_in_another_form_stays_text(text: str) -> None:
    assert stored(updated_at=text)["updated_at"] == text


def test_a_newer_ledgers_fields_are_out_of_the_stores_sight() -> None:
    newer = {"$where": "1", "a.b": {"$gt": [2**70, 1.5]}, "_id": 7, "more": {}, "desk_at": "noon"}
    packed = stored(**newer)

    assert set(packed) == {"_id", "more"} | DATES | INSTANTS | AMOUNTS | PLAIN
    assert codec.decode(packed["more"]) == newer


def test_what_a_newer_release_keeps_as_a_type_is_shown_by_this_one() -> None:
    """While a gateway is replaced, the old release reads what the new one wrote."""
    newer: dict[str, Any] = {"stop_price": "180.50", "settled_at": "2026-03-11T00:00:00.000Z"}
    newer |= {"settlement_date": "2026-03-11", "is_short": True}
    kept = {
        "stop_price": Decimal128("180.50"),
        "settled_at": datetime(2026, 3, 11, tzinfo=UTC),
        "settlement_date": datetime(2026, 3, 11, tzinfo=UTC),
        "is_short": True,
    }

    assert unpack(stored() | kept) == fold(payload(ORDER, **newer)).document


def test_the_facts_of_the_book_win_over_those_in_the_bytes() -> None:
    """The guard goes by the book's version: bytes that say another may not move it."""
    document = fold(payload(ORDER, version=3))._replace(version=4)
    packed = pack(document)

    assert packed["version"] == 4
    assert carried(document) == document.document


def test_an_odd_document_of_an_order_stays_on_the_orders_day() -> None:
    """The day is part of the shard key: two versions on two days would be two documents."""
    order_id = "01KK8WF000000000000000A001"  # 9 March 2026
    plain = fold(payload(ORDER, order_id=order_id))
    odd = [b"{}", b'{"trade_date":"20260309"}', b'{"trade_date":7}', b"\xff", b"[]"]

    days = {pack(plain._replace(document=raw))["trade_date"] for raw in (plain.document, *odd)}
    assert days == {datetime(2026, 3, 9, tzinfo=UTC)}
    assert pack(plain._replace(order_id="theirs", document=b""))["trade_date"].year == 1970
