"""What one broker was heard to say, and since when it is bad or good.

The two witnesses are kept apart, because each alone is often wrong: what orders were answered (a
full book of refused orders, one slow minute) and a ping on another channel (a query server that
restarts). Only together they call a broker bad, and from that instant on everybody counts.

The trap is the silence afterwards. When the circuit opens nothing is sent, so nothing fails: a
dead broker would look well again after ten seconds. So the orders' word stands until orders or
a ping contradict it.

Instants are monotonic nanoseconds.
"""

from collections import Counter, deque
from collections.abc import Sequence
from typing import Final

from app.diagnostics.tally import NO_TIMES, NOTHING, Tally, slot_of
from app.domain.messages import Accepted, Answer, NotSent, Rejected, Throttled, Unknown

SECOND_NS: Final = 1_000_000_000
WINDOW_NS: Final = 10 * SECOND_NS
# What the failover's policy calls bad, and what a healthy broker never comes near.
BAD_RATIO: Final = 0.2
# Three times what a slow broker takes: before that, an answer may be on its way.
SILENT_NS: Final = 3 * SECOND_NS
# When nothing has left for so long, silence is what is to be expected.
QUIET_NS: Final = 30 * SECOND_NS
# A refused logon stands until an answer or, without orders, until pings have gone well so long:
# the circuit tries again after a minute at most, and the ping's key may be another one.
LOGON_DOUBT_NS: Final = 90 * SECOND_NS
# A book of resting orders is reported about by nobody: silence says something only of a broker
# that reports on every fifth order at least, after fifty orders without a word.
REPORTS_PER_ORDER: Final = 0.2
UNREPORTED_MIN: Final = 50
# A broker's codes are its own words; more of them than this are one.
CODES_MAX: Final = 32
OTHER: Final = "other"
# What only a living broker can have said.
SPOKE: Final[frozenset[type]] = frozenset({Accepted, Rejected, Throttled})
# What says more than its kind.
EXPLAINED: Final[frozenset[type]] = frozenset({Rejected, NotSent})


