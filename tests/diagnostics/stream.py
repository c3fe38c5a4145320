"""Minutes of a broker's life for rules to look at, half a second a step.

A test says what comes within each step and what stands; the snapshots add up as the watch's do.
"""

from collections.abc import Sequence
from typing import Final

from app.diagnostics.rules import Rule
from app.diagnostics.signals import Past, Snapshot
from app.diagnostics.tally import BOUNDS_MS, NOTHING, Tally, slot_of
from app.diagnostics.tripwires import Tripwires
from app.domain.anomaly import Finding, Severity, Subject

STEP_NS: Final = 500_000_000
NORTH: Final = Subject("broker", "north")


def times(count: int, took_ms: float) -> Sequence[int]:
    """Return a histogram of so many requests that took so long."""
    found = [0] * (len(BOUNDS_MS) + 1)
    found[slot_of(round(took_ms * 1_000_000))] = count
    return tuple(found)


def grown(tally: Tally, more: Tally) -> Tally:
    """Return the sums after these came to them."""
    refusals = dict(tally.refusals)
    for code, count in more.refusals.items():
        refusals[code] = refusals.get(code, 0) + count
    sums = {name: getattr(tally, name) + getattr(more, name) for name in _SUMS}
    slots = tuple(a + b for a, b in zip(tally.times, more.times, strict=True))
    return Tally(**sums, times=slots, refusals=refusals)


_SUMS: Final = Tally._fields[:7]


class Stream:
    """Snapshots as they come, and the tripwires that look at each."""

    def __init__(self, *rules: Rule, subject: Subject = NORTH) -> None:
        self.subject = subject
        self.wires = Tripwires(rules)
        self.snapshots: list[Snapshot] = []
        self.findings: list[Finding] = []
        self._tally = NOTHING
        self._at_ns = 0

    def passes(self, seconds: float, more: Tally = NOTHING, /, **gauges: float) -> list[Finding]:
        """Let so many seconds pass, with so much in each step; return the last look's findings."""
        for _ in range(round(seconds * 1_000_000_000 / STEP_NS)):
            self._at_ns += STEP_NS
            self._tally = grown(self._tally, more)
            tallies = {self.subject.id: self._tally} if self.subject.kind == "broker" else {}
            self.snapshots.append(Snapshot(self._at_ns, tallies, {self.subject: gauges}))
            self.findings = self.wires.look(Past(self.snapshots))
        return self.findings

    def severity(self) -> Severity | None:
        """How bad the one thing is that is raised."""
        found = list(self.wires.raised.values())
        assert len(found) <= 1
        return found[0] if found else None
