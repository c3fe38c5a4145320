"""The file is what the tables say, and an older program does not write into a newer file."""

from pathlib import Path
from typing import Final

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.ledger.schema import (
    HEAD,
    UnknownRevision,
    create,
    migrating,
    migrations,
    revision,
    upgrade,
)
from app.sqlite import Database

SCHEMA: Final = text("SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY 1")
COLUMNS: Final = text(
    'SELECT t.name, t.wr, t.strict, x.name, x.type, x."notnull", x.pk FROM pragma_table_list AS t'
    " JOIN pragma_table_xinfo(t.name) AS x WHERE t.schema = 'main' AND t.type = 'table'"
    " AND t.name NOT LIKE 'sqlite_%' AND t.name <> 'alembic_version' ORDER BY t.name, x.cid"
)
INDEXES: Final = text(
    'SELECT t.name, i.name, i."unique", i.partial, (SELECT group_concat(c.name) FROM'
    " pragma_index_info(i.name) AS c), (SELECT substr(s.sql, instr(s.sql, ' WHERE '))"
    " FROM sqlite_schema AS s WHERE s.name = i.name AND i.partial)"
    " FROM pragma_table_list AS t JOIN pragma_index_list(t.name) AS i WHERE t.schema = 'main'"
    " AND t.name <> 'alembic_version' AND i.origin = 'c' ORDER BY 1, 2"
)


@pytest.fixture(scope="module")
def migrated() -> Database:
    database = Database(None)
    upgrade(database)
    return database


@pytest.fixture(scope="module")
def declared() -> Database:
    database = Database(None)
    database.write_now(create)
    return database


@pytest.mark.parametrize("question", [COLUMNS, INDEXES], ids=["columns", "indexes"])
def test_the_migrations_build_what_the_tables_declare(
    migrated: Database, declared: Database, question: object
) -> None:
    def ask(connection: Connection) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.execute(question)]  # type: ignore[call-overload]

    built = migrated.write_now(ask)

    assert built
    assert built == declared.write_now(ask)


def test_alembic_finds_nothing_to_do(migrated: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        how = migrating(connection)
        metadata = how.pop("target_metadata")
        context = MigrationContext.configure(connection, opts=how)
        return list(compare_metadata(context, metadata))

    assert migrated.write_now(differences) == []


def test_the_program_knows_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations()))

    assert ScriptDirectory.from_config(config).get_heads() == [HEAD]


def test_an_empty_file_is_brought_to_the_head_and_then_left_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "ledger.db")
    assert database.write_now(revision) is None
    upgrade(database)
    upgrade(database)

    assert database.write_now(revision) == HEAD
    database.close()


@pytest.mark.parametrize("found", ["0010", "9999", "abcd"])
def test_a_newer_file_is_refused_and_not_touched(found: str) -> None:
    database = Database(None)
    database.write_now(
        lambda c: c.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
    )
    database.write_now(
        lambda c: c.execute(text("INSERT INTO alembic_version VALUES (:v)"), {"v": found})
    )
    with pytest.raises(UnknownRevision, match=found):
        upgrade(database)

    assert list(database.write_now(lambda c: c.execute(SCHEMA).scalars().all())) == [
        "alembic_version"
    ]
