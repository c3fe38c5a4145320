"""Spaces one worker's writes: its share of the operators' ceiling, and less when the store suffers.

The ceiling is one number for all workers of all loads; each takes an equal share of it. On top of
that a worker halves its own rate while the store's p95 write latency is above the limit, and
comes back by a quarter a second: a migration is never urgent, and the live view's writes go to the
same disks.

    beat (once a second): share of the ceiling, p95 of the last writes ──► rate now
    ask (before a write): how many documents may go, or how long to wait

The trap is a share that is older than the others' knowledge. A worker that cannot read the
ceiling any more cannot know that others have come or that the operator has lowered it; so a share
ends by itself, and without one nothing is written.
"""

from collections import deque
from math import ceil
from typing import Final, NamedTuple

NS_PER_S: Final = 1_000_000_000
# A quarter of a second's worth at a time: a lowered rate is felt at once, and at 5,000 a second
# a write is still large enough to be worth a majority's round trip.
GRANTS_PER_S: Final = 4
# Two missed beats. Whoever joins waits as long before its first write, so that by then every
# other worker has either seen it or has stopped.
SHARE_LIVES_NS: Final = 2 * NS_PER_S
LATENCIES_KEPT: Final = 64
# One slow write is a pause of the disk's; two of eight are the store's trouble.
LATENCIES_MIN: Final = 8
# What a worker can do is what it did in its best of so many seconds: in the last one it may have
# waited for a file.
BEATS_KEPT: Final = 5
SLOWER: Final = 0.5
FASTER: Final = 1.25
# Until a store has suffered for the first time, nobody knows what it can take: begin as one that
# a laptop takes, and double. At once at a ceiling of 100,000, eight writes of 2,000 documents
# each stood in a young store's queue until their sockets timed out.
RATE_FIRST: Final = 1_000.0
FASTER_FIRST: Final = 2.0
# So slow that nobody is hurt, and fast enough to notice that the store is well again.
RATE_MIN: Final = 10.0


class Grant(NamedTuple):
    """What a worker may write now; none of it means to ask again after `wait_s`."""

    documents: int
    wait_s: float


class Pace:
    """The rate of one worker. It reads no clock: every call says when it is, in nanoseconds."""

    def __init__(self, latency_max_ms: int) -> None:
        self._latency_max_ns = latency_max_ms * 1_000_000
        self._latencies: deque[int] = deque(maxlen=LATENCIES_KEPT)
        self._share = 0.0
        self._share_ends_at = 0
        # Our own rate while the store suffers, or is not known yet; None while the share decides.
        self._eased: float | None = RATE_FIRST
        self._faster = FASTER_FIRST
        self._free_at = 0
        self._written = 0
        self._did: deque[float] = deque(maxlen=BEATS_KEPT)
        self._beat_at: int | None = None

    @property
    def rate(self) -> float:
        """Documents a second that this worker allows itself."""
        return self._share if self._eased is None else min(self._share, self._eased)

    @property
    def is_eased(self) -> bool:
        """Whether it goes by a rate of its own and not by its share."""
        return self._eased is not None

    def beat(self, ceiling: int, workers: int, now_ns: int) -> None:
        """Take the share of a ceiling that was read just now, and look at the store's health."""
        before = self.rate
        self._share = ceiling / max(workers, 1)
        self._share_ends_at = now_ns + SHARE_LIVES_NS
        self._look(now_ns)
        self._forgive(before, now_ns)

    def ask(self, wanted: int, now_ns: int) -> Grant:
        """Return how many of these documents may be written now."""
        rate = self.rate if now_ns < self._share_ends_at else 0.0
        if rate <= 0:
            return Grant(0, 1 / GRANTS_PER_S)
        if now_ns < self._free_at:
            return Grant(0, (self._free_at - now_ns) / NS_PER_S)
        documents = max(1, min(wanted, int(rate / GRANTS_PER_S)))
        self._free_at = max(self._free_at, now_ns) + ceil(documents * NS_PER_S / rate)
        self._written += documents
        return Grant(documents, 0.0)

    def note(self, latency_ns: int) -> None:
        """Note how long a write took until a majority had it."""
        self._latencies.append(latency_ns)

    def _look(self, now_ns: int) -> None:
        beat_at, self._beat_at = self._beat_at, now_ns
        written, self._written = self._written, 0
        if beat_at is not None:
            self._did.append(written * NS_PER_S / max(now_ns - beat_at, 1))
        suffers = self._p95() > self._latency_max_ns
        if suffers and len(self._latencies) >= LATENCIES_MIN:
            # Of what it really did: its share may be a number that no store ever reaches.
            self._eased = max(RATE_MIN, SLOWER * min(self.rate, max(self._did, default=self.rate)))
            self._faster = FASTER
            self._latencies.clear()  # what comes next is judged by itself
        elif self._eased is not None and written and not suffers:
            faster = self._eased * self._faster
            self._eased = None if faster >= self._share else faster

    def _p95(self) -> int:
        """Return the latency that at most one write in twenty exceeds."""
        in_order = sorted(self._latencies)
        return in_order[ceil(len(in_order) * 0.95) - 1] if in_order else 0

    def _forgive(self, before: float, now_ns: int) -> None:
        """Let a raised rate not wait for what the old one owed: at one in ten seconds, ten."""
        debt_ns = self._free_at - now_ns
        if debt_ns > 0 and 0 < before < self.rate:
            self._free_at = now_ns + ceil(debt_ns * before / self.rate)
