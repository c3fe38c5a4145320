"""What a circuit takes, gives and shows: permits, refusals, its state; `domain` has its numbers.

Values only, so that whoever asks for a permit need not know how the circuit decides.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Found,
    Lookup,
    NotSent,
    Rejected,
    Throttled,
    Unknown,
)

SECOND_NS: Final = 1_000_000_000
NEUTRAL, ALIVE, OK, NOT_SENT, IN_DOUBT = range(5)  # what an answer says, the worst last
FAILURES: Final = (NOT_SENT, IN_DOUBT)


class Lane(StrEnum):
    """Which circuit a request passes."""

    SUBMIT = "submit"
    CANCEL = "cancel"
    FIND = "find"


class Override(StrEnum):
    """What an operator says over the machine."""

    AUTO = "auto"
    FORCED_OPEN = "forced_open"  # refuse everything
    FORCED_CLOSED = "forced_closed"  # refuse nothing, judge nothing
    METRICS_ONLY = "metrics_only"  # judge, count what would be refused, refuse nothing


@dataclass(slots=True, eq=False)
class Permit:
    """The right to one request, spent by `record`. Never carried into another generation."""

    lane: Lane
    generation: int
    since_ns: int
    trial: bool = False
    spent: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now. With `ping_due`, somebody must `await gate.probe(lane)` before it gets better."""

    reason: str
    retry_after_s: float
    ping_due: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """One circuit as the operator sees it."""

    lane: Lane
    state: str  # closed, open, half_open
    override: Override
    reason: str  # of the last transition
    next_trial_s: float  # 0 unless open
    failures_in_row: int
    calls: int  # in the window, as are the next two
    failures: int
    slow: int
    not_sent: int  # since the start, as are the rest: failures on our side of the wire,
    in_doubt: int  # and beyond it
    refused: int
    would_refuse: int  # let through by an override
    stale: int  # answers of an older generation
    hook_failures: int


# `(lane, old, new, reason)`. It runs in the loop: it only puts on a bounded queue.
Hook = Callable[[Lane, str, str, str], None]


class Rates:
    """Calls, failures and slow ones of the last seconds, in buckets of one second."""

    def __init__(self) -> None:
        self._buckets: deque[list[int]] = deque()  # second, calls, failures, slow

    def add(self, now: int, *, failed: bool, slow: bool) -> None:
        second = now // SECOND_NS
        if not self._buckets or self._buckets[-1][0] != second:
            self._buckets.append([second, 0, 0, 0])
        bucket = self._buckets[-1]
        bucket[1] += 1
        bucket[2] += failed
        bucket[3] += slow

    def sums(self, now: int, window_s: int) -> tuple[int, int, int]:
        while self._buckets and self._buckets[0][0] <= now // SECOND_NS - window_s:
            self._buckets.popleft()
        _, calls, failures, slow = map(sum, zip((0, 0, 0, 0), *self._buckets, strict=True))
        return calls, failures, slow

    def clear(self) -> None:
        self._buckets.clear()


def rank_of(answer: Answer | Lookup) -> int:
    """Return what one item says about the broker; a batch is as bad as its worst item."""
    match answer:
        case Unknown():
            return IN_DOUBT
        case NotSent():  # what we held back ourselves is nobody's failure
            return NEUTRAL if answer.ours else NOT_SENT
        case Accepted() | Found() | Absent():
            return OK
        case Rejected():  # the wire is alive, but an edge that refuses can hide a dead core
            return ALIVE
        case Throttled():
            return NEUTRAL
