"""B-7xx: cancels, in time and too late."""

from typing import Final

from app.brokers.conformance.case import Need, case
from app.brokers.conformance.kit import Kit, only
from app.brokers.conformance.line import Fault
from app.brokers.conformance.verdict import Failed, NotJudged
from app.domain.messages import Accepted, Answer, Found, NotSent, Rejected, Unknown
from app.domain.order import TERMINAL
from app.domain.values import Status
from app.ports.brokers import Broker

# These make the gateway look before it believes that an order has ended.
GONE: Final = frozenset({"too-late", "unknown-order", "already-pending"})


async def _canceled(kit: Kit) -> tuple[Broker, Answer, Answer]:
    """Cancel one order, and once more when it is shown as canceled."""
    broker = await kit.broker()
    order, known = await kit.accepted(broker)
    first = only(await kit.cancel(broker, order, known))
    if broker.capabilities.query_by_key:
        await kit.becomes(broker, order.broker_order_key, *TERMINAL)
    return broker, first, only(await kit.cancel(broker, order, known))


@case(
    "B-701",
    "A cancel in time is accepted, and the order ends",
    Need.LIVE,
    proves="what a customer takes back is gone",
    source="order-model 2, cancel; FIX ExecType (150) = 4",
)
async def in_time(kit: Kit) -> str:
    broker = await kit.broker()
    order, known = await kit.accepted(broker)
    answer = only(await kit.cancel(broker, order, known))
    if not isinstance(answer, Accepted):
        raise Failed("Accepted", answer)
    if not broker.capabilities.query_by_key:
        return "Accepted; this broker shows no order by its key"
    seen = await kit.becomes(broker, order.broker_order_key, *TERMINAL)
    if not isinstance(seen, Found) or seen.status is not Status.CANCELED:
        raise Failed("canceled", seen)
    return "Accepted, then canceled"


@case(
    "B-702",
    "A cancel that comes too late says so",
    Need.LIVE,
    proves="no order hangs in 'pending cancel'",
    source="order-model 2, cancel; 11 row 6; FIX CxlRejReason (102) = 0",
)
async def too_late(kit: Kit) -> str:
    _, first, again = await _canceled(kit)
    if not isinstance(first, Accepted):
        raise NotJudged(f"the first cancel was not accepted: {first} (see B-701)")
    if isinstance(again, Accepted) or (isinstance(again, Rejected) and again.code in GONE):
        return str(again)
    raise Failed(f"Accepted, or Rejected with one of {sorted(GONE)}", again)


@case(
    "B-703",
    "A cancel of an order that nobody knows says so",
    Need.LIVE,
    proves="'unknown order' leads to a look-up, not to a loop",
    source="order-model 2, cancel; FIX CxlRejReason (102) = 1",
)
async def unknown(kit: Kit) -> str:
    broker = await kit.broker()
    answer = only(await kit.cancel(broker, kit.order(), None))
    if not isinstance(answer, Rejected) or answer.code not in GONE:
        raise Failed("Rejected(unknown-order)", answer)
    return str(answer)


@case(
    "B-704",
    "A cancel without an answer is unknown",
    Need.LINE,
    proves="silence settles no cancel",
    source="order-model 2, cancel: Unknown stays pending",
)
async def silent(kit: Kit) -> str:
    broker = await kit.broken(Fault.SWALLOWED)
    answer = only(await kit.cancel(broker, kit.order(), "1"))
    if not isinstance(answer, Unknown):
        raise Failed("Unknown", answer)
    return str(answer)


@case(
    "B-705",
    "A cancel that could not leave is not sent",
    Need.LINE,
    proves="it may be repeated at once",
    source="order-model 2, cancel: NotSent is repeated",
)
async def refused(kit: Kit) -> str:
    broker = await kit.broken(Fault.REFUSED)
    answer = only(await kit.cancel(broker, kit.order(), "1"))
    if not isinstance(answer, NotSent):
        raise Failed("NotSent", answer)
    return str(answer)


CASES: Final = (in_time, too_late, unknown, silent, refused)
