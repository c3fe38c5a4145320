"""What one lane sent and heard since the last look: a handful of sums, and how long answers took.

Counted in messages, as the rate is: where a batch is one message, each of its items is a share
of it. `NotSent` says nothing of the broker's speed. Time for which the broker had us pause is
taken out; the trap is a goodput that measures our own silence.
"""

from collections.abc import Sequence
from typing import Final

from app.dispatch.adaptive import ACTIVE_S_MIN, Seen
from app.domain.messages import Accepted, Answer, Rejected, Throttled, Unknown

SECOND_NS: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000
TAIL: Final = 0.95


class Tally:
    """Counts until it is read; `now` is monotonic nanoseconds."""

    def __init__(self, now: int) -> None:
        self._read_ns = now
        self._sent_before = 0
        self._paused_from = self._paused_until = now
        self._clear()

    def _clear(self) -> None:
        self._answered = self._throttled = self._timed_out = self._active_s = 0.0
        self._took_ns: list[int] = []

    def heard(self, answers: Sequence[Answer], cost: int, took_ns: int) -> None:
        """Count one request that came back; it cost so many messages."""
        share = cost / max(1, len(answers))
        judged = False
        for answer in answers:
            match answer:
                case Accepted() | Rejected():
                    self._answered += share
                    judged = True
                case Throttled():
                    self._throttled += share
                case Unknown():
                    self._timed_out += share
                case _:  # it never left
                    pass
        if judged:
            self._took_ns.append(took_ns)

    def paused(self, now: int, until: int) -> None:
        """Take out the time from now on, in which the broker wants nothing."""
        if now >= self._paused_until:
            self._paused_from = now
        self._paused_until = max(self._paused_until, until)

    def read(self, now: int, sent_total: int) -> Seen | None:
        """Return what was counted since the last `Seen`; None while there was only a pause."""
        began, self._read_ns = self._read_ns, now
        paused = min(now, self._paused_until) - max(began, self._paused_from)
        self._active_s += (now - began - max(0, paused)) / SECOND_NS
        if self._active_s < ACTIVE_S_MIN:
            return None
        seen = Seen(
            sent=sent_total - self._sent_before,
            answered=self._answered,
            throttled=self._throttled,
            timed_out=self._timed_out,
            p95_ms=self._p95_ms(),
            active_s=self._active_s,
        )
        self._sent_before = sent_total
        self._clear()
        return seen

    def _p95_ms(self) -> float | None:
        if not self._took_ns:
            return None
        ordered = sorted(self._took_ns)
        return ordered[int(len(ordered) * TAIL)] / NS_PER_MS
