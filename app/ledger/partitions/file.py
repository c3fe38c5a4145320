"""Takes a day out of a SQLite ledger: copied into a file of its own, compared, dropped.

There is no commit over two files, so the order of things is the promise: the copy is written,
synced and read back first; then one transaction asks whether the day is still what was copied,
and drops it. The trap is a long scan on the writer's thread, which every order would wait for:
rows are read a page at a time beside the writer, and his transaction compares totals that move
with every change, and no rows.
"""

import hashlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, MetaData, Table, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from app import codec
from app.ledger import days
from app.ledger.beside import beside
from app.ledger.dialect import part
from app.ledger.partitions.archive import Archive, Broken, Contents, Manifest
from app.ledger.partitions.catalog import Gate, NotDone, look, orders_of, quiet
from app.ledger.partitions.plan import Catalog, Policy
from app.ledger.schema import revision
from app.ledger.tables import parted
from app.sql import Work
from app.sqlite import Database

T = TypeVar("T")

FORM: Final = "sqlite"
FILE: Final = "ledger.db"
# 10 ms of the reader's thread: clients' questions come in between.
PAGE_ROWS: Final = 2_000


class FileDays:
    """The days of a ledger that is a file of this process alone."""

    def __init__(self, database: Database, archive: Archive, gate: Gate) -> None:
        self._database = database
        self._archive = archive
        self._gate = gate

    async def look(self, today: date, policy: Policy, *, scan: bool) -> Catalog:
        """Return what stands; with a scan, which of the old days are busy as well."""
        may_drop = self._gate.may_drop
        return await self._database.read(
            lambda c: look(c, self._archive.days(), may_drop, today, policy, scan=scan)
        )

    async def make(self, day: date) -> None:
        """Make what the day lacks."""
        await self._database.write(lambda c: days.make(c, day))

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Nobody else has the file open."""
        yield True

    async def finalize(self, day: date) -> None:
        raise AssertionError(f"{day}: nothing is detached here")

    async def detach(self, day: date) -> None:
        raise AssertionError(f"{day}: nothing is detached here")

    async def archive(self, day: date, at: str) -> None:
        """Copy the tables of a day into a file, and read it back."""
        before = await self._database.read(lambda c: _totals(c, day))
        with self._archive.writing(day) as draft:
            path = draft / FILE
            copies = [_Copy(table, path) for table in parted(MetaData(), part(day))]
            for copy in copies:
                await self._beside(copy.begin)
                while rows := await self._database.read(copy.next_rows):
                    await self._beside(lambda rows=rows, copy=copy: copy.add(rows))  # type: ignore[misc]
            tables = {copy.table.name.removesuffix(part(day)): copy.contents() for copy in copies}
            found = await self._beside(lambda: _read_back(path, day))
            if found != tables:
                raise Broken(f"{path}: does not hold what was written")
            if await self._database.read(lambda c: _totals(c, day)) != before:
                raise NotDone(f"{day} changed while it was copied; it will be archived anew")
            known = await self._database.read(revision)
            manifest = Manifest(day, FORM, known or "", at, found, before)
            await self._beside(lambda: self._archive.seal(draft, manifest))

    async def drop(self, day: date) -> None:
        """Drop a quiet day if its archive is whole, and the day is still what was copied."""
        manifest = await self._beside(lambda: self._archive.checked(day))
        why = self._gate.may_drop(day)
        if why is None:
            why = await self._gate.compare(day, partial(orders_of, self._database.read, day))
        if why is not None:
            raise NotDone(f"{day} stays: {why}")
        path = self._database.path
        with days.closed(None if path is None else str(path), day):
            if not await self._database.write(_dropped(day, manifest)):
                self._archive.set_aside(day)
                raise NotDone(f"{day} has changed since it was archived; it will be archived anew")

    async def settle(self) -> None:
        """Do nothing: no statistics are kept here."""

    async def _beside(self, work: Callable[[], T]) -> T:
        """Run it on a thread; without a file everything is inline, for virtual time."""
        if self._database.path is None:
            return work()
        return await beside(work)


def _dropped(day: date, manifest: Manifest) -> Work[bool]:
    def work(connection: Connection) -> bool:
        quiet(connection, day)
        if _totals(connection, day) != manifest.totals:
            return False
        days.drop(connection, day)
        return True

    return work


def _totals(connection: Connection, day: date) -> tuple[int, ...]:
    """Return numbers of which at least one moves with whatever changes in a day."""
    p = part(day)
    found = connection.execute(
        text(
            "SELECT o.*, a.*, (SELECT count(*) FROM order_events" + p + "),"
            " (SELECT count(*) FROM executions" + p + ") FROM (SELECT count(*),"
            " coalesce(sum(version), 0), coalesce(max(updated_at), 0) FROM orders" + p + ") AS o,"
            " (SELECT count(*), count(settled_at), coalesce(max(settled_at), 0),"
            " coalesce(sum(send_count), 0) FROM attempts" + p + ") AS a"
        )
    ).one()
    return tuple(found)


class _Copy:
    """One table on its way into the archive's file, in the order of its key."""

    def __init__(self, table: Table, path: Path) -> None:
        self.table = table
        self._path = path
        self._names = [column.name for column in table.columns]
        self._keys = [column.name for column in table.primary_key]
        self._places = [self._names.index(key) for key in self._keys]
        self._after: dict[str, Any] = {}
        self._digest = hashlib.sha512()
        self._count = 0

    def begin(self) -> None:
        dialect = sqlite.dialect()
        with _opened(self._path) as file:
            file.execute(str(CreateTable(self.table).compile(dialect=dialect)))
            for index in self.table.indexes:
                file.execute(str(CreateIndex(index).compile(dialect=dialect)))

    def next_rows(self, connection: Connection) -> list[tuple[Any, ...]]:
        found = connection.execute(text(self._query()), self._after)
        return [tuple(row) for row in found]

    def _query(self) -> str:
        keys = ", ".join(self._keys)
        where = ""
        if self._after:
            where = f" WHERE ({keys}) > ({', '.join(f':{name}' for name in self._keys)})"
        names = ", ".join(self._names)
        return f"SELECT {names} FROM {self.table.name}{where} ORDER BY {keys} LIMIT {PAGE_ROWS}"

    def add(self, rows: list[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(self._names))
        with _opened(self._path) as file:
            file.executemany(f"INSERT INTO {self.table.name} VALUES ({marks})", rows)
        for row in rows:
            self._digest.update(_line(row))
        self._count += len(rows)
        last = rows[-1]
        self._after = {key: last[at] for key, at in zip(self._keys, self._places, strict=True)}

    def contents(self) -> Contents:
        return Contents(tuple(self._names), self._count, self._digest.hexdigest())


def _read_back(path: Path, day: date) -> dict[str, Contents]:
    found = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
        for table in parted(MetaData(), part(day)):
            names = tuple(column.name for column in table.columns)
            keys = ", ".join(column.name for column in table.primary_key)
            digest, count = hashlib.sha512(), 0
            for row in file.execute(f"SELECT * FROM {table.name} ORDER BY {keys}"):
                digest.update(_line(row))
                count += 1
            contents = Contents(names, count, digest.hexdigest())
            found[table.name.removesuffix(part(day))] = contents
    return found


def _line(row: tuple[Any, ...]) -> bytes:
    return codec.encode(row) + b"\n"


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the archive's file for one transaction; `seal` syncs the whole of it."""
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA journal_mode=OFF")
        file.execute("PRAGMA synchronous=OFF")
        with file:
            yield file
