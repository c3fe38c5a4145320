"""Events on the wire: what goes in comes out, and strangers come out as something to judge."""

import json
import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.bus.envelope import Arrived, Header, event_of, headers, stamp
from app.ports.bus import Event
from tests.virtual import BEFORE_THE_BELL

TOPIC = "openbell.orders.v1"
NOW = stamp(BEFORE_THE_BELL)
ORDER = Event(TOPIC, "acc-1", "01KK8WF00000000000000000A1-7", "io.openbell.order.new.v1", b"{}")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def arrived(
    key: bytes | None = b"acc-1",
    value: bytes | None = b"{}",
    *more: Header,
    offset: int = 17,
) -> Arrived:
    return Arrived(TOPIC, 3, offset, key, value, more)


def on_the_wire(event: Event) -> dict[str, bytes]:
    return dict(headers(event, NOW))


@given(
    key=st.text(st.characters(exclude_categories=["Cs"])), name=TEXT, type_=TEXT, data=st.binary()
)
def test_an_event_comes_out_as_it_went_in(key: str, name: str, type_: str, data: bytes) -> None:
    sent = Event(TOPIC, key, name, type_, data)

    assert event_of(arrived(sent.key.encode(), data, *headers(sent, NOW))) == sent


def test_the_headers_are_those_of_cloudevents_in_binary_mode() -> None:
    assert on_the_wire(ORDER) == {
        "content-type": b"application/json",
        "ce_specversion": b"1.0",
        "ce_source": b"/openbell",
        "ce_id": b"01KK8WF00000000000000000A1-7",
        "ce_type": b"io.openbell.order.new.v1",
        "ce_time": b"2026-03-02T14:29:00.000Z",
        "ce_partitionkey": b"acc-1",
        "ce_traceparent": on_the_wire(ORDER)["ce_traceparent"],
        "ce_dataschema": b"urn:openbell:events#/components/schemas/order",
        "ce_subject": b"01KK8WF00000000000000000A1",
        "ce_sequence": b"7",
    }


def parts(event: Event) -> tuple[str, ...]:
    found = re.fullmatch(
        rb"00-([0-9a-f]{32})-([0-9a-f]{16})-00", on_the_wire(event)["ce_traceparent"]
    )
    assert found is not None
    return tuple(part.decode() for part in found.groups())


def test_all_that_is_told_of_one_thing_is_one_trace_and_each_event_a_span() -> None:
    later = ORDER._replace(event_id="01KK8WF00000000000000000A1-8")
    other = ORDER._replace(event_id="01KK8WF00000000000000000A2-7")
    fill = ORDER._replace(event_id="north-e-1", type="io.openbell.execution.trade.v1")

    assert parts(ORDER) == parts(ORDER)
    assert parts(ORDER)[0] == parts(later)[0] != parts(other)[0]
    assert len({parts(event)[1] for event in (ORDER, later, other, fill)}) == 4


@pytest.mark.parametrize("number", ["4294967296", "99999999999999999999"])
def test_a_number_of_any_length_is_still_a_span(number: str) -> None:
    assert parts(ORDER._replace(event_id=f"audit-{number}"))


def test_a_type_of_strangers_names_no_schema() -> None:
    assert "ce_dataschema" not in on_the_wire(ORDER._replace(type="com.example.order.new"))


def test_an_audit_row_is_about_its_resource_and_has_its_place_in_the_chain() -> None:
    row = ORDER._replace(key="broker/x", event_id="audit-41", type="io.openbell.audit.recorded.v1")

    assert on_the_wire(row)["ce_subject"] == b"broker/x"
    assert on_the_wire(row)["ce_sequence"] == b"41"


@pytest.mark.parametrize("happening", ["anomaly.opened", "failover.done", "anomaly.state"])
def test_trouble_is_about_its_key_and_has_its_place_there(happening: str) -> None:
    event = ORDER._replace(
        key="broker/x", event_id="an_01KK8WF-12", type=f"io.openbell.{happening}.v1"
    )

    assert on_the_wire(event)["ce_subject"] == b"broker/x"
    assert on_the_wire(event)["ce_sequence"] == b"12"


def test_the_end_of_a_trade_date_is_not_taken_for_a_version() -> None:
    report = ORDER._replace(
        event_id="north-e1-2026-03-09", type="io.openbell.broker-report.trade.v1"
    )

    assert "ce_sequence" not in on_the_wire(report)
    assert on_the_wire(report)["ce_subject"] == b"acc-1"


@given(
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    known=st.lists(
        st.tuples(
            st.sampled_from(["ce_id", "ce_type", "content-type", "x"]),
            st.binary() | st.just(b"application/cloudevents+json"),
        )
    ),
)
def test_whatever_a_stranger_writes_comes_out_as_an_event(
    key: bytes | None, value: bytes | None, known: list[Header]
) -> None:
    event = event_of(arrived(key, value, *known))

    assert event.topic == TOPIC
    assert event.event_id
    assert event.type
    assert "".join(event[1:4]).encode()  # what cannot be encoded could not be parked


def test_a_record_without_headers_is_named_by_its_place() -> None:
    event = event_of(arrived(None, None))

    assert event == Event(TOPIC, "", f"{TOPIC}/3/17", "unknown", b"")


def test_strangers_do_not_supersede_each_other() -> None:
    names = {event_of(arrived(offset=offset)).event_id for offset in (17, 18)}

    # What ends in a hyphen and a number would be read as a version of what stands before it.
    assert len({name.rpartition("-")[2] for name in names}) == 2
    assert not any(name.rpartition("-")[2].isdecimal() for name in names)


@pytest.mark.parametrize(
    "content_type",
    [b"application/cloudevents+json", b"application/cloudevents+json; charset=UTF-8"],
)
@pytest.mark.parametrize(
    "data",
    [
        {"data": {"text": '한 "x" \0', "price": "1.50"}},
        {"data_base64": b64encode(b"\xff\x00").decode()},
    ],
)
def test_a_structured_event_is_unpacked(content_type: bytes, data: dict[str, object]) -> None:
    whole = {"specversion": "1.0", "id": "e-1", "source": "/x", "type": "t.v1", "more": 1} | data

    event = event_of(arrived(b"k", json.dumps(whole).encode(), ("content-type", content_type)))

    assert event[:4] == (TOPIC, "k", "e-1", "t.v1")
    if "data" in data:
        assert json.loads(event.payload) == data["data"]
    else:
        assert event.payload == b"\xff\x00"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{",
        b'{"id":1,"type":"t"}',
        b'{"id":"","type":"t"}',
        b'{"id":"a","type":"t","data_base64":"\xff"}',
        b'{"id":"a","type":"t","x":' + b"[" * 100_000,
    ],
)
def test_what_only_says_that_it_is_structured_is_left_to_the_consumer(value: bytes) -> None:
    event = event_of(arrived(b"k", value, ("content-type", b"application/cloudevents+json")))

    assert event.payload == value
    assert event.event_id == f"{TOPIC}/3/17"
