"""A callback is believed when it is the broker's own, fresh, and readable to the last field."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.brokers.callback import Key, read_callback
from app.brokers.sim.callbacks import signature
from app.domain.messages import ExecutionReport, ExecutionType
from app.ports.brokers import BadCallback

NOW = 1_772_548_200_000
KEY = Key("north", b"s3cret", 300.0)
REPORT: dict[str, object] = {
    "client_order_id": "01JD3Z0K8V6W2Q4T000000000101",
    "order_id": "north-1",
    "execution_id": "north-E1",
    "type": "trade",
    "trade_date": "2026-03-03",
    "at_ms": NOW,
    "last_quantity": "4",
    "last_price": "185.49",
}


def a_body(*reports: dict[str, object], broker: str = "north") -> bytes:
    return json.dumps({"broker": broker, "reports": reports}).encode()


def read(body: bytes, signed: str | None = None, now: int = NOW) -> list[ExecutionReport]:
    shown = signature("s3cret", NOW // 1000, body) if signed is None else signed
    return read_callback(KEY, {"X-Signature": shown}, body, now)


def test_a_genuine_callback_is_read_with_exact_decimals() -> None:
    [report] = read(a_body(REPORT))

    assert report.broker_id == "north"
    assert report.execution_type is ExecutionType.TRADE
    assert (report.last_quantity, report.last_price) == (Decimal(4), Decimal("185.49"))
    assert report.at == NOW


@pytest.mark.parametrize("seconds", [-301, 301])
def test_a_callback_older_or_newer_than_the_tolerance_is_refused(seconds: int) -> None:
    with pytest.raises(BadCallback, match="too old or from the future"):
        read(a_body(REPORT), now=NOW + seconds * 1000)


@pytest.mark.parametrize("seconds", [-300, 300])
def test_a_callback_within_the_tolerance_is_believed(seconds: int) -> None:
    assert read(a_body(REPORT), now=NOW + seconds * 1000)


def test_the_signature_covers_every_byte_and_the_time() -> None:
    body = a_body(REPORT)
    signed = signature("s3cret", NOW // 1000, body)

    with pytest.raises(BadCallback, match="not the broker's"):
        read(body + b" ", signed)
    with pytest.raises(BadCallback, match="not the broker's"):
        read(body, signed.replace(f"t={NOW // 1000}", f"t={NOW // 1000 + 1}"))
    with pytest.raises(BadCallback, match="not the broker's"):
        read(body, signature("another", NOW // 1000, body))


@pytest.mark.parametrize(
    "signed",
    ["", "t=1", "v1=ab", "t=,v1=ab", "t=-1,v1=ab", "t=1,t=2,v1=ab", "t=1e3,v1=ab", "t=1,v1=\u00e9"],
)
def test_a_signature_of_another_shape_is_refused(signed: str) -> None:
    with pytest.raises(BadCallback):
        read(a_body(REPORT), signed)


def test_a_callback_without_a_signature_or_with_two_is_refused() -> None:
    body = a_body(REPORT)
    good = signature("s3cret", NOW // 1000, body)

    for headers in ({}, {"X-Signature": good, "x-signature": good}):
        with pytest.raises(BadCallback, match="expected one X-Signature"):
            read_callback(KEY, headers, body, NOW)


def test_two_keys_may_be_in_use_while_one_is_replaced() -> None:
    body = a_body(REPORT)
    new = signature("s3cret", NOW // 1000, body)
    old = signature("retired", NOW // 1000, body).partition(",")[2]

    assert read(body, f"{new},{old}")


@pytest.mark.parametrize(
    "change",
    [
        {"last_quantity": 4},
        {"last_quantity": "NaN"},
        {"last_quantity": "-4"},
        {"last_quantity": "1e3"},
        {"last_quantity": "Infinity"},
        {"last_quantity": "0"},
        {"last_quantity": "1" * 40},
        {"last_price": 185.49},
        {"last_price": "-1"},
        {"last_price": None},
        {"type": "settled"},
        {"type": "trade_cancel"},
        {"execution_id": ""},
        {"execution_id": "a b"},
        {"order_id": "x" * 65},
        {"trade_date": "03/03/2026"},
        {"at_ms": -1},
        {"at_ms": 1.5},
        {"at_ms": 10**18},
        {"client_order_id": None},
    ],
)
def test_a_report_with_one_bad_field_spoils_the_callback(change: dict[str, object]) -> None:
    with pytest.raises(BadCallback, match="unreadable"):
        read(a_body(REPORT, {**REPORT, **change}))


def test_another_brokers_callback_and_an_endless_one_are_refused() -> None:
    with pytest.raises(BadCallback, match="expected broker 'north'"):
        read(a_body(REPORT, broker="south"))
    with pytest.raises(BadCallback, match="at most 500"):
        read(a_body(*[REPORT] * 501))


@given(st.binary(max_size=200) | st.sampled_from([b"[" * 100_000, b'{"broker":"\xff"}']))
def test_signed_nonsense_is_a_bad_callback_and_never_another_error(body: bytes) -> None:
    with pytest.raises(BadCallback):
        read(body)
