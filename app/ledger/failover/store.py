"""The record as whoever changes the course sees it, or rehearses that.

It is `FailoverStore` and `DrillStore` of `ports.failover`, and adds the time to `failovers` and
`drills`; each change and the event that tells it are one commit. A fence whose answer was lost is
read back by the next look at the route, so none is ever asked for twice.
"""

from sqlalchemy import Connection

from app import crash
from app.domain.capabilities import Capabilities
from app.domain.drill import Drill, Drilled
from app.domain.failover import Failover, Leader, RoutePolicy
from app.domain.records import Actor
from app.ledger.edge import Edge
from app.ledger.failover import drills, failovers


class FailoverLedger(Edge):
    """Leads routes, and remembers where they led."""

    async def policies(self) -> dict[str, RoutePolicy]:
        return await self._read(failovers.policies)

    async def set_policy(
        self, wanted: RoutePolicy, expected_version: int, by: Actor
    ) -> RoutePolicy:
        now = self._clock.now()
        return await self._write_once(
            lambda c: failovers.set_policy(c, wanted, expected_version, by, now)
        )

    async def failovers(self, since: int) -> list[Failover]:
        return await self._read(lambda c: failovers.failovers(c, since))

    async def failover(self, failover_id: str) -> Failover | None:
        return await self._read(lambda c: failovers.failover(c, failover_id))

    async def note_failover(self, failover: Failover, authority: Leader | Actor) -> None:
        now = self._clock.now()
        await self._write_once(lambda c: failovers.note(c, failover, authority, now))

    async def fence(
        self, failover: Failover, expected_epoch: int, authority: Leader | Actor
    ) -> Failover:
        now = self._clock.now()
        after = await self._write_once(
            lambda c: failovers.fence(c, failover, expected_epoch, authority, now),
            "failover.before_commit",
        )
        crash.point("failover.after_epoch")
        return after

    async def acknowledge_failover(
        self, failover_id: str, by: Actor, seen: int | None = None
    ) -> Failover:
        now = self._clock.now()
        return await self._write_once(
            lambda c: failovers.acknowledge(c, failover_id, by, now, seen)
        )

    async def misfits(self, route_id: str, able: Capabilities) -> dict[str, int]:
        return await self._read(lambda c: failovers.misfits(c, route_id, able))

    async def left_behind(self, route_id: str, broker_id: str) -> tuple[int, int]:
        return await self._read(lambda c: failovers.left_behind(c, route_id, broker_id))

    async def start_drill(self, drill: Drill, by: Actor) -> None:
        now = self._clock.now()
        await self._write_once(lambda c: drills.start(c, drill, by, now))

    async def end_drill(self, drill_id: str, by: Actor, seen: int | None = None) -> Drill:
        now = self._clock.now()
        return await self._write_once(lambda c: drills.end(c, drill_id, by, now, seen))

    async def drills(self, since: int) -> list[Drill]:
        return await self._read(lambda c: drills.since(c, since))

    async def drill(self, drill_id: str) -> Drill | None:
        return await self._read(lambda c: drills.one(c, drill_id))

    async def drilled(self, drill: Drill) -> Drilled:
        def work(connection: Connection) -> Drilled:
            known = drills.failover_of(connection, drill)
            failover = None if known is None else failovers.failover(connection, known)
            return drills.drilled(connection, drill, failover)

        return await self._read(work)
