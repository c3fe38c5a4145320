"""A ledger that was written at revision 0001 goes on at the head, with all that it had under way.

The rows are put down by hand, as the program of that time left them. The trap is a migration that
is tried on an empty file: whatever it forgets to carry over, nobody misses there.
"""

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from app import codec
from app.domain.messages import Accepted, ExecutionReport, ExecutionType, Unknown
from app.domain.order import Order
from app.domain.query import OrderQuery
from app.domain.records import Applied, Change, Fence, Settlement, Taken
from app.domain.request import request_hash
from app.domain.values import CancelOrigin, PendingRequest, Status, broker_order_key, new_order_id
from app.ledger import days
from app.ledger.schema import HEAD, migrations, revision, upgrade
from app.ledger.store import Ledger
from app.sqlite import Database
from tests.builders import NOW, SESSION, TODAY, StillClock, a_report, a_request, a_taking, an_order
from tests.ledger.books import _LAWS, ME, sendable

YESTERDAY: Final = date(2026, 2, 27)  # the Friday before
CHANGED_AT: Final = 1_700_000_000_000


def order(number: int, status: Status, *, day: date = TODAY, **facts: Any) -> Order:
    """Return an order as the old program kept it: the id and the session are those of its day."""
    named: dict[str, Any] = {
        "accept_sequence": number,
        "order_id": new_order_id(day, NOW, number),
        "client_order_id": f"c-{number}",
        "trade_date": day,
        "session_date": day,
        "trading_session_id": f"XNAS-{day}-REG",
        "status": status,
    }
    return an_order(**named | facts)


SENT: Final[dict[str, Any]] = {"version": 3, "broker_id": "north", "released_at": NOW}
WORKING: Final = SENT | {"broker_order_id": "N-1"}
RESERVED: Final = order(11, Status.RESERVED)
FIRST: Final = order(12, Status.QUEUED, released_at=NOW)
SECOND: Final = order(13, Status.QUEUED, released_at=NOW, account_id="bob", text="\N{BELL}")
SENDING: Final = order(14, Status.SENDING, **SENT | {"version": 2})
IN_DOUBT: Final = order(15, Status.IN_DOUBT, **SENT)
PARTLY: Final = order(
    *(16, Status.PARTIALLY_FILLED),
    **WORKING,
    filled_quantity=Decimal(4),
    filled_value=Decimal("749.00"),
    average_price=Decimal("187.25"),
)
ENDING: Final = order(
    *(17, Status.NEW),
    **WORKING | {"version": 4},
    pending_request=PendingRequest.CANCEL,
    cancel_origin=CancelOrigin.CLIENT,
)
FILLED: Final = order(
    *(3, Status.FILLED),
    day=YESTERDAY,
    **WORKING | {"version": 4},
    limit_price=None,
    filled_quantity=Decimal(10),
    filled_value=Decimal("1872.50"),
    average_price=Decimal("187.25"),
)
CANCELED: Final = order(4, Status.CANCELED, day=YESTERDAY, version=2, broker_id=None)
HELD: Final = order(18, Status.HELD, reason_code="attempts-exhausted")
ORDERS: Final = (
    *(RESERVED, FIRST, SECOND, SENDING, IN_DOUBT, PARTLY, ENDING, FILLED, CANCELED, HELD),
)
# What is known of the one attempt that each of these had.
OUTCOMES: Final = {
    SENDING: "open",
    IN_DOUBT: "unknown",
    PARTLY: "accepted",
    ENDING: "accepted",
    FILLED: "accepted",
}


def key_of(of: Order) -> str:
    return broker_order_key(of.order_id, 1)


def fill(of: Order, execution_id: str, quantity: int, on: date) -> ExecutionReport:
    return a_report(
        ExecutionType.TRADE,
        execution_id,
        broker_order_key=key_of(of),
        last_quantity=Decimal(quantity),
        trade_date=on,
    )


# The second was reported on the next trading day: its date (75) is not the order's.
FILLS: Final = {
    PARTLY: [fill(PARTLY, "e-1", 4, TODAY)],
    FILLED: [fill(FILLED, "e-1", 6, YESTERDAY), fill(FILLED, "e-2", 4, TODAY)],
}


