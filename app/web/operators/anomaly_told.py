"""What operators and senders of alerts are told of anomalies and rules, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from typing import Any

from pydantic import ConfigDict, Field

from app.web.told import At, AuditId, Person, RouteId, SessionId, Told, Version, Why


class RuleNamed(Told):
    """Which rule has found it."""

    id: str = Field(examples=["broker.error_rate"])
    version: int


class SubjectTold(Told):
    """Whom it is about."""

    kind: str = Field(examples=["broker"])
    id: str = Field(examples=["north"])
    route: RouteId | None


class PhaseTold(Told):
    """In which part of which session."""

    trading_session_id: SessionId
    phase: str | None


class ObservedTold(Told):
    """What was measured."""

    metric: str
    value: float
    unit: str
    window_s: float
    sample: int


class ThresholdTold(Told):
    """What it was held against."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    op: str = Field(examples=[">="])
    raise_at: float = Field(alias="raise")
    clear_at: float = Field(alias="clear")
    for_s: float


class RecommendedTold(Told):
    """What would help."""

    action: str = Field(examples=["lower_rate"])
    target: str | None
    confidence: float


class AnomalyTold(Told):
    """One anomaly."""

    anomaly_id: str = Field(examples=["an_01J00000000000000000000000"])
    incident_id: str
    rule: RuleNamed
    state: str = Field(examples=["open"])
    severity: str = Field(examples=["warning"])
    subject: SubjectTold
    session: PhaseTold | None
    observed: ObservedTold
    threshold: ThresholdTold
    evidence: dict[str, Any]
    opened_at: At
    updated_at: At
    resolved_at: At | None
    valid_until: At
    occurrences: int
    recommended: RecommendedTold
    route_epoch: int | None
    drill: bool
    acknowledged_by: Person | None
    acknowledged_at: At | None
    silenced_until: At | None
    version: Version


class AnomaliesTold(Told):
    """One page, the newest first."""

    data: list[AnomalyTold]
    has_more: bool
    next_cursor: str | None


class RuleTold(Told):
    """One rule as it is in force."""

    rule_id: str = Field(examples=["broker.error_rate"])
    version: Version
    document: dict[str, Any]
    shipped: bool
    changed_by: Person
    changed_at: At | None
    reason: Why
    expires_at: At | None
    reverts_to: str | None = Field(description="JSON of what comes back then.")


class RuleChangedTold(RuleTold):
    """A rule as a change has left it, and how to take the change back."""

    audit_id: AuditId | None
    undo_url: str = Field(examples=["/admin/v1/anomaly-rules/broker.error_rate/undo?audit_id=17"])


class RulesTold(Told):
    """Every rule."""

    data: list[RuleTold]


class FiringTold(Told):
    """When a rule would have raised."""

    rule_id: str
    subject: str
    severity: str
    raised_at: At
    cleared_at: At | None
    peak: float


class RuleTriedTold(Told):
    """How often a rule would have raised in the last minutes."""

    fired: int | None
    seconds: float | None
    firings: list[FiringTold]
    why_not: str | None


class TakenTold(Told):
    """How many reports were taken."""

    taken: int


class HeardTold(Told):
    """How many alerts came, and how many are new."""

    taken: int
    new: int
