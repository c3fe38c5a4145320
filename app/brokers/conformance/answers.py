"""B-1xx: what an adapter answers when nothing goes wrong."""

from decimal import Decimal
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotJudged
from app.domain.messages import Accepted, Rejected

# Neither fits into a binary float: 2**53 + 1, and more digits than a float has.
QUANTITY: Final = Decimal(9_007_199_254_740_993)
PRICE: Final = Decimal("1048576.123456789012")


@case(
    "B-101",
    "A healthy broker answers a ping",
    proves="the gate can find out that a broker is back without risking an order",
    source="ports.brokers.Broker.ping; FIX TestRequest (1)",
)
async def ping(kit: Kit) -> str:
    broker = await kit.broker()
    if not await kit.seen(broker.ping()):
        raise Failed("True", "False: is it there, and are these its credentials?")
    return "True"


@case(
    "B-102",
    "No items, no request, no answers",
    proves="an empty batch is nothing to send",
    source="ports.brokers.Broker: one answer for each item",
)
async def empty(kit: Kit) -> str:
    broker = await kit.broker()
    found = [
        *await kit.seen(broker.submit([])),
        *await kit.seen(broker.cancel([])),
        *await kit.seen(broker.find([])),
    ]
    if found:
        raise Failed("no answers", found)
    return "submit, cancel and find answer []"


@case(
    "B-103",
    "An order is accepted under the broker's own id",
    Need.LIVE,
    proves="Accepted means that the broker has it, and says as what",
    source="order-model 5, Accepted; FIX OrderID (37)",
)
async def accepted(kit: Kit) -> str:
    broker = await kit.broker()
    answer = only(await kit.submit(broker, kit.order()))
    if not isinstance(answer, Accepted) or not answer.broker_order_id:
        raise Failed("Accepted with an id", answer)
    return f"Accepted as {answer.broker_order_id}"


@case(
    "B-104",
    "A refused order is rejected with the broker's own code",
    Need.LIVE,
    proves="Rejected is a judgement of this order, and tells the customer why",
    source="order-model 5, Rejected; FIX ExecType (150) = 8, OrdRejReason (103)",
)
async def rejected(kit: Kit) -> str:
    broker = await kit.broker()
    answer = only(await kit.submit(broker, kit.order(quantity=Decimal(0))))
    if not isinstance(answer, Rejected) or not answer.code:
        raise Failed("Rejected with a code, for a quantity of 0", answer)
    return f"Rejected({answer.code})"


@case(
    "B-105",
    "Amounts leave digit by digit",
    Need.LINE,
    proves="no amount passes through a binary float",
    source="FIX OrderQty (38), Price (44); decimals as decimals",
)
async def amounts(kit: Kit) -> str:
    broker = await kit.broken(Fault.CUT)
    order = kit.order(quantity=QUANTITY, limit_price=PRICE)
    await kit.attempted(broker, order)
    said = b"".join(_said(kit, order.broker_order_key))
    for amount in (QUANTITY, PRICE):
        if str(amount).encode() not in said:
            raise Failed(f"{amount} on the wire", said[-400:].decode("latin-1"))
    return f"{QUANTITY} at {PRICE}, as given"


@case(
    "B-106",
    "Our key leaves as it is, once",
    Need.LINE,
    proves="a doubt can be looked up under the key that we hold",
    source="order-model 3, broker_order_key; FIX ClOrdID (11)",
)
async def key(kit: Kit) -> str:
    broker = await kit.broken(Fault.CUT)
    order = kit.order()
    await kit.attempted(broker, order)
    _said(kit, order.broker_order_key)
    return order.broker_order_key


def _said(kit: Kit, order_key: str) -> list[bytes]:
    """Return what a client said on the connections that carry this key."""
    if kit.line.is_sealed:
        raise NotJudged("TLS: what leaves cannot be read")
    if not kit.line.requests:
        raise NotJudged("the order did not leave")
    said = [bytes(p.heard) for p in kit.line.passages if order_key.encode() in p.heard]
    if not said:
        raise Failed(f"the key {order_key} on the wire", "other bytes")
    return said


CASES: Final = (ping, empty, accepted, rejected, amounts, key)
