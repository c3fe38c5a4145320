"""Writes rows into one file, CSV or NDJSON, that is there whole or not at all.

NDJSON is what the gateway said. CSV is for people, and so for programs that take `=…` in a cell
for a formula: what a customer wrote is put behind an apostrophe there. The trap is half of a day
that looks like all of it: the file has its name only when the last row is on the disk.
"""

import csv
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.progress import working
from app.cli.order.file import FileForm

OURS_ALONE: Final = 0o600
NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
# With one of these a spreadsheet begins to calculate.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
Row = dict[str, Any]
Put = Callable[[Row], object]


def form_for(form: FileForm | None, out: Path | None) -> FileForm:
    """Return the form that was asked for, else that of the file's name, else NDJSON."""
    if form is not None:
        return form
    return FileForm.CSV if out is not None and out.suffix.lower() == ".csv" else FileForm.NDJSON


def write_all(rows: Iterable[Row], what: str, form: FileForm, out: Path | None) -> None:
    """Write every row, and say how many they were."""
    count = 0
    with _opened(out) as file, working(what) as advance:
        put = _comma_separated(file) if form is FileForm.CSV else _lines(file)
        for row in rows:
            put(row)
            count += 1
            advance(1)
    say(f"{count} {what} written to {out or 'stdout'}")


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    if out.exists():
        raise Failure(Ends.CONFLICT, f"{out} is there already", advice="name another with --out")
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OURS_ALONE)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # Not `replace`: what came to stand there meanwhile is somebody's.
        out.hardlink_to(part)
    except OSError as e:
        raise Failure(Ends.FAILED_CHECK, f"cannot write {out}", why=str(e)) from e
    finally:
        part.unlink(missing_ok=True)


def _lines(file: TextIO) -> Put:
    return lambda row: file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _comma_separated(file: TextIO) -> Put:
    """Return what writes a row under the heading of the first one's names."""
    writer = csv.writer(file)
    names: list[str] = []

    def put(row: Row) -> None:
        if not names:
            names.extend(row)
            writer.writerow(names)
        if row.keys() != set(names):
            raise Failure(
                Ends.FAILED_CHECK,
                "not all rows have the same columns",
                why=f"{', '.join(sorted(row.keys() ^ set(names)))}: the gateway changed meanwhile",
                advice="run it again, or with --format ndjson",
            )
        writer.writerow([_cell(row[name]) for name in names])

    return put


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return f"'{value}" if value.startswith(FORMULA) and not _is_number(value) else value
        case _:
            return json.dumps(value, ensure_ascii=False)


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None
