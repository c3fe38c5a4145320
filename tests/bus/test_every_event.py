"""Every event type that the document knows is emitted here by the code itself, and fits.

The document as a whole is held to the file beside this test: a change of it is a change for
whoever reads our topics, and shall be seen as such. After a meant one, write it anew:
`openbell events > tests/bus/asyncapi.golden.json`.
"""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import Connection

from app.bus import asyncapi
from app.bus.envelope import headers, stamp
from app.dispatch.reports import event_of
from app.domain.anomaly import Severity
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep, told
from app.domain.messages import ExecutionType
from app.domain.records import Change
from app.domain.values import Status
from app.ledger.dialect import part
from app.ledger.outbox.replay import replay
from app.ledger.trouble import telling
from app.ledger.trouble.store import AnomalyLedger
from app.letters import parked
from app.ports.bus import Event, Record
from tests.builders import a_finding, a_report
from tests.bus.test_asyncapi import DOCUMENT, SCHEMAS, assert_fits, known_types
from tests.ledger.books import ME, Books, on
from tests.virtual import Virtual

GOLDEN: Final = Path(__file__).with_name("asyncapi.golden.json")
OUTBOX: Final = "SELECT aggregatetype, aggregateid, event_id, type, payload FROM outbox ORDER BY id"
MESSAGE_OF: Final = {
    "orders": "order",
    "executions": "execution",
    "audit": "audit",
    "anomaly-state": "anomaly_state",
}


@pytest.fixture
def books(virtual: Virtual) -> Iterator[Books]:
    books = Books(virtual)
    yield books
    books.database.close()


def emitted(books: Books) -> Iterator[tuple[str, Event]]:
    """Return all that waits to be published, and which message of the document each is."""
    for topic, key, event_id, type_, payload in books.sql(OUTBOX):
        kind = type_.split(".")[2]
        message = MESSAGE_OF.get(topic, kind)
        yield message, Event(f"openbell.{topic}.v1", key, event_id, type_, payload.encode())


def orders_of_every_status(books: Books) -> None:
    order = books.queued()
    for status in Status:
        table = f"orders{part(order.trade_date)}"
        books.sql(f"UPDATE {table} SET status = :s, version = version + 1", s=status.value)
        books.database.write_now(lambda c: replay(c, order.trade_date, None, 0))


def lives(books: Books) -> None:
    """Cancel what works, trade, correct and bust; change something."""
    claimed = books.working("c-2")
    books.report(on(claimed, ExecutionType.TRADE, "e-1"))
    books.report(
        on(claimed, ExecutionType.TRADE_CORRECT, "e-2", referenced_execution_id="e-1"),
        on(claimed, ExecutionType.TRADE_CANCEL, "e-3", referenced_execution_id="e-2"),
    )
    books.cancel(claimed.order.order_id)
    books.run(books.ledger.note(Change("broker.rate", "broker/north", {"rate": 1}, None), ME))
    orders_of_every_status(books)


def trouble(books: Books) -> None:
    store = AnomalyLedger(books.database, books.clock)
    (opened,) = books.run(store.note([a_finding()]))
    books.run(store.note([a_finding(Severity.CRITICAL)]))
    books.run(store.acknowledge(opened.anomaly_id, ME))
    books.run(store.note([a_finding(None)]))


def courses(books: Books) -> None:
    """Tell of a failover in each of its states, as the ledger does."""
    for state in FailoverState:
        failover = Failover(
            *("fo_1", "in_1", "XNAS", FailoverKind.AUTO, state, "north", "south", 2),
            reason="north: submit and ping for 8 s",
            steps=(FailoverStep(FailoverState.SUSPECTED, 0), FailoverStep(state, 8)),
            by="openbell",
            held_by=("locked",),
            witnesses=("submit", "ping"),
        )
        document, happening = told(failover), f"failover.{state}"
        books.database.write_now(partial(_happens, happening=happening, document=document))


def _happens(connection: Connection, happening: str, document: Mapping[str, object]) -> None:
    telling.tell(connection, "route/XNAS", "fo_1", happening, document)


def from_outside() -> Iterator[tuple[str, Event]]:
    for kind in ExecutionType:
        yield "broker_report", event_of(a_report(kind))
    letter = parked(Record(0, 1, event_of(a_report(ExecutionType.TRADE))), "g", "why")
    yield "dead_letter", letter


def test_every_type_is_emitted_and_is_what_the_document_says(books: Books) -> None:
    lives(books)
    trouble(books)
    courses(books)
    found: dict[str, set[str]] = {name: set() for name in DOCUMENT["components"]["messages"]}
    for message, event in [*emitted(books), *from_outside()]:
        described: Any = DOCUMENT["components"]["messages"][message]
        schema = described["payload"]["$ref"].rpartition("/")[2]
        assert_fits(json.loads(event.payload), SCHEMAS[schema])
        wire = {name: value.decode() for name, value in headers(event, stamp(0))}
        assert_fits(wire, SCHEMAS["cloud_event"])
        assert wire["ce_dataschema"].endswith(f"/{schema}")
        found[message].add(event.type)

    assert found == {message: set(known_types(message)) for message in found}


def test_the_document_is_the_one_that_readers_have() -> None:
    golden = json.loads(GOLDEN.read_text())
    golden["info"]["version"] = "1.2.3"

    assert asyncapi.document("1.2.3") == golden


def test_the_schema_that_a_header_names_stands_in_the_document(books: Books) -> None:
    lives(books)
    identity = DOCUMENT["id"]
    for _, event in emitted(books):
        named = dict(headers(event, stamp(0)))["ce_dataschema"].decode()
        document, _, fragment = named.partition("#")
        assert document == identity
        assert fragment.rpartition("/")[2] in SCHEMAS
