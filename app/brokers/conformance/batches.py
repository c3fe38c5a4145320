"""B-3xx: several orders in one request."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.domain.messages import Accepted, Answer, Found, NotSent, Rejected
from app.ports.brokers import Broker


def several(broker: Broker, wanted: int = 3) -> int:
    """Return how many orders a batch of this case has."""
    size = min(wanted, broker.capabilities.batch_max)
    if size == 1:
        raise NotApplicable("batch_max is 1")
    return size


def in_number(answers: Sequence[object], wanted: int) -> None:
    if len(answers) != wanted:
        raise Failed(f"{wanted} answers to {wanted} items", f"{len(answers)}: {answers}")


@case(
    "B-301",
    "One answer an item, in the order of the items",
    Need.LIVE,
    proves="an id stands on the order that it belongs to",
    source="ports.brokers.Broker: one answer for each item, in the same order",
)
async def in_order(kit: Kit) -> str:
    broker = await kit.broker()
    orders = [kit.order() for _ in range(several(broker))]
    answers = await kit.submit(broker, *orders)
    in_number(answers, len(orders))
    if not broker.capabilities.query_by_key:
        return f"{len(orders)} answers; this broker shows no order by its key"
    for order, answer in zip(orders, answers, strict=True):
        found = await kit.shown(broker, order.broker_order_key)
        theirs = answer.broker_order_id if isinstance(answer, Accepted) else answer
        if not isinstance(found, Found) or found.broker_order_id != theirs:
            raise Failed(f"{order.broker_order_key} as {theirs}, as it was answered", found)
    return f"{len(orders)} answers, each on its own order"


@case(
    "B-302",
    "A refused item refuses itself, and none goes without an answer",
    Need.LIVE,
    proves="one customer's bad order is not another's",
    source="order-model 5, per item; capability batch_atomic",
)
async def partial(kit: Kit) -> str:
    broker = await kit.broker()
    if several(broker) < len("bad"):
        raise NotApplicable("batch_max is 2")
    orders = [kit.order(), kit.order(quantity=Decimal(0)), kit.order()]
    first, bad, last = _three(await kit.submit(broker, *orders))
    if not isinstance(bad, Rejected):
        raise Failed("Rejected for a quantity of 0", bad)
    kinds: tuple[type[Answer], ...] = (Accepted,)
    if broker.capabilities.batch_atomic:
        kinds = (NotSent, Rejected)
    if not (isinstance(first, kinds) and isinstance(last, kinds)):
        expected = "nothing of an atomic batch" if broker.capabilities.batch_atomic else "both"
        raise Failed(f"{expected} accepted beside a refused one", (first, last))
    return f"{type(first).__name__}, Rejected({bad.code}), {type(last).__name__}"


@case(
    "B-303",
    "The largest batch is taken",
    Need.LIVE,
    proves="batch_max is what the broker takes",
    source="capability batch_max",
)
async def largest(kit: Kit) -> str:
    broker = await kit.broker()
    size = several(broker, broker.capabilities.batch_max)
    if size > kit.terms.orders_max:
        raise NotJudged(f"batch_max is {size}, more than --orders-max {kit.terms.orders_max}")
    answers = await kit.submit(broker, *(kit.order() for _ in range(size)))
    in_number(answers, size)
    refused = [answer for answer in answers if not isinstance(answer, Accepted)]
    if refused:
        raise Failed(f"{size} accepted", f"{len(refused)} were not: {refused[0]}")
    return f"{size} accepted"


@case(
    "B-304",
    "Of a batch that breaks off, no item is judged and none forgotten",
    Need.LINE,
    proves="each order of a lost batch is in doubt, and is asked about",
    source="order-model 5, Unknown: a batch that failed without items, each item",
)
async def silent(kit: Kit) -> str:
    broker = await kit.broken(Fault.CUT)
    size = several(broker)
    answers = await kit.submit(broker, *(kit.order() for _ in range(size)))
    in_number(answers, size)
    judged = [answer for answer in answers if isinstance(answer, Accepted | Rejected)]
    if judged:
        raise Failed(f"{size} times Unknown", judged)
    return f"{size} answers, none a verdict"


def _three(answers: Sequence[Answer]) -> tuple[Answer, Answer, Answer]:
    in_number(answers, 3)
    return answers[0], answers[1], answers[2]


CASES: Final = (in_order, partial, largest, silent)
