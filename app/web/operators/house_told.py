"""What operators are told of doubts, plans, the audit log and the whole house.

As all models of replies they describe and read nothing: see `app/web/brokers/told.py`.
"""

from typing import Any

from pydantic import Field

from app.domain.values import Via
from app.web.brokers.told import ControlTold, LaneTold
from app.web.routes.course_told import HaltTold
from app.web.told import (
    AccountId,
    At,
    AuditId,
    BrokerId,
    OrderId,
    Person,
    RouteId,
    SessionId,
    SessionTold,
    Told,
    Tps,
    Version,
    Why,
)


class DoubtTold(Told):
    """One order that was sent and not answered."""

    order_id: OrderId
    attempt_id: str = Field(description="The broker_order_key of the attempt.")
    account_id: AccountId
    symbol: str = Field(description="Tag 55.", examples=["AAPL"])
    broker_id: BrokerId
    since: At
    age_s: int
    version: Version


class DoubtsTold(Told):
    """All of them, the oldest first."""

    data: list[DoubtTold]


class ProbeTold(Told):
    """What asking the broker has proved."""

    order_id: OrderId
    attempt_id: str
    proved: str
    audit_id: AuditId


class StretchTold(Told):
    """How fast from an instant on."""

    at: At
    tps: Tps
    source: str = Field(examples=["operator"])
    orders_per_second: float


class PlanLineTold(Told):
    """How long a broker takes."""

    broker_id: BrokerId
    route_id: RouteId
    backlog: int
    tps: Tps
    source: str = Field(examples=["operator"])
    schedule: list[StretchTold]
    expected_end: At | None
    will_miss_cut_off: int


class ConservationTold(Told):
    """Whether all that was accepted is still there."""

    accepted: int
    by_status: dict[str, int]
    open_attempts: int
    balanced: bool


class PlanTold(Told):
    """What a session's open will be like."""

    session: SessionTold
    backlog: int
    brokers: list[PlanLineTold]
    conservation: ConservationTold


class OverrideTold(Told):
    """A session's bells by an operator's word; lifted: the calendar rules again."""

    trading_session_id: SessionId
    version: Version
    opens_at: At | None
    closes_at: At | None
    changed_by: str = Field(examples=["mina"])
    reason: Why
    expires_at: At | None
    reverts_to: str | None = Field(description="JSON of what comes back then.")
    lifted_at: At | None


class OverrideChangedTold(OverrideTold):
    """An override as a change has left it, and how to take the change back."""

    audit_id: AuditId | None
    undo_url: str


class PauseTold(Told):
    """Whether a session's release is paused."""

    trading_session_id: SessionId
    version: Version
    paused: bool
    changed_by: str = Field(examples=["mina"])
    changed_at: At | None
    reason: Why
    expires_at: At | None


class ReleaseTold(SessionTold):
    """A session, and whether its release is paused."""

    release: PauseTold


class PauseChangedTold(PauseTold):
    """A pause as a change has left it, and what takes the change back."""

    undo_url: str


class PausePreviewTold(Told):
    """What a pause or its end would mean: a dry run."""

    dry_run: bool = Field(examples=[True])
    orders_affected: int
    paused: bool


class OverridesTold(Told):
    """Every session whose bells have been moved."""

    data: list[OverrideTold]


class RouteBriefly(Told):
    """Where a route leads."""

    route_id: RouteId
    active_broker: BrokerId
    epoch: int


class BacklogTold(Told):
    """What waits: reserved and held by session, ready by route, in doubt by broker."""

    reserved: dict[str, int]
    ready: dict[str, int]
    in_doubt: dict[str, int]
    outbox: int
    held: dict[str, int]


class OverviewTold(Told):
    """The house at one glance."""

    at: At
    draining: bool
    not_ready: list[str]
    keyring: str | None
    lanes: list[LaneTold]
    controls: list[ControlTold]
    routes: list[RouteBriefly]
    backlog: BacklogTold
    halts: list[HaltTold]
    sessions_open: list[SessionTold]
    sessions_next: list[SessionTold]


class AttemptTold(Told):
    """One attempt at an order."""

    broker_order_key: str = Field(description="It left as tag 11.")
    attempt_number: int
    broker_id: BrokerId
    claimed_at: At
    outcome: str = Field(examples=["accepted"])
    settled_by: str | None
    settled_at: At | None


class AttemptsTold(Told):
    """Every attempt at an order."""

    data: list[AttemptTold]


class AuditRowTold(Told):
    """Who did what, when and why."""

    sequence: AuditId
    at: At | int = Field(description="As it was sealed: milliseconds since 1970 UTC.")
    actor: Person
    action: str = Field(examples=["rate"])
    resource: str = Field(examples=["broker/north"])
    before: Any
    after: Any
    reason: Why
    request_id: str
    previous_hash: str
    hash: str
    via: Via | None = Field(
        description="By which door it came; auto: nobody asked. Null: not known yet, then.",
        examples=["console"],
    )
    ip: str | None = Field(description="From which address.", examples=["10.0.3.7"])


class AuditTold(Told):
    """Rows, oldest first."""

    data: list[AuditRowTold]
    has_more: bool
    next_after: int | None


class AuditVerifiedTold(Told):
    """Whether the chain of hashes holds."""

    intact: bool
    first_broken: int | None
    anchor: str | None = Field(description="What it was checked against: `sequence:hash`.")
    head: str | None = Field(description="The anchor of the next check; none in an empty log.")


class RebuiltTold(Told):
    """How many documents the view has."""

    documents: int
    audit_id: AuditId


class ViewVerifiedTold(Told):
    """Whether the view equals the ledger."""

    equal: bool
    differences: list[str]


class ViewLagTold(Told):
    """How far the account view is behind, and what stands between it and the ledger."""

    events_behind: int | None = Field(
        description="Events that it has not applied; null: the bus does not say.", examples=[0]
    )
    outbox: int = Field(description="Events that are not on the bus yet.", examples=[0])
    away: list[str] = Field(description="What did not answer: bus, view.", examples=[[]])


class SweepPreviewTold(Told):
    """What a mass cancel would touch: a dry run."""

    dry_run: bool = Field(examples=[True])
    orders_affected: int
    by_status: dict[str, int]
    selection_id: str


class OperatorSweptTold(Told):
    """What an operator's mass cancel did."""

    request_id: str
    canceled: int
    cancel_requested: int
    done: bool
    replayed: bool
    audit_id: AuditId
