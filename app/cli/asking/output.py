"""What a person or a script sees: data on stdout, words on stderr, and an exit code.

JSON is what the gateway said, unchanged. Tables are plain aligned text without colour, so that
they can be piped; at a terminal they fit its width, and say what that hides. The trap is what
customers write: a `text` field may hold escape sequences that would move an operator's
cursor, so whatever is not printable is shown as an escape.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from shutil import get_terminal_size
from typing import Any, Final, NamedTuple
from unicodedata import combining, east_asian_width

GAP: Final = "  "
TYPED: Final = "openbell.typed"  # where a command finds its own line, as it was typed
CUT: Final = "…"
# Below this a cell says nothing; a column is rather left out.
CELL_MIN: Final = 8
# An instant to the minute: less of it is the same on every row.
INSTANT_MIN: Final = len("2026-11-23T14:30…")


class Output(StrEnum):
    """How data is written."""

    TABLE = "table"
    WIDE = "wide"  # a table that is not cut to the terminal
    JSON = "json"


class Ends(IntEnum):
    """The exit codes, for scripts."""

    OK = 0
    FAILED_CHECK = 1
    USAGE = 2
    CONFLICT = 3
    NOT_FOUND = 4
    AUTHENTICATION = 5
    UNREACHABLE = 6
    REFUSED = 7
    IN_DOUBT = 8
    TRY_AGAIN = 75


ENDS_SAID: Final = {
    Ends.OK: "done",
    Ends.FAILED_CHECK: "a check failed, or some of many were refused",
    Ends.USAGE: "the command makes no sense; nothing was asked",
    Ends.CONFLICT: "somebody was first, or the id is spent (409, 412)",
    Ends.NOT_FOUND: "no such thing, or not for this key (404)",
    Ends.AUTHENTICATION: "no key, or one that may not do this (401, 403)",
    Ends.UNREACHABLE: "nobody answers; nothing was changed",
    Ends.REFUSED: "the gateway refuses it as it is (400, 422, 423)",
    Ends.IN_DOUBT: "a change without an answer: look before you repeat it",
    Ends.TRY_AGAIN: "busy (429, 503): the same again later",
}
assert set(ENDS_SAID) == set(Ends), "every way to end is said"


class Failure(Exception):
    """What went wrong, why, and what to do; the command ends with `ends`."""

    def __init__(
        self,
        ends: Ends,
        what: str,
        *,
        why: str = "",
        advice: str = "",
        request_id: str = "",
        url: str = "",
    ) -> None:
        super().__init__(what)
        self.ends = ends
        self.what = what
        self.why = why
        self.now = ""  # what stands there, where another one was first
        self.advice = advice
        self.request_id = request_id
        self.url = url

    def lines(self) -> list[str]:
        """Return what to print: one line for each thing that is known."""
        told = (
            ("error", self.what),
            ("why", self.why),
            ("now", self.now),
            ("do", self.advice),
            ("request", self.request_id),
            ("more", self.url),
        )
        return [f"{name + ':':<9}{printable(text)}" for name, text in told if text]


class Screen(NamedTuple):
    """Where results go, in the form that was asked for."""

    output: Output = Output.TABLE

    def show(self, document: Any, columns: Sequence[str] = ()) -> None:
        """Print one document, or a list of them under the named columns."""
        if self.output is Output.JSON:
            print_out(json.dumps(document, indent=2, ensure_ascii=False))
        elif isinstance(document, Mapping):
            print_out("\n".join(facts(document)))
        else:
            self._rows(document, list(columns or (document[0] if document else ())))

    def _rows(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
        room = terminal_width() if self.output is Output.TABLE else None
        shown = len(columns) if room is None else fitting(rows, columns, room)
        print_out("\n".join(table(rows, columns[:shown], room)))
        hidden = columns[shown:]
        if hidden:
            names = ", ".join(_leaf(name) for name in hidden)
            fits = "column does not fit" if len(hidden) == 1 else "columns do not fit"
            say(f"{len(hidden)} {fits}: {names}; -o wide has all")


def facts(document: Mapping[str, Any]) -> list[str]:
    """Return one line for each field, the names aligned."""
    width = max((len(name) for name in document), default=0)
    return [f"{printable(name):<{width}}  {cell(value)}" for name, value in document.items()]


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = (), room: int | None = None
) -> list[str]:
    """Return a heading and a line for each row; without columns, those of the first row.

    In a room that is too narrow the widest cells are cut, but never those of the first column:
    it names the row, and half a name is none.
    """
    if not rows:
        return ["(none)"]
    named = list(columns or rows[0])
    cells = _cells(rows, named)
    widths = [max(width_of(line[i]) for line in cells) for i in range(len(cells[0]))]
    if room is not None:
        widths = _narrowed(widths, _least(widths, named), room)
    return [
        GAP.join(fitted(text, width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]


def fitting(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], room: int) -> int:
    """Return how many of the columns fit into the room, when the others are as narrow as may be."""
    cells = _cells(rows, columns)
    widths = [max(width_of(line[i]) for line in cells) for i in range(len(columns))]
    least = _least(widths, columns)
    count = len(columns)
    while count > 1 and _whole(least[:count]) > room:
        count -= 1
    return count


def _cells(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    heading = [_leaf(name).upper() for name in columns]
    return [heading, *([cell(_at(row, name)) for name in columns] for row in rows)]


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _least(widths: Sequence[int], columns: Sequence[str]) -> list[int]:
    """Return how narrow each column may become."""
    floors = (
        INSTANT_MIN if (name == "at" or name.endswith("_at")) else CELL_MIN for name in columns[1:]
    )
    return [*widths[:1], *map(min, widths[1:], floors)]


def _narrowed(widths: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Return widths that fit, taken from the widest first."""
    narrow = list(widths)
    while _whole(narrow) > room:
        wide = [i for i, width in enumerate(narrow) if width > least[i]]
        if not wide:
            break
        narrow[max(wide, key=lambda i: narrow[i])] -= 1
    return narrow