class Hearing:
    """One broker's sums and edges."""

    __slots__ = (
        "_tally",
        "bad_since",
        "complained",
        "counts",
        "down_since",
        "good_since",
        "left_at",
        "marks",
        "out",
        "ping",
        "ping_failing_since",
        "refusals",
        "refused_us_at",
        "reports",
        "requests",
        "times",
        "touched",
        "unreported",
        "unreported_since",
        "waiting_since",
    )

    def __init__(self, now: int) -> None:
        self.counts: dict[type, int] = dict.fromkeys(
            (Accepted, Rejected, Throttled, NotSent, Unknown), 0
        )
        self.times = list(NO_TIMES)
        self.refusals: Counter[str] = Counter()
        self.requests = self.reports = 0
        self.out = 0  # requests without an answer
        self.unreported = 0  # orders taken since the last report
        self.unreported_since: int | None = None
        self.marks: deque[tuple[int, Tally]] = deque([(now, NOTHING)])
        self.touched = now  # the last time that a sum grew
        self._tally: Tally | None = None
        self.left_at = now - QUIET_NS
        self.waiting_since: int | None = None
        self.down_since: int | None = None
        self.refused_us_at = now
        self.ping: bool | None = None
        self.ping_failing_since: int | None = None
        self.complained = False  # the orders' word
        self.bad_since: int | None = None
        self.good_since: int | None = None

    # --- what is heard ------------------------------------------------------------------

    def left(self, now: int) -> None:
        self._touch(now)
        self.requests += 1
        self.out += 1
        self.left_at = now
        if self.waiting_since is None:
            self.waiting_since = now

    def answered(self, answers: Sequence[Answer], took_ns: int, now: int) -> None:
        self._touch(now)
        self.out -= 1
        # By kind and not one by one: a batch of a hundred costs what six single answers do.
        kinds = list(map(type, answers))
        found = set(kinds)
        for kind in found:
            self.counts[kind] += kinds.count(kind)
        if found & EXPLAINED:
            for answer in answers:
                self._explained(answer, now)
        if found & SPOKE:
            self._spoke(now, took_ns, kinds.count(Accepted))
        elif not self.out and Unknown not in found:
            self.waiting_since = None  # nothing has left, so there is nothing to wait for

    def reported(self, now: int) -> None:
        self._touch(now)
        self.reports += 1
        self.unreported = 0
        self.waiting_since = self.unreported_since = None

    def pinged(self, now: int, *, alive: bool) -> None:
        self.ping = alive
        if not alive:
            if self.ping_failing_since is None:
                self.ping_failing_since = now
        else:
            self.ping_failing_since = None
            if now - self.refused_us_at >= LOGON_DOUBT_NS:
                self.down_since = None
        self.judge(now, self.window(now))

    def _spoke(self, now: int, took_ns: int, accepted: int) -> None:
        self.waiting_since = self.down_since = None
        self.times[slot_of(took_ns)] += 1
        self.unreported += accepted
        if accepted and self.unreported_since is None:
            self.unreported_since = now

    def _explained(self, answer: Answer, now: int) -> None:
        """Keep what an answer says beyond its kind: why it was refused, or that we were."""
        match answer:
            case Rejected(code):
                known = code in self.refusals or len(self.refusals) < CODES_MAX
                self.refusals[code if known else OTHER] += 1
            case NotSent(credentials=True):
                self.refused_us_at = now
                if self.down_since is None:
                    self.down_since = now
            case _:
                pass

    # --- what it comes to ---------------------------------------------------------------

    def tally(self) -> Tally:
        """Return the sums; the same ones while nothing has come to them."""
        if self._tally is None:
            self._tally = self._summed()
        return self._tally

    def _summed(self) -> Tally:
        return Tally(
            requests=self.requests,
            accepted=self.counts[Accepted],
            rejected=self.counts[Rejected],
            throttled=self.counts[Throttled],
            not_sent=self.counts[NotSent],
            unknown=self.counts[Unknown],
            reports=self.reports,
            times=tuple(self.times),
            refusals=dict(self.refusals),
        )

    def _touch(self, now: int) -> None:
        """Leave a mark behind each second, before a sum grows."""
        if now - self.marks[-1][0] >= SECOND_NS:
            self.marks.append((self.touched, self.tally()))
            while self.marks[1][0] <= now - WINDOW_NS:
                self.marks.popleft()
                if len(self.marks) == 1:
                    break
        self.touched = now
        self._tally = None

    def window(self, now: int) -> Tally:
        """Return what came within the last ten seconds, or eleven."""
        if self.touched <= now - WINDOW_NS:
            return NOTHING
        then = self.marks[0][1]
        for at, tally in self.marks:
            if at > now - WINDOW_NS:
                break
            then = tally
        return self.tally().since(then)

    def judge(self, now: int, window: Tally) -> None:
        """Move the edges: since when both witnesses call it bad, or neither complains."""
        if self.is_silent(now):
            self.complained = True
        elif window.answered:
            self.complained = window.error_ratio >= BAD_RATIO
        elif self.ping is not False:
            self.complained = False
        if not (self.complained and self.ping is False):
            self.bad_since = None
        elif self.bad_since is None:
            self.bad_since = now
        if self.complained or not self.ping:
            self.good_since = None
        elif self.good_since is None:
            self.good_since = now

    def is_silent(self, now: int) -> bool:
        """Whether orders went out and nothing at all came back."""
        waits = self.waiting_since is not None and now - self.waiting_since >= SILENT_NS
        return waits and self._expects(now)

    def silence_s(self, now: int) -> float | None:
        """Return since when nothing follows what was sent; None: nobody can tell any more."""
        if self.waiting_since is None:
            return 0.0
        if self._expects(now):
            return (now - self.waiting_since) / SECOND_NS
        return None if self.ping is False else 0.0

    def _expects(self, now: int) -> bool:
        return self.out > 0 or now - self.left_at < QUIET_NS

    def report_silence_s(self, now: int) -> float:
        """Return for how long a broker that reports has taken orders and told nothing."""
        reports = self.reports >= REPORTS_PER_ORDER * self.counts[Accepted]
        if not reports or self.unreported < UNREPORTED_MIN or self.unreported_since is None:
            return 0.0
        return (now - self.unreported_since) / SECOND_NS
