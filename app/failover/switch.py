"""Looks each half second, asks the policy, and does what it says: the only hand on the course.

    lanes, controls, anomalies, routes ─► watch ─► policy ─► fence or note ─► SQL ─► outbox

SQL is the truth: routes, policies and what goes on are read anew at each look, so that a new
leader goes on where the former stopped, at whatever step, and an event that is lost or late moves
nothing. Kafka only tells. A look that throws, or a route that makes it throw, is an anomaly and no
end: the other routes go on, and so do the orders beside us. The trap is the process that was
asleep: after a gap between two looks it decides nothing for half a minute, and what it saw before
the gap is never acted on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, Protocol

from app.clock import Clock
from app.domain.anomaly import Anomaly
from app.domain.capabilities import Capabilities
from app.domain.errors import Refused
from app.domain.failover import Failover, FailoverState, FailoverStep, Leader
from app.domain.halts import Halts
from app.domain.records import FenceLost, Route
from app.domain.session import Calendar
from app.domain.values import ulid
from app.failover.leader import MS_NS, Leadership
from app.failover.policy import Case, Move, decide
from app.failover.sights import Scene, has_common_cause, in_force, incident, sights
from app.failover.watch import Watch, observe
from app.mishaps import Mishaps
from app.ports.control import ControlStore
from app.ports.dispatch import DispatchStore, Floor
from app.ports.failover import FailoverStore

LOOK_S: Final = 0.5
# Half of the lease: who was away for longer may have been replaced, and has seen nothing.
LAG_MS_MAX: Final = 5_000
TILT_MS: Final = 30_000
HISTORY_MS: Final = 86_400_000
RANDOM_BITS: Final = 80
QUIET: Final = frozenset({None, FailoverState.SUSPECTED})


class Record(FailoverStore, ControlStore, DispatchStore, Protocol):
    """The ledger, as far as a switch needs it."""


class Grounds(NamedTuple):
    """What a switch stands on."""

    record: Record
    anomalies: Callable[[], Awaitable[list[Anomaly]]]  # those that are open
    floor: Floor
    clock: Clock
    calendar: Callable[[], Calendar]
    on_moved: Callable[[], None]  # a route leads elsewhere: lanes of this process may look
    able: Mapping[str, Capabilities]  # what brokers can take, as far as this process speaks to them
    stands_by: bool  # others share the ledger, and may lead


class Switch:
    """One candidate for leading; of all that run, one does."""

    def __init__(self, grounds: Grounds, mishaps: Mishaps) -> None:
        self._on = grounds
        self._mishaps = mishaps
        self._record, self._clock = grounds.record, grounds.clock
        self.leadership = Leadership(grounds.record, grounds.clock, stands_by=grounds.stands_by)
        self._watches: dict[str, Watch] = {}
        self._looked_at: int | None = None
        self._tilted_until = 0
        self._moved: dict[str, int] = {}  # orders that waited at a fence, by failover

    async def run(self) -> None:
        """Lead or stand by, and look, for ever."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self.leadership.keep())
            loops.create_task(self._mishaps.run())
            while True:
                await self._unstopped("look", self.look())
                await asyncio.sleep(LOOK_S)

    async def _unstopped(self, part: str, work: Awaitable[None]) -> None:
        """Go on whatever this throws, and say so; a ledger that stays away ends us as everybody."""
        try:
            await work
        except OSError:
            raise
        except Exception as e:  # noqa: BLE001 - whoever leads must not stop whoever sends
            self._mishaps.threw(e, part)
        else:
            self._mishaps.worked(part)

    def _now_ms(self) -> int:
        return self._clock.monotonic_ns() // MS_NS

    async def look(self) -> None:
        """Look once, and act on what was seen if this process leads."""
        began = self._now_ms()
        if self._looked_at is not None and began - self._looked_at > LAG_MS_MAX:
            self._tilted_until = began + TILT_MS
        self._looked_at = began
        scene = await self._scene()
        wall = self._clock.now()
        for broker_id, sight in sights(scene).items():
            before = self._watches.get(broker_id, Watch())
            self._watches[broker_id] = observe(before, sight, wall=wall, now=self._now_ms())
        leader = self.leadership.leader
        if leader is None:
            return
        known = await self._record.failovers(wall - HISTORY_MS)
        for route in scene.routes:
            case = self._case(scene, route, [f for f in known if f.route_id == route.route_id])
            await self._unstopped(route.route_id, self._lead(case, scene, leader, began))

    async def _lead(
        self, judging: Awaitable[Case], scene: Scene, leader: Leader, began: int
    ) -> None:
        """Judge one route, and act on it while what was seen still holds."""
        case = await judging
        if self._now_ms() - began <= LAG_MS_MAX:
            await self._act(case, scene, leader)

    async def _scene(self) -> Scene:
        record = self._record
        return Scene(
            routes=await record.routes(),
            policies=await record.policies(),
            lanes=self._on.floor.lanes(),
            controls=await record.controls(),
            halts=Halts.of(await record.halts()),
            anomalies=in_force(await self._on.anomalies(), self._clock.now()),
        )

    async def _case(self, scene: Scene, route: Route, known: list[Failover]) -> Case:
        standing = next((f for f in known if not f.has_ended), None)
        unanswered = 0
        if standing is not None and standing.fenced_at is not None:
            unanswered, _ = await self._record.left_behind(route.route_id, standing.from_broker)
        now = self._clock.now()
        session = self._on.calendar().current(route.route_id, now)
        return Case(
            now=now,
            monotonic_ms=self._now_ms(),
            route=route,
            policy=scene.policies[route.route_id],
            watches=self._watches,
            standing=standing,
            history=[f for f in known if f.has_ended],
            session_id=session.trading_session_id if session else None,
            phase=session.phase(now) if session else None,
            common_cause=has_common_cause(scene.anomalies),
            tilted=self._now_ms() < self._tilted_until,
            unanswered=unanswered,
        )

    async def _act(self, case: Case, scene: Scene, leader: Leader) -> None:
        """Do what the policy says; whoever was first to write something else is seen next time."""
        move, standing = decide(case), case.standing
        if move.state in QUIET:
            return
        try:
            if move.state is FailoverState.PREPARED:
                await self._fence(case, move, scene, leader)
            elif standing is None:
                await self._record.note_failover(self._begun(case, move, scene), leader)
            elif _is_news(standing, move):
                await self._record.note_failover(await self._onward(standing, move), leader)
        except (FenceLost, Refused):
            return

    async def _fence(self, case: Case, move: Move, scene: Scene, leader: Leader) -> None:
        before = case.standing
        if before is None:
            begun = self._begun(case, move, scene)
            wanted = begun._replace(state=FailoverState.FENCING, steps=_fencing(begun))
        else:
            now = self._clock.now()
            wanted = before.came_to(FailoverState.PREPARED, FailoverState.FENCING, at=now)
            wanted = wanted._replace(
                to_broker=move.to_broker,
                reason=move.reason,
                held_by=(),
                witnesses=move.witnesses,
            )
        after = await self._record.fence(wanted, case.route.epoch, leader)
        self._on.on_moved()
        # Counted after the fence: a million rows take their time, and nobody waits for a number.
        waiting = (await self._record.backlog()).ready.get(case.route.route_id, 0)
        self._moved = {after.failover_id: waiting}

    def _begun(self, case: Case, move: Move, scene: Scene) -> Failover:
        """Return the first that is told of an episode."""
        assert move.state is not None
        now, route = self._clock.now(), case.route
        trouble = self._watches.get(route.active_broker, Watch()).trouble_for(case.monotonic_ms)
        steps = (
            *([] if trouble is None else [FailoverStep(FailoverState.SUSPECTED, now - trouble)]),
            FailoverStep(FailoverState.CONFIRMED, now),
            FailoverStep(move.state, now),
        )
        bits = self._clock.random_bits
        return Failover(
            failover_id=f"fo_{ulid(now, bits(RANDOM_BITS))}",
            incident_id=incident(scene.anomalies, route) or f"in_{ulid(now, bits(RANDOM_BITS))}",
            route_id=route.route_id,
            kind=move.kind,
            state=move.state,
            from_broker=route.active_broker,
            to_broker=move.to_broker,
            epoch=route.epoch,
            reason=move.reason,
            steps=steps,
            by="openbell",
            held_by=move.held_by,
            witnesses=move.witnesses,
            trading_session_id=case.session_id,
        )

    async def _onward(self, standing: Failover, move: Move) -> Failover:
        assert move.state is not None
        after = standing.came_to(
            move.state, at=self._clock.now(), reason=move.reason, held_by=move.held_by
        )
        after = after._replace(to_broker=move.to_broker, witnesses=move.witnesses)
        if standing.fenced_at is None:
            return after
        open_, doubts = await self._record.left_behind(standing.route_id, standing.from_broker)
        moved = standing.moved or self._moved.get(standing.failover_id)
        if moved is None:  # the leader who fenced is gone, and with him what he counted
            moved = (await self._record.backlog()).ready.get(standing.route_id, 0)
        # Those that were settled since then stayed where they were as well.
        return after._replace(moved=moved, pinned=max(standing.pinned, open_ + doubts))


def _is_news(standing: Failover, move: Move) -> bool:
    told = (standing.state, standing.held_by, standing.to_broker)
    return told != (move.state, move.held_by, move.to_broker)


def _fencing(begun: Failover) -> tuple[FailoverStep, ...]:
    return (*begun.steps, FailoverStep(FailoverState.FENCING, begun.updated_at))
