"""What operators send. Each change carries its reason: the audit log keeps it for ever."""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from app.domain.anomaly import AnomalyState
from app.web.clients.queries import DATE, TIME, BrokerName, Cursor
from app.web.clients.schemas import Asked, Name, Number, Words

REASON_MIN: Final = 5
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=REASON_MIN, max_length=500),
    Field(
        description="Why: it is kept for ever. The blanks around it do not count.",
        examples=["the desk asked, OPS-12"],
        json_schema_extra={"pattern": rf"\S[\s\S]{{{REASON_MIN - 2},}}\S"},
    ),
]
# A day: what is meant to last longer is not an override.
Ttl = Annotated[int, Field(ge=1, le=86_400, description="Seconds until it reverts by itself.")]
Instant = Annotated[
    str,
    StringConstraints(pattern=rf"^{DATE}T{TIME}(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"),
    Field(description="RFC 3339, with its zone.", examples=["2026-11-23T14:30:00.000Z"]),
]


class Reasoned(Asked):
    """A change without parameters."""

    reason: Reason


Rate = Annotated[int, Field(ge=1, description="Messages a second, cluster-wide.")]


class RateChange(Asked):
    """A merge patch: what is absent stays, what is null goes back to what it is by itself."""

    tps: Rate | None = Field(
        None, description="The number; null is the schedule's again.", examples=[300]
    )
    mode: Literal["manual", "advise", "adaptive"] | None = Field(
        None, description="Whether the gateway turns the rate below the number."
    )
    floor: Rate | None = Field(None, description="It turns no lower; null is a tenth.")
    ceiling: Rate | None = Field(None, description="It turns no higher; null is the number.")
    target_ms: int | None = Field(
        None, ge=10, le=60_000, description="An answer that takes longer is late."
    )
    ramp_s: int | None = Field(
        None, ge=0, le=600, description="A higher number is climbed to for so long."
    )
    ttl_s: Ttl | None = None
    revert_to: Rate | None = Field(
        None, description="The number after ttl_s; without it, the one that stands now."
    )
    reason: Reason


class EdgeAsked(Asked):
    """From an instant of each session on, a number."""

    at: str = Field(max_length=32, examples=["open-60m", "open", "open+10m", "close-5m"])
    tps: Rate


class ScheduleChange(Asked):
    """The whole profile: a broker's limit that moves with the clock."""

    schedule: list[EdgeAsked] = Field(min_length=1, max_length=24)
    ttl_s: Ttl | None = None
    reason: Reason


class BreakerChange(Asked):
    """What rules the breaker: itself, or a person."""

    mode: Literal["auto", "forced_open", "forced_closed", "metrics_only"]
    ttl_s: Ttl | None = None
    reason: Reason


class DispatchChange(Asked):
    """Whether orders leave for this broker; cancels do in any case.

    paused is a drain: nothing new is claimed, what was claimed leaves and is answered. So there is
    no third state. It is drained when its lane has none in flight; a halt stops what is claimed.
    """

    state: Literal["running", "paused"]
    ttl_s: Ttl | None = None
    reason: Reason


# A symbol may have a slash.
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]
Scope = Literal["all", "route", "broker", "account", "symbol"]


class HaltChange(Asked):
    """What to stop, or to start again; `id` names it, unless it is all."""

    scope: Scope = Field(examples=["broker"])
    id: Target | None = Field(None, examples=["south"])
    reason: Reason


class KillAsked(Asked):
    """What to stop and to cancel: the firm (all), or what `id` names."""

    scope: Literal["all", "broker", "account", "symbol"]
    id: Target | None = None
    request_id: str = Field(
        pattern=r"^[A-Za-z0-9._:-]{1,64}$",
        description="Sent again, the kill goes on and touches no order placed since.",
    )
    reason: Reason


class PolicyChange(Asked):
    """A merge patch: what is absent stays as it is."""

    automation: Literal["off", "advise", "auto"] | None = Field(None, examples=["advise"])
    candidates: list[BrokerName] | None = Field(
        None,
        max_length=16,
        description="Who may take the route's orders; the first is its home.",
        examples=[["south", "north"]],
    )
    confirm_s: int | None = Field(None, ge=2, le=300, description="Bad for so long.")
    cooldown_s: int | None = Field(None, ge=10, le=86_400, description="Between two switches.")
    failback: Literal["manual", "auto"] | None = None
    trust_external: bool | None = Field(
        None, description="A critical alert of another system is a witness."
    )
    ttl_s: Ttl | None = None
    reason: Reason


