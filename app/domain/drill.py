"""A drill in words: which fault, on whom, for how long, and how its times are told.

    detected ─► decided ─► fenced ─► first accepted      in seconds from the first failing answer

What a drill causes is marked as its own, also for a while after it: the alarms of a broker that
is well again last as long as their windows. Everything that it causes shares one incident. The
trap is a drill that hides trouble: it marks what openbell finds of its route and its broker, and
nothing that stood open before it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from app.domain.anomaly import Subject
from app.domain.failover import ENDED, Failover, FailoverState
from app.domain.values import rfc3339

# Rules clear a minute or two after their cause (`diagnostics/shipped.py`).
ECHO_MS: Final = 120_000
# Decided, fenced and taken by the other broker: what a switch promises, with room for a slow one.
PATIENCE_MS: Final = 60_000
# A failover's own steps that are timed, under the names by which people know them.
TIMED: Final[Mapping[str, FailoverState]] = {
    "detected": FailoverState.SUSPECTED,
    "decided": FailoverState.CONFIRMED,
    "fenced": FailoverState.FENCING,
}
# Our own reasons to send nothing, once we know: the first failing answer came before them.
OURS: Final = ("circuit open", "the claim", "claimed under", "the lease", "the route", "halted")


class DrillFault(StrEnum):
    """What the broker does from one moment on."""

    DIES = "dies"  # connections end unanswered
    REFUSES = "refuses"  # no connection
    HANGS = "hangs"  # no answer
    SWALLOWS = "swallows"  # it takes orders and says nothing
    ERRS = "errs"  # 503


class DrillState(StrEnum):
    """How it stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"  # the other broker took an order
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class Drill(NamedTuple):
    """One rehearsal; instants in milliseconds since 1970 UTC."""

    drill_id: str
    route_id: str
    broker_id: str  # who was made ill
    fault: DrillFault
    fraction: float
    duration_s: int
    started_at: int
    started_by: str
    reason: str
    interrupted_at: int | None = None

    @property
    def incident_id(self) -> str:
        """What all that it causes is called by."""
        return f"in_{self.drill_id.removeprefix('dr_')}"

    @property
    def version(self) -> int:
        """What its end must name: a drill changes once, when somebody ends it."""
        return 1 if self.interrupted_at is None else 2

    @property
    def until(self) -> int:
        """When the fault ends."""
        over = self.started_at + self.duration_s * 1_000
        return over if self.interrupted_at is None else min(over, self.interrupted_at)

    @property
    def marks_until(self) -> int:
        return self.until + ECHO_MS

    def is_of(self, subject: Subject) -> bool:
        return subject in {Subject("broker", self.broker_id), Subject("route", self.route_id)}


class Drilled(NamedTuple):
    """What the ledger knows of it afterwards."""

    failover: Failover | None
    failed_at: int | None  # the first failing answer
    accepted_at: int | None  # the first order that the other broker took


def state_of(drill: Drill, found: Drilled, now: int) -> DrillState:
    if found.accepted_at is not None:
        return DrillState.SUCCEEDED
    if drill.interrupted_at is not None:
        return DrillState.INTERRUPTED
    going_on = found.failover is not None and found.failover.state not in ENDED
    patience = PATIENCE_MS if going_on or found.failover is None else 0
    return DrillState.RUNNING if now <= drill.until + patience else DrillState.FAILED


def times(found: Drilled) -> dict[str, float | None]:
    """Return each step in seconds from the first failing answer; None: it has not come to that."""
    steps = () if found.failover is None else found.failover.steps
    at: dict[str, int | None] = {
        name: min((s.at for s in steps if s.state is state), default=None)
        for name, state in TIMED.items()
    }
    at["first_accepted"] = found.accepted_at
    return {name: _seconds(found.failed_at, instant) for name, instant in at.items()}


def _seconds(since: int | None, until: int | None) -> float | None:
    return None if since is None or until is None else (until - since) / 1_000


def report(drill: Drill, found: Drilled, now: int) -> dict[str, Any]:
    """Return what a drill came to, as plain JSON values."""
    failover = found.failover
    return {
        **drill._asdict(),
        "fault": drill.fault.value,
        "state": state_of(drill, found, now).value,
        "started_at": rfc3339(drill.started_at),
        "ends_at": rfc3339(drill.until),
        "interrupted_at": None if drill.interrupted_at is None else rfc3339(drill.interrupted_at),
        "incident_id": drill.incident_id,
        "first_failing_answer_s": _seconds(drill.started_at, found.failed_at),
        "times_s": times(found),
        "failover": failover
        and {
            "failover_id": failover.failover_id,
            "state": failover.state.value,
            "to_broker": failover.to_broker,
            "held_by": list(failover.held_by),
            "moved": failover.moved,
            "pinned": failover.pinned,
        },
    }
