"""Trouble in words: what a rule found, the anomaly that it opens, and how others are told.

An anomaly is one raise-to-clear of one rule on one subject; `anomaly_id` is what everybody who
hears of it twice goes by. An incident is what one episode is called by all that it touches: its
anomalies, the failover, the message to people. No account and no customer stands in any of it.
The trap is a fact that ages: whoever acts looks at `valid_until` first.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from app.domain.values import rfc3339


class Severity(StrEnum):
    """How loud. A warning is read in the morning, a critical one wakes somebody."""

    WARNING = "warning"
    CRITICAL = "critical"


class AnomalyState(StrEnum):
    """Whether it goes on."""

    OPEN = "open"
    RESOLVED = "resolved"


class AnomalyStep(StrEnum):
    """What an event about an anomaly says: the last word but one of its `ce_type`."""

    OPENED = "opened"
    ESCALATED = "escalated"
    UPDATED = "updated"
    RESOLVED = "resolved"


class Subject(NamedTuple):
    """Whom it is about: `broker/b1`, `route/us`, `gateway/outbox`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


class Observed(NamedTuple):
    """What was measured, over how long, from how many."""

    metric: str
    value: float
    unit: str
    window_s: float
    sample: int


class Threshold(NamedTuple):
    """What it was held against: it clears further down than it raises."""

    op: str  # >=, >, <=, <
    raise_at: float
    clear_at: float
    for_s: float


class Recommended(NamedTuple):
    """What would help, as far as a rule can know."""

    action: str  # failover, lower_rate, raise_tps, halt_route, reconcile, none
    target: str | None = None
    confidence: float = 1.0


class Finding(NamedTuple):
    """What one rule says of one subject at this moment; no severity: it is well again."""

    rule_id: str
    rule_version: int
    subject: Subject
    severity: Severity | None
    observed: Observed
    threshold: Threshold
    recommended: Recommended
    evidence: Mapping[str, object]
    valid_for_s: float = 30.0
    drill: bool = False


class Anomaly(NamedTuple):
    """One raise-to-clear of a rule on a subject; instants in milliseconds since 1970 UTC."""

    anomaly_id: str
    incident_id: str
    rule_id: str
    rule_version: int
    state: AnomalyState
    severity: Severity  # the worst that it was
    subject: Subject
    route_id: str | None  # which order book the subject serves now
    trading_session_id: str | None
    phase: str | None  # of that session
    observed: Observed
    threshold: Threshold
    recommended: Recommended
    evidence: Mapping[str, object]
    opened_at: int
    updated_at: int
    resolved_at: int | None
    valid_until: int
    occurrences: int  # findings that said so
    route_epoch: int | None
    drill: bool
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None
    silenced_until: int | None = None

    @property
    def version(self) -> int:
        """What a mark on it must name: whatever would change a person's mind, and no more.

        It is measured each second, and a version that moved with that could never be named. All
        of these facts only go one way, except for the last, which is here whole.
        """
        ended = self.state is AnomalyState.RESOLVED
        critical = self.severity is Severity.CRITICAL
        facts = (not self.drill, critical, ended, self.acknowledged_by is not None)
        marks = sum(fact << place for place, fact in enumerate(facts))
        return 1 + marks + ((self.silenced_until or 0) << len(facts))


def told(anomaly: Anomaly) -> dict[str, object]:
    """Return what events and doors show of it, as plain JSON values."""
    session = (
        None
        if anomaly.trading_session_id is None
        else {"trading_session_id": anomaly.trading_session_id, "phase": anomaly.phase}
    )
    subject = {"kind": anomaly.subject.kind, "id": anomaly.subject.id, "route": anomaly.route_id}
    threshold = anomaly.threshold
    return {
        "anomaly_id": anomaly.anomaly_id,
        "incident_id": anomaly.incident_id,
        "rule": {"id": anomaly.rule_id, "version": anomaly.rule_version},
        "state": anomaly.state.value,
        "severity": anomaly.severity.value,
        "subject": subject,
        "session": session,
        "observed": anomaly.observed._asdict(),
        "threshold": {
            "op": threshold.op,
            "raise": threshold.raise_at,
            "clear": threshold.clear_at,
            "for_s": threshold.for_s,
        },
        "evidence": dict(anomaly.evidence),
        "opened_at": rfc3339(anomaly.opened_at),
        "updated_at": rfc3339(anomaly.updated_at),
        "resolved_at": _instant(anomaly.resolved_at),
        "valid_until": rfc3339(anomaly.valid_until),
        "occurrences": anomaly.occurrences,
        "recommended": anomaly.recommended._asdict(),
        "route_epoch": anomaly.route_epoch,
        "drill": anomaly.drill,
        "acknowledged_by": anomaly.acknowledged_by,
        "acknowledged_at": _instant(anomaly.acknowledged_at),
        "silenced_until": _instant(anomaly.silenced_until),
    }


def _instant(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)
