"""The doors of a broker's rate: the number, the bounds within which it is found, the schedule.

A merge patch, so that who turns one thing leaves the others alone. A number that a person sets
stands above the schedule until it is taken back or its time is over. The trap is a preview of
another number than the one that will act: both ask what is in force, not what is written.
"""

from collections.abc import Sequence
from typing import Any

from app.domain.errors import Code
from app.domain.profile import markets_of, next_turn
from app.domain.records import BrokerControl
from app.domain.tuning import facts_of, tuning_of, with_facts
from app.domain.values import rfc3339
from app.web.brokers.dials import Dials
from app.web.brokers.doors import BROKER, SEE, turning
from app.web.brokers.large_steps import acting, must_be_named
from app.web.brokers.rate import (
    edges_asked,
    facts_asked,
    read_rate,
    warnings_of,
)
from app.web.brokers.told import RatePreviewTold, ScheduleTold
from app.web.brokers.waiting import duration
from app.web.house import House
from app.web.operator_schemas import Preview, RateChange, Reasoned, ScheduleChange
from app.web.spec import Call, Reader, Reply, Spec, etag, json_of, ok


class Rates:
    """How fast, by whose word, within which bounds."""

    def __init__(self, house: House, dials: Dials) -> None:
        self._house = house
        self._dials = dials

    async def rate(self, call: Call[RateChange, Preview]) -> Reply:
        """Set the number or its bounds; with `dry_run`, only say what that would mean."""
        control = await self._dials.seen(call)
        facts = facts_asked(call.body, control, self._dials.contract(control))
        wanted = with_facts(control, facts)
        if call.query.dry_run:
            return ok(await self._preview(control, wanted))
        before, _ = await acting(self._house, control)
        must_be_named(call, control.broker_id, before, call.body.revert_to or 0)
        back = {} if call.body.revert_to is None else {"tps": call.body.revert_to}
        return await self._dials.set(call, facts, call.body.ttl_s, back)

    async def schedule(self, call: Call[None, None]) -> Reply:
        """Show the profile, the number that is in force, and the next change."""
        control = await self._dials.control(call)
        tuning = tuning_of(control)
        tps, source = await acting(self._house, control)
        turn = next_turn(
            tuning.schedule,
            self._house.reference().calendar,
            markets_of(control.broker_id, await self._house.control.routes()),
            self._house.clock.now(),
        )
        told = {
            "broker_id": control.broker_id,
            "version": control.version,
            "schedule": facts_of(tuning)["schedule"],
            "in_force": {"tps": tps, "source": source},
            "next_change": turn
            and {"at": rfc3339(turn.at), "acts_at": rfc3339(turn.from_ms), "tps": turn.tps},
        }
        return ok(told, etag(control.version))

    async def set_schedule(self, call: Call[ScheduleChange, Preview]) -> Reply:
        """Put another profile in force; a number that stood above it is over."""
        control = await self._dials.seen(call)
        edges = edges_asked(call.body.schedule, self._dials.contract(control))
        return await self._dials.set(call, {"schedule": edges, "held": False}, call.body.ttl_s)

    async def end_schedule(self, call: Call[Reasoned, Preview]) -> Reply:
        """Let the operator's number alone be in force."""
        return await self._dials.set(call, {"schedule": [], "held": False}, None)

    async def _preview(self, control: BrokerControl, wanted: BrokerControl) -> dict[str, Any]:
        waiting, doubts = await self._dials.waiting()
        orders = waiting.get(control.broker_id, 0)
        before, _ = await acting(self._house, control)
        after, _ = await acting(self._house, wanted)
        contract, doubtful = self._dials.contract(control), doubts.get(control.broker_id, 0)
        return {
            "dry_run": True,
            "orders_affected": orders,
            "eta_before": duration(orders, before),
            "eta_after": duration(orders, after),
            "warnings": warnings_of(control, after, contract, doubtful),
        }


def rate_specs(house: House) -> Sequence[Spec[Any, Any]]:
    rates = Rates(house, Dials(house))
    schedule = f"{BROKER}/rate/schedule"
    return (
        turning(
            "PATCH",
            f"{BROKER}/rate",
            "set_broker_rate",
            rates.rate,
            Reader(RateChange, read_rate),
            beyond=(Code.CONFIRM_REQUIRED, Code.RATE_OUT_OF_BOUNDS),
            confirms=True,
            would=RatePreviewTold,
        ),
        Spec(
            method="GET",
            path=schedule,
            name="get_broker_schedule",
            scope=SEE,
            handler=rates.schedule,
            answers={200: ScheduleTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
        turning(
            "PUT",
            schedule,
            "set_broker_schedule",
            rates.set_schedule,
            json_of(ScheduleChange),
            beyond=(Code.CONFIRM_REQUIRED, Code.RATE_OUT_OF_BOUNDS, Code.SCHEDULE_INVALID),
            confirms=True,
        ),
        turning(
            "DELETE",
            schedule,
            "end_broker_schedule",
            rates.end_schedule,
            json_of(Reasoned),
            beyond=(Code.CONFIRM_REQUIRED,),
            confirms=True,
        ),
    )
