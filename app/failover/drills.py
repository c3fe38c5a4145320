"""A broker's death, rehearsed in a running gateway: implements `Rehearsals` of `ports.failover`.

    POST ─► a row ─► the fault, at a simulated broker ─► [openbell switches by itself] ─► report

Nothing here runs beside it: the fault ends by itself at the simulator, the switch is the one that
always acts, and the report is read from the record when somebody asks. It works only where the
settings name the control address of a simulated broker (`brokers.<id>.drill_url`), for a door
that makes brokers ill must not open by a slip in production: any other broker is refused. In
market hours a drill wants `allow_live`, since the route is led elsewhere in earnest, with the
orders that wait. The trap is a row without a fault: what cannot be infected ends at once.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from app.clock import Clock
from app.domain.drill import Drill, Drilled
from app.domain.errors import Code, Refused
from app.domain.records import Actor
from app.domain.session import Calendar
from app.domain.values import ulid
from app.failover.switch import Record
from app.ports.failover import DrillStore, FaultLine

RANDOM_BITS: Final = 80


class DrillRecord(Record, DrillStore, Protocol):
    """The ledger, as far as a drill needs it."""


class SimulatedDrills:
    """Drills on the simulated brokers that settings name."""

    def __init__(
        self,
        record: DrillRecord,
        lines: Mapping[str, FaultLine],
        clock: Clock,
        calendar: Callable[[], Calendar],
    ) -> None:
        self._record = record
        self.lines = dict(lines)
        self._clock = clock
        self._calendar = calendar

    async def start(self, wanted: Drill, by: Actor, *, allow_live: bool) -> Drill:
        routes = {route.route_id: route for route in await self._record.routes()}
        route = routes.get(wanted.route_id)
        if route is None:
            raise Refused(Code.NOT_FOUND, f"no route {wanted.route_id}")
        now, broker_id = self._clock.now(), route.active_broker
        line = self._line(broker_id)
        if not allow_live and self._calendar().current(route.route_id, now) is not None:
            raise Refused(
                Code.DRILL_REFUSED, f"{route.route_id} is open: say allow_live to drill it now"
            )
        drill = wanted._replace(
            drill_id=f"dr_{ulid(now, self._clock.random_bits(RANDOM_BITS))}",
            broker_id=broker_id,
            started_at=now,
            started_by=by.name,
        )
        await self._record.start_drill(drill, by)
        try:
            await line.infect(drill.fault, drill.fraction, drill.duration_s)
        except OSError as e:
            await self._record.end_drill(drill.drill_id, by)
            raise Refused(Code.DRILL_REFUSED, f"{broker_id}: {e}") from e
        return drill

    async def end(self, drill_id: str, by: Actor, seen: int | None = None) -> Drill:
        drill = await self._found(drill_id)
        if seen not in {None, drill.version}:  # its broker may be in another drill by now
            raise Refused(Code.STALE_VERSION, f"somebody has ended {drill_id}")
        try:
            await self._line(drill.broker_id).heal()
        except OSError as e:
            raise Refused(Code.DRILL_REFUSED, f"{drill.broker_id}: {e}") from e
        return await self._record.end_drill(drill_id, by, seen)

    async def drills(self, since: int) -> list[Drill]:
        return await self._record.drills(since)

    async def report(self, drill_id: str) -> tuple[Drill, Drilled]:
        drill = await self._found(drill_id)
        return drill, await self._record.drilled(drill)

    def _line(self, broker_id: str) -> FaultLine:
        line = self.lines.get(broker_id)
        if line is None:
            raise Refused(
                Code.DRILL_REFUSED, f"{broker_id} is no simulated broker (it has no drill_url)"
            )
        return line

    async def _found(self, drill_id: str) -> Drill:
        drill = await self._record.drill(drill_id)
        if drill is None:
            raise Refused(Code.NOT_FOUND, f"no drill {drill_id}")
        return drill
