"""Reports from a broker's own topic come to the one path that every report takes."""

import json
from collections.abc import Iterator

import pytest

from app import codec, letters
from app.brokers.http import HttpBroker
from app.brokers.sim.callbacks import signature
from app.bus.log import LogBus
from app.dispatch.inbound import GROUP, Inbound, inbound_of
from app.dispatch.reports import TOPIC, Reports
from app.domain.messages import ExecutionReport
from app.domain.values import Status
from app.ports.bus import Event
from app.sqlite import Database
from tests.ledger.books import Books
from tests.virtual import Virtual

THEIRS = "north.reports"
LETTERS = letters.topic_of_letters(TOPIC)


@pytest.fixture
def bus(virtual: Virtual) -> Iterator[LogBus]:
    database = Database(None)
    yield LogBus(database, virtual.clock)
    database.close()


@pytest.fixture
def inbound(virtual: Virtual, bus: LogBus) -> Inbound:
    [found] = inbound_of(
        {"north": broker(virtual, reports_topic=THEIRS), "south": broker(virtual)}, bus
    )
    return found


def broker(virtual: Virtual, reports_topic: str | None = None) -> HttpBroker:
    return HttpBroker(
        name="north",
        url="http://north.invalid",
        secret="s3cret",
        clock=virtual.clock,
        reports_topic=reports_topic,
    )


def a_fill(key: str, execution_id: str = "e-1", **facts: object) -> bytes:
    """Return one record of the topic, as the broker signs it: long ago."""
    report: dict[str, object] = {
        "client_order_id": key,
        "order_id": "n-1",
        "execution_id": execution_id,
        "type": "trade",
        "trade_date": "2026-03-02",
        "at_ms": 1_772_462_000_000,
        "last_quantity": "4",
        "last_price": "185.49",
    }
    return signed({"broker": "north", "reports": [report | facts]})


def signed(body: object, key: str = "s3cret") -> bytes:
    text = json.dumps(body)
    shown = signature(key, 1_700_000_000, text.encode())
    return json.dumps({"signature": shown, "body": text}).encode()


def put(virtual: Virtual, bus: LogBus, *payloads: bytes) -> None:
    """Let the broker write to its topic; its records have no id and no type of ours."""
    virtual.run(bus.publish([Event(THEIRS, "", f"x/{p!r}", "unknown", p) for p in payloads]))


def published(virtual: Virtual, bus: LogBus) -> list[ExecutionReport]:
    found = virtual.run(bus.poll(TOPIC, "a test", 100))
    return [codec.decode_report(record.event.payload) for record in found]


def test_a_fill_from_the_brokers_topic_is_applied_once_however_often_it_comes(
    virtual: Virtual, books: Books, bus: LogBus, inbound: Inbound
) -> None:
    claimed = books.working()
    fill = a_fill(claimed.broker_order_key)
    put(virtual, bus, fill, fill)
    reports = Reports(bus, books.ledger)

    assert virtual.run(inbound.step()) == 2
    virtual.run(reports.step())
    assert (reports.applied, reports.known) == (1, 1)
    order = books.order(claimed.order.order_id)
    assert order.status is Status.PARTIALLY_FILLED
    assert order.filled_quantity == 4
    assert virtual.run(bus.lag(THEIRS, GROUP)) == 0


def test_what_is_not_the_brokers_word_goes_to_the_dead_letters_and_stops_nothing(
    virtual: Virtual, bus: LogBus, inbound: Inbound
) -> None:
    poison = (
        b"",
        b"\xff\xfe",
        b'{"signature": "t=1,v1=00", "body": "\\ud800"}',
        b"[" * 100_000,
        signed({"broker": "north", "reports": []}, key="guessed"),
        signed({"broker": "south", "reports": []}),
        a_fill("k-1", last_quantity=4.5),
        signed("no push"),
        json.dumps({"body": "{}"}).encode(),
    )
    put(virtual, bus, *poison, a_fill("k-2"))

    assert virtual.run(inbound.step()) == len(poison) + 1
    assert [report.broker_order_key for report in published(virtual, bus)] == ["k-2"]
    parked = [letters.read(r.event) for r in virtual.run(bus.poll(LETTERS, "a test", 100))]
    assert [letter.event.payload for letter in parked] == list(poison)
    assert {letter.event.topic for letter in parked} == {THEIRS}
    assert virtual.run(bus.lag(THEIRS, GROUP)) == 0


def test_what_was_not_committed_is_published_again_under_the_same_id(
    virtual: Virtual, bus: LogBus
) -> None:
    """A crash between the two ends in a repeated report, and never in a lost one."""
    put(virtual, bus, a_fill("k-1"))
    names = []
    for commits in (False, True):
        [one] = inbound_of({"north": broker(virtual, THEIRS)}, LogBus(bus._database, virtual.clock))
        if commits:
            virtual.run(one.step())
        else:
            records = virtual.run(one._bus.poll(THEIRS, GROUP, 10))
            virtual.run(one._apply(records))
        names += [r.event.event_id for r in virtual.run(bus.poll(TOPIC, "a test", 100))]

    assert len(names) == 2
    assert len(set(names)) == 1


@pytest.mark.parametrize("topic", ["", "openbell.broker-reports.v1", "a topic", "x" * 201])
def test_no_topic_of_ours_is_read_as_a_brokers(virtual: Virtual, topic: str) -> None:
    with pytest.raises(ValueError, match="a topic of its own"):
        broker(virtual, topic)
