"""Messages of a broker, valid by default, and what we hear in them."""

from typing import Final

from app.brokers.fix.commands import Message
from app.brokers.fix.hearing import heard
from app.brokers.fix.said import Said
from app.brokers.fix.words import Dialect

KEY: Final = "01JD3Z0K8V6W2Q4T000000000101"
DIALECT: Final = Dialect()
STAMP: Final = "20260303-14:30:00.000"

A_FILL: Final = {
    37: "N1",
    11: KEY,
    17: "E1",
    150: "F",
    39: "1",
    32: "4",
    31: "185.49",
    14: "4",
    60: STAMP,
    75: "20260303",
}
NEW_KEY: Final = f"{KEY}R001"
A_REPLACE: Final = {37: "N1", 11: NEW_KEY, 41: KEY, 17: "E2", 150: "5", 39: "0"} | {
    38: "12",
    44: "186.5",
    52: STAMP,
}
A_REFUSAL: Final = {37: "N1", 11: NEW_KEY, 41: KEY, 39: "0", 434: "2", 102: "0", 52: STAMP}
AN_ANSWER: Final = {37: "N1", 11: KEY, 17: "E1", 150: "0", 39: "0", 60: STAMP, 52: STAMP}


def a_message(type_: str, fields: dict[int, str] | list[tuple[int, str]]) -> Message:
    pairs = fields.items() if isinstance(fields, dict) else fields
    return Message(type_, 3, ((35, type_), *pairs))


def hear(fields: dict[int, str], type_: str = "8", dialect: Dialect = DIALECT, **_: str) -> Said:
    (said,) = heard("north", dialect, a_message(type_, fields))
    return said


def changed(fields: dict[int, str], **changes: str | None) -> dict[int, str]:
    """Return the fields with `t32="4"` put in, or `t32=None` left out."""
    new = {**fields, **{int(tag[1:]): value for tag, value in changes.items() if value is not None}}
    gone = {int(tag[1:]) for tag, value in changes.items() if value is None}
    return {tag: value for tag, value in new.items() if tag not in gone}
