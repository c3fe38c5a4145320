"""A table a trade date, small queue tables, and the same ledger on PostgreSQL.

A server's first tables stand as text beside this file, as they were: what later revisions add,
they add here too, to a ledger that begins today.
"""

from datetime import date
from pathlib import Path
from typing import Final

from alembic import op
from sqlalchemy import Connection, text

from app.ledger import days
from app.ledger.dialect import part
from app.ledger.tables import PARTED

revision = "0002"
down_revision = "0001"

KEY_PARTS: Final = 16
ON_SERVER: Final = Path(__file__).with_name("0002_server.sql")

QUEUES: Final = (
    """
    CREATE TABLE reserved_book (
        trading_session_id TEXT NOT NULL,
        accept_sequence INTEGER NOT NULL,
        trade_date TEXT NOT NULL,
        route_id TEXT NOT NULL,
        PRIMARY KEY (trading_session_id, accept_sequence)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE dispatch_ready (
        route_id TEXT NOT NULL,
        rank INTEGER NOT NULL,
        accept_sequence INTEGER NOT NULL,
        trade_date TEXT NOT NULL,
        account_id TEXT NOT NULL,
        symbol TEXT NOT NULL,
        trading_session_id TEXT NOT NULL,
        PRIMARY KEY (route_id, rank, accept_sequence)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE INDEX ready_by_account ON dispatch_ready (account_id, route_id, accept_sequence)",
    """
    CREATE TABLE dispatch_inflight (
        order_id TEXT NOT NULL,
        broker_order_key TEXT NOT NULL,
        trade_date TEXT NOT NULL,
        broker_id TEXT NOT NULL,
        outcome TEXT NOT NULL,
        claim INTEGER NOT NULL,
        PRIMARY KEY (order_id)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE INDEX inflight_by_broker ON dispatch_inflight (broker_id)",
    """
    CREATE TABLE cancel_requests (
        order_id TEXT NOT NULL,
        trade_date TEXT NOT NULL,
        accept_sequence INTEGER NOT NULL,
        PRIMARY KEY (order_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE lanes (
        broker_id TEXT NOT NULL,
        status TEXT NOT NULL,
        shown_at INTEGER NOT NULL,
        PRIMARY KEY (broker_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE questions (
        broker_order_key TEXT NOT NULL,
        answer TEXT,
        PRIMARY KEY (broker_order_key)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE TABLE accepted (id INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (id)) STRICT",
)
FILL_QUEUES: Final = (
    "INSERT INTO accepted SELECT 1, coalesce(max(accept_sequence), 0) FROM old_orders",
    (
        "INSERT INTO reserved_book SELECT b.trading_session_id, b.accept_sequence, o.trade_date,"
        " b.route_id FROM old_reserved_book AS b JOIN old_orders AS o USING (accept_sequence)"
    ),
    (
        "INSERT INTO dispatch_ready SELECT d.route_id, d.rank, d.accept_sequence, o.trade_date,"
        " d.account_id, o.symbol, d.trading_session_id FROM old_dispatch_ready AS d"
        " JOIN old_orders AS o USING (accept_sequence)"
    ),
    (
        "INSERT INTO dispatch_inflight SELECT a.order_id, a.broker_order_key, o.trade_date,"
        " a.broker_id, a.outcome, 0 FROM old_attempts AS a JOIN old_orders AS o USING (order_id)"
        " WHERE a.outcome IN ('open', 'unknown')"
    ),
    (
        "INSERT INTO cancel_requests SELECT order_id, trade_date, accept_sequence FROM old_orders"
        " WHERE pending_request = 'cancel'"
    ),
)
OF_ORDER: Final = " FROM old_{table} AS x JOIN old_orders AS o USING (order_id)"
# What each table of a day takes from the one table that was.
MOVED: Final = {
    "orders": (
        "accept_sequence, trade_date, order_id, session_date, trading_session_id, account_id,"
        " client_order_id, list_id, symbol, market, side, order_type, quantity, limit_price,"
        " currency, time_in_force, text, accepted_at, version, status, pending_request,"
        " filled_quantity, overfilled_quantity, filled_value, average_price, broker_id,"
        " broker_order_id, reason_code, cancel_origin, done_for_day, released_at, updated_at"
        " FROM old_orders AS o"
    ),
    "order_events": (
        "x.order_id, x.sequence, o.trade_date, x.type, x.at, x.actor, x.cause"
        + OF_ORDER.format(table="order_events")
    ),
    "attempts": (
        "x.broker_order_key, o.trade_date, x.order_id, x.attempt_number, x.broker_id, x.route_id,"
        " x.route_epoch, x.owner_epoch, x.rank, x.claimed_at, x.sent_ns, x.send_count,"
        " x.outcome, x.settled_by, x.settled_at" + OF_ORDER.format(table="attempts")
    ),
    "executions": (
        "x.execution_id, x.broker_id, x.trade_date, o.trade_date, x.order_id,"
        " x.referenced_execution_id, x.report, x.applied_at" + OF_ORDER.format(table="executions")
    ),
}
REPLACED: Final = (*PARTED, "reserved_book", "dispatch_ready")


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        _create_on_server(connection)
    else:
        _divide_by_day(connection)


def _create_on_server(connection: Connection) -> None:
    connection.exec_driver_sql(ON_SERVER.read_text("utf-8"))
    for number in range(KEY_PARTS):
        op.execute(
            f"CREATE TABLE order_keys_{number:02d} PARTITION OF order_keys"
            f" FOR VALUES WITH (MODULUS {KEY_PARTS}, REMAINDER {number})"
        )


def _divide_by_day(connection: Connection) -> None:
    for index in ("orders_by_id", "orders_by_account", "executions_by_order", "ready_by_account"):
        op.execute(f"DROP INDEX {index}")
    for table in REPLACED:
        op.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    for statement in (*QUEUES, *FILL_QUEUES):
        op.execute(statement)
    days.show(connection, [])
    found = text("SELECT DISTINCT trade_date FROM old_orders")
    for day in map(date.fromisoformat, connection.execute(found).scalars().all()):
        days.make(connection, day)
        for table, source in MOVED.items():
            moved = f"SELECT {source} WHERE o.trade_date = '{day}'"
            op.execute(f"INSERT INTO {table}{part(day)} {moved}")
    for table in REPLACED:
        op.execute(f"DROP TABLE old_{table}")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