class Old:
    """A file at revision 0001, and what is written there by hand."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.database.write_now(_to_0001)

    def insert(self, table: str, **values: object) -> None:
        names = ", ".join(f'"{name}"' for name in values)
        marks = ", ".join(f":{name}" for name in values)
        statement = text(f"INSERT INTO {table} ({names}) VALUES ({marks})")
        self.database.write_now(lambda c: c.execute(statement, values))

    def fill(self) -> None:
        for each in ORDERS:
            self._order(each)
        for each, outcome in OUTCOMES.items():
            self._attempt(each, outcome)
        for each, reports in FILLS.items():
            for report in reports:
                self._execution(each, report)
        self._queues()
        self._control()

    def _order(self, of: Order) -> None:
        self.insert("orders", **{name: _cell(value) for name, value in of._asdict().items()})
        request = a_request(of.client_order_id, account_id=of.account_id)
        self.insert(
            "order_keys",
            account_id=of.account_id,
            client_order_id=of.client_order_id,
            order_id=of.order_id,
            request_hash=request_hash(request),
            accepted_at=NOW,
        )
        for sequence in range(1, of.version + 1):
            words = {"type": "order.x", "at": NOW, "actor": "openbell", "cause": f"{sequence}"}
            self.insert("order_events", order_id=of.order_id, sequence=sequence, **words)

    def _attempt(self, of: Order, outcome: str) -> None:
        settled = ("answer", NOW) if outcome == "accepted" else (None, None)
        self.insert(
            "attempts",
            broker_order_key=key_of(of),
            order_id=of.order_id,
            attempt_number=1,
            broker_id="north",
            route_id="XNAS",
            route_epoch=1,
            owner_epoch=6,
            rank=of.accept_sequence,
            claimed_at=NOW,
            sent_ns=None if outcome == "open" else 99,
            send_count=1,
            outcome=outcome,
            settled_by=settled[0],
            settled_at=settled[1],
        )

    def _execution(self, of: Order, report: ExecutionReport) -> None:
        self.insert(
            "executions",
            trade_date=f"{report.trade_date}",
            broker_id="north",
            execution_id=report.execution_id,
            order_id=of.order_id,
            referenced_execution_id=None,
            report=codec.encode(report).decode(),
            applied_at=NOW,
        )

    def _queues(self) -> None:
        session = SESSION.trading_session_id
        place = {"trading_session_id": session, "route_id": "XNAS"}
        self.insert("reserved_book", accept_sequence=RESERVED.accept_sequence, **place)
        # Bob came later, and stands before ann's: she had two others in the queue before.
        for rank, each in ((7, FIRST), (6, SECOND)):
            waits = {"accept_sequence": each.accept_sequence, "account_id": each.account_id}
            self.insert("dispatch_ready", rank=rank, **waits, **place)
        for number in (5, 6):
            self.insert(
                "outbox",
                id=number,
                event_id=f"e-{number}",
                aggregatetype="orders",
                aggregateid="ann",
                type="t",
                payload="{}",
            )

    def _control(self) -> None:
        changed = {"changed_by": "lee", "changed_at": CHANGED_AT, "reason": "slow"}
        states = {"dispatch": "running", "breaker": "auto"}
        self.insert("broker_control", broker_id="north", version=9, tps=77, **states, **changed)
        self.insert("broker_leases", broker_id="north", holder="old", epoch=6, expires_at=0)
        self.insert("routes", route_id="XNAS", active_broker="north", epoch=1)
        halted = {"halted_by": "lee", "halted_at": CHANGED_AT, "reason": "?"}
        self.insert("halts", scope="symbol", target="MSFT", **halted)


def _cell(value: object) -> object:
    if value is None or isinstance(value, int):
        return int(value) if isinstance(value, bool) else value
    return str(value)


def _to_0001(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations()))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


class Migrated:
    """The same file at the head, and a ledger on it."""

    def __init__(self, database: Database) -> None:
        upgrade(database)
        self.database = database
        self.clock = StillClock()
        self.ledger = Ledger(database, self.clock)
        self._runner = asyncio.Runner()

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        found = self.database.write_now(lambda c: c.execute(text(statement)).all())
        return [tuple(row) for row in found]

    def owned(self) -> Fence:
        epoch = self.run(self.ledger.take_lease("north", "me", 10_000))
        return Fence("north", "me", epoch, frozenset({SESSION.trading_session_id}))

    def get(self, of: Order) -> Order:
        found: Order = self.run(self.ledger.get(of.order_id))
        return found

    def check(self) -> None:
        for broken in _LAWS.split(";"):
            assert self.sql(broken) == [], broken

    def close(self) -> None:
        self._runner.close()
        self.database.close()


@pytest.fixture
def old(tmp_path: Path) -> Old:
    return Old(tmp_path / "ledger.db")


@pytest.fixture
def moved(old: Old) -> Iterator[Migrated]:
    """Lend a migrated ledger; the laws of the house hold before the test and after it."""
    old.fill()
    moved = Migrated(old.database)
    moved.check()
    yield moved
    moved.check()
    moved.close()


def test_every_order_is_what_it_was_with_its_whole_history(moved: Migrated) -> None:
    for of in ORDERS:
        assert moved.get(of) == of
        assert moved.run(moved.ledger.by_client_order_id(of.account_id, of.client_order_id)) == of
        events = moved.run(moved.ledger.events(of.order_id))
        assert [(e.sequence, e.cause) for e in events] == [
            (n, str(n)) for n in range(1, of.version + 1)
        ]
        attempts = moved.run(moved.ledger.attempts(of.order_id))
        assert [a.outcome for a in attempts] == ([OUTCOMES[of]] if of in OUTCOMES else [])
        executions = moved.run(moved.ledger.executions(of.order_id))
        assert executions == FILLS.get(of, [])


def test_each_day_has_its_own_tables_and_listings_show_them_all(moved: Migrated) -> None:
    assert moved.database.write_now(days.attached) == [YESTERDAY, TODAY]
    assert moved.sql("SELECT count(*) FROM orders_20260227") == [(2,)]
    assert moved.sql("SELECT execution_date FROM executions_20260227 ORDER BY 1") == [
        (f"{YESTERDAY}",),
        (f"{TODAY}",),
    ]
    assert moved.sql("SELECT name FROM sqlite_schema WHERE name LIKE 'old_%'") == []
    listed = moved.run(moved.ledger.page(OrderQuery("ann")))
    newest_first = sorted((o for o in ORDERS if o.account_id == "ann"), reverse=True)
    assert listed == newest_first


def test_what_waits_is_claimed_in_its_old_place_and_settled(moved: Migrated) -> None:
    fence = moved.owned()
    claimed = moved.run(moved.ledger.claim(fence, 10, sendable))
    answers = [Settlement(c.broker_order_key, Accepted(f"N-{n}"), 1) for n, c in enumerate(claimed)]
    moved.run(moved.ledger.settle(answers))

    assert fence.owner_epoch == 7
    assert [c.order.order_id for c in claimed] == [SECOND.order_id, FIRST.order_id]
    assert {moved.get(of).status for of in (FIRST, SECOND)} == {Status.NEW}


def test_what_may_be_out_is_in_doubt_and_evidence_ends_it(moved: Migrated) -> None:
    assert moved.run(moved.ledger.recover("north", 6)) == 1
    doubts = moved.run(moved.ledger.in_doubt("north"))
    assert {d.broker_order_key for d in doubts} == {key_of(SENDING), key_of(IN_DOUBT)}
    moved.check()

    assert moved.run(moved.ledger.never_received([key_of(SENDING)], "lookup")) == 1
    moved.run(moved.ledger.settle([Settlement(key_of(IN_DOUBT), Unknown("?"), None)]))
    there = a_report(ExecutionType.ORDER_STATUS, broker_order_key=key_of(IN_DOUBT))
    assert moved.run(moved.ledger.apply([there], "lookup")) == Applied(1, 0, 0)
    assert (moved.get(SENDING).status, moved.get(IN_DOUBT).status) == (
        Status.QUEUED,
        Status.NEW,
    )
    again = moved.run(moved.ledger.claim(moved.owned(), 10, sendable))
    assert broker_order_key(SENDING.order_id, 2) in {c.broker_order_key for c in again}


def test_a_fill_of_before_is_known_and_the_next_is_applied(moved: Migrated) -> None:
    (before,) = FILLS[PARTLY]
    rest = fill(PARTLY, "e-9", 6, TODAY)

    assert moved.run(moved.ledger.apply([before, rest], "report")) == Applied(1, 1, 0)
    assert moved.get(PARTLY).status is Status.FILLED
    assert moved.get(PARTLY).filled_quantity == 10


def test_a_wish_to_cancel_is_still_on_its_list(moved: Migrated) -> None:
    wished = moved.run(moved.ledger.pending_cancels("north", 10)).cancels
    assert [found[:3] for found in wished] == [(ENDING.order_id, key_of(ENDING), "N-1")]
    moved.run(moved.ledger.refuse_cancel([ENDING.order_id]))

    assert moved.run(moved.ledger.pending_cancels("north", 10)).cancels == []


def test_what_waits_is_canceled_out_of_its_queue(moved: Migrated) -> None:
    for of in (RESERVED, FIRST):
        canceled = moved.run(moved.ledger.cancel(of.order_id, of.version, CancelOrigin.CLIENT))
        assert canceled.status is Status.CANCELED

    assert len(moved.run(moved.ledger.claim(moved.owned(), 10, sendable))) == 1


def test_the_bell_finds_what_is_reserved(moved: Migrated) -> None:
    session = SESSION.trading_session_id

    assert moved.run(moved.ledger.waiting_sessions()) == [session]
    assert moved.run(moved.ledger.release(session, 10, sendable)) == (1, 0)
    assert moved.run(moved.ledger.expire(session, 10)) == 4


def test_what_was_held_is_found_again_and_ends_with_its_session(moved: Migrated) -> None:
    (held,) = moved.run(moved.ledger.held(None, None, 10))
    assert (held.order_id, held.reason_code) == (HELD.order_id, "attempts-exhausted")
    moved.run(moved.ledger.expire(SESSION.trading_session_id, 10))

    assert moved.get(HELD).status is Status.EXPIRED


def test_numbers_go_on_above_the_old_ones_and_old_keys_are_spent(moved: Migrated) -> None:
    taken, again = moved.run(moved.ledger.take([a_taking("fresh"), a_taking("c-12")]))

    assert isinstance(taken, Taken)
    assert taken.order.accept_sequence == max(of.accept_sequence for of in ORDERS) + 1
    assert again == Taken(FIRST, created=False)


def test_a_day_that_the_file_never_had_is_made(moved: Migrated) -> None:
    tomorrow = TODAY + timedelta(days=1)
    session = SESSION._replace(trading_session_id=f"XNAS-{tomorrow}-REG", trade_date=tomorrow)
    (taken,) = moved.run(moved.ledger.take([a_taking("t", reserved=True, session=session)]))

    assert moved.get(taken.order) == taken.order
    assert moved.database.write_now(days.attached) == [YESTERDAY, TODAY, tomorrow]


def test_what_operators_set_and_what_the_bus_has_not_yet_stays(moved: Migrated) -> None:
    assert moved.sql("SELECT event_id FROM outbox ORDER BY id") == [("e-5",), ("e-6",)]
    control = moved.run(moved.ledger.controls())["north"]
    after = moved.run(moved.ledger.set_control(control._replace(tps=5), 9, ME))

    assert (control.tps, after.version) == (77, 10)
    assert [h.target for h in moved.run(moved.ledger.halts())] == ["MSFT"]


def test_the_audit_chain_goes_on_and_what_was_sealed_keeps_its_seal(old: Old) -> None:
    """The seal of revision 0001, written out: nobody may find another one in an old export."""
    facts = (1, CHANGED_AT, "lee", "halt", "halt/symbol:MSFT", "null", '{"a":1}', "why", "r-1")
    digest = sha256(codec.encode([*facts, "0" * 64])).hexdigest()
    named = ("sequence", "at", "actor", "action", "resource", "before", "after", "reason")
    row = dict(zip((*named, "request_id"), facts, strict=True))
    old.insert("audit", **row, previous_hash="0" * 64, hash=digest)
    moved = Migrated(old.database)
    moved.run(moved.ledger.note(Change("did", "thing", None, None), ME))

    assert moved.run(moved.ledger.audit_broken_at()) is None
    assert moved.sql("SELECT hash, via, ip FROM audit")[0] == (digest, None, None)
    moved.sql("UPDATE audit SET via = 'api', ip = '::1' WHERE sequence = 1 RETURNING 1")
    assert moved.run(moved.ledger.audit_broken_at()) == 1
    moved.close()


def test_an_empty_ledger_of_before_begins_at_one(old: Old) -> None:
    moved = Migrated(old.database)
    moved.ledger.declare({"north": 1}, {"XNAS": "north"})
    (taken,) = moved.run(moved.ledger.take([a_taking()]))

    assert taken.order.accept_sequence == 1
    moved.check()
    moved.close()


def test_a_migration_that_fails_half_way_has_changed_nothing(old: Old) -> None:
    """It comes as far as the new queues, and finds a table there that nobody expected."""
    old.fill()
    old.database.write_now(lambda c: c.exec_driver_sql("CREATE TABLE questions (a)"))
    before = old.database.write_now(_everything)
    with pytest.raises(OperationalError, match="questions"):
        upgrade(old.database)

    assert old.database.write_now(revision) == "0001"
    assert old.database.write_now(_everything) == before
    old.database.write_now(lambda c: c.exec_driver_sql("DROP TABLE questions"))
    upgrade(old.database)
    assert old.database.write_now(revision) == HEAD
    old.database.close()


def _everything(connection: Connection) -> list[tuple[Any, ...]]:
    schema = "SELECT name, sql FROM sqlite_schema ORDER BY name"
    rows = "SELECT * FROM orders ORDER BY accept_sequence"
    return [tuple(row) for sql in (schema, rows) for row in connection.exec_driver_sql(sql)]
