"""One ledger in two dialects, asked the same: SQLite in memory beside PostgreSQL on a server.

Each question goes to both, with the same ids and the same time; they must answer alike, word for
word, and afterwards hold the same rows in every table. What may differ is named in `_plain` and is
little: how a database writes a number, a date or a JSON text, the server's own clock in a lease,
and the numbers of the outbox, of which only the order means anything.

The trap is a comparison of two empty answers: `heard` counts what was answered.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.errors import Refused
from app.domain.records import FenceLost
from app.ledger.columns import shared
from app.ledger.schema import create, upgrade
from app.ledger.store import Ledger
from app.ledger.tables import PARTED, parted
from app.postgres import PostgresDatabase
from app.sql import Database as SqlDatabase
from app.sqlite import Database
from tests.builders import StillClock
from tests.ledger.books import _LAWS

COLUMNS: Final = {
    table.name: list(table.columns.keys())
    for table in (*shared.tables.values(), *parted(type(shared)()))
}
assert set(PARTED) < set(COLUMNS)
JSON: Final = {"payload", "report"}
NUMBERS: Final = {
    *("quantity", "limit_price", "filled_quantity", "overfilled_quantity", "filled_value"),
    "average_price",
}
# A work list: all of it is worked off, and in which order is nowhere promised.
UNORDERED: Final = {"pending_cancels"}
# An answer that is no fault of ours.
TOLD: Final = (Refused, FenceLost)


class SharedFile(Database):
    """A ledger in memory that says of itself that others have it open, as a server does."""

    is_shared = True


class Differ(AssertionError):
    """The two dialects are two ledgers."""


class Both:
    """The two of them, and what they said."""

    def __init__(
        self, url: str, *, seed: int, rates: dict[str, int], routes: dict[str, str]
    ) -> None:
        self.clocks = StillClock(seed=seed), StillClock(seed=seed)
        self.databases: tuple[SqlDatabase, SqlDatabase] = SharedFile(None), PostgresDatabase(url)
        lite, server = self.databases
        lite.write_now(create)
        upgrade(server)
        self.ledgers = Ledger(lite, self.clocks[0]), Ledger(server, self.clocks[1])
        for ledger in self.ledgers:
            ledger.declare(rates, routes)
        self.heard: Counter[str] = Counter()
        self._runner = asyncio.Runner()

    def close(self) -> None:
        self._runner.close()
        for database in self.databases:
            database.close()

    def passes(self, milliseconds: int) -> None:
        for clock in self.clocks:
            clock.at += milliseconds

    def sql(self, statement: str) -> None:
        """Do this to both, past their doors."""
        for database in self.databases:
            database.write_now(lambda c: c.execute(text(statement)))

    # --- asked ----------------------------------------------------------------------------

    def ask(self, name: str, *words: Any) -> Any:
        """Put one question to both; return the answer, or None where they refused alike."""
        one, other = (self._answer(ledger, name, words) for ledger in self.ledgers)
        if one != other:
            raise Differ(f"{name}{words}\nSQLite:     {one}\nPostgreSQL: {other}")
        how, answer = one
        self.heard[
            f"{name} {how}" if how else f"{name} {'something' if answer else 'nothing'}"
        ] += 1
        return None if how else answer

    def _answer(self, ledger: Ledger, name: str, words: Sequence[Any]) -> tuple[str, Any]:
        how, answer = self._runner.run(_heard(getattr(ledger, name)(*words)))
        return how, sorted(answer.cancels) if name in UNORDERED else answer

    def same_rows(self) -> None:
        """Compare every table, and carry the outbox away as a relay would."""
        lite, server = (database.write_now(_dump) for database in self.databases)
        for name, rows in lite.items():
            if rows != server[name]:
                raise Differ(_difference(name, rows, server[name]))
        self.sql("DELETE FROM outbox")

    def check(self) -> None:
        """Hold them to the laws of the house; having the same rows, one stands for both."""
        for broken in _LAWS.split(";"):
            found = self.databases[0].write_now(lambda c, q=broken: c.execute(text(q)).all())  # type: ignore[misc]
            assert found == [], broken


async def _heard(asked: Coroutine[Any, Any, Any] | AsyncIterator[Any]) -> tuple[str, Any]:
    try:
        if isinstance(asked, AsyncIterator):
            return "", [_decoded(batch) async for batch in asked]
        return "", await asked
    except TOLD as e:
        return type(e).__name__, (str(e), getattr(e, "context", None))


def _decoded(batch: Sequence[bytes]) -> list[Any]:
    return [json.loads(payload) for payload in batch]


def _dump(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    return {name: _rows(connection, name, columns) for name, columns in COLUMNS.items()}


def _rows(connection: Connection, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    order = " ORDER BY id" if table == "outbox" else ""
    listed = ", ".join(columns)
    found = connection.execute(text(f"SELECT {listed} FROM {table}{order}"))
    rows = [
        tuple(_plain(table, name, value) for name, value in zip(columns, row, strict=True))
        for row in found
    ]
    return rows if order else sorted(rows, key=repr)


def _plain(table: str, column: str, value: Any) -> Any:
    if (table, column) in {("outbox", "id"), ("broker_leases", "expires_at")}:
        return None
    if value is None:
        return None
    if column in NUMBERS:
        return Decimal(value)
    if column in JSON:
        return json.loads(value)
    return value.isoformat() if isinstance(value, date) else value


def _difference(table: str, one: Sequence[Any], other: Sequence[Any]) -> str:
    if table == "outbox":  # of which the order counts
        apart = next(
            n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]
        )
        return f"outbox at row {apart}:\n{one[apart:][:3]}\n{other[apart:][:3]}"
    lite = [row for row in one if row not in other]
    server = [row for row in other if row not in one]
    return (
        f"{table}: {len(one)} rows and {len(other)}"
        f"\nSQLite alone:     {lite[:3]}\nPostgreSQL alone: {server[:3]}"
    )
