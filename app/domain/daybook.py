"""The days of the ledger as a person looks at them: what stands, and what is done next. Pure."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple


class DayStands(NamedTuple):
    """The tables of one trade date."""

    trade_date: date
    state: str  # attached, detached, or how its tables differ
    archived: bool
    orders: int
    is_rough: bool  # then there are at most so many
    stays: str | None  # why it does not leave though it is old enough


class DayStep(NamedTuple):
    """What is done next, and why."""

    step: str  # create, attach, finalize, detach, archive, drop
    trade_date: date
    reason: str


class DayBook(NamedTuple):
    """All of it, at one moment."""

    days: Sequence[DayStands]
    steps: Sequence[DayStep]
    looked_for_work: bool  # whether old days were asked for open orders: not while a market is open
    trouble: str | None = None  # why nothing can be planned, nor the days be told
