"""The course in a person's hand: implements `Helm` of `ports.failover`.

A person's fence is their own transaction, under no lease: it works while no leader is there, or
one that must not decide. The switch follows what they began to its end. What was held for them
to decide goes on as the same episode, so that all who heard of it hear how it ended.
"""

from typing import Final

from app.domain.errors import Code, Refused
from app.domain.failover import (
    Failover,
    FailoverKind,
    FailoverState,
    FailoverStep,
    Precheck,
)
from app.domain.halts import Halts
from app.domain.records import Actor, LaneStatus, Route
from app.domain.values import ulid
from app.failover.prechecks import UNDER_WAY, Asked, missing, prechecks
from app.failover.sights import why_not
from app.failover.switch import HISTORY_MS, RANDOM_BITS, Grounds

DRILLS_MS: Final = 31 * HISTORY_MS


class FailoverHelm:
    """Checks and carries out what a person wants of a route."""

    def __init__(self, grounds: Grounds) -> None:
        self._on = grounds
        self._record, self._clock = grounds.record, grounds.clock

    async def prechecks(self, route_id: str, to: str | None, kind: FailoverKind) -> list[Precheck]:
        return prechecks(await self._asked(route_id, to, kind))

    async def switch(
        self, route_id: str, to: str | None, kind: FailoverKind, expected_epoch: int, by: Actor
    ) -> Failover:
        asked = await self._asked(route_id, to, kind)
        if asked.route.epoch != expected_epoch:
            raise Refused(
                Code.STALE_EPOCH,
                f"route {route_id} is at epoch {asked.route.epoch}",
                current=asked.route._asdict(),
            )
        found = prechecks(asked)
        lacking = missing(found)
        standing = asked.standing
        if any(check.name == "none_under_way" for check in lacking) and standing is not None:
            raise Refused(
                Code.FAILOVER_RUNNING, lacking[0].detail, failover_id=standing.failover_id
            )
        if lacking:
            shown = [check._asdict() for check in found]
            said = "; ".join(f"{check.name}: {check.detail}" for check in lacking)
            raise Refused(Code.PRECHECKS_FAILED, said, prechecks=shown)
        wanted = await self._wanted(asked, by)
        after = await self._record.fence(wanted, expected_epoch, by)
        self._on.on_moved()
        return after

    async def _wanted(self, asked: Asked, by: Actor) -> Failover:
        """Return the failover as it is to be fenced: the one that was held, or a new one."""
        now, standing = self._clock.now(), asked.standing
        if standing is not None and standing.fenced_at is None:
            after = standing.came_to(
                FailoverState.PREPARED, FailoverState.FENCING, at=now, by=by.name
            )
            return after._replace(kind=asked.kind, to_broker=asked.to, reason=by.reason, held_by=())
        if standing is not None:  # what was led elsewhere already is over, and this is another
            done = standing.came_to(FailoverState.DONE, at=now, by=by.name, reason=by.reason)
            await self._record.note_failover(done, by)
        bits, route = self._clock.random_bits, asked.route
        session = self._on.calendar().current(route.route_id, now)
        return Failover(
            failover_id=f"fo_{ulid(now, bits(RANDOM_BITS))}",
            incident_id=f"in_{ulid(now, bits(RANDOM_BITS))}",
            route_id=route.route_id,
            kind=asked.kind,
            state=FailoverState.FENCING,
            from_broker=route.active_broker,
            to_broker=asked.to,
            epoch=route.epoch,
            reason=by.reason,
            steps=(
                FailoverStep(FailoverState.PREPARED, now),
                FailoverStep(FailoverState.FENCING, now),
            ),
            by=by.name,
            trading_session_id=session.trading_session_id if session else None,
        )

    async def abort(self, failover_id: str, by: Actor, seen: int | None = None) -> Failover:
        standing = await self._record.failover(failover_id)
        if standing is None:
            raise Refused(Code.NOT_FOUND, f"no failover {failover_id}")
        if seen not in {None, standing.version}:
            detail = f"{failover_id} is {standing.state} by now"
            raise Refused(Code.STALE_VERSION, detail, current=standing._asdict())
        if standing.fenced_at is not None or standing.has_ended:
            raise Refused(Code.FAILOVER_FENCED, f"{failover_id} is {standing.state}")
        now = self._clock.now()
        after = standing.came_to(
            FailoverState.ABORTED, at=now, by=by.name, reason=by.reason, held_by=()
        )
        await self._record.note_failover(after, by)
        return after

    # --- what is known ------------------------------------------------------------------

    async def _asked(self, route_id: str, to: str | None, kind: FailoverKind) -> Asked:
        record, now = self._record, self._clock.now()
        route = next((r for r in await record.routes() if r.route_id == route_id), None)
        if route is None:
            raise Refused(Code.NOT_FOUND, f"no route {route_id}")
        policy = (await record.policies())[route_id]
        known = [f for f in await record.failovers(now - DRILLS_MS) if f.route_id == route_id]
        target = to or _home(route, policy.candidates, known)
        controls, halts = await record.controls(), Halts.of(await record.halts())
        backlog = await record.backlog()
        able = self._on.able.get(target)
        misfits = await record.misfits(route_id, able) if able and able.is_choosy else {}
        lanes = {lane.broker_id: lane for lane in self._on.floor.lanes()}
        return Asked(
            now=now,
            route=route,
            policy=policy,
            to=target,
            kind=kind,
            old=lanes.get(route.active_broker),
            new=_running(lanes.get(target)),
            stopped=why_not(controls.get(target), halts, target),
            standing=next((f for f in known if not f.has_ended), None),
            waiting=backlog.ready.get(route_id, 0),
            misfits=misfits,
            doubts=backlog.in_doubt.get(route.active_broker, 0),
            last_drill=next((f.started_at for f in known if f.drill), None),
        )


def _running(lane: LaneStatus | None) -> LaneStatus | None:
    """Return the lane if somebody owns its broker."""
    return lane if lane is not None and lane.owner_epoch else None


def _home(route: Route, candidates: tuple[str, ...], known: list[Failover]) -> str:
    """Return where the route belongs: its first candidate, or where it was led away from."""
    if candidates:
        return candidates[0]
    last = next((f for f in known if f.fenced_at is not None), None)
    if last is None:
        raise Refused(Code.PRECHECKS_FAILED, f"route {route.route_id} has no other home")
    return last.from_broker


assert FailoverState.HELD not in UNDER_WAY, "what is held is a person's to decide"
