"""One ledger in two dialects: the few words that SQLite and PostgreSQL say differently.

Each statement of this room is written once, as a function of a `Dialect`, and is compiled for
the database and the trade date that it runs on. A batch travels to SQL as one JSON text and
comes back as one: that spares SQLite the interpreter's lock at each row (`app/sqlite.py`), and
PostgreSQL a bind for each value.

Four tables are kept by trade date: `orders`, `order_events`, `attempts`, `executions`. In a
statement `orders@day` is that day's part, and `@day` alone its date. In SQLite the part is a
table of its own; in PostgreSQL it is a partition, which the date in the condition names, so that
a row whose partition has left is missed and never written beside the others. Without `@day` the
name means all days that are attached: the partitioned parent there, a view here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, CursorResult, text
from sqlalchemy.sql.elements import TextClause

T = TypeVar("T")

# The types that a staged column can have, and what PostgreSQL calls them.
TYPES: Final = {"text": "text", "integer": "bigint", "number": "numeric", "date": "date"}
Columns = Mapping[str, str]  # name to type, in the order in which a batch stages them


class Dialect:
    """SQLite's words."""

    # One writer: what is read in a transaction stays as it was read.
    lock_orders = ""
    lock_free_orders = ""
    lock_fence = ""
    lock_queue = ""
    is_shared = False  # whether other processes write beside us
    names_parts = True  # whether a day is a table of its own name
    first_place = 0  # the `place` of the first staged row

    def staged(self, parameter: str, columns: Columns) -> str:
        """Return SQL for the rows of a JSON array of arrays; `place` is their order."""
        cells = ", ".join(f"value ->> {i} AS {name}" for i, name in enumerate(columns))
        return f"(SELECT {cells}, key AS place FROM json_each(:{parameter}))"

    def values(self, parameter: str, type_: str = "text") -> str:
        """Return SQL for the rows `value` of a JSON array of plain values."""
        assert type_ in TYPES
        return f"(SELECT value FROM json_each(:{parameter}))"

    def among(self, parameter: str, type_: str = "text") -> str:
        """Return the condition that a column is one of a JSON array of plain values."""
        assert type_ in TYPES
        return f"IN (SELECT value FROM json_each(:{parameter}))"

    def listed(self, expression: str, source: str) -> str:
        """Return SQL for one JSON array of `expression` over `source`."""
        return f"SELECT json_group_array({expression}) FROM {source}"

    def array(self, *expressions: str) -> str:
        return f"json_array({', '.join(expressions)})"

    def mapping(self, **expressions: str) -> str:
        pairs = (f"'{name}', {expression}" for name, expression in expressions.items())
        return f"json_object({', '.join(pairs)})"

    def json(self, expression: str) -> str:
        """Return a text that is JSON as JSON, not as a string."""
        return f"json({expression})"

    def greater(self, one: str, other: str) -> str:
        return f"max({one}, {other})"

    def now(self, parameter: str) -> str:
        """Return the instant by which leases are judged: one clock for all who hold them."""
        return f":{parameter}"

    def words(self, expression: str) -> str:
        """Return a number or a date as the words that the world reads."""
        return expression

    def flag(self, expression: str) -> str:
        return f"json(iif({expression}, 'true', 'false'))"

    def instant(self, expression: str) -> str:
        """Return milliseconds since 1970 in RFC 3339."""
        return f"strftime('%Y-%m-%dT%H:%M:%fZ', {expression} / 1000.0, 'unixepoch')"

    def given(self, parameter: str, type_: str) -> str:
        """Return a bound value whose type cannot be told from where it stands."""
        assert type_ in TYPES
        return f":{parameter}"


