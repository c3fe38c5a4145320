"""Reads Parquet as Impala writes it: files in folders that name their partition.

    orders/trade_date=2026-01-02/a14f-0_data.0.parq     → row groups → slices → batches of rows

A string is bytes without a word on its encoding, a TIMESTAMP is INT96 without a zone, a decimal
is a FIXED_LEN_BYTE_ARRAY, and a partition's column stands in the folder's name and nowhere else.
Nothing is believed twice: a file is known by its size, its time and the hash of its footer, so
that one which was replaced is noticed. A file or a row group that cannot be read is told with
its reason, and the others go on.

pyarrow is imported here and in `rejects`, when a command needs it: it is an extra of 140 MB. The
trap is INT96. Read as nanoseconds, a year above 2262 wraps around in silence and becomes another
one; so it is read as milliseconds, which is all that we keep.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from app.accounts.history.mapping import Bound, SourceMapping
from app.accounts.history.readings import Form

# A row group of Impala's has a block's worth of rows, millions. A slice is what a worker takes at
# a time, so what a kill costs: half a minute at 5,000 a second. Skipping to the last slice of
# such a group costs a second or two.
SLICE_ROWS: Final = 131_072
BATCH_ROWS: Final = 8_192
# Pages are read as they are needed; without a buffer a column's whole chunk stands in memory.
BUFFER_BYTES: Final = 1 << 20
MAGIC: Final = b"PAR1"
TAIL_BYTES: Final = 8  # the footer's length and the magic
HIVE_NULL: Final = "__HIVE_DEFAULT_PARTITION__"


class MissingPackage(ImportError):
    """pyarrow is not installed."""


class Unreadable(Exception):
    """A file, or a part of one, that is not what it should be."""


class Fingerprint(NamedTuple):
    """What tells a file from the one that replaced it."""

    size: int
    modified_ms: int
    footer: str


class SourceFile(NamedTuple):
    """One file: `path` is relative to the source, with forward slashes."""

    path: str
    fingerprint: Fingerprint
    row_groups: tuple[int, ...]  # how many rows each has


class Broken(NamedTuple):
    """A file of which not even the footer can be read."""

    path: str
    reason: str


class Slice(NamedTuple):
    """A part of a row group, the unit of work."""

    path: str
    row_group: int
    first_row: int
    rows: int


class Batch(NamedTuple):
    """Some rows of a slice. `table` is pyarrow's, with the columns that were asked for."""

    first_row: int  # within the row group
    table: Any
    rows: list[tuple[Any, ...]]


@cache
def pyarrow(module: str = "pyarrow") -> Any:
    """Return a module of pyarrow, or raise `MissingPackage` with what to do."""
    if find_spec("pyarrow") is None:
        raise MissingPackage(
            "reading Parquet needs pyarrow, which is not installed: pip install 'openbell[history]'"
        )
    return import_module(module)


def files(root: Path) -> Iterator[SourceFile | Broken]:
    """Yield every data file below, in the order of their paths.

    As for Hive and Impala, a name that begins with `.` or `_` is none of the table's.
    """
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        if path.is_file() and not any(part.startswith((".", "_")) for part in inside.parts):
            try:
                yield _file(path, inside.as_posix())
            except Unreadable as e:
                yield Broken(inside.as_posix(), str(e))


def slices(file: SourceFile) -> Iterator[Slice]:
    """Yield the parts of a file; an empty row group has none."""
    for number, rows in enumerate(file.row_groups):
        for first in range(0, rows, SLICE_ROWS):
            yield Slice(file.path, number, first, min(SLICE_ROWS, rows - first))


def partition_of(path: str) -> dict[str, str | None]:
    """Return the columns that a path names: `trade_date=2026-01-02/` is one of them."""
    named = (part.partition("=") for part in path.split("/")[:-1] if "=" in part)
    return {
        name.lower(): None if value == HIVE_NULL else unquote(value) for name, _, value in named
    }


