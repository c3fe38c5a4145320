"""The document of the events is true: what the ledger emits is what it describes."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from importlib.metadata import version
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.bus import asyncapi
from app.bus.envelope import headers, stamp
from app.cli.events import events
from app.domain.anomaly import Severity
from app.domain.messages import ExecutionType
from app.domain.records import Change
from app.domain.session import Calendar
from app.domain.values import rfc3339
from app.ledger.trouble import telling
from app.ledger.trouble.store import AnomalyLedger
from app.letters import parked
from app.ports.bus import Event, Record
from tests.builders import SESSION, a_finding
from tests.ledger.books import ME, Books, on
from tests.virtual import Virtual

DOCUMENT = asyncapi.document("1.2.3")
SCHEMAS = DOCUMENT["components"]["schemas"]
TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
    "boolean": (bool,),
    "null": (type(None),),
}


WORDS = {"type", "format", "pattern", "const", "description", "x-known-words"}
PARTS = {"required", "properties", "items"}


def assert_fits(value: dict[str, Any], schema: dict[str, Any]) -> None:
    """Hold a payload to its schema; what we emit is described whole."""
    assert set(schema) - {"description"} == {"type", "required", "properties"}
    assert set(schema["required"]) <= set(value) <= set(schema["properties"])
    for name, found in value.items():
        kind = schema["properties"][name]
        assert kind["description"].endswith("."), name
        assert_is(name, found, kind)


def assert_is(name: str, found: Any, kind: dict[str, Any]) -> None:
    assert set(kind) <= WORDS | PARTS, name
    allowed = [kind["type"]] if isinstance(kind["type"], str) else kind["type"]
    assert type(found) in {each for word in allowed for each in TYPES[word]}, (name, found)
    if found is None:
        return
    if "properties" in kind:
        assert_fits(found, kind)
    for each in found if "items" in kind else ():
        assert_is(name, each, kind["items"])
    assert found == kind.get("const", found), name
    assert re.search(kind.get("pattern", ""), str(found)), (name, found)
    assert found in kind.get("x-known-words", [found]), name
    if kind.get("format") == "date":
        date.fromisoformat(found)
    if kind.get("format") == "date-time":
        assert datetime.fromisoformat(found).tzinfo is not None, name


@pytest.fixture
def books(virtual: Virtual) -> Iterator[Books]:
    books = Books(virtual)
    yield books
    books.database.close()


def emitted(books: Books, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return (type, payload) of all that waits to be published."""
    found = books.sql(
        "SELECT type, payload FROM outbox WHERE aggregatetype = :kind ORDER BY id", kind=kind
    )
    return [(type_, json.loads(payload)) for type_, payload in found]


def known_types(message: str) -> list[str]:
    (_, narrower) = DOCUMENT["components"]["messages"][message]["headers"]["allOf"]
    words: list[str] = narrower["properties"]["ce_type"]["x-known-words"]
    return words


def test_every_order_event_of_a_life_is_what_the_document_says(books: Books) -> None:
    claimed = books.working("c-0")
    books.report(on(claimed, ExecutionType.TRADE, "e-1"))
    books.reserved("c-1")
    books.queued("c-2", text='한 "x"', list_id="l-1", limit_price=None)
    books.cancel(books.queued("c-3").order_id)
    found = emitted(books, "orders")

    assert len(found) > 6
    for type_, payload in found:
        assert_fits(payload, SCHEMAS["order"])
        assert type_ in known_types("order")


def test_a_drop_copy_is_what_the_document_says(books: Books) -> None:
    books.report(on(books.working(), ExecutionType.TRADE, "e-1"))

    ((type_, payload),) = emitted(books, "executions")
    assert_fits(payload, SCHEMAS["report"])
    assert type_ in known_types("execution")


def test_an_audit_row_is_what_the_document_says(books: Books) -> None:
    change = Change("broker.rate", "broker/north", {"rate": 1}, None)
    books.run(books.ledger.note(change, ME))

    (*_, (type_, payload)) = emitted(books, "audit")
    assert_fits(payload, SCHEMAS["audit"])
    assert type_ in known_types("audit")


def test_every_event_of_an_anomaly_is_what_the_document_says(books: Books) -> None:
    calendar = Calendar({"XNAS": [(SESSION.trade_date, SESSION.opens_at, SESSION.closes_at)]})
    store = AnomalyLedger(books.database, books.clock, lambda: calendar)
    (opened,) = books.run(store.note([a_finding()]))
    books.run(store.note([a_finding(Severity.CRITICAL), a_finding(subject="gateway/outbox")]))
    books.run(store.acknowledge(opened.anomaly_id, ME))
    books.run(store.silence(opened.anomaly_id, books.clock.at + 1, ME))
    books.run(store.note([a_finding(None)]))
    found, states = emitted(books, "anomalies"), emitted(books, "anomaly-state")

    assert {type_ for type_, _ in found} == set(known_types("anomaly"))
    assert {type_ for type_, _ in states} == set(known_types("anomaly_state"))
    assert len(found) == len(states) == 6
    for _, payload in [*found, *states]:
        assert_fits(payload, SCHEMAS["anomaly"])


def test_a_failover_is_told_as_all_parts_have_agreed(books: Books) -> None:
    document = {
        "failover_id": "fo_1",
        "incident_id": "in_1",
        "route_id": "XNAS",
        "kind": "auto",
        "state": "fencing",
        "from_broker": "north",
        "to_broker": "south",
        "epoch": 2,
        "reason": "answers and ping",
        "held_by": [],
        "witnesses": ["submit", "ping"],
        "steps": [{"state": "suspected", "at": rfc3339(0)}, {"state": "fencing", "at": rfc3339(8)}],
        "moved": 0,
        "pinned": 3,
        "drill": False,
        "at": rfc3339(8),
    }
    books.database.write_now(
        lambda c: telling.tell(c, "route/XNAS", "fo_1", "failover.fencing", document)
    )

    ((type_, payload),) = emitted(books, "anomalies")
    assert_fits(payload, SCHEMAS["failover"])
    assert type_ in known_types("failover")


@pytest.mark.parametrize("payload", [b"{", b"\xff"])
def test_a_dead_letter_is_what_the_document_says(payload: bytes) -> None:
    letter = parked(Record(0, 1, Event("openbell.orders.v1", "k", "e", "t", payload)), "g", "why")

    assert_fits(json.loads(letter.payload), SCHEMAS["dead_letter"])
    assert letter.type in known_types("dead_letter")


def test_the_headers_are_what_the_document_says() -> None:
    event = Event("openbell.orders.v1", "k", "ULID-1", "io.openbell.order.new.v1", b"{}")
    wire = {name: value.decode() for name, value in headers(event, stamp(0))}

    assert_fits(wire, SCHEMAS["cloud_event"])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, below in value.items():
            if name == "$ref":
                yield below
            yield from references(below)
    elif isinstance(value, list):
        for below in value:
            yield from references(below)


def test_every_reference_leads_somewhere_and_every_part_is_referred_to() -> None:
    found = set(references(DOCUMENT))

    for reference in found:
        place = DOCUMENT
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
    parts = DOCUMENT["components"]
    assert {f"#/components/{kind}/{name}" for kind in parts for name in parts[kind]} <= found
    assert {f"#/channels/{name}" for name in DOCUMENT["channels"]} <= found


def test_the_command_prints_the_document() -> None:
    alone = typer.Typer()
    alone.command("events")(events)
    printed = json.loads(CliRunner().invoke(alone, []).stdout)

    assert printed == asyncapi.document(version("openbell"))
