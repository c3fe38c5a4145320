"""What operators are told of routes, failovers, drills and halts, as OpenAPI describes it.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from pydantic import Field

from app.web.told import At, AuditId, BrokerId, Person, RouteId, SessionId, Told, Version, Why


class StepTold(Told):
    """When a failover came so far."""

    state: str
    at: At


class FailoverTold(Told):
    """One failover of one route."""

    failover_id: str = Field(examples=["fo_01J00000000000000000000000"])
    incident_id: str
    route_id: RouteId
    kind: str = Field(examples=["planned"])
    state: str = Field(examples=["done"])
    from_broker: BrokerId
    to_broker: BrokerId | None
    epoch: int
    reason: Why
    held_by: list[str]
    witnesses: list[str]
    steps: list[StepTold]
    moved: int = Field(description="Orders that had never been sent.")
    pinned: int = Field(description="Orders that stay at the old broker, in doubt.")
    drill: bool
    at: At
    trading_session_id: SessionId | None
    by: Person
    acknowledged_by: Person | None
    acknowledged_at: At | None
    version: Version


class FailoversTold(Told):
    """Failovers, the latest first."""

    data: list[FailoverTold]


class PolicyTold(Told):
    """Who may move a route, and when."""

    route_id: RouteId
    version: Version
    automation: str = Field(examples=["auto"])
    candidates: list[BrokerId]
    confirm_s: int
    cooldown_s: int
    failback: str = Field(examples=["manual"])
    trust_external: bool
    changed_by: Person
    changed_at: At
    reason: Why
    expires_at: At | None
    reverts_to: str | None = Field(description="JSON of what comes back then.")


class LockTold(Told):
    """Until when nothing but a forced failover moves the route."""

    until: At
    locked_by: Person
    reason: Why


class RouteTold(Told):
    """One route: where it leads, who may move it, what goes on."""

    route_id: RouteId
    active_broker: BrokerId
    epoch: int
    policy: PolicyTold
    lock: LockTold | None
    failover: FailoverTold | None


class RouteChangedTold(RouteTold):
    """A route as a change has left it, and how to take the change back."""

    audit_id: AuditId | None
    undo_url: str = Field(examples=["/admin/v1/routes/XNAS/undo?audit_id=17"])


class RoutesTold(Told):
    """Every route."""

    data: list[RouteTold]


class PrecheckTold(Told):
    """One thing that must be so, or should."""

    name: str
    passed: bool
    required: bool
    detail: str


class SwitchPreviewTold(Told):
    """Whether a route could be switched: a dry run."""

    dry_run: bool = Field(examples=[True])
    would_switch: bool
    prechecks: list[PrecheckTold]


class DrillFailoverTold(Told):
    """What openbell did in a drill."""

    failover_id: str
    state: str
    to_broker: BrokerId | None
    held_by: list[str]
    moved: int
    pinned: int


class DrillTold(Told):
    """What a drill came to, so far."""

    drill_id: str = Field(examples=["dr_01J00000000000000000000000"])
    route_id: RouteId
    broker_id: BrokerId
    fault: str = Field(examples=["dies"])
    fraction: float
    duration_s: int
    started_at: At
    started_by: Person
    reason: Why
    interrupted_at: At | None
    version: Version
    state: str = Field(examples=["succeeded"])
    ends_at: At
    incident_id: str
    first_failing_answer_s: float | None
    times_s: dict[str, float | None] = Field(description="From the first failing answer.")
    failover: DrillFailoverTold | None


class DrillsTold(Told):
    """Drills, the latest first."""

    data: list[DrillTold]


class HaltTold(Told):
    """One halt in force."""

    scope: str = Field(examples=["broker"])
    target: str = Field(examples=["north"])
    halted_by: Person
    halted_at: At
    reason: Why
    version: Version


class CoveredTold(Told):
    """How many waiting orders a halt would stop, or its end let go: a dry run."""

    dry_run: bool = Field(examples=[True])
    scope: str = Field(examples=["broker"])
    target: str = Field(examples=["north"])
    orders_affected: int


class HaltsTold(Told):
    """The halts in force."""

    data: list[HaltTold]


class ResumedTold(Told):
    """A halt that is over."""

    scope: str = Field(examples=["broker"])
    target: str = Field(examples=["north"])
    resumed_by: Person
