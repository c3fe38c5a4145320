"""Decides what is wrong: rules over snapshots, with a memory of what they have raised. Pure.

    below clear ── calm for so long ──► cleared
    between      ── nothing changes: what is raised stays, what is not stays so
    above raise ── for so long, with samples enough ──► raised, or raised higher

The trap is a number that swings around one threshold: an alarm that comes and goes forty times
is one that nobody reads. So it takes two thresholds and two durations, and a raised rule never
becomes milder, it ends. No reading ends nothing: who is not heard of is not well.

A rule that throws is one rule less, not none: the others go on, and it raises its own anomaly.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from app.diagnostics.rules import Level, Rule
from app.diagnostics.signals import SIGNALS, Past, Reading, Snapshot, evidence, subjects
from app.domain.anomaly import Finding, Observed, Recommended, Severity, Subject, Threshold

SECOND_NS: Final = 1_000_000_000
RULE_FAILED: Final = "watch.rule_failed"
_RANK: Final = {None: 0, Severity.WARNING: 1, Severity.CRITICAL: 2}
NO_READING: Final = Reading(0.0, 0)
Key = tuple[str, Subject]


class _Wire:
    """One rule on one subject."""

    __slots__ = ("above_since", "calm_since", "finding", "severity")

    def __init__(self, severity: Severity | None = None) -> None:
        self.severity = severity
        self.finding: Finding | None = None  # the last one, while it is raised
        self.above_since: dict[Severity, int] = {}
        self.calm_since: int | None = None


class Firing(NamedTuple):
    """One raise, and how it went on: what a rule would have done."""

    rule_id: str
    subject: Subject
    severity: Severity  # the worst that it was
    raised_ns: int
    cleared_ns: int | None
    peak: float


class Tripwires:
    """The rules in force, and what they have raised."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules: dict[str, Rule] = {}
        self._wires: dict[Key, _Wire] = {}
        self._failing: dict[str, Finding] = {}
        self.put(rules)

    def put(self, rules: Iterable[Rule]) -> None:
        """Put these rules in force, and no others; what was raised stays so until it clears."""
        self._rules = {rule.rule_id: rule for rule in rules}

    @property
    def raised(self) -> dict[Key, Severity]:
        return {key: w.severity for key, w in self._wires.items() if w.severity is not None}

    @property
    def failing(self) -> list[str]:
        """The rules that threw when they were asked last."""
        return sorted(self._failing)

    def adopt(self, rule_id: str, subject: Subject, severity: Severity) -> None:
        """Take over what another process, or a former life, had raised: it is ours to clear."""
        if rule_id == RULE_FAILED and subject.id in self._rules:
            self._failing.setdefault(subject.id, rule_failed(subject.id, "before this start"))
        elif rule_id in self._rules:
            wire = self._wires.setdefault((rule_id, subject), _Wire())
            wire.severity = wire.severity or severity

    def look(self, past: Past) -> list[Finding]:
        """Return a finding for each thing that is wrong, and one for each that just ended."""
        findings: list[Finding] = []
        for rule in self._rules.values():
            try:
                findings += self._judged(rule, past)
            except Exception as e:  # noqa: BLE001 - a rule is an operator's; the others go on
                self._failing[rule.rule_id] = rule_failed(rule.rule_id, f"{type(e).__name__}: {e}")
                findings.append(self._failing[rule.rule_id])
            else:
                failed = self._failing.pop(rule.rule_id, None)
                findings += [] if failed is None else [failed._replace(severity=None)]
        return findings

    def _judged(self, rule: Rule, past: Past) -> list[Finding]:
        found = subjects(past, rule.signal)
        findings = [self._judge(rule, subject, past) for subject in found]
        for rule_id, subject in list(self._wires):
            if rule_id == rule.rule_id and subject not in found:
                del self._wires[rule_id, subject]  # another process watches it now
        return [finding for finding in findings if finding is not None]

    def _judge(self, rule: Rule, subject: Subject, past: Past) -> Finding | None:
        wire = self._wires.setdefault((rule.rule_id, subject), _Wire())
        above = self._above(rule, subject, past, wire) if rule.enabled else None
        if above is not None:
            level, reading = above
            if _RANK[level.severity] > _RANK[wire.severity]:
                wire.severity = level.severity
            wire.finding = _finding(rule, level, subject, reading, past)
        if wire.severity is None:
            return None
        found = SIGNALS[rule.signal].read(past, subject, rule.clear_window_s)
        if wire.finding is None:  # adopted: what it was found by stands in the store
            wire.finding = _finding(rule, rule.levels[-1], subject, found or NO_READING, past)
        calm = above is None and found is not None and found.value <= rule.clear_at
        if not rule.enabled or self._calmed(rule, wire, past.now.at_ns, calm=calm):
            self._wires[rule.rule_id, subject] = _Wire()
            return _ended(wire.finding, found)
        return wire.finding._replace(severity=wire.severity)

    def _calmed(self, rule: Rule, wire: _Wire, now: int, *, calm: bool) -> bool:
        """Whether it has been calm for as long as it must."""
        if not calm:
            wire.calm_since = None
        elif wire.calm_since is None:
            wire.calm_since = now
        return _lasted(wire.calm_since, rule.clear_for_s, now)

    def _above(
        self, rule: Rule, subject: Subject, past: Past, wire: _Wire
    ) -> tuple[Level, Reading] | None:
        """Return the worst level that has held for as long as it must."""
        now = past.now.at_ns
        worst: tuple[Level, Reading] | None = None
        for level in rule.levels:
            reading = _over(rule, level, subject, past)
            if reading is None:
                wire.above_since.pop(level.severity, None)
                continue
            since = wire.above_since.setdefault(level.severity, now)
            if worst is None and _lasted(since, level.for_s, now):
                worst = level, reading
        return worst


