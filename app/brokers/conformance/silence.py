"""B-2xx: a network that breaks, at each point of a request."""

import asyncio
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.domain.messages import Answer, Found, NotSent, Unknown

# A repetition that is on its way shows within this; none is worth waiting longer for.
GRACE_S: Final = 0.2
CANCEL_S: Final = 5.0


async def one_answer(kit: Kit, fault: Fault) -> Answer:
    """Return what an adapter says of one order when this goes wrong."""
    broker = await kit.broken(fault)
    return only(await kit.submit(broker, kit.order()))


def must_be(answer: Answer, *kinds: type[Answer]) -> str:
    if not isinstance(answer, kinds):
        raise Failed(" or ".join(kind.__name__ for kind in kinds), answer)
    return str(answer)


@case(
    "B-201",
    "Silence is unknown, never an exception",
    Need.LINE,
    proves="a time-out is no verdict",
    source="order-model 5, Unknown; 11 rows 1 and 4",
)
async def silence(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.SWALLOWED), Unknown)


@case(
    "B-202",
    "A refused connection is not sent",
    Need.LINE,
    proves="what never left may go to another broker at once",
    source="order-model 5, NotSent",
)
async def refused(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.REFUSED), NotSent)


@case(
    "B-203",
    "A name that does not resolve is not sent",
    Need.LINE,
    proves="a DNS outage drops no order and puts none in doubt",
    source="order-model 5, NotSent; 11 row 4 (hummingbot #8457)",
)
async def nameless(kit: Kit) -> str:
    broker = await kit.on_the_line()
    if not kit.line.resolved:
        raise NotJudged("it connects to an address, not to a name")
    kit.line.arm(Fault.NAMELESS)
    return must_be(only(await kit.submit(broker, kit.order())), NotSent)


@case(
    "B-204",
    "A connection that is never made is not sent",
    Need.LINE,
    proves="the time-out of a connection is told apart from that of an answer",
    source="order-model 5, NotSent",
)
async def unmade(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.UNMADE), NotSent)


@case(
    "B-205",
    "A cut before the first byte is not sent, or unknown",
    Need.LINE,
    proves="a connection that dies in our hands is no verdict",
    source="order-model 5",
)
async def cut_first(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.CUT_FIRST), NotSent, Unknown)


@case(
    "B-206",
    "A cut after the bytes left is unknown",
    Need.LINE,
    proves="after the first byte only the broker's own word counts",
    source="order-model 5, Unknown; FIX: number assigned, then disconnect",
)
async def cut(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.CUT), Unknown)


@case(
    "B-207",
    "Half an answer is unknown",
    Need.LINE,
    Need.LIVE,
    proves="an answer that ends in the middle says nothing",
    source="order-model 5, Unknown",
)
async def halved(kit: Kit) -> str:
    return must_be(await one_answer(kit, Fault.HALVED), Unknown)


@case(
    "B-208",
    "An order whose answer was lost is found",
    Need.LINE,
    Need.LIVE,
    proves="doubt is settled by evidence: the order is there, once",
    source="order-model 2, T13 and T14; 11 row 2",
)
async def lost(kit: Kit) -> str:
    broker = await kit.broken(Fault.LOST)
    order = kit.order()
    await kit.attempted(broker, order)
    kit.line.arm(Fault.NONE)
    if not broker.capabilities.query_by_key:
        raise NotApplicable("query_by_key is false: its doubts go to an operator")
    found = await kit.shown(await kit.broker(), order.broker_order_key)
    if not isinstance(found, Found):
        raise Failed("Found: the broker had answered", found)
    return f"found as {found.broker_order_id} ({found.status})"


@case(
    "B-209",
    "Nothing under the port repeats an order",
    Need.LINE,
    proves="whatever breaks, an order leaves once",
    source="order-model 5: no client may retry; 11 row 1",
)
async def once(kit: Kit) -> str:
    broker = await kit.on_the_line()
    orders = [kit.order(), kit.order()]
    for order, fault in zip(orders, (Fault.SWALLOWED, Fault.CUT), strict=True):
        kit.line.arm(fault)
        await kit.attempted(broker, order)
    await asyncio.sleep(GRACE_S)
    if kit.line.is_sealed:
        raise NotJudged("TLS: what leaves cannot be counted")
    carried = [kit.line.carriers(order.broker_order_key) for order in orders]
    if max(carried) > 1:
        raise Failed("each order on one connection", f"silent: {carried[0]}, cut: {carried[1]}")
    return "once after silence, once after a cut"


@case(
    "B-210",
    "A cancelled call ends at once and sends nothing more",
    Need.LINE,
    proves="a gateway that stops does not wait for a dead broker",
    source="ports.brokers.Broker: never an exception but cancellation",
)
async def cancelled(kit: Kit) -> str:
    broker = await kit.broken(Fault.SWALLOWED)
    order = kit.order()
    async with asyncio.TaskGroup() as group:
        call = group.create_task(kit.attempted(broker, order))
        await _left(kit, order.broker_order_key)
        call.cancel()
        await asyncio.wait([call], timeout=CANCEL_S)
        ended, count = call.done(), _spoken(kit, order.broker_order_key)
    if not ended:
        raise Failed(f"the call to end within {CANCEL_S:g} s", "it went on")
    await asyncio.sleep(GRACE_S)
    if (more := _spoken(kit, order.broker_order_key) - count) > 0:
        raise Failed("nothing more on the wire", f"{more} more requests")
    return "it ended, and nothing more left"


@case(
    "B-211",
    "A ping of a broker that is away is no, not an exception",
    Need.LINE,
    proves="asking whether a broker is back cannot hurt",
    source="ports.brokers.Broker.ping",
)
async def away(kit: Kit) -> str:
    for fault in (Fault.REFUSED, Fault.SWALLOWED):
        broker = await kit.broken(fault)
        if await kit.seen(broker.ping()):
            raise Failed("False", f"True, while {fault.value[0]}")
    return "False"


def _spoken(kit: Kit, order_key: str) -> int:
    """Return how much has left: a session that is made again meanwhile repeats no order."""
    if kit.held is not None and not kit.line.is_sealed:
        return kit.line.mentions(order_key)
    return kit.line.requests


async def _left(kit: Kit, order_key: str) -> None:
    """Wait until an order is on the wire; readable or not, it is there soon."""
    for _ in range(int(1 / 0.01)):
        if kit.line.carriers(order_key):
            return
        await asyncio.sleep(0.01)


CASES: Final = (
    silence,
    refused,
    nameless,
    unmade,
    cut_first,
    cut,
    halved,
    lost,
    once,
    cancelled,
    away,
)
