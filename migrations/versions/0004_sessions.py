"""The numbers and the messages of sessions that a broker's own protocol keeps (FIX)."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = (
    """
    fix_sessions (
        session_id TEXT NOT NULL,
        broker_id TEXT NOT NULL,
        numbering {integer} NOT NULL,
        next_out {integer} NOT NULL,
        next_in {integer} NOT NULL,
        changed_at {integer} NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (session_id)
    )
    """,
    """
    fix_messages (
        session_id TEXT NOT NULL,
        numbering {integer} NOT NULL,
        number {integer} NOT NULL,
        type TEXT NOT NULL,
        broker_order_key TEXT,
        body TEXT NOT NULL,
        written_at {integer} NOT NULL,
        lacked {integer} NOT NULL,
        PRIMARY KEY (session_id, numbering, number)
    )
    """,
)


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    integer, options = ("BIGINT", "") if on_server else ("INTEGER", " WITHOUT ROWID, STRICT")
    for table in TABLES:
        op.execute(f"CREATE TABLE {table.format(integer=integer)}{options}")
    op.execute("CREATE INDEX fix_messages_by_key ON fix_messages (broker_order_key)")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
