"""The order that an operator acts on: his to touch, and still as he saw it.

The trap is a second place that decides this: a hold, a release, a cancel and the settling of a
stray copy all change one order, and whoever forgets one of the three questions acts on what nobody
has looked at, or tells that a foreign order is there.
"""

from typing import Any

from app.domain.errors import Code, Refused
from app.domain.order import Order
from app.web.access.keys import authorize, not_there
from app.web.house import House
from app.web.shapes import order_shape
from app.web.spec import Call


async def order_of(house: House, call: Call[Any, Any], scope: str) -> Order:
    """Return the order of the path, if the caller may do this with its account."""
    order = await house.orders.get(call.part("order_id"))
    if order is None:
        raise not_there()
    authorize(call.who, scope, order.account_id)
    return order


async def seen_order(house: House, call: Call[Any, Any], scope: str) -> Order:
    """Return it, if it is still as the caller saw it; raise `Refused` with what stands there."""
    order = await order_of(house, call, scope)
    if order.version != call.version:
        detail = f"the order is at version {order.version}"
        current = order_shape(order, house.reference().calendar)
        raise Refused(Code.STALE_VERSION, detail, current=current)
    return order
