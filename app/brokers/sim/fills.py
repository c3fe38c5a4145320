"""Decides how an order fills: pure, and a function of the seed and the order's key alone.

So a restart continues the plan that the dead process had begun, and the same run fills in
the same way whatever order the requests arrived in.
"""

from decimal import Decimal
from typing import Final, Literal, NamedTuple

from app.brokers.sim.messages import Order
from app.brokers.sim.world import World

Mode = Literal["none", "instant", "partial"]
# What a market order trades at; there is no market here.
REFERENCE_PRICE: Final = "100"
PARTS_MAX: Final = 3
# A fill that follows its acknowledgement: the answer gets this head start, in milliseconds.
HEAD_START_MS: Final = 20


class Part(NamedTuple):
    """One execution to come."""

    delay_ms: int
    quantity: Decimal


class Plan(NamedTuple):
    """How orders fill here."""

    mode: Mode = "none"
    ratio: float = 1.0  # the share of orders that fill
    delay_ms: int = 500  # the last part trades within this


NO_FILLS: Final = Plan()


def parts(plan: Plan, order: Order, world: World) -> list[Part]:
    """Return the executions of this order; they sum to its quantity, or there are none."""
    if plan.mode == "none":
        return []
    die = world.fresh_die(f"fills:{order.client_order_id}")
    if die.random() >= plan.ratio:
        return []
    quantity = Decimal(order.quantity)
    if plan.mode == "instant":
        return [Part(HEAD_START_MS, quantity)]
    sizes = _split(quantity, die.randint(1, PARTS_MAX), die.random())
    delays = sorted(die.randint(0, plan.delay_ms) for _ in sizes)
    return [Part(HEAD_START_MS + delay, size) for delay, size in zip(delays, sizes, strict=True)]


def price(order: Order) -> str:
    return order.limit_price or REFERENCE_PRICE


def _split(quantity: Decimal, pieces: int, share: float) -> list[Decimal]:
    """Cut into at most so many pieces on the quantity's own grid: shares stay whole."""
    exponent = quantity.normalize().as_tuple().exponent
    unit = Decimal(1).scaleb(min(0, int(exponent)))
    units = int(quantity / unit)
    sizes: list[Decimal] = []
    while units and len(sizes) < pieces - 1:
        taken = max(1, int(units * share))
        sizes.append(taken * unit)
        units -= taken
    return [*sizes, units * unit] if units else sizes
