"""Dead letters keep what they park, byte for byte, and are parked once."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.letters import CUT_BYTES, LETTER_BYTES_MAX, NotALetter, parked, read, unsendable
from app.ports.bus import Event, Record

EVENT = Event("openbell.orders.v1", "acc-1", "e-1", "io.openbell.order.new.v1", b'{"a":1}')


@given(payload=st.binary() | st.text().map(lambda t: t.encode(errors="replace")), cause=st.text())
def test_a_parked_event_comes_back_as_it_was(payload: bytes, cause: str) -> None:
    event = EVENT._replace(payload=payload)

    letter = read(parked(Record(3, 17, event), "accounts", cause))

    assert letter.event == event
    assert (letter.partition, letter.offset, letter.group) == (3, 17, "accounts")
    assert letter.whole


def test_a_letter_stands_beside_its_topic_under_the_events_own_id_and_key() -> None:
    letter = parked(Record(3, 17, EVENT), "accounts", ValueError("no such side"))

    assert letter[:4] == (
        "openbell.orders.v1.dlq",
        "acc-1",
        "e-1",
        "io.openbell.dead_letter.parked.v1",
    )
    assert json.loads(letter.payload) == {
        "topic": "openbell.orders.v1",
        "partition": 3,
        "offset": 17,
        "key": "acc-1",
        "event_id": "e-1",
        "type": "io.openbell.order.new.v1",
        "group": "accounts",
        "cause": "no such side",
        "payload": '{"a":1}',
    }


def test_a_letter_that_nobody_can_apply_is_parked_where_it_stands() -> None:
    letter = parked(Record(0, 1, EVENT), "accounts", "x")

    assert parked(Record(0, 1, letter), "readers", "y").topic == letter.topic


def test_what_no_topic_takes_is_kept_whole_while_a_letter_can_hold_it() -> None:
    large = EVENT._replace(payload=b'"' * (LETTER_BYTES_MAX // 4))

    assert read(unsendable(large, "too large")).event == large


def test_what_even_a_letter_cannot_hold_is_cut_and_says_so() -> None:
    letter = unsendable(EVENT._replace(payload=b"x" * (LETTER_BYTES_MAX + 1)), "too large")

    assert len(letter.payload) < 2 * CUT_BYTES
    assert not read(letter).whole
    assert read(letter).event.payload == b"x" * CUT_BYTES


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"topic":1,"key":"","event_id":"","type":"","group":"","cause":"","payload":""}',
        b'{"topic":"","key":"","event_id":"","type":"","group":"","cause":"","payload":1}',
        b'{"topic":"","key":"","event_id":"","type":"","group":"","cause":"","payload_base64":1}',
    ],
)
def test_what_is_no_letter_says_so(payload: bytes) -> None:
    with pytest.raises(NotALetter):
        read(EVENT._replace(payload=payload))