class RouteLocked(Asked):
    """Nothing but a forced failover moves the route for so long."""

    ttl_s: Ttl
    reason: Reason


Epoch = Annotated[int, Field(ge=1, description="The route's epoch, as you saw it.")]


class FailoverWanted(Asked):
    """Where to, and whether in spite of everything."""

    to: BrokerName = Field(examples=["north"])
    kind: Literal["planned", "forced"] = "planned"
    expected_epoch: Epoch
    reason: Reason


class FailbackWanted(Asked):
    """The way home."""

    expected_epoch: Epoch
    reason: Reason


class DrillWanted(Asked):
    """Whose broker to make ill, how, and for how long."""

    route: BrokerName = Field(
        description="Its active broker is the one; it must be simulated.", examples=["XNAS"]
    )
    fault: Literal["dies", "refuses", "hangs", "swallows", "errs"] = "dies"
    fraction: float = Field(1.0, gt=0, le=1, description="The share of requests that meet it.")
    duration_s: int = Field(30, ge=5, le=600, description="Then the broker is well by itself.")
    allow_live: bool = Field(False, description="Also while the route's market is open.")
    reason: Reason


class Resolution(Asked):
    """A person's word on a doubt, and what it rests on."""

    attempt_id: Name = Field(
        description="The broker_order_key of the attempt in doubt.",
        examples=["01KJRZ3VH0S3H6Q1M2N4P5R6T7-01"],
    )
    verdict: Literal["not_received", "accepted", "rejected", "canceled", "filled"]
    price: Number | None = Field(None, description="For filled: tag 6.")
    broker_order_id: Words | None = Field(None, min_length=1, description="Tag 198.")
    evidence: Reason
    reason: Reason


class BellsMoved(Asked):
    """When a session opens and closes; the same instant twice is a closed day."""

    opens_at: Instant
    closes_at: Instant
    ttl_s: Ttl | None = None
    reason: Reason


class PauseAsked(Asked):
    """Hold a session's release back, for good or for a time."""

    ttl_s: Ttl | None = None
    reason: Reason


SubjectName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}/[A-Za-z0-9._:-]{1,64}$"),
    Field(description="Whom it is about, such as route/XNYS.", examples=["broker/north"]),
]


class AnomalyRaised(Asked):
    """Trouble that a person sees, or a drill."""

    name: str = Field("raised", pattern=r"^[a-z0-9_.-]{1,64}$", description="After `manual.`.")
    subject: SubjectName
    severity: Literal["warning", "critical"] = "warning"
    drill: bool = False
    ttl_s: Ttl = 3_600
    reason: Reason


class Silenced(Asked):
    """For how long nobody is to be told."""

    ttl_s: Ttl
    reason: Reason


RULE: Final[JsonDict] = {
    "rule_id": "broker.error_rate",
    "warning": {"raise_at": 0.3, "window_s": 10, "for_s": 0},
}


class RuleChange(Asked):
    """A whole rule, as `GET` shows it."""

    document: dict[str, Any] = Field(examples=[RULE])
    ttl_s: Ttl | None = None
    reason: Reason


class RuleTried(Asked):
    """A rule to try; without a document, the one in force."""

    document: dict[str, Any] | None = None


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preview(_Query):
    """With `dry_run`, nothing changes: the answer says what would."""

    dry_run: bool = False


class Undo(_Query):
    """Which change to take back."""

    audit_id: int = Field(ge=1, le=2**62)


class AnomaliesAsked(_Query):
    """Which anomalies, and from where on."""

    state: AnomalyState | None = None
    cursor: Cursor | None = None
    limit: int = Field(100, ge=1, le=1_000)


class FailoversAsked(_Query):
    """What began since then, and whatever goes on."""

    route_id: str | None = Field(None, max_length=64)
    hours: int = Field(24, ge=1, le=24 * 400)


class DrillsAsked(_Query):
    """What began since then."""

    hours: int = Field(24, ge=1, le=24 * 400)
