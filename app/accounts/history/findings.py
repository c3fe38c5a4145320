"""What a comparison has found, part by part: values that add up, from whatever process they come.

The trap is a report that grows with the damage. A day that is missing as a whole has a million
differences; a hundred are kept to look at, and all of them are counted.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import Final, NamedTuple

from app.accounts.history.totals import DayTotals

# What a person reads of a report; the counts say how many there are.
DIFFERENCES_MAX: Final = 100


class Difference(NamedTuple):
    """One field of one order that the two sides do not have alike."""

    order_id: str
    trade_date: str
    field: str
    record: str
    view: str


class Seen(NamedTuple):
    """How one day's documents compared."""

    totals: DayTotals
    compared: int = 0
    missing: int = 0
    altered: int = 0
    superseded: int = 0

    def __add__(self, other: "Seen") -> "Seen":  # type: ignore[override]  # no longer a tuple's
        counts = [mine + theirs for mine, theirs in zip(self[1:], other[1:], strict=True)]
        return Seen(self.totals + other.totals, *counts)


@dataclass(slots=True)
class Findings:
    """What a part of the record has shown; parts add up."""

    days: dict[date, Seen] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    rejected: int = 0
    unreadable: list[str] = field(default_factory=list)

    def merge(self, other: "Findings") -> None:
        for day, seen in other.days.items():
            self.days[day] = self.days[day] + seen if day in self.days else seen
        room = DIFFERENCES_MAX - len(self.differences)
        self.differences += other.differences[:room]
        self.rejected += other.rejected
        self.unreadable += other.unreadable