class _Postgres(Dialect):
    lock_orders = " FOR UPDATE OF o"
    lock_free_orders = " FOR UPDATE OF o SKIP LOCKED"
    lock_fence = " FOR SHARE OF r, l, c"
    lock_queue = " FOR UPDATE OF d SKIP LOCKED"
    is_shared = True
    names_parts = False
    first_place = 1

    def staged(self, parameter: str, columns: Columns) -> str:
        cells = ", ".join(
            f"value ->> {i} AS {name}"
            if type_ == "text"
            else f"CAST(value ->> {i} AS {TYPES[type_]}) AS {name}"
            for i, (name, type_) in enumerate(columns.items())
        )
        rows = f"jsonb_array_elements(CAST(:{parameter} AS jsonb)) WITH ORDINALITY"
        return f"(SELECT {cells}, place FROM {rows} AS t(value, place))"

    def values(self, parameter: str, type_: str = "text") -> str:
        rows = f"jsonb_array_elements_text(CAST(:{parameter} AS jsonb))"
        return f"(SELECT CAST(value AS {TYPES[type_]}) AS value FROM {rows} AS t(value))"

    def among(self, parameter: str, type_: str = "text") -> str:
        return f"= ANY(ARRAY(SELECT value FROM {self.values(parameter, type_)} AS t))"

    def listed(self, expression: str, source: str) -> str:
        return f"SELECT CAST(coalesce(json_agg({expression}), '[]') AS text) FROM {source}"

    def array(self, *expressions: str) -> str:
        return f"json_build_array({', '.join(expressions)})"

    def mapping(self, **expressions: str) -> str:
        pairs = (f"'{name}', {expression}" for name, expression in expressions.items())
        return f"json_build_object({', '.join(pairs)})"

    def json(self, expression: str) -> str:
        return f"CAST({expression} AS json)"

    def greater(self, one: str, other: str) -> str:
        return f"greatest({one}, {other})"

    def now(self, parameter: str) -> str:
        # `+ 0` keeps the parameter in the statement: the server's clock stands for it.
        clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
        return f"({clock} + 0 * CAST(:{parameter} AS bigint))"

    def words(self, expression: str) -> str:
        return f"CAST({expression} AS text)"

    def flag(self, expression: str) -> str:
        return f"({expression} <> 0)"

    def instant(self, expression: str) -> str:
        utc = f"to_timestamp({expression} / 1000.0) AT TIME ZONE 'UTC'"
        return f"""to_char({utc}, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""

    def given(self, parameter: str, type_: str) -> str:
        return f"CAST(:{parameter} AS {TYPES[type_]})"


_DIALECTS: Final = {"sqlite": Dialect(), "postgresql": _Postgres()}


def part(day: date) -> str:
    """Return what a day adds to a table's name."""
    return f"_{day:%Y%m%d}"


def of(connection: Connection) -> Dialect:
    """Return the dialect that this connection speaks."""
    return _DIALECTS[connection.dialect.name]


class Statement:
    """SQL as a function of the dialect, compiled once for each database and day."""

    def __init__(self, write: Callable[[Dialect], str]) -> None:
        self._write = write
        self._compiled: dict[tuple[str, date | None], TextClause] = {}

    def run(
        self, connection: Connection, day: date | None = None, /, **values: Any
    ) -> CursorResult[Any]:
        """Execute it, on the part of one trade date where it names `@day`."""
        if day is not None:
            values["day"] = _iso(day)
        return connection.execute(self._on(connection.dialect.name, day), values)

    def _on(self, name: str, day: date | None) -> TextClause:
        dialect = _DIALECTS[name]
        named = day if dialect.names_parts else None  # elsewhere all days share one statement
        found = self._compiled.get((name, named))
        if found is None:
            sql = self._write(dialect).replace(" @day", f" {dialect.given('day', 'date')}")
            found = text(sql.replace("@day", part(named) if named is not None else ""))
            self._compiled[name, named] = found
        return found


_iso: Final = cache(date.isoformat)


def by_day(items: Iterable[T], day_of: Callable[[T], date]) -> list[tuple[date, Sequence[T]]]:
    """Return the items of each day, the earliest day first: everybody locks in this order."""
    days: dict[date, list[T]] = {}
    for item in items:
        days.setdefault(day_of(item), []).append(item)
    return sorted(days.items())
