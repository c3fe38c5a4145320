"""The rows of a day, as PostgreSQL's COPY gives them: into packed files, or only into a checksum.

Both read in the order of the key, so that the same rows give the same checksum again. COPY writes
a line a row and escapes every other line's end, so the lines of a file are its rows. The trap is
a copy that is checked against itself: what the manifest says was read back from the files, and
equals what the server had said it sent.
"""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, MetaData, text

from app.ledger import days
from app.ledger.dialect import part
from app.ledger.partitions.archive import BLOCK_BYTES, Broken, Contents, Manifest
from app.ledger.partitions.catalog import NotDone
from app.ledger.tables import parted

FORM: Final = "postgresql-copy"
# A third of the time of the usual 6 for a few more bytes: this runs beside the order path.
LEVEL: Final = 1
_KEYS: Final = {
    table.name: ", ".join(column.name for column in table.primary_key)
    for table in parted(MetaData())
}
_COLUMNS: Final = text(
    "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attnum > 0"
    " AND NOT attisdropped ORDER BY attnum"
)


class Copied:
    """What stands in the tables of one day, asked of the server row by row."""

    def __init__(self, connection: Connection, day: date, is_over: Callable[[], bool]) -> None:
        self._connection = connection
        self._day = day
        self._is_over = is_over

    def contents(self) -> dict[str, Contents]:
        """Return what each table holds, and write nothing."""
        return {name: self._copy(name, lambda _: None) for name in self._names()}

    def into(self, draft: Path, revision: str, at: str) -> Manifest:
        """Write a file a table and read it back, or raise `Broken`."""
        tables = {}
        for name in self._names():
            path = draft / f"{name}.copy.gz"
            with path.open("wb") as raw, gzip.GzipFile("", "wb", LEVEL, raw, mtime=0) as file:
                sent = self._copy(name, file.write)
            tables[name] = _read_back(path, sent.columns)
            if tables[name] != sent:
                raise Broken(f"{path}: holds {tables[name].rows} rows, the table {sent.rows}")
        return Manifest(self._day, FORM, revision, at, tables)

    def _names(self) -> list[str]:
        return sorted(days.standings(self._connection).get(self._day, {}))

    def _copy(self, name: str, write: Callable[[bytes], object]) -> Contents:
        table = f"{name}{part(self._day)}"
        columns = self._connection.execute(_COLUMNS, {"table": table}).scalars().all()
        digest = hashlib.sha512()

        def note(block: bytes) -> None:
            digest.update(block)
            write(block)

        command = f"COPY (SELECT * FROM {table} ORDER BY {_KEYS[name]}) TO STDOUT"
        try:
            rows = self._each(command, note)
        except self._connection.dialect.loaded_dbapi.Error as e:
            raise NotDone(f"{table} could not be read: {e}") from e
        return Contents(tuple(columns), rows, digest.hexdigest())

    def _each(self, command: str, note: Callable[[bytes], None]) -> int:
        driver: Any = self._connection.connection.dbapi_connection
        with driver.cursor() as cursor:
            with cursor.copy(command) as rows:
                for block in _blocks(rows):
                    if self._is_over():
                        raise NotDone("we were told to end")
                    note(block)
            return int(cursor.rowcount)


def _blocks(rows: Iterator[memoryview]) -> Iterator[bytes]:
    """Gather rows: a checksum of a megabyte lets the other threads run, one of a row does not."""
    block = bytearray()
    for row in rows:
        block += row
        if len(block) >= BLOCK_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _read_back(path: Path, columns: tuple[str, ...]) -> Contents:
    digest, rows = hashlib.sha512(), 0
    with gzip.open(path) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
            rows += block.count(b"\n")
    return Contents(columns, rows, digest.hexdigest())
