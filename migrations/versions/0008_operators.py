"""What operators hold back, and what they set for a time alone."""

from alembic import op

revision = "0008"
down_revision = "0007"

QUEUE = " WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)"
HELD = """
    CREATE TABLE held_orders (
        accept_sequence {integer} NOT NULL,
        trade_date {date} NOT NULL,
        order_id TEXT NOT NULL,
        trading_session_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        reason_code TEXT,
        held_at {integer} NOT NULL,
        PRIMARY KEY (accept_sequence)
    )
"""
PROPOSALS = """
    CREATE TABLE proposals (
        proposal_id TEXT NOT NULL,
        version {integer} NOT NULL,
        state TEXT NOT NULL,
        operation TEXT NOT NULL,
        call TEXT NOT NULL,
        proposed_by TEXT NOT NULL,
        key_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        proposed_at {integer} NOT NULL,
        expires_at {integer} NOT NULL,
        decided_by TEXT,
        decided_at {integer},
        decided_why TEXT,
        decided_under TEXT,
        PRIMARY KEY (proposal_id)
    )
"""
PAUSES = """
    CREATE TABLE session_pauses (
        trading_session_id TEXT NOT NULL,
        version {integer} NOT NULL,
        paused {integer} NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at {integer} NOT NULL,
        reason TEXT NOT NULL,
        expires_at {integer},
        PRIMARY KEY (trading_session_id)
    )
"""
TICKETS = """
    CREATE TABLE stream_tickets (
        digest TEXT NOT NULL,
        key_id TEXT NOT NULL,
        account_id TEXT NOT NULL,
        expires_at {integer} NOT NULL,
        PRIMARY KEY (digest)
    )
"""
# What was held before anybody kept a list of it. It reads every order once.
HELD_BEFORE = """
    INSERT INTO held_orders (accept_sequence, trade_date, order_id, trading_session_id,
        account_id, reason_code, held_at)
    SELECT accept_sequence, trade_date, order_id, trading_session_id,
        account_id, reason_code, updated_at
    FROM orders WHERE status = 'held'
"""


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    types = {"integer": "INTEGER", "date": "TEXT"}
    if on_server:
        types = {"integer": "BIGINT", "date": "DATE"}
    op.execute(HELD.format(**types) + (QUEUE if on_server else " STRICT"))
    op.execute("CREATE INDEX held_by_session ON held_orders (trading_session_id, accept_sequence)")
    op.execute(HELD_BEFORE)
    for table in (PROPOSALS, TICKETS, PAUSES):
        op.execute(table.format(**types) + ("" if on_server else " WITHOUT ROWID, STRICT"))
    op.execute("CREATE INDEX proposals_by_time ON proposals (proposed_at)")
    for table in ("session_overrides", "anomaly_rules"):
        op.execute(f"ALTER TABLE {table} ADD COLUMN expires_at {types['integer']}")
        op.execute(f"ALTER TABLE {table} ADD COLUMN reverts_to TEXT")
    op.execute(f"ALTER TABLE session_overrides ADD COLUMN lifted_at {types['integer']}")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
