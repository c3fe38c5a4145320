"""B-5xx: the same key twice, and the declared rate."""

import asyncio
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.verdict import Failed
from app.domain.messages import Accepted, Found, Rejected, Throttled, Unknown

# Nine tenths of the declared rate: what a limit means by a second is each broker's own idea.
SLOWLY: Final = 0.9


@case(
    "B-501",
    "The same key twice is not a rejection",
    Need.LIVE,
    proves="'duplicate' is proof of receipt, not a refusal of the order that is there",
    source="order-model 5, Unknown; 11 row 3; FIX OrdRejReason (103) = 6",
)
async def duplicate(kit: Kit) -> str:
    broker = await kit.broker()
    order, known = await kit.accepted(broker)
    again = only(await kit.submit(broker, order))
    if isinstance(again, Rejected):
        raise Failed("Unknown, or Accepted under the same id", again)
    if not isinstance(again, Accepted | Unknown | Throttled):
        raise Failed("Unknown, or Accepted under the same id", again)
    if not broker.capabilities.query_by_key:
        return f"the broker said: {again}"
    found = await kit.shown(broker, order.broker_order_key)
    if isinstance(found, Found) and found.broker_order_id != known:
        raise Failed(f"the first order, {known}", f"another one, {found.broker_order_id}")
    if isinstance(again, Accepted) and again.broker_order_id != known:
        raise Failed(f"{known} again", f"a second order, {again.broker_order_id}")
    return f"the broker said: {again}"


@case(
    "B-511",
    "The declared rate holds",
    Need.LIVE,
    proves="orders_per_second_max is what the broker takes without a word",
    source="order-model 6; 11 row 11",
)
async def rate(kit: Kit) -> str:
    broker = await kit.broker()
    declared = broker.capabilities.orders_per_second_max
    orders = min(declared, kit.terms.orders_max)
    pause_s = 1 / (declared * SLOWLY)
    loop = asyncio.get_running_loop()
    began = loop.time()
    throttled = 0
    async with asyncio.TaskGroup() as group:
        sends = []
        for number in range(orders):
            await asyncio.sleep(max(0.0, began + number * pause_s - loop.time()))
            sends.append(group.create_task(kit.submit(broker, kit.order())))
    for send in sends:
        throttled += isinstance(only(send.result()), Throttled)
    if throttled:
        raise Failed(f"{declared} a second, as declared", f"{throttled} of {orders} throttled")
    return f"{orders} orders in {loop.time() - began:.2f} s, none throttled"


CASES: Final = (duplicate, rate)
