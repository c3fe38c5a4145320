"""A broker's contract as operators read it: what its adapter can do, its limits, its hours.

It is what settings and the adapter say, the same for as long as this process runs; what operators
set below it stands at the broker's other doors. The trap is a broker that no adapter speaks to
here: then nothing is known, and that is told instead of a default.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from app.domain.capabilities import Capabilities
from app.domain.errors import Code
from app.domain.profile import around, markets_of
from app.domain.session import TradingSession
from app.domain.windows import DAYS, Window
from app.web.access.keys import Principal
from app.web.brokers.contract_told import ContractTold
from app.web.brokers.dials import Dials
from app.web.brokers.doors import BROKER, SEE
from app.web.house import House
from app.web.shapes import instant, session_shape
from app.web.spec import Call, Reply, Spec, ok

# They are told as hours and as limits, in words that need no adapter's source beside them.
APART: Final = frozenset({"rate_profile", "intake_windows", "blackouts", "guard_s", "accounts"})
LIMITS: Final = (
    *("orders_per_second_max", "max_in_flight", "batch_max", "cancel_batch_max"),
    *("replace_batch_max", "find_batch_max", "batch_cost", "batch_cost_step"),
)


class Contracts:
    """What each broker can do."""

    def __init__(self, house: House, dials: Dials) -> None:
        self._house = house
        self._dials = dials

    async def shown(self, call: Call[None, None]) -> Reply:
        """Show what a broker can do, how much of it, and when.

        `known` is false where no adapter of this process speaks to it.
        """
        broker_id = (await self._dials.control(call)).broker_id
        broker = self._house.brokers.get(broker_id)
        able = None if broker is None else broker.capabilities
        told = {
            "broker_id": broker_id,
            "known": able is not None,
            "limits": able and _limits(able),
            "can": able and _can(able, call.who),
            "hours": able and self._hours(able),
            "sessions": await self._sessions(broker_id, able),
        }
        return ok(told)

    def _hours(self, able: Capabilities) -> dict[str, Any]:
        now, hours = self._house.clock.now(), able.hours
        return {
            "windows": [_window(window) for window in able.intake_windows],
            "blackouts": [_window(window) for window in able.blackouts],
            "guard_s": able.guard_s,
            "open_now": not hours.are_shut(now),
            "changes_at": instant(hours.change(now)),
        }

    async def _sessions(self, broker_id: str, able: Capabilities | None) -> list[dict[str, Any]]:
        """Return the sessions around this instant of the markets that lead to the broker."""
        now, calendar = self._house.clock.now(), self._house.reference().calendar
        markets = markets_of(broker_id, await self._house.control.routes())
        takes = able.markets if able is not None else None
        found: list[TradingSession] = []
        for market in sorted(set(markets)):
            if takes is None or market in takes:
                found += around(calendar, market, now)
        return [session_shape(session, now) for session in found]


def _limits(able: Capabilities) -> dict[str, Any]:
    profile = [{"at": at, "tps": tps} for at, tps in able.rate_profile]
    return {name: getattr(able, name) for name in LIMITS} | {"rate_profile": profile}


def _can(able: Capabilities, who: Principal) -> dict[str, Any]:
    names = [f.name for f in fields(able) if f.name not in APART and f.name not in LIMITS]
    told = {name: getattr(able, name) for name in names}
    for name in ("markets", "order_types", "times_in_force"):
        told[name] = None if told[name] is None else sorted(told[name])
    accounts = able.accounts
    seen = None if accounts is None else sorted(a for a in accounts if who.sees(a))
    return told | {"accounts": seen}


def _window(window: Window) -> dict[str, Any]:
    opens, closes = (f"{m // 60:02d}:{m % 60:02d}" for m in (window.opens, window.closes))
    days = [DAYS[day] for day in sorted(window.days)]
    return {"days": days, "opens": opens, "closes": closes, "zone": str(window.zone)}


def contract_specs(house: House) -> Sequence[Spec[Any, Any]]:
    contracts = Contracts(house, Dials(house))
    return (
        Spec(
            method="GET",
            path=f"{BROKER}/contract",
            name="get_broker_contract",
            scope=SEE,
            handler=contracts.shown,
            answers={200: ContractTold},
            refuses=(Code.NOT_FOUND,),
        ),
    )
