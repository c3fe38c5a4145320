"""The doors of drills: start one, end it early, read what it came to.

A drill makes the active broker of a route ill on purpose. It works only on a simulated broker
whose control address the settings name (`brokers.<id>.drill_url`) and is 422 `drill-refused` for
any other: a door that injects faults is not safe beside real money. What openbell finds and does
meanwhile is real but marked `drill`, in events, at the doors and in the messages to people.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.drill import Drill, Drilled, DrillFault, report
from app.domain.errors import Code, Refused
from app.ports.failover import Rehearsals
from app.web.house import House
from app.web.operator_schemas import DrillsAsked, DrillWanted, Reasoned
from app.web.routes.course_told import DrillsTold, DrillTold
from app.web.routes.courses import HOUR_MS, MOVE, SEE
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

DRILLS: Final = "/admin/v1/drills"
DRILL: Final = f"{DRILLS}/{{drill_id}}"
STARTED: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.DRILL_RUNNING,
    Code.DRILL_REFUSED,
    Code.VALIDATION_FAILED,
)


class DrillDoors:
    """Drills as operators start and read them."""

    def __init__(self, house: House) -> None:
        self._house = house

    @property
    def _drills(self) -> Rehearsals:
        if self._house.drills is None:
            raise Refused(Code.DRILL_REFUSED, "no simulated broker is named here")
        return self._house.drills

    async def start(self, call: Call[DrillWanted, None]) -> Reply:
        """Make a route's simulated broker ill; openbell is to lead the route away by itself."""
        asked = call.body
        wanted = Drill(
            drill_id="",
            route_id=asked.route,
            broker_id="",
            fault=DrillFault(asked.fault),
            fraction=asked.fraction,
            duration_s=asked.duration_s,
            started_at=0,
            started_by="",
            reason=asked.reason,
        )
        by = call.actor(asked.reason)
        drill = await self._drills.start(wanted, by, allow_live=asked.allow_live)
        location = f"{DRILLS}/{drill.drill_id}".encode()
        return await self._answer(drill.drill_id, (b"location", location), status=202)

    async def drills(self, call: Call[None, DrillsAsked]) -> Reply:
        """List drills, the latest first."""
        since = self._house.clock.now() - call.query.hours * HOUR_MS
        found = await self._drills.drills(since)
        return ok({"data": [await self._told(drill.drill_id) for drill in found]})

    async def drill(self, call: Call[None, None]) -> Reply:
        """Show one: how far it came, and each step in seconds from the first failing answer."""
        return await self._answer(call.part("drill_id"))

    async def end(self, call: Call[Reasoned, None]) -> Reply:
        """Let the broker be well at once."""
        drill_id = call.part("drill_id")
        drill, found = await self._drills.report(drill_id)
        if call.version != drill.version:
            raise Refused(
                Code.STALE_VERSION,
                "somebody has ended it",
                current=self._shape(drill, found),
                changed_at=instant(drill.interrupted_at),
            )
        await self._drills.end(drill_id, call.actor(call.body.reason), call.version)
        return await self._answer(drill_id)

    async def _answer(
        self, drill_id: str, *headers: tuple[bytes, bytes], status: int = 200
    ) -> Reply:
        told = await self._told(drill_id)
        return ok(told, etag(told["version"]), *headers, status=status)

    async def _told(self, drill_id: str) -> dict[str, Any]:
        return self._shape(*await self._drills.report(drill_id))

    def _shape(self, drill: Drill, found: Drilled) -> dict[str, Any]:
        return report(drill, found, self._house.clock.now()) | {"version": drill.version}


def drill_specs(house: House) -> Sequence[Spec[Any, Any]]:
    doors = DrillDoors(house)
    return (
        Spec(
            method="POST",
            path=DRILLS,
            name="start_drill",
            scope=MOVE,
            handler=doors.start,
            reads=json_of(DrillWanted),
            answers={202: DrillTold},
            shows=("ETag", "Location"),
            refuses=STARTED,
            audited=True,
        ),
        Spec(
            method="GET",
            path=DRILLS,
            name="list_drills",
            scope=SEE,
            handler=doors.drills,
            asks=DrillsAsked,
            answers={200: DrillsTold},
            refuses=(Code.DRILL_REFUSED, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path=DRILL,
            name="get_drill",
            scope=SEE,
            handler=doors.drill,
            answers={200: DrillTold},
            shows=("ETag",),
            refuses=(Code.DRILL_REFUSED, Code.NOT_FOUND),
        ),
        Spec(
            method="DELETE",
            path=DRILL,
            name="end_drill",
            scope=MOVE,
            handler=doors.end,
            reads=json_of(Reasoned),
            answers={200: DrillTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.STALE_VERSION,
                Code.DRILL_REFUSED,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
    )
