"""By which door a change came, and from which address."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    for name in ("via", "ip"):  # null in what stands: its seal was made without
        op.execute(f"ALTER TABLE audit ADD COLUMN {name} TEXT")


def downgrade() -> None:
    raise NotImplementedError("a ledger goes forward; restore a backup to go back")
