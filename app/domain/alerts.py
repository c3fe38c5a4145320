"""What other systems alarm about, in our words: evidence beside our own rules, and no more.

An alert of somebody else becomes a finding of the rule `external.<its name>`. It recommends
nothing, for we do not know what was measured. The trap is its silence: who sends alerts may
leave some out, or die, so only the word "resolved" resolves.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from app.domain.anomaly import Finding, Observed, Recommended, Severity, Subject, Threshold

RULES: Final = "external."
# Whoever sends it says when it is over; one that is a day old with no other word is stale.
VALID_S: Final = 86_400.0
SHOWN_MAX: Final = 5
_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_NAME_MAX: Final = 64


class OutsideAlert(NamedTuple):
    """One alert of another system; (source, fingerprint, starts_at) is one time that it fired."""

    source: str
    fingerprint: str
    starts_at: int
    firing: bool
    name: str
    subject: Subject
    severity: Severity
    summary: str
    labels: Mapping[str, str]
    drill: bool = False

    @property
    def rule_id(self) -> str:
        return RULES + (_STRANGE.sub("_", self.name)[:_NAME_MAX] or "unnamed")


def finding_of(rule_id: str, subject: Subject, firing: Sequence[OutsideAlert]) -> Finding:
    """Return what all alerts of one name and subject say together; none fires: it is over."""
    loud = any(alert.severity is Severity.CRITICAL for alert in firing)
    severity = Severity.CRITICAL if loud else Severity.WARNING
    shown = sorted(firing, key=lambda alert: -alert.starts_at)[:SHOWN_MAX]
    return Finding(
        rule_id=rule_id,
        rule_version=1,
        subject=subject,
        severity=severity if firing else None,
        observed=Observed("alerts", float(len(firing)), "alerts", 0.0, len(firing)),
        threshold=Threshold(">=", 1.0, 0.0, 0.0),
        recommended=Recommended("none", None, 0.0),
        evidence={"alerts": [_shown(alert) for alert in shown]} if firing else {},
        valid_for_s=VALID_S,
        drill=bool(firing) and all(alert.drill for alert in firing),
    )


def _shown(alert: OutsideAlert) -> dict[str, object]:
    return {
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "summary": alert.summary,
        "labels": dict(alert.labels),
    }
