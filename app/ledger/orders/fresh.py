"""How new orders are put down: in every table of theirs, and in one step where a server can.

    fresh (the batch, read once) ──► orders · reserved_book · order_events · outbox

PostgreSQL takes this as one statement: nothing is read back, nothing is joined with a day that
its planner knows nothing of, and a fifth of the server's work is gone. SQLite has no INSERT
inside a WITH, and takes a statement for each table; as nobody else writes, it reads the rows that
it has just made, which is faster than to read the batch again. What waits for a permit gets its
place by a statement of its own, for its rank depends on who waits already.

The trap: the parts of one statement all see the ledger as it was before it, so none of them may
read what another one writes.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.order import Order
from app.domain.values import Status
from app.ledger import rows
from app.ledger.dialect import Dialect, Statement, by_day, of

# What a client decides is staged; what every new order begins with stands in the statement.
_GIVEN: Final = (
    *(*rows.FIELDS[: rows.FIELDS.index("version")], "status", "released_at"),
    "route_id",
)
_STAGED: Final = {name: rows.TYPE_OF.get(name, "text") for name in _GIVEN}
_BEGINS: Final = {
    "version": "1",
    "pending_request": "'none'",
    **dict.fromkeys(("filled_quantity", "overfilled_quantity", "filled_value"), "0"),
    "average_price": "CAST(NULL AS numeric)",  # a NULL that does not say so is a text
    "done_for_day": "0",
    "updated_at": "accepted_at",
}
_FIELDS: Final = ", ".join(rows.FIELDS)
_WHOLE: Final = ", ".join(
    name if name in _STAGED else f"{_BEGINS.get(name, 'NULL')} AS {name}"
    for name in (*rows.FIELDS, "route_id")
)
_given: Final = attrgetter(*_GIVEN[:-1])


# What one batch has just put into a table that nobody else writes.
_JUST_NOW: Final = "orders@day AS o WHERE o.accept_sequence >= :first"


def _fresh(d: Dialect) -> str:
    return f"WITH fresh AS (SELECT {_WHOLE} FROM {d.staged('orders', _STAGED)} AS s)"


def _orders(_: Dialect) -> str:
    return f"INSERT INTO orders@day ({_FIELDS}) SELECT {_FIELDS} FROM fresh"


def _reserved_book(_: Dialect) -> str:
    columns = "trading_session_id, accept_sequence, trade_date, route_id"
    return (
        f"INSERT INTO reserved_book ({columns}) SELECT {columns} FROM fresh"
        " WHERE status = 'reserved'"
    )


def _order_events(_: Dialect, source: str) -> str:
    return (
        "INSERT INTO order_events@day (trade_date, order_id, sequence, type, at, actor, cause)"
        " SELECT o.trade_date, o.order_id, o.version, 'order.' || o.status, o.updated_at,"
        f" 'client', 'taken' FROM {source}"
    )


def _outbox(d: Dialect, source: str) -> str:
    return (
        "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
        " SELECT o.order_id || '-' || o.version, 'orders', o.account_id,"
        f" 'io.openbell.order.' || o.status || '.v1', {rows.as_event(d)} FROM {source}"
        " ORDER BY o.accept_sequence"
    )


_ONE_BY_ONE: Final = [
    Statement(lambda d: f"{_fresh(d)} {_orders(d)}"),
    Statement(lambda d: f"{_fresh(d)} {_reserved_book(d)}"),
    Statement(lambda d: _order_events(d, _JUST_NOW)),
    Statement(lambda d: _outbox(d, _JUST_NOW)),
]
_AT_ONCE: Final = [
    Statement(
        lambda d: (
            f"{_fresh(d)}, kept AS ({_orders(d)}), booked AS ({_reserved_book(d)}),"
            f" noted AS ({_order_events(d, 'fresh AS o')}) {_outbox(d, 'fresh AS o')}"
        )
    )
]
_WAITING: Final = {
    "trading_session_id": "text",
    "accept_sequence": "integer",
    "trade_date": "date",
    "route_id": "text",
    "account_id": "text",
    "symbol": "text",
}
# The n-th waiting order of an account has rank n, counted from the head of the queue, so that
# a newcomer stands beside the others' next orders and not behind one account's fifty thousand.
# Looked up once a batch: what has left lies in the index until the next vacuum, to be walked over.
_QUEUE: Final = Statement(
    lambda d: (
        f"WITH waiting AS MATERIALIZED (SELECT * FROM {d.staged('rows', _WAITING)} AS s),"
        " heads AS MATERIALIZED (SELECT w.route_id, coalesce((SELECT min(d.rank)"
        " FROM dispatch_ready AS d WHERE d.route_id = w.route_id), 1) - 1 AS rank"
        " FROM (SELECT DISTINCT route_id FROM waiting) AS w),"
        " tails AS MATERIALIZED (SELECT w.route_id, w.account_id, coalesce((SELECT d.rank"
        " FROM dispatch_ready AS d WHERE d.route_id = w.route_id AND d.account_id = w.account_id"
        " ORDER BY d.accept_sequence DESC LIMIT 1), 0) AS rank"
        " FROM (SELECT DISTINCT route_id, account_id FROM waiting) AS w)"
        " INSERT INTO dispatch_ready (route_id, rank, accept_sequence, trade_date,"
        " account_id, symbol, trading_session_id) SELECT w.route_id, "
        + d.greater("h.rank", "t.rank")
        + " + row_number() OVER (PARTITION BY w.route_id, w.account_id"
        " ORDER BY w.accept_sequence), w.accept_sequence, w.trade_date, w.account_id, w.symbol,"
        " w.trading_session_id FROM waiting AS w JOIN heads AS h ON h.route_id = w.route_id"
        " JOIN tails AS t ON t.route_id = w.route_id AND t.account_id = w.account_id"
    )
)


def put_down(connection: Connection, fresh: Sequence[Order], routes: dict[str, str]) -> None:
    """Insert new orders, each with its first event and its place among those that wait."""
    statements = _AT_ONCE if of(connection).is_shared else _ONE_BY_ONE
    for day, orders in by_day(fresh, attrgetter("trade_date")):
        staged = codec.text([(*_given(order), routes[order.order_id]) for order in orders])
        for statement in statements:
            statement.run(connection, day, orders=staged, first=orders[0].accept_sequence)
    queue_up(connection, [(o, routes[o.order_id]) for o in fresh if o.status is Status.QUEUED])


def queue_up(connection: Connection, waiting: Sequence[tuple[Order, str]]) -> None:
    """Give each (order, route) a fair place among those that wait for a permit."""
    staged = [
        (o.trading_session_id, o.accept_sequence, o.trade_date, route, o.account_id, o.symbol)
        for o, route in waiting
    ]
    if staged:
        _QUEUE.run(connection, rows=codec.text(staged))
