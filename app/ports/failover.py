"""Who leads each route, how that changes, and how the change is rehearsed.

The trap it avoids: two controllers that both believe to be the leader.
"""

from typing import Protocol

from app.domain.capabilities import Capabilities
from app.domain.drill import Drill, Drilled, DrillFault
from app.domain.failover import Failover, FailoverKind, Leader, Precheck, RoutePolicy
from app.domain.records import Actor


class FailoverStore(Protocol):
    """Remembers who leads each route. Each change and the event that tells it are one commit.

    Whoever writes by himself names his lease, and one who has lost it writes nothing: `FenceLost`.
    A person's word needs none, and is audited.
    """

    async def policies(self) -> dict[str, RoutePolicy]:
        """Return the policy of each route, also of one for which none was ever set."""

    async def set_policy(
        self, wanted: RoutePolicy, expected_version: int, by: Actor
    ) -> RoutePolicy:
        """Store `wanted` as the next version, or raise `Refused` (not found, stale)."""

    async def failovers(self, since: int) -> list[Failover]:
        """Return what began since then, and whatever goes on, the latest first."""

    async def failover(self, failover_id: str) -> Failover | None: ...

    async def note_failover(self, failover: Failover, authority: Leader | Actor) -> None:
        """Store the next number of a failover, if it is the next: else `Refused` (stale, running).

        One goes on at a time on a route.
        """

    async def fence(
        self, failover: Failover, expected_epoch: int, authority: Leader | Actor
    ) -> Failover:
        """Lead the route to `to_broker` under the next epoch, noting the failover in the same step.

        Raises `Refused(STALE_EPOCH)` if the route is elsewhere by now. No claim under the old
        epoch commits after this.
        """

    async def acknowledge_failover(
        self, failover_id: str, by: Actor, seen: int | None = None
    ) -> Failover:
        """Note that somebody has read it, audited; or raise `Refused` (not found, stale)."""

    async def misfits(self, route_id: str, able: Capabilities) -> dict[str, int]:
        """Count the waiting orders of a route that such a broker cannot take, by what it lacks."""

    async def left_behind(self, route_id: str, broker_id: str) -> tuple[int, int]:
        """Return how many of a route's attempts at a broker are unanswered, how many in doubt."""


class DrillStore(Protocol):
    """Remembers what was rehearsed. What a drill causes is marked by whoever notes it."""

    async def start_drill(self, drill: Drill, by: Actor) -> None:
        """Put it down, audited; or raise `Refused(DRILL_RUNNING)`: one a route, one a broker."""

    async def end_drill(self, drill_id: str, by: Actor, seen: int | None = None) -> Drill:
        """Note that it ends now, audited; one that is over stays as it is; or `Refused`."""

    async def drills(self, since: int) -> list[Drill]:
        """Return those that began since then, the latest first."""

    async def drill(self, drill_id: str) -> Drill | None: ...

    async def drilled(self, drill: Drill) -> Drilled:
        """Return what the record shows of it: its failover, and the instants that are timed."""


class FaultLine(Protocol):
    """Makes one simulated broker ill. `OSError`: it is not there, or it is no simulator."""

    async def infect(self, fault: DrillFault, fraction: float, for_s: float) -> None:
        """Let it misbehave; it gets well after `for_s` by itself, whatever becomes of us."""

    async def heal(self) -> None:
        """Let it be well now."""


class Rehearsals(Protocol):
    """Drills in a person's hand. Every call is checked, audited, and refused by `Refused`."""

    async def start(self, wanted: Drill, by: Actor, *, allow_live: bool) -> Drill:
        """Make the route's active broker ill; `wanted` names no id, broker or time yet."""

    async def end(self, drill_id: str, by: Actor, seen: int | None = None) -> Drill:
        """Let the broker be well before the time; refused (stale) if somebody has by now."""

    async def drills(self, since: int) -> list[Drill]: ...

    async def report(self, drill_id: str) -> tuple[Drill, Drilled]:
        """Return a drill and what it came to, or raise `Refused(NOT_FOUND)`."""


class Helm(Protocol):
    """The course in a person's hand. Every call is checked, audited, and refused by `Refused`."""

    async def prechecks(self, route_id: str, to: str | None, kind: FailoverKind) -> list[Precheck]:
        """Say what would stand in the way; without `to`, of the way home."""

    async def switch(
        self, route_id: str, to: str | None, kind: FailoverKind, expected_epoch: int, by: Actor
    ) -> Failover:
        """Lead a route elsewhere now. A forced one skips every doubt, never the fence."""

    async def abort(self, failover_id: str, by: Actor, seen: int | None = None) -> Failover:
        """End one that has not led the route elsewhere; it is not begun again for this trouble."""
