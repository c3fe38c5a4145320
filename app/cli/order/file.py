"""Reads orders from CSV or NDJSON, a line at a time, each line by itself.

A line that cannot be read is a `BadRow` with its number and takes no other line with it: a
quote that is never closed would otherwise swallow the orders below it. Numbers go out as the
text that stands in the file, for a float would change them. The trap is to be helpful with an
order that has no `client_order_id`: it is refused, for an invented id would make it another
order each time.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, NoReturn

from app.cli.asking.output import Ends, Failure
from app.domain.request import OrderRequest

FIELDS: Final = OrderRequest._fields


class FileForm(StrEnum):
    """How a file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


class Line(NamedTuple):
    """One order as its line says."""

    number: int
    fields: dict[str, Any]


class BadRow(NamedTuple):
    """A line that is no order."""

    line: int
    detail: str


class Row(NamedTuple):
    """One order as it leaves, every time that it leaves."""

    line: int
    client_order_id: str
    body: bytes


_FORMS: Final = {"csv": FileForm.CSV, "ndjson": FileForm.NDJSON, "jsonl": FileForm.NDJSON}


def form_of(name: str) -> FileForm | None:
    """Return what the file's name says, or None for stdin: there the first line tells."""
    if name == "-":
        return None
    form = _FORMS.get(name.rpartition(".")[2].lower())
    if form is None:
        raise Failure(
            Ends.USAGE,
            f"expected a .csv or .ndjson file, was {name}",
            advice="rename it, or pipe it in: openbell order batch - < FILE",
        )
    return form


def read(lines: Iterable[bytes], form: FileForm | None) -> Iterator[Line | BadRow]:
    """Yield each line's order, or what is wrong with it; blank lines are skipped."""
    header: list[str] = []
    for number, raw in enumerate(lines, 1):
        if not raw.strip():
            continue
        try:
            text = raw.rstrip(b"\r\n").decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            yield BadRow(number, "expected UTF-8")
            continue
        if form is None:
            form = FileForm.NDJSON if text.lstrip().startswith("{") else FileForm.CSV
        if form is FileForm.CSV and not header:
            header = _header(number, text)
            continue
        try:
            fields = _cells(text, header) if header else _members(text)
        except (ValueError, RecursionError, csv.Error) as e:
            yield BadRow(number, _said(e))
            continue
        client_order_id = fields.get("client_order_id")
        if isinstance(client_order_id, str) and client_order_id:
            yield Line(number, fields)
        else:
            yield BadRow(number, "expected a client_order_id")


def encoded(line: int, fields: Mapping[str, Any]) -> Row:
    """Return the order's bytes; from here on nothing changes them."""
    body = json.dumps(fields, separators=(",", ":")).encode()
    return Row(line, str(fields["client_order_id"]), body)


def _header(number: int, text: str) -> list[str]:
    """Return the columns, or end: with a column that we do not know, every order is suspect."""
    try:
        [names] = csv.reader([text], strict=True)
    except (csv.Error, ValueError) as e:
        names = []
        problem = _said(e)
    else:
        names = [name.strip() for name in names]
        unknown = [name for name in names if name not in FIELDS]
        problem = f"unknown columns: {', '.join(unknown)}" if unknown else ""
        if len(set(names)) < len(names):
            problem = "a column stands there twice"
        elif "client_order_id" not in names:
            problem = "expected a column client_order_id"
    if problem:
        raise Failure(
            Ends.USAGE,
            f"line {number}: the heading is not that of an order file",
            why=problem,
            advice=f"the columns are {', '.join(FIELDS)}",
        )
    return names


def _cells(text: str, header: list[str]) -> dict[str, Any]:
    [cells] = csv.reader([text], strict=True)
    if len(cells) != len(header):
        raise ValueError(f"expected {len(header)} cells, found {len(cells)}")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}


def _members(text: str) -> dict[str, Any]:
    fields = json.loads(
        text, parse_float=str, parse_int=str, parse_constant=_refuse, object_pairs_hook=_unique
    )
    if not isinstance(fields, dict):
        raise ValueError("expected a JSON object")  # noqa: TRY004 - a bad line like the others
    return fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that stands twice: JSON would drop the first in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _said(e: Exception) -> str:
    match e:
        case json.JSONDecodeError():
            return f"expected JSON: {e.msg} at column {e.colno}"
        case RecursionError():
            return "expected an order, found a nest of brackets"
        case _:
            return str(e)
