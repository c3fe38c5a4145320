"""A sweep: one wish to cancel many orders. Which ones, and what became of them.

A sweep ends at an accept_sequence that is fixed when it begins. The trap that this avoids is the
second try: a client that heard no answer asks again, and must not cancel what it has placed since.
"""

from enum import StrEnum
from typing import NamedTuple

from app.domain.values import Status


class Deed(StrEnum):
    """What a sweep does to each order that it finds."""

    CANCEL = "mass_cancel"
    HOLD = "mass_hold"
    RELEASE = "mass_release"


class SweepScope(NamedTuple):
    """Which orders; None: whichever. `accounts` are those that the caller may touch at all."""

    accounts: tuple[str, ...] | None = None
    symbol: str | None = None
    trading_session_id: str | None = None
    list_id: str | None = None
    broker_id: str | None = None


class Selection(NamedTuple):
    """What a sweep would find now, and up to which order it looks."""

    upto: int
    by_status: dict[Status, int]

    @property
    def orders(self) -> int:
        return sum(self.by_status.values())


class Begun(NamedTuple):
    """A sweep that may go on: its end, and whether this request had begun it before."""

    upto: int
    again: bool


class Swept(NamedTuple):
    """What one chunk did. `after` is where the next one begins; None: nothing is left."""

    canceled: int  # had never left
    requested: int  # may be at a broker: it is asked
    after: int | None


class Dealt(NamedTuple):
    """What one chunk of a hold or a release did; `after` as in `Swept`."""

    moved: int
    left: int  # as they were: their session is over, or something moved them first
    after: int | None