def fingerprint_of(path: Path) -> Fingerprint:
    """Return what the file is now, or raise `Unreadable`."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(0, end - TAIL_BYTES))
            tail = file.read(TAIL_BYTES)
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] != MAGIC or length + TAIL_BYTES > end:
                raise Unreadable("it does not end as a Parquet file does: cut off, or none")
            file.seek(end - TAIL_BYTES - length)
            footer = hashlib.blake2b(file.read(length), digest_size=16).hexdigest()
        return Fingerprint(end, path.stat().st_mtime_ns // 1_000_000, footer)
    except OSError as e:
        raise Unreadable(f"{type(e).__name__}: {e.strerror or e}") from e


def bound_to(root: Path, path: str, mapping: SourceMapping) -> Bound:
    """Fit the mapping to one file; raise `BadMapping`, or `Unreadable`."""
    return mapping.bind(_forms(_opened(root / path).schema_arrow, path))


def read(root: Path, part: Slice, columns: tuple[str, ...]) -> Iterator[Batch]:
    """Yield the rows of a slice with a value for each of these columns, or raise `Unreadable`."""
    opened = _opened(root / part.path)
    partition = partition_of(part.path)
    real = {name.lower(): name for name in opened.schema_arrow.names}
    # One column is read in any case: it says how many rows there are.
    wanted = [real[name] for name in columns if name not in partition] or opened.schema_arrow.names[
        :1
    ]
    at, end = 0, part.first_row + part.rows
    batches = opened.iter_batches(
        batch_size=BATCH_ROWS, row_groups=[part.row_group], columns=wanted
    )
    for table in _guarded(batches):
        first, last = max(part.first_row - at, 0), min(end - at, table.num_rows)
        if first < last:
            cut = table.slice(first, last - first)
            yield Batch(at + first, cut, _rows(cut, columns, partition))
        at += table.num_rows
        if at >= end:
            return
    if at < end:
        raise Unreadable(f"row group {part.row_group} ends after {at} rows, before {end}")


def _file(path: Path, inside: str) -> SourceFile:
    fingerprint = fingerprint_of(path)
    metadata = _opened(path).metadata
    groups = range(metadata.num_row_groups)
    return SourceFile(
        inside, fingerprint, tuple(metadata.row_group(number).num_rows for number in groups)
    )


def _opened(path: Path) -> Any:
    parquet = pyarrow("pyarrow.parquet")
    try:
        return parquet.ParquetFile(
            path,
            coerce_int96_timestamp_unit="ms",
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
        )
    except (OSError, pyarrow().ArrowException) as e:
        raise Unreadable(_first_line(e)) from e


def _guarded(batches: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from batches
    except (OSError, pyarrow().ArrowException) as e:
        raise Unreadable(_first_line(e)) from e


def _forms(schema: Any, path: str) -> dict[str, Form]:
    """Return what each column is. Impala knows no capitals, and a partition wins over a column."""
    forms = {field.name.lower(): _form(field.type) for field in schema}
    return forms | dict.fromkeys(partition_of(path), Form.TEXT)


def _form(kind: Any) -> Form:
    types = pyarrow("pyarrow.types")
    checks: Mapping[Form, Any] = {
        Form.TEXT: _is_text,
        Form.DECIMAL: types.is_decimal,
        Form.INTEGER: types.is_integer,
        Form.DATE: types.is_date,
        Form.WALL: lambda t: types.is_timestamp(t) and t.tz is None,
        Form.INSTANT: lambda t: types.is_timestamp(t) and t.tz is not None,
        Form.FLAG: types.is_boolean,
    }
    return next((form for form, check in checks.items() if check(kind)), Form.OTHER)


def _is_text(kind: Any) -> bool:
    types = pyarrow("pyarrow.types")
    checks = (types.is_binary, types.is_string, types.is_large_binary, types.is_large_string)
    return any(check(kind) for check in checks)


def _rows(
    table: Any, columns: tuple[str, ...], partition: Mapping[str, str | None]
) -> list[tuple[Any, ...]]:
    places = {name.lower(): place for place, name in enumerate(table.schema.names)}
    values = [
        [partition[name]] * table.num_rows
        if name in partition
        else _values(table.column(places[name]))
        for name in columns
    ]
    return list(zip(*values, strict=True)) if values else [()] * table.num_rows


def _values(column: Any) -> list[Any]:
    """Return a column as values that always exist: bytes, decimals and numbers.

    As texts and dates a single bad one, or one after the year 9999, would spoil its whole batch
    here, instead of its own row later.
    """
    arrow, types = pyarrow(), pyarrow("pyarrow.types")
    if types.is_timestamp(column.type):
        in_ms = arrow.timestamp("ms", tz=column.type.tz)
        column = column.cast(in_ms, safe=False).cast(arrow.int64())
    elif types.is_date(column.type):
        column = column.cast(arrow.date32(), safe=False).cast(arrow.int32())
    elif _is_text(column.type):
        column = column.cast(arrow.large_binary())
    values: list[Any] = column.to_pylist()
    return values


def _first_line(e: BaseException) -> str:
    return f"{type(e).__name__}: {str(e).splitlines()[0] if str(e) else ''}"
