"""How the house itself does, as values for whoever looks: owners, days, commits, clocks. Pure.

The trap is a number without its window: a commit that was slow at noon says nothing at the bell.
"""

from collections.abc import Sequence
from typing import NamedTuple


class LaneOwner(NamedTuple):
    """Who may send to a broker: the process that holds its lease, or held it last."""

    broker_id: str
    holder: str
    epoch: int
    expires_at: int  # by the ledger's clock; 0: it was given back

    def stands(self, at: int) -> bool:
        return self.expires_at > at


class Owners(NamedTuple):
    """Every lease, and what the ledger's own clock said when it was read."""

    at: int
    owners: tuple[LaneOwner, ...]

    def of(self, broker_id: str) -> LaneOwner | None:
        return next((one for one in self.owners if one.broker_id == broker_id), None)


class DaysKept(NamedTuple):
    """The tables of trade dates: how many stand, how many lie ahead, what went wrong."""

    attached: int
    ahead: int
    made_late: int  # by the first order of a day, because the plan had not
    trouble: str | None


class CommitPace(NamedTuple):
    """How the writer of this process did in the last minute; no commit has no latency."""

    running: bool
    waiting: int  # orders that no commit has taken yet
    commits: int
    orders: int
    p50_ms: float | None
    p99_ms: float | None


class Probe(NamedTuple):
    """When a broker was last asked about an order in doubt, and what that proved, in words."""

    broker_order_key: str
    at: int
    heard: str


class Heard(NamedTuple):
    """What a broker's answers say beyond how it does."""

    p99_ms: float | None  # of the last ten seconds, from the write to the answer
    # Its own codes for what it rejected, the most frequent first, since the process of its lane
    # began: a code may be told in part.
    refusals: tuple[tuple[str, int], ...]


def skew_ms(asked_at: int, took_ms: float, answered_at: int) -> float:
    """Return how far another clock is from ours, as far as an answer can prove it.

    The answer was given at some moment of the call: half of the way there is no skew.
    """
    half = took_ms / 2
    return max(0.0, abs(answered_at - asked_at - half) - half)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Return the value that so large a share does not exceed; None of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
