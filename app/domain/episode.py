"""How an anomaly opens, goes on and ends, one finding at a time.

    nothing ── a severity ──► open ── the same again ──► open, told now and then
                               │ └── a louder one ──► escalated, at once
                               └── no severity ──► resolved

Severity only rises until the end: what was critical once is not talked down by a quiet second.
The trap is a drill that hides trouble: a drill never quiets or ends what is real, and real
trouble makes of a drill's anomaly a real one.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from app.domain.anomaly import (
    Anomaly,
    AnomalyState,
    AnomalyStep,
    Finding,
    Severity,
    Subject,
)
from app.domain.records import Route
from app.domain.values import ulid

# People and programs read it; ten seconds is as often as either has a use for.
TOLD_EVERY_MS: Final = 10_000
# What one broker's death causes shows within two minutes; later it is another story.
INCIDENT_MS: Final = 120_000
_LOUDNESS: Final = {Severity.WARNING: 0, Severity.CRITICAL: 1}
assert set(_LOUDNESS) == set(Severity), "every severity has its place"


class Place(NamedTuple):
    """Where a subject stands in the gateway at this moment."""

    route_id: str | None = None
    route_epoch: int | None = None
    trading_session_id: str | None = None
    phase: str | None = None


class Turn(NamedTuple):
    """An anomaly after a finding; without a step nobody needs to be told."""

    anomaly: Anomaly
    step: AnomalyStep | None


def opened(finding: Finding, place: Place, incident_id: str, random80: int, now: int) -> Anomaly:
    """Return the anomaly of which this is the first finding."""
    assert finding.severity is not None, "nothing opens when all is well"
    return Anomaly(
        anomaly_id=f"an_{ulid(now, random80)}",
        incident_id=incident_id,
        rule_id=finding.rule_id,
        rule_version=finding.rule_version,
        state=AnomalyState.OPEN,
        severity=finding.severity,
        subject=finding.subject,
        route_id=place.route_id,
        trading_session_id=place.trading_session_id,
        phase=place.phase,
        observed=finding.observed,
        threshold=finding.threshold,
        recommended=finding.recommended,
        evidence=dict(finding.evidence),
        opened_at=now,
        updated_at=now,
        resolved_at=None,
        valid_until=_valid_until(finding, now),
        occurrences=1,
        route_epoch=place.route_epoch,
        drill=finding.drill,
    )


def followed(standing: Anomaly, finding: Finding, told_at: int, now: int) -> Turn | None:
    """Return what this finding makes of an open anomaly; None if it has no say in it."""
    assert standing.state is AnomalyState.OPEN, "what is over opens anew"
    if finding.drill and not standing.drill:
        return None
    severity = finding.severity
    seen = standing._replace(
        rule_version=finding.rule_version,
        observed=finding.observed,
        threshold=finding.threshold,
        # What is well again has nothing to show; how it was is worth keeping.
        evidence=dict(finding.evidence or standing.evidence),
        updated_at=now,
        valid_until=_valid_until(finding, now),
    )
    if severity is None:
        ended = seen._replace(state=AnomalyState.RESOLVED, resolved_at=now)
        return Turn(ended, AnomalyStep.RESOLVED)
    louder = _LOUDNESS[severity] > _LOUDNESS[standing.severity]
    turns_real = standing.drill and not finding.drill
    seen = seen._replace(
        severity=severity if louder else standing.severity,
        recommended=finding.recommended,
        occurrences=standing.occurrences + 1,
        drill=finding.drill,
    )
    if louder or turns_real:
        return Turn(seen, AnomalyStep.ESCALATED)
    return Turn(seen, AnomalyStep.UPDATED if now - told_at >= TOLD_EVERY_MS else None)


def over(standing: Anomaly) -> Finding:
    """Return the finding by which a person ends an anomaly: all is well."""
    return Finding(
        rule_id=standing.rule_id,
        rule_version=standing.rule_version,
        subject=standing.subject,
        severity=None,
        observed=standing.observed,
        threshold=standing.threshold,
        recommended=standing.recommended,
        evidence={},
        drill=standing.drill,
    )


def served(subject: Subject, routes: Iterable[Route]) -> list[Route]:
    """Return the routes that this subject is, or serves now."""
    if subject.kind == "route":
        return [route for route in routes if route.route_id == subject.id]
    if subject.kind == "broker":
        return [route for route in routes if route.active_broker == subject.id]
    return []


def incident_of(
    finding: Finding, standing: Iterable[Anomaly], routes: Iterable[Route], now: int
) -> str | None:
    """Return the incident that this new trouble belongs to; None: it is one of its own.

    Of those that go on and opened lately, the oldest on the same subject or route.
    """
    routes = list(routes)
    names = _names(finding.subject, routes)
    related = [
        anomaly
        for anomaly in standing
        if anomaly.drill == finding.drill
        and now - anomaly.opened_at <= INCIDENT_MS
        and names & (_names(anomaly.subject, routes) | {f"route/{anomaly.route_id}"})
    ]
    return min(related, key=lambda a: a.opened_at).incident_id if related else None


def _names(subject: Subject, routes: Iterable[Route]) -> set[str]:
    return {str(subject)} | {f"route/{route.route_id}" for route in served(subject, routes)}


def _valid_until(finding: Finding, now: int) -> int:
    return now + round(finding.valid_for_s * 1000)
