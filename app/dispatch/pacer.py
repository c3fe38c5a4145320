"""Keeps a broker under its agreed rate by spacing the sends, and lets operators move that rate.

A bucket that fills one permit every `gap` nanoseconds and holds 20 ms of them: the steady rate
is 98.5 % of N, and the little that is saved repays timers that fire late. All whole numbers;
`now` is monotonic nanoseconds. (GCRA: one number, the instant at which the bucket is full.)

What it promises: in any half-open second at most `ceiling(N)` permits, N being the largest rate
in force within that second, whatever the script of takes, stalls, retunes and restarts. That
is about 1.005 N; the window behind it makes it N.

The traps: a new pacer born full sends a burst at each restart; a change of rate that hands out
fresh credit, or forgives debt, sends one at each turn of the dial. So a pacer is born empty, and
a change carries the credit over in permits, rounded down.

A batch that costs more than the bucket holds neither starves nor saves up: `take` grants a part,
at least one permit each `gap`, and the caller sends a batch of what was granted. Permits saved
outside for a large batch would leave in one instant and void the bound. Who prefers fewer,
fuller batches waits until `ready(now)` has grown, to `burst` at most.
"""

from math import isfinite
from typing import Final

SECOND_NS: Final = 1_000_000_000
# Spending all of N leaves no room for the line's jitter; 98 % is below the speed that we promise.
STEADY_PER_MILLE: Final = 985
# Without any spare credit late timers cost 5 % at 100/s and a fifth at 1,000/s.
BURST_MS: Final = 20
# Paused has no next permit; this is how soon the owner reads the control row again anyway.
PAUSED_WAIT_NS: Final = 50_000_000
# What a broker may pause us for by itself. A longer wish is the operator's to grant.
THROTTLE_PAUSE_S_MAX: Final = 2.0
THROTTLE_PAUSE_S: Final = 1.0


def gap_ns(per_second: int) -> int:
    """Return the nanoseconds between two permits at the steady rate, rounded up."""
    return -(-SECOND_NS * 1_000 // (per_second * STEADY_PER_MILLE))


def burst_permits(per_second: int, burst_ms: int = BURST_MS) -> int:
    """Return how many permits the bucket holds: what a stall repays, and one to send at all."""
    return 1 + (per_second * burst_ms + 499) // 1_000


def ceiling(per_second: int, burst_ms: int = BURST_MS) -> int:
    """Return the most permits in any half-open second: a full bucket and what drips meanwhile."""
    return burst_permits(per_second, burst_ms) + (SECOND_NS - 1) // gap_ns(per_second)


def throttle_pause_ns(retry_after_s: float | None, s_max: float = THROTTLE_PAUSE_S_MAX) -> int:
    """Return how long to stop after `Throttled`: what the broker asked, within our bound."""
    if retry_after_s is None or not isfinite(retry_after_s):
        retry_after_s = THROTTLE_PAUSE_S
    return round(min(max(retry_after_s, 0.0), s_max) * SECOND_NS)


class Pacer:
    """Spaces one broker's sends. `per_second`: None is without a limit (a bench), 0 is paused."""

    def __init__(self, per_second: int | None, now: int, *, burst_ms: int = BURST_MS) -> None:
        self._burst_ms = burst_ms
        self._not_before = now
        self._shape(per_second)
        self._full_at = now + self._cap  # born without credit: a restart cannot burst

    def take(self, want: int, now: int) -> tuple[int, int]:
        """Return how many may leave now, and the nanoseconds until the next one may."""
        at = max(now, self._not_before)
        if self.per_second is None:
            return (0, at - now) if at > now else (max(0, want), 0)
        if self.per_second == 0:
            return 0, PAUSED_WAIT_NS
        credit = self._credit(at)
        granted = max(0, min(want, credit // self._gap))  # a pause leaves no credit
        credit -= granted * self._gap
        self._full_at = at + self._cap - credit
        return granted, at - now + max(0, self._gap - credit)

    def ready(self, now: int) -> int | None:
        """Return how many permits wait to be taken, or None if there is no limit."""
        if now < self._not_before or self.per_second == 0:
            return 0
        return None if self.per_second is None else max(0, self._credit(now) // self._gap)

    @property
    def burst(self) -> int | None:
        """The most that one `take` can grant; None without a limit."""
        return None if self.per_second is None else self._cap // self._gap

    def retune(self, per_second: int | None, now: int) -> None:
        """Change the rate from the next permit on; a change alone grants nothing."""
        if per_second == self.per_second:
            return
        at = max(now, self._not_before)
        credit, gap = self._credit(at), self._gap
        self._shape(per_second)
        # In permits, not in time: at a tenth of the rate, what was saved is still as many sends.
        self._full_at = at + self._cap - min(self._cap, credit * self._gap // gap)

    def pause_until(self, until: int) -> None:
        """Grant nothing before `until` (the broker said that we were too fast), nor save for it."""
        self._not_before = max(self._not_before, until)
        self._full_at = max(self._full_at, until + self._cap)

    def _shape(self, per_second: int | None) -> None:
        assert per_second is None or per_second >= 0, f"expected a rate from 0, was {per_second}"
        self.per_second = per_second
        # Paused and unlimited save nothing, so that leaving them starts like a restart.
        self._gap = gap_ns(per_second) if per_second else 1
        self._cap = burst_permits(per_second, self._burst_ms) * self._gap if per_second else 0

    def _credit(self, at: int) -> int:
        return min(self._cap, at + self._cap - self._full_at)
