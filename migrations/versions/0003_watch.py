"""What notices trouble, changes a route's broker and finds a rate by itself."""

from alembic import op

revision = "0003"
down_revision = "0002"

# The same words serve both, but for one: a strict table of SQLite knows no BIGINT.
TABLES = (
    """
    route_policies (
        route_id TEXT NOT NULL,
        version {integer} NOT NULL,
        document TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at {integer} NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (route_id)
    )
    """,
    """
    failovers (
        failover_id TEXT NOT NULL,
        route_id TEXT NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL,
        started_at {integer} NOT NULL,
        updated_at {integer} NOT NULL,
        PRIMARY KEY (failover_id)
    )
    """,
    """
    anomalies (
        anomaly_id TEXT NOT NULL,
        rule_id TEXT NOT NULL,
        subject TEXT NOT NULL,
        state TEXT NOT NULL,
        document TEXT NOT NULL,
        opened_at {integer} NOT NULL,
        updated_at {integer} NOT NULL,
        PRIMARY KEY (anomaly_id)
    )
    """,
    """
    anomaly_subjects (
        subject TEXT NOT NULL,
        last {integer} NOT NULL,
        PRIMARY KEY (subject)
    )
    """,
    """
    anomaly_rules (
        rule_id TEXT NOT NULL,
        version {integer} NOT NULL,
        document TEXT NOT NULL,
        changed_by TEXT NOT NULL,
        changed_at {integer} NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (rule_id)
    )
    """,
    """
    outside_alerts (
        source TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        starts_at {integer} NOT NULL,
        status TEXT NOT NULL,
        document TEXT NOT NULL,
        seen_at {integer} NOT NULL,
        PRIMARY KEY (source, fingerprint, starts_at)
    )
    """,
)


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    integer, options = ("BIGINT", "") if on_server else ("INTEGER", " WITHOUT ROWID, STRICT")
    for table in TABLES:
        op.execute(f"CREATE TABLE {table.format(integer=integer)}{options}")
    op.execute("CREATE INDEX failovers_by_route ON failovers (route_id, started_at)")
    op.execute("CREATE INDEX anomalies_by_time ON anomalies (opened_at)")
    op.execute(
        "CREATE UNIQUE INDEX anomalies_open ON anomalies (rule_id, subject) WHERE state = 'open'"
    )
    op.execute("ALTER TABLE broker_control ADD COLUMN tuning TEXT")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
