"""B-4xx: how doubt ends. Found, absent, and everything that is neither."""

import asyncio
from decimal import Decimal
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.held import until
from app.brokers.conformance.kit import ASK_EVERY_S, Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.brokers.conformance.words import lookup_words
from app.domain.messages import Absent, ExecutionReport, ExecutionType, Found, Unknown
from app.domain.values import OrderType, Status
from app.ports.brokers import Broker


async def _asking(kit: Kit, broker: Broker | None = None) -> Broker:
    broker = broker or await kit.broker()
    if not broker.capabilities.query_by_key:
        raise NotApplicable("query_by_key is false: its doubts go to an operator")
    return broker


@case(
    "B-401",
    "An unheard-of key is absent",
    proves="the broker says 'unknown id' in a word that the adapter knows",
    source="order-model 2, authoritative negative; FIX OrderStatusRequest (H)",
)
async def absent(kit: Kit) -> str:
    broker = await _asking(kit)
    found = only(await kit.seen(broker.find([kit.key()])))
    if not isinstance(found, Absent):
        raise Failed("Absent", found)
    return "Absent"


@case(
    "B-402",
    "An accepted order is found as it was accepted",
    Need.LIVE,
    proves="an answer that was lost can be read again",
    source="order-model 2, T14; FIX ExecType (150) = I",
)
async def found(kit: Kit) -> str:
    broker = await _asking(kit)
    order, known = await kit.accepted(broker)
    seen = await kit.shown(broker, order.broker_order_key)
    if not isinstance(seen, Found) or seen.broker_order_id != known:
        raise Failed(f"Found as {known}", seen)
    if seen.status not in {Status.NEW, Status.PARTIALLY_FILLED, Status.FILLED}:
        raise Failed("new, or traded", seen.status)
    return f"Found as {known}, {seen.status}"


@case(
    "B-403",
    "Several keys, one answer each, in their order",
    Need.LIVE,
    proves="evidence settles the doubt that it belongs to",
    source="ports.brokers.Broker.find; capability find_batch_max",
)
async def several(kit: Kit) -> str:
    broker = await _asking(kit)
    if broker.capabilities.find_batch_max == 1:
        raise NotApplicable("find_batch_max is 1")
    order, known = await kit.accepted(broker)
    await kit.shown(broker, order.broker_order_key)
    seen = await kit.seen(broker.find([kit.key(), order.broker_order_key]))
    if len(seen) != len("ab") or not isinstance(seen[0], Absent) or not isinstance(seen[1], Found):
        raise Failed("[Absent, Found]", seen)
    if seen[1].broker_order_id != known:
        raise Failed(f"Found as {known}", seen[1])
    return "[Absent, Found]"


@case(
    "B-404",
    "No failure of a look-up is an absence",
    Need.LINE,
    proves="a broken network sends no order a second time",
    source="order-model 2: errors of the query never count; 11 row 4",
)
async def broken(kit: Kit) -> str:
    broker = await _asking(kit, await kit.on_the_line())
    for fault in (Fault.SWALLOWED, Fault.CUT, Fault.REFUSED):
        kit.line.arm(fault)
        seen = only(await kit.seen(broker.find([kit.key()])))
        if not isinstance(seen, Unknown):
            raise Failed(f"Unknown when {fault.value[0]}", seen)
    return "Unknown: silent, cut, refused"


@case(
    "B-406",
    "Each look-up opens a connection of its own",
    Need.LINE,
    proves="a stale connection to a dead node answers no question",
    source="ports.brokers.Broker.find; order-model 2, authoritative negative",
)
async def fresh(kit: Kit) -> str:
    broker = await _asking(kit, await kit.on_the_line())
    if not any(p.is_http for p in kit.line.passages) and not kit.line.is_sealed:
        raise NotApplicable("a session of its own orders its messages by number")
    before = kit.line.requests
    for _ in range(2):
        await kit.seen(broker.find([kit.key()]))
    if (opened := kit.line.requests - before) < len("ab"):
        raise Failed("2 look-ups on 2 new connections", f"{opened} new connections")
    return "2 look-ups, 2 connections"


@case(
    "B-407",
    "An order is shown within the declared window",
    Need.LIVE,
    proves="'unknown id' after visibility_window_s says that the order is not there",
    source="order-model 6, visibility_window_s; 11 row 3 (Tinkoff #369)",
)
async def window(kit: Kit) -> str:
    broker = await _asking(kit)
    order, _ = await kit.accepted(broker)
    declared = broker.capabilities.visibility_window_s
    loop = asyncio.get_running_loop()
    began, unknown = loop.time(), 0
    while isinstance(only(await kit.seen(broker.find([order.broker_order_key]))), Absent):
        unknown += 1
        if loop.time() - began > declared:
            raise Failed(
                f"shown within the declared {declared:g} s", f"{unknown} times unknown until then"
            )
        await asyncio.sleep(ASK_EVERY_S)
    took = loop.time() - began
    return f"shown after {took:.2f} s and {unknown} times unknown; declared: {declared:g} s"


@case(
    "B-408",
    "A traded order shows its executions",
    Need.LIVE,
    Need.MONEY,
    proves="fills that no report told are found, in decimals and once each",
    source="order-model 11 row 5; FIX ExecID (17), LastQty (32), LastPx (31)",
)
async def executions(kit: Kit) -> str:
    broker = await _asking(kit)
    order = kit.order(order_type=OrderType.MARKET, limit_price=None)
    await kit.submit(broker, order)
    seen = await kit.becomes(broker, order.broker_order_key, Status.FILLED)
    if seen is None:
        raise NotJudged("a market order did not trade in time")
    trades = [e for e in seen.executions if e.execution_type is ExecutionType.TRADE]
    if not trades and kit.held is not None:
        # A status on a session shows what has traded; the executions themselves are its reports.
        await until(lambda: bool(kit.ears.trades(order.broker_order_key)), kit.terms.patience_s)
        trades = list(kit.ears.trades(order.broker_order_key).values())
    traded = sum((trade.last_quantity for trade in trades), Decimal(0))
    if traded != order.quantity or len({t.execution_id for t in trades}) != len(trades):
        raise Failed(f"executions of {order.quantity} in all, each under its own id", trades)
    for trade in trades:
        in_decimals(trade)
    return f"{len(trades)} executions of {traded} in all"


def in_decimals(report: ExecutionReport) -> None:
    """Refuse a report whose amounts were floats."""
    for amount in (report.last_quantity, report.last_price):
        if not isinstance(amount, Decimal | None):
            raise Failed("amounts as Decimal", f"{type(amount).__name__}: {amount}")


CASES: Final = (absent, found, several, broken, lookup_words, fresh, window, executions)
