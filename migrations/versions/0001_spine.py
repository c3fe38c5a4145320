"""The spine: orders, keys, attempts, executions, events, queues, outbox, control, audit."""

from typing import Final

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS: Final = (
    """
    CREATE TABLE orders (
        accept_sequence INTEGER NOT NULL,
        order_id TEXT NOT NULL,
        trade_date TEXT NOT NULL,
        session_date TEXT NOT NULL,
        trading_session_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        list_id TEXT,
        symbol TEXT NOT NULL,
        market TEXT NOT NULL,
        side TEXT NOT NULL,
        order_type TEXT NOT NULL,
        quantity TEXT NOT NULL,
        limit_price TEXT,
        currency TEXT NOT NULL,
        time_in_force TEXT NOT NULL,
        text TEXT,
        accepted_at INTEGER NOT NULL,
        version INTEGER NOT NULL,
        status TEXT NOT NULL,
        pending_request TEXT NOT NULL,
        filled_quantity TEXT NOT NULL,
        overfilled_quantity TEXT NOT NULL,
        filled_value TEXT NOT NULL,
        average_price TEXT,
        broker_id TEXT,
        broker_order_id TEXT,
        reason_code TEXT,
        cancel_origin TEXT,
        done_for_day INTEGER NOT NULL,
        released_at INTEGER,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (accept_sequence)
    ) STRICT
    """,
    "CREATE INDEX orders_by_account ON orders (account_id, accept_sequence)",
    "CREATE UNIQUE INDEX orders_by_id ON orders (order_id)",
    "CREATE INDEX orders_cancel_pending ON orders (broker_id) WHERE pending_request = 'cancel'",
    """
    CREATE TABLE order_keys (
        account_id TEXT NOT NULL,
        client_order_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        accepted_at INTEGER NOT NULL,
        PRIMARY KEY (account_id, client_order_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE attempts (
        broker_order_key TEXT NOT NULL,
        order_id TEXT NOT NULL,
        attempt_number INTEGER NOT NULL,
        broker_id TEXT NOT NULL,
        route_id TEXT NOT NULL,
        route_epoch INTEGER NOT NULL,
        owner_epoch INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        claimed_at INTEGER NOT NULL,
        sent_ns INTEGER,
        send_count INTEGER NOT NULL,
        outcome TEXT NOT NULL,
        settled_by TEXT,
        settled_at INTEGER,
        PRIMARY KEY (broker_order_key)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE INDEX attempts_open ON attempts (broker_id) WHERE outcome IN ('open', 'unknown')",
    (
        "CREATE UNIQUE INDEX one_open_attempt ON attempts (order_id)"
        " WHERE outcome IN ('open', 'unknown')"
    ),
    """
    CREATE TABLE executions (
        trade_date TEXT NOT NULL,
        broker_id TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        order_id TEXT NOT NULL,
        referenced_execution_id TEXT,
        report TEXT NOT NULL,
        applied_at INTEGER NOT NULL,
        PRIMARY KEY (trade_date, broker_id, execution_id)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE INDEX executions_by_order ON executions (order_id)",
    """
    CREATE TABLE quarantine (
        broker_id TEXT NOT NULL,
        broker_order_key TEXT NOT NULL,
        execution_id TEXT NOT NULL,
        cause TEXT NOT NULL,
        report TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (broker_id, broker_order_key, execution_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE order_events (
        order_id TEXT NOT NULL,
        sequence INTEGER NOT NULL,
        type TEXT NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        cause TEXT NOT NULL,
        PRIMARY KEY (order_id, sequence)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE reserved_book (
        trading_session_id TEXT NOT NULL,
        accept_sequence INTEGER NOT NULL,
        route_id TEXT NOT NULL,
        PRIMARY KEY (trading_session_id, accept_sequence)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE dispatch_ready (
        route_id TEXT NOT NULL,
        rank INTEGER NOT NULL,
        accept_sequence INTEGER NOT NULL,
        account_id TEXT NOT NULL,
        trading_session_id TEXT NOT NULL,
        PRIMARY KEY (route_id, rank, accept_sequence)
    ) WITHOUT ROWID, STRICT
    """,
    "CREATE INDEX ready_by_account ON dispatch_ready (route_id, account_id, accept_sequence)",
    """
    CREATE TABLE outbox (
        id INTEGER NOT NULL,
        event_id TEXT NOT NULL,
        aggregatetype TEXT NOT NULL,
        aggregateid TEXT NOT NULL,
        type TEXT NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (id)
    ) STRICT
    """,
    """
    CREATE TABLE broker_control (
        broker_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        tps INTEGER NOT NULL,
        dispatch TEXT NOT NULL,
        breaker TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at INTEGER NOT NULL,
        reason TEXT NOT NULL,
        expires_at INTEGER,
        reverts_to TEXT,
        PRIMARY KEY (broker_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE broker_leases (
        broker_id TEXT NOT NULL,
        holder TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (broker_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE routes (
        route_id TEXT NOT NULL,
        active_broker TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        PRIMARY KEY (route_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE halts (
        scope TEXT NOT NULL,
        target TEXT NOT NULL,
        halted_by TEXT NOT NULL,
        halted_at INTEGER NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (scope, target)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE session_overrides (
        trading_session_id TEXT NOT NULL,
        version INTEGER NOT NULL,
        opens_at INTEGER NOT NULL,
        closes_at INTEGER NOT NULL,
        changed_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (trading_session_id)
    ) WITHOUT ROWID, STRICT
    """,
    """
    CREATE TABLE audit (
        sequence INTEGER NOT NULL,
        at INTEGER NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        resource TEXT NOT NULL,
        "before" TEXT NOT NULL,
        "after" TEXT NOT NULL,
        reason TEXT NOT NULL,
        request_id TEXT NOT NULL,
        previous_hash TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (sequence)
    ) STRICT
    """,
)


def upgrade() -> None:
    if op.get_context().dialect.name != "sqlite":
        return  # a server begins with the next revision
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
