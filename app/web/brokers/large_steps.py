"""Which changes of a broker are so large that its name is typed, whichever door they come by.

More than twice the rate, and a circuit that is forced closed. The trap is the side door: an undo,
a schedule and the end of one turn the same number as the rate's own door, and a slip of one digit
stands in a profile as easily. So each change of the row comes through here, and what it would put
in force is judged, now and later. A number that stood there already has been judged before.
"""

from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.profile import in_force, markets_of
from app.domain.records import BrokerControl
from app.domain.reverting import Spell
from app.domain.tuning import tuning_of
from app.web.confirmed import CONFIRM, must_name
from app.web.house import House
from app.web.spec import Call

# A slip of one digit is ten times; what people mean is rarely above twice. Above it they say so.
BIG_STEP: Final = 2
FORCED_CLOSED: Final = "forced_closed"


async def must_be_meant(
    house: House, call: Call[Any, Any], before: BrokerControl, after: BrokerControl
) -> None:
    """Raise `Refused` unless who takes a large step has typed the broker's name."""
    if after.breaker == FORCED_CLOSED != before.breaker:
        must_name(call, after.broker_id, "forcing a circuit closed")
    now_tps, _ = await acting(house, before)
    next_tps, _ = await acting(house, after)
    must_be_named(call, after.broker_id, now_tps, next_tps)
    known = _numbers(before)
    fresh = _numbers(after) - known
    must_be_named(call, after.broker_id, max(now_tps, *known), max(fresh, default=0))


def must_be_named(call: Call[Any, Any], broker_id: str, before: int, after: int) -> None:
    """Refuse a large step upwards, unless its caller names the broker that he means."""
    if after > before * BIG_STEP and call.request.headers.get(CONFIRM) != broker_id:
        raise Refused(
            Code.CONFIRM_REQUIRED,
            f"{before} to {after} is more than {BIG_STEP} times: send X-Confirm: {broker_id}",
            confirm=broker_id,
        )


async def acting(house: House, control: BrokerControl) -> tuple[int, str]:
    """Return the number that such a row puts in force at this moment, and whose it is."""
    markets = markets_of(control.broker_id, await house.control.routes())
    return in_force(control, house.reference().calendar, markets, house.clock.now())


def _numbers(control: BrokerControl) -> set[int]:
    """Return every rate that a row names, for now or for later."""
    later = Spell(control.expires_at, control.reverts_to).back
    edges = {edge["tps"] for edge in later.get("schedule", ())}
    edges |= {edge.tps for edge in tuning_of(control).schedule}
    return edges | {control.tps, int(later.get("tps") or 0)}
