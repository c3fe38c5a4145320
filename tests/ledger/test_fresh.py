"""What a new order leaves in the ledger is the same on both servers, in as few steps as each has.

SQLite takes a statement for each table and PostgreSQL one for all. The trap is two ways of writing
that drift apart, each right by its own tests.
"""

import asyncio
from typing import Any, Final

from sqlalchemy import Connection, event, text

from app import codec
from app.domain.records import Taken
from app.domain.session import TradingSession
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.postgres import PostgresDatabase
from app.sql import Database
from app.sqlite import Database as Embedded
from tests.builders import SESSION, StillClock, a_taking

LATER: Final = TradingSession(
    "XNAS-2026-03-03-REG",
    "XNAS",
    SESSION.trade_date.replace(day=3),
    SESSION.opens_at + 86_400_000,
    SESSION.closes_at + 86_400_000,
)
BATCHES: Final = (
    [a_taking("r-0", reserved=True)],
    [
        a_taking("q-0"),
        a_taking("r-1", reserved=True, text='it\'s "q" \N{PILE OF POO} \\u0000'),
        a_taking("m-0", order_type="market", limit_price=None),
        a_taking("r-2", reserved=True, session=LATER),
        a_taking("q-1", session=LATER),
        a_taking("q-0"),
        *(a_taking(f"b-{n}", account_id="bob") for n in range(3)),
    ],
    [a_taking("q-0"), a_taking("b-9", account_id="bob")],
)
EVENTS: Final = "order_id, sequence, type, at, actor, cause FROM order_events ORDER BY order_id"
BOOK: Final = "accept_sequence, trading_session_id, route_id FROM reserved_book"
READY: Final = "rank, accept_sequence, account_id, symbol, trading_session_id FROM dispatch_ready"
OUTBOX: Final = "event_id, aggregatetype, aggregateid, type, payload FROM outbox ORDER BY id"


def left_by(database: Database) -> list[Any]:
    """Take all batches; return the orders, and what stands in every table beside them."""
    upgrade(database)
    ledger = Ledger(database, StillClock(seed=1))

    async def taken() -> list[Any]:
        results = [one for batch in BATCHES for one in await ledger.take(batch)]
        orders = {r.order.order_id: r.order for r in results if isinstance(r, Taken)}
        assert [await ledger.get(order_id) for order_id in orders] == [*orders.values()]
        return [results, *await database.read(rows)]

    def rows(connection: Connection) -> list[Any]:
        events, book, ready, outbox = (
            [tuple(row) for row in connection.execute(text(f"SELECT {what}"))]
            for what in (EVENTS, f"{BOOK} ORDER BY 1", f"{READY} ORDER BY 2", OUTBOX)
        )
        return [events, book, ready, [(*row, codec.decode(payload)) for *row, payload in outbox]]

    try:
        return asyncio.run(taken())
    finally:
        database.close()


def test_new_orders_leave_the_same_rows_on_both_servers(ledger_url: str) -> None:
    embedded = left_by(Embedded(None))
    shared = left_by(PostgresDatabase(ledger_url, writers=1))

    _, events, book, ready, outbox = embedded
    assert (len(events), len(book), len(ready), len(outbox)) == (10, 3, 7, 10)
    assert shared == embedded
    published = [row[-1] for row in outbox if row[-1]["trade_date"] == str(SESSION.trade_date)]
    assert [order["accept_sequence"] for order in published] == [1, 2, 3, 4, 7, 8, 9, 10]


def test_postgresql_puts_a_batch_of_reserved_orders_down_in_one_statement(ledger_url: str) -> None:
    shared = PostgresDatabase(ledger_url, writers=1)
    ledger, said = Ledger(shared, StillClock()), []
    asyncio.run(ledger.take([a_taking("c-0", reserved=True)]))  # which makes the day
    event.listen(shared._engine, "before_cursor_execute", lambda *a: said.append(a[2]))

    asyncio.run(ledger.take([a_taking(f"c-{n}", reserved=True) for n in range(1, 9)]))
    shared.close()

    assert [words.split()[0] for words in said] == ["INSERT", "SELECT", "WITH"]