def _over(rule: Rule, level: Level, subject: Subject, past: Past) -> Reading | None:
    """Return what the short window says if both windows are over the level."""
    read = SIGNALS[rule.signal].read
    short = read(past, subject, level.window_s)
    if short is None or short.sample < rule.sample_min or short.value < level.raise_at:
        return None
    if level.long_raise_at is None or level.long_window_s is None:
        return short
    long = read(past, subject, level.long_window_s)
    return short if long is not None and long.value >= level.long_raise_at else None


def _lasted(since: int | None, for_s: float, now: int) -> bool:
    return since is not None and now - since >= for_s * SECOND_NS


def _finding(rule: Rule, level: Level, subject: Subject, reading: Reading, past: Past) -> Finding:
    unit = SIGNALS[rule.signal].unit
    return Finding(
        rule_id=rule.rule_id,
        rule_version=rule.version,
        subject=subject,
        severity=level.severity,
        observed=Observed(rule.signal, reading.value, unit, level.window_s, reading.sample),
        threshold=Threshold(">=", level.raise_at, rule.clear_at, level.for_s),
        recommended=Recommended(rule.action, confidence=rule.confidence),
        evidence=evidence(past, subject, level.window_s or rule.clear_window_s or 10.0),
        valid_for_s=rule.valid_for_s,
    )


def _ended(finding: Finding, found: Reading | None) -> Finding:
    observed = finding.observed
    if found is not None:
        observed = observed._replace(value=found.value, sample=found.sample)
    return finding._replace(severity=None, observed=observed)


def rule_failed(rule_id: str, cause: str) -> Finding:
    """Return what is to be said of a rule that threw."""
    return Finding(
        rule_id=RULE_FAILED,
        rule_version=1,
        subject=Subject("rule", rule_id),
        severity=Severity.WARNING,
        observed=Observed("rule_failed", 1.0, "rules", 0.0, 1),
        threshold=Threshold(">=", 1.0, 0.0, 0.0),
        recommended=Recommended("none"),
        evidence={"cause": cause[:500]},
    )


def replay(rule: Rule, snapshots: Sequence[Snapshot]) -> list[Firing]:
    """Return what this rule would have raised over these minutes, in the order of the raises.

    A rule that throws raises that: whoever tests it should know.
    """
    wires = Tripwires([rule._replace(enabled=True)])
    open_now: dict[Key, Firing] = {}
    fired: list[Firing] = []
    for end in range(1, len(snapshots) + 1):
        at = snapshots[end - 1].at_ns
        for found in wires.look(Past(snapshots, end)):
            key = (found.rule_id, found.subject)
            before = open_now.pop(key, None)
            if found.severity is None:
                fired += [] if before is None else [before._replace(cleared_ns=at)]
                continue
            value = found.observed.value
            if before is None:
                before = Firing(*key, found.severity, at, None, value)
            peak = max(before.peak, value)
            open_now[key] = before._replace(severity=found.severity, peak=peak)
    return sorted([*fired, *open_now.values()], key=lambda firing: firing.raised_ns)
