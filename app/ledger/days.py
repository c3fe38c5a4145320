"""The part of the ledger that belongs to one trade date: made, found, taken away.

What is kept by trade date leaves by trade date: dropping a table costs the same for a thousand
orders and a million, deleting their rows does not. In SQLite a day is four tables of its own,
and views of the bare names show all of them; in PostgreSQL it is a partition of each parent.

There is no DEFAULT partition to catch what fits nowhere: it would refuse every later detach and
hide the mistake. A day without its part cannot take an order, and says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, MetaData, text

from app.ledger.dialect import Statement, of, part
from app.ledger.partitions.plan import Standing
from app.ledger.tables import PARTED, parted

# SQLite joins at most 500 SELECTs in one view; a trading year is about 260. A day that may not
# leave beyond these is still found by id, and listings over all dates pass it over.
SHOWN_MAX: Final = 400
# At 50 an update finds room beside the row, and no index hears of it (HOT).
FILLFACTOR: Final = 50

_TABLES: Final = text(
    "SELECT substr(name, 8) FROM sqlite_schema WHERE type = 'table' AND name GLOB"
    " 'orders_[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]' ORDER BY name"
)
_PARTITIONS: Final = text(
    "SELECT substr(c.relname, 8) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = to_regclass('orders') AND NOT i.inhdetachpending"
    " AND c.relname ~ '^orders_[0-9]{8}$' ORDER BY 1"
)
# Ours are the children of the four parents, and what has our name and our check beside them.
_OURS: Final = text(
    "SELECT substring(c.relname FROM '^(.*)_[0-9]{8}$') AS parent, right(c.relname, 8) AS day,"
    " CASE WHEN i.inhrelid IS NULL THEN 'loose' WHEN i.inhdetachpending THEN 'detaching'"
    " ELSE 'attached' END AS standing FROM pg_class AS c"
    " LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid WHERE c.relkind = 'r'"
    " AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('orders'))"
    f" AND c.relname ~ '^({'|'.join(PARTED)})_[0-9]{{8}}$' AND (i.inhrelid IS NOT NULL OR EXISTS"
    " (SELECT 1 FROM pg_constraint AS k WHERE k.conrelid = c.oid"
    " AND k.conname = c.relname || '_day')) ORDER BY 2, 1"
)
_PARTS: Final = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'")
_DEFAULTS: Final = text(
    "SELECT c.relname FROM pg_partitioned_table AS p JOIN pg_class AS c ON c.oid = p.partdefid"
    " JOIN pg_class AS t ON t.oid = p.partrelid WHERE t.relname = ANY(:parents) ORDER BY 1"
)
_STANDING: Final = text(
    "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(:parent)"
    " AND inhrelid = to_regclass(:child)"
)
# What an order's terms went through is of use to nobody without the order.
_FORGET_REPLACES: Final = Statement(lambda _: "DELETE FROM replaces WHERE trade_date = @day")
# The days that a database was seen to have; it is asked again only for those it had not.
_seen: Final[WeakKeyDictionary[Engine, frozenset[date]]] = WeakKeyDictionary()
# The days of a file (its path) that are being dropped: to ask for them is to come too late.
_closed: Final[set[tuple[str | None, date]]] = set()


def attached(connection: Connection) -> list[date]:
    """Return the days that the ledger shows, the earliest first."""
    found = connection.execute(_TABLES if of(connection).names_parts else _PARTITIONS).scalars()
    return [_date(name) for name in found]


def standings(connection: Connection) -> dict[date, dict[str, Standing]]:
    """Return how each table of each day stands, whether it is attached or not."""
    if of(connection).names_parts:
        return {day: dict.fromkeys(PARTED, Standing.ATTACHED) for day in attached(connection)}
    found: dict[date, dict[str, Standing]] = {}
    for parent, name, how in connection.execute(_OURS):
        found.setdefault(_date(name), {})[parent] = Standing(how)
    return found


def defaults(connection: Connection) -> list[str]:
    """Return the partitions that take what fits nowhere."""
    if of(connection).names_parts:
        return []
    return list(connection.execute(_DEFAULTS, {"parents": list(PARTED)}).scalars())


def partitions(connection: Connection) -> set[str]:
    """Return the names of all tables that are a part of another, or were."""
    ours = {f"{name}{part(day)}" for day, each in standings(connection).items() for name in each}
    if of(connection).names_parts:
        return ours
    return ours.union(connection.execute(_PARTS).scalars())


def is_attached(connection: Connection, day: date) -> bool:
    """Whether a statement on this day finds its tables."""
    if not of(connection).names_parts:
        return True  # the parents stand for every day
    engine = connection.engine
    if _closed and (engine.url.database, day) in _closed:
        return False
    if day not in _seen.get(engine, ()):
        _seen[engine] = frozenset(attached(connection))
    return day in _seen[engine]


def forget() -> None:
    """Look again, for a day has been taken away."""
    _seen.clear()


@contextmanager
def closed(path: str | None, day: date) -> Iterator[None]:
    """Answer for this day of a file as if it were gone, while it goes."""
    _closed.add((path, day))
    try:
        yield
    finally:
        forget()
        _closed.discard((path, day))


def make(connection: Connection, day: date) -> bool:
    """Give a day its tables, to be committed before anything relies on it; whether it had none."""
    if of(connection).names_parts:
        return _make_tables(connection, day)
    # Two processes that miss the same day meet here, and the second finds it made.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('openbell.days'))"))
    made = [attach(connection, name, day) for name in PARTED]
    return any(made)


def attach(connection: Connection, parent: str, day: date) -> bool:
    """Make one partition and attach it, with no lock that stops a reader; False if it stands."""
    child = f"{parent}{part(day)}"
    if connection.execute(_STANDING, {"parent": parent, "child": child}).scalar_one():
        return False
    bound = f"FROM ('{day}') TO ('{date.fromordinal(day.toordinal() + 1)}')"
    # CREATE ... PARTITION OF would lock the parent against everybody. LIKE does not copy the
    # fillfactor, and a parent cannot have one.
    connection.exec_driver_sql(
        f"CREATE TABLE IF NOT EXISTS {child} (LIKE {parent} INCLUDING ALL, CONSTRAINT"
        f" {child}_day CHECK (trade_date = DATE '{day}')) WITH (fillfactor = {FILLFACTOR})"
    )
    connection.exec_driver_sql(f"ALTER TABLE {parent} ATTACH PARTITION {child} FOR VALUES {bound}")
    return True


def drop(connection: Connection, day: date) -> None:
    """Drop the tables of a day. In a server they are detached before, which locks nobody out."""
    if of(connection).names_parts:
        show(connection, [other for other in attached(connection) if other != day])
    for name in PARTED:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}{part(day)}")
    _FORGET_REPLACES.run(connection, day)
    forget()


def _make_tables(connection: Connection, day: date) -> bool:
    standing = attached(connection)
    if day in standing:
        return False
    store = MetaData()
    parted(store, part(day))
    store.create_all(connection, checkfirst=False)
    show(connection, sorted([*standing, day]))
    return True


def show(connection: Connection, standing: Sequence[date]) -> None:
    """Let the bare names show these days, the last ones if there are too many (SQLite)."""
    shown = standing[-SHOWN_MAX:]
    for name in PARTED:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")
        union = " UNION ALL ".join(f"SELECT * FROM {name}{part(day)}" for day in shown)
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {union or _nothing(name)}")


def _nothing(name: str) -> str:
    (table,) = (table for table in parted(MetaData()) if table.name == name)
    return f"SELECT {', '.join(f'NULL AS {column.name}' for column in table.columns)} WHERE false"


def _date(name: str) -> date:
    return date(int(name[:4]), int(name[4:6]), int(name[6:]))
