"""The words of a change of course: who may change a route's broker, and how far a change is.

A failover is one episode of one route: from the moment when its broker's trouble is confirmed to
the moment when the course is steady again, whether or not anything was switched. Its steps are
its history, its number counts what was told of it, and whoever writes the next number first has
written it. Up to the fence everything can be taken back; from there on only another failover can.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from app.domain.reverting import Spell
from app.domain.values import rfc3339

# The lease row of whoever decides by itself: one leader for all routes.
LEADER: Final = "role:failover"
OPENBELL: Final = "openbell"  # who acted, where no person did


class Automation(StrEnum):
    """How much openbell may do to a route by itself."""

    OFF = "off"
    ADVISE = "advise"
    AUTO = "auto"


class Failback(StrEnum):
    """Whether a route goes home by itself once its first broker is well again."""

    MANUAL = "manual"
    AUTO = "auto"


class FailoverKind(StrEnum):
    """Who wanted it: openbell, a person, a person in spite of all, or the way home."""

    AUTO = "auto"
    PLANNED = "planned"
    FORCED = "forced"
    FAILBACK = "failback"


class FailoverState(StrEnum):
    """How far a failover has come: the last word but one of its events' `ce_type`."""

    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    HELD = "held"
    PREPARED = "prepared"
    FENCING = "fencing"
    DRAINING = "draining"
    RAMPING = "ramping"
    DONE = "done"
    ABORTED = "aborted"
    HALTED = "halted"


ENDED: Final = frozenset({FailoverState.DONE, FailoverState.ABORTED})


class RouteLock(NamedTuple):
    """Nothing but a forced failover moves the route before then."""

    until: int
    locked_by: str
    reason: str


class RoutePolicy(NamedTuple):
    """What may be done to a route by itself. `version` is its ETag; 0 was never set."""

    route_id: str
    version: int = 0
    automation: Automation = Automation.AUTO
    # Who may take the route's orders, the one that it should be at first. Nobody can know that
    # two brokers have the same accounts and markets, so until a person says so nothing moves.
    candidates: tuple[str, ...] = ()
    confirm_s: int = 8
    cooldown_s: int = 60
    failback: Failback = Failback.MANUAL
    trust_external: bool = False
    lock: RouteLock | None = None
    changed_by: str = "settings"
    changed_at: int = 0
    reason: str = "first start"
    expires_at: int | None = None
    reverts_to: str | None = None  # JSON of what `expires_at` brings back, name by name

    def with_terms(self, terms: Mapping[str, Any]) -> "RoutePolicy":
        """Return it with these terms, each by its name, as JSON has them."""
        after = self._replace(**terms)
        return after._replace(
            automation=Automation(after.automation),
            failback=Failback(after.failback),
            candidates=tuple(dict.fromkeys(after.candidates)),
        )

    def ended(self, now: int) -> "RoutePolicy":
        """Return what it is by now: when its time is over, what stood before."""
        spell = Spell(self.expires_at, self.reverts_to)
        if not spell.is_over(now):
            return self
        return self.with_terms(spell.back)._replace(expires_at=None, reverts_to=None)

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> "RoutePolicy":
        """Read JSON of this version, of an older one, or of a newer one that knows more."""
        known = {name: value for name, value in fields.items() if name in cls._fields}
        lock = known["lock"]
        policy = cls(**known)._replace(lock=None if lock is None else RouteLock(*lock))
        return policy.with_terms({})

    def locked(self, now: int) -> RouteLock | None:
        """Return the lock that is in force."""
        return self.lock if self.lock is not None and self.lock.until > now else None


class Leader(NamedTuple):
    """Who decides by itself, under which lease: every write of it is conditional on that."""

    holder: str
    epoch: int


class FailoverStep(NamedTuple):
    """When a failover came into a state."""

    state: FailoverState
    at: int


class Failover(NamedTuple):
    """One episode of one route; instants in milliseconds since 1970 UTC."""

    failover_id: str
    incident_id: str
    route_id: str
    kind: FailoverKind
    state: FailoverState
    from_broker: str
    to_broker: str | None  # None while there is nobody to go to
    epoch: int  # the route's, as this failover last saw or made it
    reason: str
    steps: tuple[FailoverStep, ...]
    by: str  # who made the last step
    number: int = 1  # what was told of it so far
    held_by: tuple[str, ...] = ()
    witnesses: tuple[str, ...] = ()
    trading_session_id: str | None = None
    moved: int = 0  # orders that had never been sent
    pinned: int = 0  # orders that stay at the old broker, in doubt
    drill: bool = False
    acknowledged_by: str | None = None
    acknowledged_at: int | None = None

    @property
    def version(self) -> int:
        """What a word on it must name: each step counts, and so does that it was read."""
        return self.number + (self.acknowledged_by is not None)

    @property
    def started_at(self) -> int:
        return self.steps[0].at

    @property
    def updated_at(self) -> int:
        return self.steps[-1].at

    @property
    def fenced_at(self) -> int | None:
        """When the route was led to the other broker; None: not yet, or never."""
        return next((s.at for s in self.steps if s.state is FailoverState.FENCING), None)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def came_to(self, *states: FailoverState, at: int, by: str = OPENBELL, **facts: Any) -> Self:
        """Return it some steps on, as one thing to tell; the state that it has is no step."""
        assert not self.has_ended, f"{self.failover_id} has ended"
        fresh = [s for s in states if s is not self.state]
        steps = (*self.steps, *(FailoverStep(s, at) for s in fresh))
        after = self._replace(state=states[-1], steps=steps, by=by, number=self.number + 1)
        return after._replace(**facts)


class Precheck(NamedTuple):
    """One question asked before a person's switch, and what was found."""

    name: str
    passed: bool
    required: bool  # else it is a warning
    detail: str


def told(failover: Failover) -> dict[str, object]:
    """Return what events show of it, as plain JSON values."""
    return {
        "failover_id": failover.failover_id,
        "incident_id": failover.incident_id,
        "route_id": failover.route_id,
        "kind": failover.kind.value,
        "state": failover.state.value,
        "from_broker": failover.from_broker,
        "to_broker": failover.to_broker,
        "epoch": failover.epoch,
        "reason": failover.reason,
        "held_by": list(failover.held_by),
        "witnesses": list(failover.witnesses),
        "steps": [{"state": s.state.value, "at": rfc3339(s.at)} for s in failover.steps],
        "moved": failover.moved,
        "pinned": failover.pinned,
        "drill": failover.drill,
        "at": rfc3339(failover.updated_at),
    }
