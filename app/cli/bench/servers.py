"""Places of a bench's own on the servers that the settings name.

What a bench writes are orders that nobody placed. So it touches nothing that stands there: it
makes a database, topics and a collection under names that begin with `openbell_bench_`, and
takes them away at the end. The trap is the server of a brokerage at work, which would be slowed
down all the same: one whose ledger has orders in it is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from app.cli.asking.output import Ends, Failure
from app.ledger.schema import upgrade
from app.postgres import PostgresDatabase
from app.settings import Settings, read_settings

OURS: Final = "openbell_bench_"
ADVICE: Final = "make stack  # starts all of them, and prints what to export"


def named(*wanted: str) -> Settings:
    """Return the settings, or fail unless they name these servers."""
    try:
        settings = read_settings()
    except ValueError as e:
        raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from e
    missing = [name for name in wanted if getattr(settings, name) is None]
    if missing:
        names = ", ".join(f"OPENBELL_{name.upper()}" for name in missing)
        raise Failure(Ends.USAGE, f"this bench needs servers: {names} not set", advice=ADVICE)
    return settings


def own_name() -> str:
    """Return a name that nobody else has: for a database, or before a topic's."""
    return f"{OURS}{token_hex(4)}"


@contextmanager
def own_ledger(url: str) -> Iterator[str]:
    """Make an empty ledger beside the one of this address; drop it at the end."""
    from psycopg import Error, sql

    name = own_name()
    try:
        _refuse_a_ledger_at_work(url)
        _run(url, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except Error as e:
        why = str(e).strip()
        raise Failure(Ends.UNREACHABLE, "no database for a bench on this server", why=why) from e
    try:
        own = urlsplit(url)._replace(path=f"/{name}").geturl()
        database = PostgresDatabase(own)
        upgrade(database)
        database.close()
        yield own
    finally:
        _run(url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _refuse_a_ledger_at_work(url: str) -> None:
    ((stands,),) = _run(url, "SELECT to_regclass('order_keys') IS NOT NULL")
    if stands and _run(url, "SELECT 1 FROM order_keys LIMIT 1"):
        raise Failure(
            Ends.USAGE,
            "this ledger has orders in it; a bench would slow its server down",
            advice=ADVICE,
        )


def _run(url: str, statement: Any) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as session:
        found = session.execute(statement)
        return found.fetchall() if found.description else []


def postgres_version(url: str) -> str:
    ((version,),) = _run(url, "SHOW server_version")
    return f"PostgreSQL {str(version).split(' ')[0]}"
