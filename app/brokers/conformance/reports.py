"""B-91x: what a session reports, of its own accord and again.

The bus is the kit's: it can keep a report waiting, and then one sees what the adapter has told the
broker meanwhile. A report may come twice; what must not change is what makes it the same one.
"""

import asyncio
from decimal import Decimal
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.held import Held, until
from app.brokers.conformance.kit import Kit
from app.brokers.conformance.line import Fault
from app.brokers.conformance.lookups import in_decimals
from app.brokers.conformance.sessions import begins_anew, numbered, stands
from app.brokers.conformance.silence import GRACE_S
from app.brokers.conformance.verdict import Failed, NotJudged
from app.domain.messages import Found, Submission
from app.domain.values import OrderType

# What else a broker says in that very moment, a heartbeat or a late answer, takes a number too.
TRIES: Final = 3


def at_market(kit: Kit) -> Submission:
    return kit.order(order_type=OrderType.MARKET, limit_price=None)


def traded(kit: Kit, key: str) -> Decimal:
    """Return what was told of an order's trades, each counted once."""
    return sum((trade.last_quantity for trade in kit.ears.trades(key).values()), Decimal(0))


async def heard_of(held: Held) -> int:
    """Return the next number of the broker's that the record expects."""
    numbers = await held.ground.sessions.numbers(stands(held).session_id)
    return 0 if numbers is None else numbers.next_in


async def at_rest(held: Held) -> int:
    """Return that number when nothing is on its way any more."""
    noted = 0
    while (now := await heard_of(held)) != noted:
        noted = now
        await asyncio.sleep(GRACE_S)
    return noted


async def _while_it_waits(kit: Kit, held: Held) -> tuple[int, int]:
    """Return the next number before an order, and while its report waits to be published."""
    before = await at_rest(held)
    kit.ears.close()
    await kit.accepted(held.broker)
    if not await until(lambda: kit.ears.knocked, kit.terms.patience_s):
        raise Failed("a report of the order that was accepted", "none")
    await asyncio.sleep(GRACE_S)
    return before, await heard_of(held)


@case(
    "B-911",
    "A report is published before the broker may think that we have it",
    Need.LINE,
    Need.LIVE,
    proves="a crash between the two repeats a report, and loses none",
    source="ports.LiveBroker.run; FIX ExecutionReport (8), MsgSeqNum (34)",
)
async def published_first(kit: Kit) -> str:
    held = await numbered(kit)
    for _ in range(TRIES):
        before, noted = await _while_it_waits(kit, held)
        if noted == before:
            break
        kit.ears.open.set()
    else:
        raise Failed(f"number {before} still open while its report waits", f"{noted} is the next")
    kit.ears.open.set()
    for _ in range(int(kit.terms.patience_s / GRACE_S)):
        if (noted := await heard_of(held)) > before:
            return f"published, then {before} became {noted}"
        await asyncio.sleep(GRACE_S)
    raise Failed(f"a number beyond {before} once the report is published", noted)


@case(
    "B-912",
    "A fill that was lost with its connection is told after it",
    Need.LINE,
    Need.LIVE,
    Need.MONEY,
    proves="what traded while we were away is known when we are back",
    source="order-model 11 row 5; FIX ResendRequest (2), PossDupFlag (43)",
)
async def told_later(kit: Kit) -> str:
    held = await kit.session()
    kit.line.arm(Fault.LOST)
    order = at_market(kit)
    key = order.broker_order_key
    await kit.attempted(held.broker, order)
    if kit.ears.trades(key):
        raise NotJudged("its fill was not lost: it came by another connection")
    await kit.up()
    if not await until(lambda: traded(kit, key) >= order.quantity, kit.terms.patience_s):
        found = await kit.shown(held.broker, key)
        if isinstance(found, Found) and found.status == "filled":
            raise Failed(f"trades of {order.quantity}", f"{traded(kit, key)}, and it is filled")
        raise NotJudged(f"a market order did not trade in time: {found}")
    return _fills(kit, order)


@case(
    "B-913",
    "A fill that comes again is the same fill",
    Need.LINE,
    Need.LIVE,
    Need.MONEY,
    proves="a repetition is applied once, by its execution id",
    source="FIX ExecID (17), PossDupFlag (43)",
)
async def told_again(kit: Kit) -> str:
    begins_anew(kit)
    held = await numbered(kit)
    before = await at_rest(held)
    order = at_market(kit)
    key = order.broker_order_key
    await kit.attempted(held.broker, order)
    if not await until(lambda: traded(kit, key) >= order.quantity, kit.terms.patience_s):
        raise NotJudged("a market order did not trade in time")
    first = len(kit.ears.of(key))
    held.ground.forget(before)
    await kit.again()
    await kit.up()
    if not await until(lambda: len(kit.ears.of(key)) > first, GRACE_S * 10):
        raise NotJudged("the broker did not say it again")
    await asyncio.sleep(GRACE_S)
    if traded(kit, key) != order.quantity:
        raise Failed(f"trades of {order.quantity}, told twice", list(kit.ears.trades(key)))
    return f"{_fills(kit, order)}, told twice"


def _fills(kit: Kit, order: Submission) -> str:
    trades = kit.ears.trades(order.broker_order_key)
    for trade in trades.values():
        in_decimals(trade)
    if traded(kit, order.broker_order_key) != order.quantity:
        raise Failed(f"trades of {order.quantity} in all", list(trades))
    return f"{len(trades)} executions of {order.quantity} in all"


CASES: Final = (published_first, told_later, told_again)
