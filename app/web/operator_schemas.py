"""What operators send. Each change carries its reason: the audit log keeps it for ever."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.web.schemas import Asked, Name, Number, Words

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=500)]
# A day: what is meant to last longer is not an override.
Ttl = Annotated[int, Field(ge=1, le=86_400, description="Seconds until it reverts by itself.")]
Instant = Annotated[str, Field(description="RFC 3339, such as 2026-11-23T14:30:00.000Z.")]


class Reasoned(Asked):
    """A change without parameters."""

    reason: Reason


class RateChange(Asked):
    """How many messages a second, cluster-wide."""

    tps: int = Field(ge=1)
    ttl_s: Ttl | None = None
    reason: Reason


class BreakerChange(Asked):
    """What rules the breaker: itself, or a person."""

    mode: Literal["auto", "forced_open", "forced_closed", "metrics_only"]
    ttl_s: Ttl | None = None
    reason: Reason


class DispatchChange(Asked):
    """Whether orders leave for this broker; cancels do in any case."""

    state: Literal["running", "paused"]
    ttl_s: Ttl | None = None
    reason: Reason


# A symbol may have a slash.
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._:/-]{1,64}$")]
Scope = Literal["all", "route", "broker", "account", "symbol"]


class HaltChange(Asked):
    """What to stop, or to start again; `id` names it, unless it is all."""

    scope: Scope
    id: Target | None = None
    reason: Reason


class Resolution(Asked):
    """A person's word on a doubt, and what it rests on."""

    attempt_id: Name = Field(description="The broker_order_key of the attempt in doubt.")
    verdict: Literal["not_received", "accepted", "rejected", "canceled", "filled"]
    price: Number | None = Field(None, description="For filled: tag 6.")
    broker_order_id: Words | None = Field(None, min_length=1, description="Tag 198.")
    evidence: Reason
    reason: Reason


class BellsMoved(Asked):
    """When a session opens and closes; the same instant twice is a closed day."""

    opens_at: Instant
    closes_at: Instant
    reason: Reason


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Preview(_Query):
    """With `dry_run`, nothing changes: the answer says what would."""

    dry_run: bool = False


class Undo(_Query):
    """Which change to take back."""

    audit_id: int = Field(ge=1, le=2**62)


class AuditAsked(_Query):
    """Rows after this sequence, oldest first."""

    after: int = Field(0, ge=0, le=2**62)
    limit: int = Field(100, ge=1, le=1_000)
