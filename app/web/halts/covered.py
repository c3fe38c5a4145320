"""What a halt names, and how many orders it would stop or its end let go.

Only what waits is counted: a halt stops sends, and what is at a broker stays there. Of accounts
that the caller does not see nothing is counted.
"""

from typing import Any, Final

from app.domain.sweep import Deed, SweepScope
from app.web.brokers.waiting import waiting_by_broker
from app.web.halts.selections import accounts_of
from app.web.house import House
from app.web.operator_schemas import HaltChange, KillAsked
from app.web.problems import invalid_at
from app.web.spec import Call

EVERYTHING: Final = "*"  # what a halt of all names
BY_PLACE: Final = frozenset({"route", "broker"})


async def covered(house: House, call: Call[HaltChange, Any], scope: str) -> int:
    """Return how many orders wait within a halt."""
    asked = call.body
    if asked.scope in BY_PLACE:
        return await _at(house, asked)
    named = asked.id if asked.scope == "account" else None
    symbol = asked.id if asked.scope == "symbol" else None
    wanted = SweepScope(accounts=accounts_of(call.who, named, scope), symbol=symbol)
    return (await house.sweeps.select(wanted, None, Deed.HOLD)).orders


async def _at(house: House, asked: HaltChange) -> int:
    routes = await house.control.routes()
    if asked.scope == "route":  # then each is counted for itself, wherever it leads
        routes = [route._replace(active_broker=route.route_id) for route in routes]
    backlog = await house.control.backlog()
    waiting = waiting_by_broker(backlog, routes, house.reference().calendar)
    return waiting.get(asked.id or "", 0)


def target_of(change: HaltChange | KillAsked) -> str:
    """Return what a halt names."""
    if change.scope == "all":
        return EVERYTHING
    if change.id is None:
        raise invalid_at("id", f"name the {change.scope}")
    return change.id


def named_by(change: HaltChange | KillAsked) -> str:
    """Return the name of what a halt names, as a person types it."""
    target = target_of(change)
    return change.scope if change.scope == "all" else target
