"""What was rehearsed, and when: trouble of that time and place is marked as a drill's."""

from alembic import op

revision = "0005"
down_revision = "0004"

DRILLS = """
    CREATE TABLE drills (
        drill_id TEXT NOT NULL,
        route_id TEXT NOT NULL,
        document TEXT NOT NULL,
        started_at {integer} NOT NULL,
        marks_until {integer} NOT NULL,
        PRIMARY KEY (drill_id)
    )
"""


def upgrade() -> None:
    on_server = op.get_bind().dialect.name == "postgresql"
    integer, options = ("BIGINT", "") if on_server else ("INTEGER", " WITHOUT ROWID, STRICT")
    op.execute(DRILLS.format(integer=integer) + options)
    op.execute("CREATE INDEX drills_by_end ON drills (marks_until)")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
