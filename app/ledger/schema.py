"""Brings the ledger's file to the revision that this program was written for.

The serving process reads the revision by one SELECT and imports Alembic (half a second) only
when there is something to do. A newer file than ours is refused: an old program must not write
into a schema that it does not know.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from app.sqlite import Database

HEAD: Final = "0001"
HERE: Final = Path(__file__).parents[1]


class UnknownRevision(Exception):
    """The file was written by another version of this program."""


def revision(connection: Connection) -> str | None:
    """Return the revision that the file is at; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrations() -> Path:
    """Return where the migrations lie: inside an installed package, beside a checkout."""
    inside = HERE / "migrations"
    return inside if inside.exists() else HERE.parent / "migrations"


def upgrade(database: Database) -> None:
    """Migrate to `HEAD` if the file is older, on the writer's own connection."""
    found = database.write_now(revision)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise UnknownRevision(f"{database.path} is at revision {found}, this program at {HEAD}")
    from alembic import command  # noqa: PLC0415 - half a second that most starts do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations()))

    def migrate(connection: Connection) -> None:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)

    database.write_now(migrate)
