"""Says which column of a source is which field of an order, and makes an order of each row.

Without a mapping each field is read from the column of its own name. A mapping file (TOML or
JSON) changes that field by field; `EXAMPLE` below is the whole of what it can say, and
`openbell history mapping` prints it. The order that comes out is the payload that the ledger
would have published, as version 0, so that the same fold makes the document.

The trap is a mapping that nearly fits. A misspelt field, a column that is not there or a type
that cannot be that field is found when a file is opened, and not in its last row.
"""

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, get_args
from zoneinfo import ZoneInfo

from app import codec
from app.accounts.history.fields import (
    KINDS,
    OPTIONAL,
    BadRow,
    Fields,
    complete,
    judge,
    published,
)
from app.accounts.history.readings import READINGS, Form, Kind, Read, Reading
from app.accounts.history.zone import Ambiguous, zone_of

EXAMPLE: Final = """\
# Which column of the source is which field of an order. Every part may be left out.

[columns]              # field = "column"; a field that is not listed is read from its own name
# order_id = "ord_no"  # the source's own key: it becomes the document's _id
# accepted_at = "ord_dttm"
# accept_sequence: leave it out unless the source was filled by this very ledger. Without it an
# order's place among its account's is made of the time, below every order of the ledger.

[constants]            # field = "value", for what the source does not hold
# market = "XNAS"
# currency = "USD"

# [words.side]         # the source's word = ours; without a table the words are ours already
# "1" = "buy"
# "2" = "sell"

[time]
ambiguous = "reject"   # an hour that stands twice on the wall: reject, earlier or later
"""
# What a reading raises for a value that is none: Decimal's signals are arithmetic errors.
_UNREADABLE: Final = (ValueError, ArithmeticError, TypeError, LookupError)


class BadMapping(ValueError):
    """A mapping that says what cannot be, or does not fit the source."""


class _Column(NamedTuple):
    field: str
    column: str
    read: Read
    reading: Reading


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """A mapping and the source's zone: everything that decides what a row becomes."""

    zone: str
    columns: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ambiguous: Ambiguous = "reject"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def digest(self) -> str:
        """Name what this mapping says: a load that goes on must go on with the same one."""
        said = [self.zone, self.columns, self.constants, self.words, self.ambiguous]
        ordered = codec.encode(_sorted(said))
        return hashlib.blake2b(ordered, digest_size=16).hexdigest()

    def bind(self, forms: Mapping[str, Form]) -> "Bound":
        """Fit the mapping to a file's columns, or raise `BadMapping`."""
        zone = ZoneInfo(self.zone)
        found = []
        for name, kind in KINDS.items():
            column = self.columns.get(name, name).lower()  # Impala knows no capitals
            if name in self.constants:
                continue
            if column not in forms:
                self._missing(name, column)
                continue
            read = READINGS.get((kind, forms[column]))
            if read is None:
                raise BadMapping(
                    f"{name}: expected {kind.value}, but the column {column} is"
                    f" {forms[column].value}: cast it in the export"
                )
            reading = Reading(zone, self.ambiguous, self.words.get(name))
            found.append(_Column(name, column, read, reading))
        return Bound(found, self._constants())

    def _missing(self, name: str, column: str) -> None:
        if name not in OPTIONAL or name in self.columns:
            raise BadMapping(
                f"{name}: the source has no column {column}, and the mapping no constant for it"
            )

    def _constants(self) -> Fields:
        reading = Reading(ZoneInfo(self.zone), self.ambiguous)
        read = {}
        for name, value in self.constants.items():
            flag = isinstance(value, bool)
            try:
                form = Form.FLAG if flag else Form.TEXT
                read[name] = READINGS[KINDS[name], form](value if flag else str(value), reading)
            except _UNREADABLE as e:
                raise BadMapping(f"constants: {name}: {value!r} is not {KINDS[name].value}") from e
        return read


class Bound:
    """A mapping that has met a file: it takes the columns' values and gives the payload."""

    def __init__(self, columns: Sequence[_Column], constants: Fields) -> None:
        self._columns = tuple(columns)
        self._start = dict.fromkeys(KINDS) | constants
        self.columns = tuple(dict.fromkeys(column.column for column in columns))
        # One column may serve several fields.
        self._places = tuple(self.columns.index(column.column) for column in columns)

    def payload(self, row: Sequence[Any]) -> bytes:
        """Return the order as the ledger would have published it, or raise `BadRow`.

        `row` has a value for each of `columns`; None is NULL.
        """
        order: Fields = dict(self._start)
        for (name, _, read, reading), place in zip(self._columns, self._places, strict=True):
            value = row[place]
            try:
                order[name] = None if value is None else read(value, reading)
            except _UNREADABLE as e:
                raise BadRow(f"{name}: {_why(e)}") from e
        try:
            complete(order)
            judge(order)
        except ArithmeticError as e:
            raise BadRow(f"its amounts cannot be added up ({type(e).__name__})") from e
        return codec.encode(published(order))


def read_mapping(text: str, *, json: bool, zone: str) -> SourceMapping:
    """Read a mapping file, or raise `BadMapping`."""
    try:
        document = codec.decode(text) if json else tomllib.loads(text)
    except (codec.Malformed, tomllib.TOMLDecodeError) as e:
        raise BadMapping(f"the mapping cannot be read: {e}") from e
    if not isinstance(document, dict):
        raise BadMapping("expected tables: columns, constants, words, time")
    time = document.pop("time", {})
    parts = {name: document.pop(name, {}) for name in ("columns", "constants", "words")}
    strange = [*document, *({*time} - {"ambiguous"} if isinstance(time, dict) else ["time"])]
    if strange or not all(isinstance(part, dict) for part in parts.values()):
        raise BadMapping(f"expected tables columns, constants, words, time; found {strange}")
    return SourceMapping(zone=zone, **parts, ambiguous=time.get("ambiguous", "reject"))


def _check(mapping: SourceMapping) -> None:
    try:
        zone_of(mapping.zone)
    except ValueError as e:
        raise BadMapping(str(e)) from e
    named = {*mapping.columns, *mapping.constants, *mapping.words}
    if named - set(KINDS):
        raise BadMapping(f"no such fields: {sorted(named - set(KINDS))}; known: {sorted(KINDS)}")
    both = mapping.columns.keys() & mapping.constants.keys()
    if both:
        raise BadMapping(f"a column and a constant for the same field: {sorted(both)}")
    not_words = [name for name in mapping.words if KINDS[name] is not Kind.WORD]
    if not_words or not all(isinstance(table, dict) for table in mapping.words.values()):
        raise BadMapping(f"expected tables of words for fields of words, found {not_words}")
    if not all(isinstance(column, str) for column in mapping.columns.values()):
        raise BadMapping("columns: expected the name of a column for each field")
    if mapping.ambiguous not in get_args(Ambiguous):
        raise BadMapping(f"time: ambiguous is reject, earlier or later, was {mapping.ambiguous}")
    mapping._constants()  # noqa: SLF001 - it raises what is wrong with them


def _why(e: Exception) -> str:
    if isinstance(e, UnicodeDecodeError):
        return "is not UTF-8"
    return f"{e}" if isinstance(e, ValueError) else f"cannot be read ({type(e).__name__})"


def _sorted(said: Any) -> Any:
    if isinstance(said, Mapping):
        return [[name, _sorted(said[name])] for name in sorted(said)]
    return [_sorted(part) for part in said] if isinstance(said, list) else said
