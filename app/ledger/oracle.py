"""The ledger's schema and its claim in Oracle's words. Untested against a server: text only.

The tables are those of `tables`, so that a site which keeps its record in Oracle starts from what
we run, and sees where the two differ:

- A day's partition makes itself at its first row (INTERVAL), so nothing has to be made ahead; it
  leaves by `DROP PARTITION FOR (DATE '…') UPDATE GLOBAL INDEXES`, else those are unusable.
- A local unique index must hold the partition's key (ORA-14039): ours do.
- An empty string is NULL. A column of ours that may be empty would refuse it.
- There is no FOR SHARE, so the fence is locked FOR UPDATE: claims of one broker wait in line.

The trap is `FETCH FIRST n ROWS ONLY FOR UPDATE SKIP LOCKED`: it is refused (ORA-02014). The window
has no limit; a cursor with `arraysize` n fetches n rows, and locks no more than it fetches. What
follows goes row by row in one `executemany` each, with `batcherrors=True`.
"""

import re
from typing import Any, Final

from sqlalchemy import (
    CLOB,
    Column,
    Computed,
    Date,
    Identity,
    Index,
    MetaData,
    Numeric,
    String,
    Table,
    quoted_name,
)
from sqlalchemy.dialects import oracle, postgresql
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import TypeEngine

from app.ledger.tables import PARTED, SHARDS, schema

# A word of Oracle's own may not name a table; in quotes it may.
RESERVED: Final = frozenset({"audit"})
# What holds a document or a person's words; all else is an id, a name or one of our words.
LONG: Final = frozenset(
    {"payload", "report", "before", "after", "answer", "reason", "cause", "text", "lanes.status"}
)
WORD: Final = oracle.VARCHAR2(255)
AMOUNT: Final = oracle.NUMBER()  # type: ignore[no-untyped-call]
WHOLE: Final = oracle.NUMBER(19)  # type: ignore[no-untyped-call]
# Before the first session that can be booked: all later days are intervals after it.
FIRST_DAY: Final = "2026-01-01"
BY_DAY: Final = (
    " PARTITION BY RANGE (trade_date) INTERVAL (NUMTODSINTERVAL(1, 'DAY'))"
    f" (PARTITION p0 VALUES LESS THAN (DATE '{FIRST_DAY}'))"
)
BY_ACCOUNT: Final = f" PARTITION BY HASH (account_id) PARTITIONS {SHARDS}"
_KEY: Final = re.compile(r"PRIMARY KEY \([^)]*\)")

FENCE: Final = (
    "SELECT r.route_id, r.epoch FROM routes r JOIN broker_leases l ON l.broker_id = r.active_broker"
    " JOIN broker_control c ON c.broker_id = r.active_broker WHERE r.active_broker = :broker"
    " AND l.holder = :holder AND l.epoch = :epoch AND l.expires_at > :now"
    " AND c.dispatch = 'running' FOR UPDATE OF r.epoch, l.epoch, c.dispatch"
)


def _given(parameter: str) -> str:
    """Return SQL for the values of a JSON array of words."""
    listed = f"JSON_TABLE(:{parameter}, '$[*]' COLUMNS (value VARCHAR2(255 CHAR) PATH '$'))"
    return f"(SELECT value FROM {listed})"


WINDOW: Final = (
    "SELECT d.rank, d.accept_sequence, d.route_id, d.trade_date FROM dispatch_ready d"
    f" WHERE d.route_id = :route AND d.trading_session_id IN {_given('sessions')}"
    f" AND d.account_id NOT IN {_given('accounts')} AND d.symbol NOT IN {_given('symbols')}"
    " ORDER BY d.rank, d.accept_sequence FOR UPDATE OF d.rank SKIP LOCKED"
)
# Delete what was moved, never move what was deleted: an order that was edited meanwhile stays.
MOVE: Final = (
    "UPDATE orders SET status = 'sending', version = version + 1, broker_id = :broker,"
    " updated_at = :now WHERE trade_date = :trade_date AND accept_sequence = :accept_sequence"
    " AND version = :version AND status = 'queued'"
)
LEAVE: Final = (
    "DELETE FROM dispatch_ready WHERE route_id = :route_id AND rank = :rank"
    " AND accept_sequence = :accept_sequence"
)
CLAIM: Final = (FENCE, WINDOW, MOVE, LEAVE)


def ddl() -> list[str]:
    """Return the statements that build an empty ledger, in order."""
    source = schema("postgresql")
    dialect = oracle.dialect()  # type: ignore[no-untyped-call]
    statements = ["CREATE SEQUENCE accept_sequence"]
    store = MetaData()
    for table in source.sorted_tables:
        translated = _translated(table, store)
        created = str(CreateTable(translated).compile(dialect=dialect)).strip()
        statements.append(_KEY.sub(rf"\g<0>{_local(table, ' USING INDEX LOCAL')}", created))
        statements[-1] += _partitions(table)
        for index in sorted(translated.indexes, key=lambda index: str(index.name)):
            made = str(CreateIndex(index).compile(dialect=dialect))
            statements.append(made + _local(table, " LOCAL"))
    return statements


def drop_day(parent: str, day: str) -> str:
    """Return the statement that drops a day for ever; what it must pass before is not asked."""
    assert parent in PARTED
    return f"ALTER TABLE {parent} DROP PARTITION FOR (DATE '{day}') UPDATE GLOBAL INDEXES"


def _translated(table: Table, store: MetaData) -> Table:
    name = quoted_name(table.name, quote=True) if table.name in RESERVED else table.name
    copy = Table(name, store, *map(_column, table.columns))
    for index in table.indexes:
        columns = [copy.columns[column.name] for column in index.columns]
        Index(index.name, *columns, unique=index.unique)
    return copy


def _column(column: Column[Any]) -> Column[Any]:
    more: list[Any] = []
    if column.identity is not None:
        more.append(Identity(always=True))
    if column.computed is not None:
        more.append(Computed(f"ORA_HASH(aggregateid, {SHARDS - 1})", persisted=False))
    key = column.primary_key
    kind = _type(column)
    return Column(column.name, kind, *more, primary_key=key, nullable=column.nullable)


def _type(column: Column[Any]) -> TypeEngine[Any]:
    known = column.type.dialect_impl(postgresql.dialect())  # type: ignore[no-untyped-call]
    match known:
        case Date():
            return Date()
        case String():
            return CLOB() if {column.name, str(column)} & LONG else WORD
        case Numeric():
            return AMOUNT
        case _:
            return WHOLE


def _local(table: Table, words: str) -> str:
    return words if table.name in PARTED else ""


def _partitions(table: Table) -> str:
    if table.name in PARTED:
        return BY_DAY
    return BY_ACCOUNT if table.name == "order_keys" else ""
