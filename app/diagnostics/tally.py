"""What a broker was sent and what it said, as sums that only grow: a window is a difference.

Nobody clears a counter at a window's edge, so any window can be asked for, also afterwards. The
trap is a mean: one slow answer in twenty is what customers feel, so the times are kept as a
histogram.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

# A millisecond to a minute, each bound a quarter above the last: p95 is right within an eighth.
BOUNDS_MS: Final = tuple(round(1.25**step, 3) for step in range(50))
NO_TIMES: Final = (0,) * (len(BOUNDS_MS) + 1)


class Tally(NamedTuple):
    """One broker's sums: of a process's life, or of a window."""

    requests: int = 0  # that left for the broker
    accepted: int = 0  # the answers, by order
    rejected: int = 0
    throttled: int = 0
    not_sent: int = 0  # the broker could not be reached; what we kept back ourselves is not here
    unknown: int = 0
    reports: int = 0  # executions and ends that it told by itself
    times: Sequence[int] = NO_TIMES  # of the requests that were answered, by BOUNDS_MS
    refusals: Mapping[str, int] = MappingProxyType({})  # the rejected, by the broker's code

    @property
    def answered(self) -> int:
        """The answers that say something of the broker: "too fast" speaks of us."""
        return self.accepted + self.rejected + self.failed

    @property
    def failed(self) -> int:
        return self.not_sent + self.unknown

    @property
    def error_ratio(self) -> float:
        return self.failed / self.answered if self.answered else 0.0

    @property
    def throttled_ratio(self) -> float:
        everything = self.answered + self.throttled
        return self.throttled / everything if everything else 0.0

    @property
    def timed(self) -> int:
        return sum(self.times)

    def by_answer(self) -> dict[str, int]:
        """Return the answers by word, those that there were."""
        found = {
            "accepted": self.accepted,
            "rejected": self.rejected,
            "throttled": self.throttled,
            "not_sent": self.not_sent,
            "unknown": self.unknown,
        }
        return {word: count for word, count in found.items() if count}

    def since(self, then: "Tally") -> "Tally":
        """Return what has come to it after `then`."""
        if self is then:  # most brokers, most of the time
            return NOTHING
        refusals = {c: n - then.refusals.get(c, 0) for c, n in self.refusals.items()}
        return Tally(
            requests=self.requests - then.requests,
            accepted=self.accepted - then.accepted,
            rejected=self.rejected - then.rejected,
            throttled=self.throttled - then.throttled,
            not_sent=self.not_sent - then.not_sent,
            unknown=self.unknown - then.unknown,
            reports=self.reports - then.reports,
            times=tuple(mine - its for mine, its in zip(self.times, then.times, strict=True)),
            refusals={code: count for code, count in refusals.items() if count},
        )


NOTHING: Final = Tally()


def slot_of(took_ns: int) -> int:
    """Return the index among `times` for a request that took so long."""
    return bisect_left(BOUNDS_MS, took_ns / 1_000_000)


def quantile_ms(times: Sequence[int], share: float) -> float | None:
    """Return below what so many of the times lie, within a bound and the next; None without any."""
    rank = share * sum(times)
    if not rank:
        return None
    passed = 0
    for slot, count in enumerate(times):
        if count and passed + count >= rank:
            if slot == len(BOUNDS_MS):
                return BOUNDS_MS[-1]
            floor = BOUNDS_MS[slot - 1] if slot else 0.0
            return floor + (BOUNDS_MS[slot] - floor) * (rank - passed) / count
        passed += count
    return BOUNDS_MS[-1]
