"""Brings the ledger to the revision that this program was written for.

The serving process reads the revision by one SELECT and imports Alembic (half a second) only
when there is something to do. A newer ledger than ours is refused: an old program must not write
into a schema that it does not know. A file of our own is migrated at the start; a server that
others use as well is migrated by `openbell migrate`, once, and whoever starts before is told so.
"""

from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, inspect, text

from app.ledger import days
from app.ledger.tables import schema
from app.sql import Database

HEAD: Final = "0009"
HERE: Final = Path(__file__).parents[1]


class UnknownRevision(Exception):
    """The ledger was written by another version of this program."""


class Behind(Exception):
    """The shared ledger has not been migrated to what this program needs."""


def revision(connection: Connection) -> str | None:
    """Return the revision that the ledger is at; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def migrating(connection: Connection) -> dict[str, Any]:
    """Return how Alembic shall look at this ledger: without the tables of a day."""
    parts = days.partitions(connection)

    def include_name(name: str | None, type_: str, _parents: object) -> bool:
        return type_ != "table" or name not in parts

    metadata = schema(connection.dialect.name)
    return {"target_metadata": metadata, "include_name": include_name}


def create(connection: Connection) -> None:
    """Build an empty ledger as the tables declare it, without a history of migrations."""
    schema(connection.dialect.name).create_all(connection)
    days.show(connection, [])


def migrations() -> Path:
    """Return where the migrations lie: inside an installed package, beside a checkout."""
    inside = HERE / "migrations"
    return inside if inside.exists() else HERE.parent / "migrations"


def upgrade(database: Database) -> None:
    """Migrate to `HEAD` if the ledger is older, in one transaction."""
    if _stands_at_head(database):
        return
    from alembic import command  # noqa: PLC0415 - half a second that most starts do not need
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(migrations()))

    def migrate(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":  # two services that migrate: one after one
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('openbell.schema'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)

    database.write_now(migrate)


def require(database: Database) -> None:
    """Raise `Behind` unless the ledger is at `HEAD`."""
    if not _stands_at_head(database):
        found = database.write_now(revision) or "empty"
        raise Behind(f"the ledger is {found}, this program needs {HEAD}: run `openbell migrate`")


def _stands_at_head(database: Database) -> bool:
    found = database.write_now(revision)
    if found is not None and found > HEAD:
        raise UnknownRevision(f"the ledger is at revision {found}, this program at {HEAD}")
    return found == HEAD
