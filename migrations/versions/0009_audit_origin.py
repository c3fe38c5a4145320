"""By which door a change came, from which address; and what a request has written is found."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("via", "ip"):  # null in what stands: its seal was made without
        op.execute(f"ALTER TABLE audit ADD COLUMN {name} TEXT")
    op.execute("CREATE INDEX audit_by_request ON audit (request_id, action)")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
