"""Finds the rate that a broker takes now, between the operator's floor and ceiling. Pure.

    half a second of answers ──► after() ──► rate     refused: down at once, below goodput
                                                      late or silent: down by a fifth, each 2 s
                                                      good for 2 s and used: up by 2 % of ceiling

Additive increase, multiplicative decrease, on messages a second. It needs signs given in words
(a refusal, a time-out, a late answer): a gradient of latencies drifts upwards under a steady
overload, and runs away when every call times out alike.

The traps: a rate that nobody uses proves nothing, so only a used one grows. Where a limit fell to
a sixth, cuts by a share take too long, so a refusal also clamps the rate below what was answered.
What was answered while the broker had us pause measures the pause, so it counts apart. And a
queue at the broker empties slowly: to cut again while answers already come sooner leaves it idle
afterwards (91 % of a broker of 300 a second was used, with this rule 98 %).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from app.domain.tuning import Bounds

SECOND_NS: Final = 1_000_000_000
# Four looks in the two seconds that a cut or a growth waits for.
TICK_S: Final = 0.5
# One answer in a hundred is noise, more are a sign.
BAD_SHARE: Final = 0.01
CUT: Final = 0.8
# A broker that refuses takes no more than it just took; a little below, and its queue empties.
GOODPUT_SHARE: Final = 0.9
# What left before a cut is answered after it, and would be taken for the cut's own result.
CUT_AGAIN_NS: Final = 2 * SECOND_NS
GOOD_FOR_NS: Final = 2 * SECOND_NS
GROWTH: Final = 0.02
USED_SHARE: Final = 0.5
# Goodput and use are looked at over two seconds: at 3 a second, a tick holds one or two.
TICKS_KEPT: Final = 4
# A tick that was a pause but for this has nothing to say; its answers count with the next.
ACTIVE_S_MIN: Final = 0.1
# A broker that comes back, or that a route has come to, warms up: a third of the time each.
SLOW_START_S: Final = 30.0
SLOW_START_PERCENT: Final = (25, 50, 100)


class Seen(NamedTuple):
    """What a lane sent and heard within one tick, in messages."""

    sent: float
    answered: float  # judged by the broker, for or against
    throttled: float
    timed_out: float
    p95_ms: float | None
    active_s: float = TICK_S  # without the time for which the broker had us pause


class Found(NamedTuple):
    """The rate as it was found so far, and what the next tick needs to know of the last ones."""

    rate: int
    ticks: tuple[Seen, ...] = ()
    good_since: int | None = None
    cut_at: int | None = None
    p95_ms: float | None = None


def after(found: Found, seen: Seen, bounds: Bounds, now: int) -> Found:
    """Return the rate after one more tick; `now` is monotonic nanoseconds."""
    found = found._replace(
        rate=_within(bounds, found.rate), ticks=(*found.ticks, seen)[-TICKS_KEPT:]
    )
    noise = BAD_SHARE * (seen.answered + seen.throttled + seen.timed_out)
    if seen.throttled > noise:
        cut = min(CUT * found.rate, GOODPUT_SHARE * _a_second(found.ticks, "answered"))
        return Found(_within(bounds, cut), (), None, now, seen.p95_ms)
    late = seen.p95_ms is not None and seen.p95_ms > bounds.target_ms
    if late or seen.timed_out > noise:
        found = found._replace(good_since=None)
        if not _may_cut(found, seen, bounds.target_ms, now):
            return found._replace(p95_ms=seen.p95_ms)
        return found._replace(
            rate=_within(bounds, CUT * found.rate), cut_at=now, p95_ms=seen.p95_ms
        )
    return _grown(found, bounds, now)._replace(p95_ms=seen.p95_ms)


def slow_started(rate: int, floor: int, elapsed_s: float) -> int:
    """Return how much of a rate may be used so long after a slow start has begun."""
    stage = int(elapsed_s * len(SLOW_START_PERCENT) / SLOW_START_S)
    if stage >= len(SLOW_START_PERCENT):
        return rate
    return min(rate, max(floor, rate * SLOW_START_PERCENT[stage] // 100))


def ramped(before: int, rate: int, elapsed_s: float, ramp_s: float) -> int:
    """Return where a climb from one rate to a higher one stands."""
    if elapsed_s >= ramp_s:
        return rate
    return min(rate, max(1, before + int((rate - before) * elapsed_s / ramp_s)))


def _may_cut(found: Found, seen: Seen, target_ms: int, now: int) -> bool:
    if found.cut_at is None:
        return True
    return now - found.cut_at >= CUT_AGAIN_NS and not _eases(found, seen, target_ms)


def _eases(found: Found, seen: Seen, target_ms: int) -> bool:
    """Whether answers come sooner, so that they are in time again before another cut could act."""
    if found.p95_ms is None or seen.p95_ms is None or seen.timed_out:
        return False
    return (found.p95_ms - seen.p95_ms) * TICKS_KEPT >= seen.p95_ms - target_ms > 0


def _grown(found: Found, bounds: Bounds, now: int) -> Found:
    since = now if found.good_since is None else found.good_since
    found = found._replace(good_since=since)
    used = _a_second(found.ticks, "sent") >= USED_SHARE * found.rate
    if now - since < GOOD_FOR_NS or not used:
        return found
    return found._replace(rate=_within(bounds, found.rate + max(1.0, GROWTH * bounds.ceiling)))


def _a_second(ticks: Sequence[Seen], name: str) -> float:
    """Return a count of these ticks for each second in which we were sending."""
    counted: float = sum(getattr(tick, name) for tick in ticks)
    return counted / max(ACTIVE_S_MIN, sum(tick.active_s for tick in ticks))


def _within(bounds: Bounds, rate: float) -> int:
    return max(bounds.floor, min(bounds.ceiling, int(rate)))
