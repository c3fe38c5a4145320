"""Every case by its number, in the order in which they are played. Numbers are never used again."""

from typing import Final

from app.brokers.conformance import (
    answers,
    batches,
    callbacks,
    cancels,
    endings,
    limits,
    lookups,
    replaces,
    reports,
    sessions,
    silence,
    words,
)
from app.brokers.conformance.case import Case

CASES: Final[tuple[Case, ...]] = (
    *answers.CASES,
    *silence.CASES,
    *words.CASES,
    *batches.CASES,
    *lookups.CASES,
    *limits.CASES,
    *callbacks.CASES,
    *cancels.CASES,
    *replaces.CASES,
    *endings.CASES,
    *sessions.CASES,
    *reports.CASES,
)
assert [one.case_id for one in CASES] == sorted({one.case_id for one in CASES}), "each number once"
