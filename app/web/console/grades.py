"""How bad a thing is, and what is said of it: a shape, a word, and what helps.

The trap is colour: whoever cannot tell red from green, or prints the page, reads shape and word.
"""

from enum import IntEnum
from typing import Final, NamedTuple


class Grade(IntEnum):
    """How bad, in the order of how bad."""

    OK = 0
    OFF = 1
    WARNING = 2
    CRITICAL = 3


WORDS: Final = {
    Grade.OK: ("ok", "●", "OK"),
    Grade.OFF: ("off", "◌", "OFF"),
    Grade.WARNING: ("warning", "▲", "LOOK"),
    Grade.CRITICAL: ("critical", "■", "ACT"),
}


class Finding(NamedTuple):
    """One thing that is checked, what was found, and what helps."""

    grade: Grade
    name: str
    says: str
    fix: str = ""
