"""What a rule can look at: signals, read from snapshots of the last minutes. Pure.

A snapshot holds every broker's sums and, by subject, numbers that stand at that moment. A window
is the difference of two snapshots, so a rule can be asked about minutes that are over, with
windows that nobody had in mind then. No number means that nobody can tell: the trap is to read
that as zero, and to call a broker well because nobody speaks to it any more.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Final, NamedTuple

from app.diagnostics.tally import NOTHING, Tally, quantile_ms
from app.domain.anomaly import Subject

SECOND_NS: Final = 1_000_000_000
# A latency is held against the usual one, or against this while nothing was learnt: three times
# is the second that a client notices.
USUAL_MS: Final = 1_000 / 3


class Snapshot(NamedTuple):
    """One look at everything. `notes` is evidence in words, by subject."""

    at_ns: int  # monotonic
    tallies: Mapping[str, Tally]  # by broker, since the process started
    gauges: Mapping[Subject, Mapping[str, float]]
    notes: Mapping[Subject, Mapping[str, object]] = MappingProxyType({})


class Reading(NamedTuple):
    """What a signal says over a window, and from how many."""

    value: float
    sample: int


class Past:
    """Snapshots up to one of them, which is now. The earliest ones may lie within a window."""

    def __init__(self, snapshots: Sequence[Snapshot], upto: int | None = None) -> None:
        self._snapshots = snapshots
        self._end = len(snapshots) if upto is None else upto
        self.now = snapshots[self._end - 1]
        self._windows: dict[tuple[str, float], Tally] = {}  # several rules ask for the same

    def then(self, window_s: float) -> Snapshot:
        """Return the last snapshot before the window, or the first of all."""
        since = self.now.at_ns - round(window_s * SECOND_NS)
        index = bisect_right(self._snapshots, since, 0, self._end, key=attrgetter("at_ns"))
        return self._snapshots[max(0, index - 1)]

    def window(self, broker_id: str, window_s: float) -> Tally:
        """Return what came to a broker's sums within the window."""
        found = self._windows.get((broker_id, window_s))
        if found is None:
            before = self.then(window_s).tallies.get(broker_id, NOTHING)
            found = self.now.tallies.get(broker_id, NOTHING).since(before)
            self._windows[broker_id, window_s] = found
        return found

    def gauge(self, subject: Subject, name: str) -> float | None:
        return self.now.gauges.get(subject, {}).get(name)


Read = Callable[[Past, Subject, float], Reading | None]


class Signal(NamedTuple):
    """How a number is found, and in what it is counted."""

    unit: str
    read: Read
    of_broker: bool = False  # read from a broker's sums, else where the gauge of its name stands


def subjects(past: Past, name: str) -> list[Subject]:
    """Return whom a signal speaks of at this moment."""
    if SIGNALS[name].of_broker:
        return [Subject("broker", broker_id) for broker_id in past.now.tallies]
    return [subject for subject, found in past.now.gauges.items() if name in found]


def evidence(past: Past, subject: Subject, window_s: float) -> dict[str, object]:
    """Return what else is known of a subject: no order, no account, no customer."""
    found: dict[str, object] = dict(past.now.notes.get(subject, {}))
    if subject.kind == "broker" and subject.id in past.now.tallies:
        window = past.window(subject.id, window_s)
        p95 = quantile_ms(window.times, 0.95)
        found |= {"by_answer": window.by_answer(), "p95_ms": None if p95 is None else round(p95, 1)}
    return found


def _error_ratio(past: Past, subject: Subject, window_s: float) -> Reading | None:
    window = past.window(subject.id, window_s)
    if not window.answered and past.gauge(subject, "unreachable_s"):
        return None  # nobody asks it, and it does not answer a ping: that is no recovery
    return Reading(window.error_ratio, window.answered)


def _throttled_ratio(past: Past, subject: Subject, window_s: float) -> Reading | None:
    window = past.window(subject.id, window_s)
    return Reading(window.throttled_ratio, window.answered + window.throttled)


def _slowness(past: Past, subject: Subject, window_s: float) -> Reading | None:
    window = past.window(subject.id, window_s)
    p95 = quantile_ms(window.times, 0.95)
    if p95 is None:
        return Reading(0.0, 0)
    usual = past.gauge(subject, "usual_ms") or USUAL_MS
    return Reading(p95 / max(usual, USUAL_MS), window.timed)


def _growth(name: str) -> Read:
    def read(past: Past, subject: Subject, window_s: float) -> Reading | None:
        now = past.gauge(subject, name)
        then = past.then(window_s).gauges.get(subject, {}).get(name, 0.0)
        return None if now is None else Reading(now - then, 1)

    return read


def _standing(name: str) -> Read:
    def read(past: Past, subject: Subject, window_s: float) -> Reading | None:
        del window_s  # it stands, or it does not
        value = past.gauge(subject, name)
        return None if value is None else Reading(value, 1)

    return read


# Numbers that the watch puts into a snapshot as they stand, and their units.
GAUGES: Final[Mapping[str, str]] = {
    "silence_s": "s",
    "report_silence_s": "s",
    "session_down_s": "s",
    "unreachable_s": "s",
    "circuit_open": "circuits",
    "in_doubt": "orders",
    "in_doubt_age_s": "s",
    "stalled_s": "s",
    "unowned_s": "s",
    "refusals_z": "sigma",
    "strays": "reports",
    "deadline_ratio": "ratio",
    "misses_cut_off": "orders",
    "unbalanced": "orders",
    "quarantined": "reports",
    "outbox_lag_s": "s",
    "projector_lag_s": "s",
    "clock_skew_ms": "ms",
    "clock_step_ms": "ms",
    "in_trouble_together": "brokers",
}
SIGNALS: Final[Mapping[str, Signal]] = {
    "error_ratio": Signal("ratio", _error_ratio, of_broker=True),
    "throttled_ratio": Signal("ratio", _throttled_ratio, of_broker=True),
    "slowness": Signal("times the usual p95", _slowness, of_broker=True),
    # It counts up: its window is how many came.
    "circuit_openings": Signal("openings", _growth("circuit_openings")),
    **{name: Signal(unit, _standing(name)) for name, unit in GAUGES.items()},
}
