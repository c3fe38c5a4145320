"""B-75x: new terms for an order that a broker has, in one step there."""

from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.domain.messages import (
    Accepted,
    Found,
    NotSent,
    Rejected,
    Replacement,
    Submission,
    Unknown,
)
from app.domain.order import TERMINAL
from app.domain.values import Status, replace_key
from app.ports.brokers import Broker


def able(broker: Broker) -> Broker:
    if not broker.capabilities.replaces:
        raise NotApplicable("replaces is false: it has no such step")
    return broker


def doubled(kit: Kit, order: Submission, known: str | None) -> Replacement:
    """Return a request for twice the quantity, at the price that was far from the market."""
    key = replace_key(order.broker_order_key, 1)
    terms = order._replace(broker_order_key=key, quantity=2 * order.quantity)
    # First in line at the end: its key is the one under which the order is then canceled.
    if not kit.line.fault.keeps:
        kit.run.placed.insert(0, terms)
    return Replacement(key, order.broker_order_key, known, *terms[1:])


@case(
    "B-751",
    "New terms are taken, and found under either key",
    Need.LIVE,
    proves="a replace is one order before it and one after it",
    source="ports.brokers.Broker: replace, find; OrderCancelReplaceRequest (G), ExecType (150) = 5",
)
async def taken(kit: Kit) -> str:
    broker = able(await kit.broker())
    order, known = await kit.accepted(broker)
    wanted = doubled(kit, order, known)
    answer = only(await kit.seen(broker.replace([wanted])))
    if not isinstance(answer, Accepted):
        raise Failed("Accepted", answer)
    for key in (wanted.broker_order_key, order.broker_order_key):
        seen = await kit.becomes(broker, key, Status.NEW, Status.PARTIALLY_FILLED)
        if seen is None:
            raise Failed(f"the order under {key}", "none in time")
        if seen.quantity not in {None, wanted.quantity}:
            raise Failed(f"a quantity of {wanted.quantity}", seen.quantity)
    return f"Accepted, then {wanted.quantity} instead of {order.quantity}"


@case(
    "B-752",
    "New terms for an order that has ended are refused",
    Need.LIVE,
    proves="nothing comes to life again",
    source="order-model 11 row 15; FIX CxlRejReason (102) = 0",
)
async def too_late(kit: Kit) -> str:
    broker = able(await kit.broker())
    order, known = await kit.accepted(broker)
    await kit.cancel(broker, order, known)
    await kit.becomes(broker, order.broker_order_key, *TERMINAL)
    wanted = doubled(kit, order, known)
    answer = only(await kit.seen(broker.replace([wanted])))
    if not isinstance(answer, Rejected):
        raise Failed("Rejected", answer)
    found = only(await kit.seen(broker.find([wanted.broker_order_key])))
    if isinstance(found, Found) and found.status not in TERMINAL:
        raise Failed("no live order", found)
    return f"Rejected({answer.code})"


@case(
    "B-753",
    "A replace without an answer is unknown, and leaves once",
    Need.LINE,
    proves="silence changes no terms",
    source="order-model 11 row 15; ports.brokers.Broker: nothing repeats a request",
)
async def silent(kit: Kit) -> str:
    broker = able(await kit.broken(Fault.CUT))
    wanted = doubled(kit, kit.order(), "1")
    answer = only(await kit.seen(broker.replace([wanted])))
    carried = kit.line.carriers(wanted.broker_order_key)
    if isinstance(answer, NotSent) and not carried and not kit.line.is_sealed:
        raise NotJudged(f"the request did not leave: {answer.cause}")
    if not isinstance(answer, Unknown):
        raise Failed("Unknown", answer)
    if carried > 1:
        raise Failed("one request", f"{carried} requests")
    return str(answer)


@case(
    "B-754",
    "A replace that could not leave is not sent",
    Need.LINE,
    proves="it may be asked for again at once",
    source="order-model 5, NotSent",
)
async def refused(kit: Kit) -> str:
    broker = able(await kit.broken(Fault.REFUSED))
    answer = only(await kit.seen(broker.replace([doubled(kit, kit.order(), "1")])))
    if not isinstance(answer, NotSent):
        raise Failed("NotSent", answer)
    return str(answer)


CASES: Final = (taken, too_late, silent, refused)
