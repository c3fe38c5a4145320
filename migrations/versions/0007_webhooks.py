"""Where customers want to be told of their orders, and what waits to be told there."""

from alembic import op

revision = "0007"
down_revision = "0006"

ENDPOINTS = """
    CREATE TABLE webhook_endpoints (
        endpoint_id TEXT NOT NULL,
        version {integer} NOT NULL,
        url TEXT NOT NULL,
        accounts TEXT NOT NULL,
        types TEXT NOT NULL,
        description TEXT NOT NULL,
        state TEXT NOT NULL,
        disabled_by TEXT,
        root TEXT NOT NULL,
        salt TEXT NOT NULL,
        previous_salt TEXT,
        previous_until {integer},
        created_at {integer} NOT NULL,
        changed_at {integer} NOT NULL,
        failing_since {integer},
        quiet_until {integer},
        missed {integer} NOT NULL,
        missed_at {integer},
        PRIMARY KEY (endpoint_id)
    )
"""
DELIVERIES = """
    CREATE TABLE webhook_deliveries (
        delivery_id TEXT NOT NULL,
        endpoint_id TEXT NOT NULL,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        rank {integer} NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts {integer} NOT NULL,
        due_at {integer} NOT NULL,
        created_at {integer} NOT NULL,
        last_at {integer},
        last_status {integer},
        last_error TEXT,
        PRIMARY KEY (delivery_id)
    )
"""


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    integer, small, large = "INTEGER", " WITHOUT ROWID, STRICT", " STRICT"
    if on_server:
        integer, small, large = "BIGINT", "", ""
    op.execute(ENDPOINTS.format(integer=integer) + small)
    op.execute(DELIVERIES.format(integer=integer) + large)
    op.execute(
        "CREATE INDEX webhook_deliveries_due ON webhook_deliveries (endpoint_id, state, due_at)"
    )
    op.execute("CREATE INDEX webhook_deliveries_by_rank ON webhook_deliveries (endpoint_id, rank)")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
