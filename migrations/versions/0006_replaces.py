"""What waits to be changed at a broker, what is out, and how each such request ended."""

from alembic import op

revision = "0006"
down_revision = "0005"

QUEUE = " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)"
REQUESTS = """
    CREATE TABLE replace_requests (
        order_id TEXT NOT NULL,
        trade_date {date} NOT NULL,
        accept_sequence {integer} NOT NULL,
        broker_id TEXT NOT NULL,
        broker_order_key TEXT NOT NULL,
        original TEXT,
        quantity {number} NOT NULL,
        limit_price {number},
        state TEXT NOT NULL,
        owner_epoch {integer},
        claim {integer},
        asked_at {integer} NOT NULL,
        sent_ns {integer},
        PRIMARY KEY (order_id)
    )
"""
REPLACES = """
    CREATE TABLE replaces (
        broker_order_key TEXT NOT NULL,
        trade_date {date} NOT NULL,
        order_id TEXT NOT NULL,
        original TEXT,
        quantity {number} NOT NULL,
        limit_price {number},
        state TEXT NOT NULL,
        settled_by TEXT NOT NULL,
        settled_at {integer} NOT NULL,
        PRIMARY KEY (broker_order_key)
    )
"""


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    types = {"integer": "INTEGER", "number": "TEXT", "date": "TEXT"}
    kept, queue = " WITHOUT ROWID, STRICT", " WITHOUT ROWID, STRICT"
    if on_server:
        types = {"integer": "BIGINT", "number": "NUMERIC", "date": "DATE"}
        kept, queue = "", QUEUE
    op.execute(REQUESTS.format(**types) + queue)
    op.execute(REPLACES.format(**types) + kept)
    op.execute("CREATE INDEX replace_requests_by_broker ON replace_requests (broker_id, state)")
    op.execute("CREATE INDEX replaces_by_order ON replaces (order_id)")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
