"""Holding back what never left, and letting it go again. Pure.

A held order stands in no queue and keeps its `accept_sequence`, so its place. It is let go to
where its session stands now: to the book if the bell has not rung, to those that wait for a
permit if it has. What cannot be let go ends with its session, as everything unsent does.

The trap is the order that is held because nobody knows enough: a broker has shown a copy of it,
or its attempts are spent. A second copy would be one release away, so no release touches it.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from app.domain import order as law
from app.domain.errors import Code
from app.domain.order import Order, is_stray, moved, released
from app.domain.session import TradingSession
from app.domain.values import PendingRequest, Status

HOLDABLE: Final = frozenset({Status.RESERVED, Status.QUEUED})
# Its session's end says nothing of a copy that a broker has: that ends by the broker's word.
KEPT_AT_A_BROKER: Final = frozenset({Code.STRAY_EVIDENCE.code})
# Nobody lets go what is held for one of these; a cancel ends it, or a broker's own word.
KEPT: Final = KEPT_AT_A_BROKER | {Code.ATTEMPTS_EXHAUSTED.code}


class StrayVerdict(StrEnum):
    """What two people have found out about a copy that a broker has shown."""

    CANCELED = "canceled"  # it works no more; what has traded of it counts
    EXPIRED = "expired"
    FILLED = "filled"  # what was left of it has traded as well
    NOT_RECEIVED = "not_received"  # there never was one: what the broker said was a mistake


class StrayWord(NamedTuple):
    """The verdict on one attempt, and what it rests on: the evidence, a price, who approved."""

    attempt_id: str
    verdict: StrayVerdict
    terms: Mapping[str, str]


class HeldOrder(NamedTuple):
    """One order that stands in no queue, as operators see it."""

    accept_sequence: int
    order_id: str
    account_id: str
    trading_session_id: str
    reason_code: str | None  # by whom or what it is held
    held_at: int


def held(order: Order, now: int) -> Order | Code:
    """T5: stop an unsent order until an operator lets it go."""
    if order.status not in HOLDABLE or is_stray(order):
        return Code.NOT_HOLDABLE
    return law.held(order, now)._replace(reason_code=Code.HELD_BY_OPERATOR.code)


def refuted(order: Order, now: int) -> Order | Code:
    """No broker has, or ever had, a copy: the order is held as any other, and nothing leaves yet.

    A trade is proof of a copy, whatever people say. A cancel that waited for the broker's word
    has won.
    """
    if order.status is not Status.HELD or not is_stray(order):
        return Code.NOT_STRAY
    if order.filled_quantity or order.overfilled_quantity:
        return Code.NOT_STRAY
    free = order._replace(reason_code=Code.HELD_BY_OPERATOR.code, broker_id=None)
    if order.pending_request is PendingRequest.CANCEL:
        return moved(free, Status.CANCELED, now, pending_request=PendingRequest.NONE)
    return moved(free, Status.HELD, now)


def let_go(order: Order, session: TradingSession | None, now: int) -> Order | Code:
    """T6: back to its bell or, if that has rung, to those that wait for a permit."""
    if order.status is not Status.HELD or order.reason_code in KEPT:
        return Code.NOT_RELEASABLE
    if session is None or session.closes_at <= now:
        return Code.NOT_RELEASABLE
    free = order._replace(reason_code=None)
    if now < session.opens_at:
        return moved(free, Status.RESERVED, now, released_at=None)
    return released(free, now)