def fitted(text: str, width: int) -> str:
    """Return the text in exactly so many columns of the terminal."""
    taken = width_of(text)
    if taken > width:
        text = text[: max(0, width - 1)]
        while width_of(text) > width - 1:
            text = text[:-1]
        text += CUT
        taken = width_of(text)
    return text + " " * (width - taken)


def width_of(text: str) -> int:
    """Return how many columns of a terminal the text takes: a Korean syllable takes two."""
    if text.isascii():
        return len(text)
    return sum(2 if east_asian_width(c) in "WF" else 0 if combining(c) else 1 for c in text)


def terminal_width() -> int | None:
    """Return how wide the terminal is; None where the data goes elsewhere."""
    return get_terminal_size().columns if sys.stdout.isatty() else None


def _leaf(name: str) -> str:
    """Return the last part of a place: a heading has no room for where the fact was found."""
    return name.rpartition(".")[2]


def _at(row: Mapping[str, Any], name: str) -> Any:
    """Return what stands in the row at `name`; `lane.circuit` is the circuit within the lane."""
    found: Any = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def cell(value: object) -> str:
    """Return a value as a table shows it."""
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case dict() | list():
            return printable(json.dumps(value, ensure_ascii=False))
        case _:
            return printable(str(value))


def printable(text: str) -> str:
    """Return the text with everything that could move a cursor written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def print_out(text: str) -> None:
    """Write data, for a person or the next program."""
    sys.stdout.write(text + "\n")


def say(text: str) -> None:
    """Write a message; it never mixes with the data."""
    sys.stderr.write(printable(text) + "\n")


def tell(failure: Failure) -> None:
    """Write what went wrong."""
    for line in failure.lines():
        sys.stderr.write(line + "\n")
