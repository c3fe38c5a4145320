"""What operators turn on one broker: its breaker, whether orders leave; `rates` adds its rate.

Every change compares the version that the operator saw, carries a reason and can be taken back
by the URL that the answer names. The rate is one number for the whole cluster; the answer waits
up to a second for the lane to act on it and says so, or says `null`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.records import BrokerControl, LaneStatus
from app.domain.tuning import tuning_of
from app.domain.values import rfc3339
from app.web.access.keys import not_there
from app.web.brokers.control import NOTHING, changed, undone
from app.web.brokers.doors import BROKER, SEE, TUNE, turning
from app.web.brokers.large_steps import FORCED_CLOSED, must_be_meant
from app.web.brokers.told import BreakerTold, BrokersTold, BrokerTold, DialTold
from app.web.brokers.waiting import waiting_by_broker
from app.web.house import House
from app.web.operator_schemas import (
    BreakerChange,
    DispatchChange,
    Preview,
    Reasoned,
    Undo,
)
from app.web.shapes import control_shape, instant, lane_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok
from app.web.undoing import UNDOES, Undoing, undo_spec, would

APPLIED_WITHIN_S: Final = 1.0


class Dials:
    """The brokers as operators see and set them."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._undoing = Undoing(house)

    async def brokers(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """List every broker: what is set, and what its lane does."""
        controls = await self._house.control.controls()
        waiting, doubts = await self.waiting()
        shapes = [self._shape(control, waiting, doubts) for control in controls.values()]
        return ok({"data": shapes})

    async def broker(self, call: Call[None, None]) -> Reply:
        """Show one broker; its ETag is the version that a change must name."""
        control = await self.control(call)
        waiting, doubts = await self.waiting()
        return ok(self._shape(control, waiting, doubts), etag(control.version))

    async def breaker_shown(self, call: Call[None, None]) -> Reply:
        """Show what rules a broker's breaker, how it stands and when it tries again."""
        control = await self.control(call)
        lane = self._lane(control.broker_id)
        told = {
            "broker_id": control.broker_id,
            "version": control.version,
            "mode": control.breaker,
            "expires_at": instant(control.expires_at),
            "circuit": lane and lane.circuit,
            "circuit_reason": lane and lane.circuit_reason,
            "next_trial_s": lane and lane.next_trial_s,
        }
        return ok(told, etag(control.version))

    async def breaker(self, call: Call[BreakerChange, Preview]) -> Reply:
        """Force the breaker, or let it rule itself again."""
        return await self.set(call, {"breaker": call.body.mode}, call.body.ttl_s)

    async def dispatch(self, call: Call[DispatchChange, Preview]) -> Reply:
        """Pause or resume the sending of orders; cancels still pass."""
        return await self.set(call, {"dispatch": call.body.state}, call.body.ttl_s)

    async def undo(self, call: Call[Reasoned, Undo]) -> Reply:
        """Take a change back, if it is still the last one."""
        control = await self.control(call)
        before = await self._undoing.before(
            call, f"broker/{control.broker_id}", control.version, lambda: _stale(control)
        )
        assert before is not None, "a broker's row was there before every change"
        wanted = undone(control, BrokerControl(**before), self._house.clock.now())
        return await self._store(call, control, wanted)

    async def set(
        self,
        call: Call[Any, Any],
        facts: Mapping[str, Any],
        ttl_s: int | None,
        back: Mapping[str, Any] = NOTHING,
    ) -> Reply:
        """Set these facts on the version that was seen, for good or for a time.

        Afterwards each goes back to what it is in `back`, or else to what it is now.
        """
        control, now = await self.seen(call), self._house.clock.now()
        wanted = changed(control, facts, ttl_s, now, back)
        if call.query.dry_run:
            return ok(would(control_shape(control), control_shape(wanted)))
        return await self._store(call, control, wanted)

    async def _store(
        self, call: Call[Any, Any], control: BrokerControl, wanted: BrokerControl
    ) -> Reply:
        await must_be_meant(self._house, call, control, wanted)
        since = await self._undoing.here()
        actor = call.actor(call.body.reason)
        after = await self._house.control.set_control(wanted, control.version, actor)
        path = f"/admin/v1/brokers/{control.broker_id}"
        told = await self._told(after) | await self._undoing.told(call, since, path)
        return ok(told, etag(after.version))

    async def _told(self, control: BrokerControl) -> dict[str, Any]:
        broker_id = control.broker_id
        floor = self._house.floor
        applied = await floor.applied(broker_id, control.version, APPLIED_WITHIN_S)
        lane = self._lane(broker_id)
        return {
            "broker_id": broker_id,
            "version": control.version,
            "configured": control.tps,
            "effective": lane.tps_effective if lane else None,
            "source": lane.tps_source if lane else None,
            "mode": tuning_of(control).mode,
            "breaker": control.breaker,
            "dispatch": control.dispatch,
            "applied": None
            if lane is None or not applied
            else {
                "epoch": lane.owner_epoch,
                "version": control.version,
                "at": rfc3339(self._house.clock.now()),
            },
            "expires_at": instant(control.expires_at),
        }

    async def seen(self, call: Call[Any, Any]) -> BrokerControl:
        """Return the control row, if it is the one that the operator saw."""
        control = await self.control(call)
        if call.version != control.version:
            raise _stale(control)
        return control

    async def control(self, call: Call[Any, Any]) -> BrokerControl:
        """Return the row of the broker that the path names."""
        found = (await self._house.control.controls()).get(call.part("broker_id"))
        if found is None:
            raise not_there()
        return found

    async def waiting(self) -> tuple[dict[str, int], dict[str, int]]:
        backlog = await self._house.control.backlog()
        routes = await self._house.control.routes()
        calendar = self._house.reference().calendar
        return waiting_by_broker(backlog, routes, calendar), backlog.in_doubt

    def _lane(self, broker_id: str) -> LaneStatus | None:
        lanes = self._house.floor.lanes()
        return next((lane for lane in lanes if lane.broker_id == broker_id), None)

    def contract(self, control: BrokerControl) -> int:
        """Return the most that the broker allows; a broker that nobody runs here keeps its rate."""
        broker = self._house.brokers.get(control.broker_id)
        if broker is not None:
            return broker.capabilities.orders_per_second_max
        lane = self._lane(control.broker_id)
        return control.tps if lane is None else lane.tps_contract

    def _shape(
        self, control: BrokerControl, waiting: dict[str, int], doubts: dict[str, int]
    ) -> dict[str, Any]:
        return control_shape(control) | {
            "contract": self.contract(control),
            "backlog": waiting.get(control.broker_id, 0),
            "in_doubt": doubts.get(control.broker_id, 0),
            "lane": lane_shape(self._lane(control.broker_id)),
        }


def _stale(control: BrokerControl) -> Refused:
    return Refused(
        Code.STALE_VERSION,
        f"{control.changed_by} changed this: the version is {control.version}",
        current=control_shape(control),
        changed_by=control.changed_by,
        changed_at=rfc3339(control.changed_at),
    )


def _closes(call: Call[BreakerChange, Preview]) -> str | None:
    """Return the broker whose failures are to go on; the other modes end or hide none."""
    return call.part("broker_id") if call.body.mode == FORCED_CLOSED else None


def dial_specs(house: House) -> Sequence[Spec[Any, Any]]:
    dials = Dials(house)
    return (*_shown(dials), *_turned(dials))


def _shown(dials: Dials) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path="/admin/v1/brokers",
            name="list_brokers",
            scope=SEE,
            handler=dials.brokers,
            answers={200: BrokersTold},
        ),
        Spec(
            method="GET",
            path=BROKER,
            name="get_broker",
            scope=SEE,
            handler=dials.broker,
            answers={200: BrokerTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        Spec(
            method="GET",
            path=f"{BROKER}/breaker",
            name="get_broker_breaker",
            scope=SEE,
            handler=dials.breaker_shown,
            answers={200: BreakerTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
    )


def _turned(dials: Dials) -> Sequence[Spec[Any, Any]]:
    return (
        turning(
            "PUT",
            f"{BROKER}/breaker",
            "set_broker_breaker",
            dials.breaker,
            json_of(BreakerChange),
            beyond=(Code.CONFIRM_REQUIRED,),
            names=_closes,
        ),
        turning(
            "PUT",
            f"{BROKER}/dispatch",
            "set_broker_dispatch",
            dials.dispatch,
            json_of(DispatchChange),
        ),
        replace(
            undo_spec(f"{BROKER}/undo", "undo_broker_change", TUNE, dials.undo, DialTold),
            refuses=(*UNDOES, Code.CONFIRM_REQUIRED),
            confirms=True,
        ),
    )
