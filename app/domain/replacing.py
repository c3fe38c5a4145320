"""An order's terms at a broker, and the chain of requests that change them.

    waiting ─► open ─► unknown ─► accepted: the new terms are the order's
       │         │        └─────► rejected · not_received: the old ones stand
       │         └─► not_sent: the wish waits again, under the next key
       └─► denied · withdrawn                    ended: the order did, first

There is one order before a replace and one after it, under one parent: what was filled and what
works never come to more than the larger of both quantities. So a replace is one request to the
broker and never a cancel with a new order behind it; while one is out no second one follows; and
the new terms are the order's only when the broker says so, for until then fills are of the old.

The trap is the order of arrival. The broker's word on a replace may come after its fills, after
the order's end, or after we had called the request never received. So the terms are those of the
highest-numbered request that was accepted, whichever was heard of last.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final, NamedTuple

from app.domain.errors import InvalidTransition
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.order import TERMINAL, WORKING, Order, is_stray, moved
from app.domain.trades import EXACT, is_amount
from app.domain.values import PendingRequest, ReplaceState, Status

_S = Status
_R = ReplaceState
# A request whose bytes may be out, and of which nothing is known.
OUT: Final = frozenset({_R.OPEN, _R.UNKNOWN})
STANDING: Final = OUT | {_R.WAITING}
ENDED: Final = frozenset({_S.CANCELED, _S.EXPIRED})
# Settled as without effect: should the broker say otherwise, somebody must hear of it.
WITHOUT_EFFECT: Final = frozenset({_R.NOT_SENT, _R.NOT_RECEIVED, _R.REJECTED})
WORDS: Final = frozenset({ExecutionType.REPLACED, ExecutionType.REPLACE_REJECTED})


class Asked(NamedTuple):
    """One request to replace: the terms that it asks for, and what became of it."""

    key: str
    quantity: Decimal
    limit_price: Decimal | None
    state: ReplaceState


def replace_requested(order: Order, now: int) -> Order:
    """Note new terms for an order that works at a broker; the broker's word decides."""
    if order.status not in WORKING or is_stray(order):
        raise InvalidTransition(f"order {order.order_id}: replace requested in {order.status}")
    if order.pending_request is not PendingRequest.NONE:
        raise InvalidTransition(f"order {order.order_id}: its {order.pending_request} is pending")
    return moved(order, order.status, now, pending_request=PendingRequest.REPLACE)


def replace_over(order: Order, now: int) -> Order:
    """Go on under the old terms. A cancel that was asked for meanwhile still waits."""
    if order.pending_request is not PendingRequest.REPLACE:
        return order
    return moved(order, order.status, now, pending_request=PendingRequest.NONE)


class Chain:
    """The requests to replace of one order, and what a broker's words make of them."""

    def __init__(self, asked: Iterable[Asked] = ()) -> None:
        self._asked = {each.key: each for each in sorted(asked)}
        self.changed: dict[str, Asked] = {}
        self.late: list[str] = []  # keys of what took effect though we had settled otherwise

    @property
    def standing(self) -> Asked | None:
        """The request that waits or is out: one at a time."""
        found = [each for each in self._asked.values() if each.state in STANDING]
        assert len(found) <= 1, f"two replaces at once: {found}"
        return found[0] if found else None

    @property
    def is_out(self) -> bool:
        """Whether a request may have reached the broker, and nothing is known of it."""
        standing = self.standing
        return standing is not None and standing.state in OUT

    @property
    def next_number(self) -> int:
        """The number of the next request: one key, one message."""
        return 1 + max((int(key[-3:]) for key in self._asked), default=0)

    def knows(self, key: str) -> bool:
        """Whether a request of ours went out under this key."""
        return key in self._asked and self._asked[key].state is not _R.WAITING

    def close(self, asked: Asked, state: ReplaceState) -> None:
        """Note that a request has ended so, without effect on the order."""
        assert state not in STANDING
        assert state is not _R.ACCEPTED
        self._note(asked._replace(state=state))

    def live_key(self, attempt_key: str) -> str:
        """Return under which key the broker knows the order now."""
        accepted = [key for key, each in self._asked.items() if each.state is _R.ACCEPTED]
        return max(accepted, default=attempt_key)

    def apply(self, order: Order, report: ExecutionReport, now: int) -> list[Order]:
        """Return the versions that a word on a replace leads through; none if it is known."""
        asked = self._asked.get(report.broker_order_key)
        if asked is None or not self.knows(asked.key):
            raise InvalidTransition(f"no replace was sent as {report.broker_order_key}")
        if report.execution_type is ExecutionType.REPLACED:
            return self._accepted(order, asked, report, now)
        if asked.state is _R.ACCEPTED:
            raise InvalidTransition(f"replace {asked.key} was accepted, and now is refused")
        if asked.state not in OUT:
            return []
        self._note(asked._replace(state=_R.REJECTED))
        after = replace_over(order, now)
        return [] if after is order else [after]

    def follow(self, order: Order) -> None:
        """Let go of what no longer matters, now that the order stands here."""
        standing = self.standing
        if standing is None or order.status not in TERMINAL:
            return
        if order.status is _S.FILLED and standing.state in OUT:
            return  # it may still be accepted, and then the order works again
        self._note(standing._replace(state=_R.ENDED if self.is_out else _R.WITHDRAWN))

    def seen(self, before: Order, after: Order) -> Order:
        """Correct what a trade has made of an order, by what was asked of it.

        One that is filled may have been raised, so its request stays. One that a broker had
        ended while a request was out is not filled by what completes the old quantity: it can
        only have been raised first, or nothing would have been left to end.
        """
        if self.is_out:
            return after._replace(pending_request=self.overlay(after))
        if before.status in ENDED and any(a.state is _R.ENDED for a in self._asked.values()):
            return after._replace(status=before.status, cancel_origin=before.cancel_origin)
        return after

    def _accepted(
        self, order: Order, asked: Asked, report: ExecutionReport, now: int
    ) -> list[Order]:
        if asked.state is _R.ACCEPTED:
            return []
        terms = _terms(order, asked, report)
        if asked.state in WITHOUT_EFFECT:
            self.late.append(asked.key)
        later = any(key > asked.key and a.state is _R.ACCEPTED for key, a in self._asked.items())
        self._note(terms)
        after = order if later else _under(order, terms, report)
        pending = self.overlay(after)
        origin = after.cancel_origin if pending is after.pending_request else None
        after = after._replace(pending_request=pending, cancel_origin=origin)
        if after == order:
            return []
        return [moved(after._replace(status=order.status), after.status, now)]

    def overlay(self, order: Order) -> PendingRequest:
        """Return what is still asked of an order that stands here."""
        if order.status is _S.FILLED:
            return PendingRequest.REPLACE if self.is_out else PendingRequest.NONE
        if order.pending_request is PendingRequest.REPLACE and self.standing is None:
            return PendingRequest.NONE
        return order.pending_request

    def _note(self, asked: Asked) -> None:
        self._asked[asked.key] = self.changed[asked.key] = asked


def _terms(order: Order, asked: Asked, report: ExecutionReport) -> Asked:
    """Return what stands at the broker now: its own word, or what was asked of it.

    Who asks for less than has traded asks for the rest to be canceled: the quantity is then what
    has traded.
    """
    traded = EXACT.add(order.filled_quantity, order.overfilled_quantity)
    quantity = report.quantity
    if quantity is None:
        quantity = max(asked.quantity, traded)
    largest = max(asked.quantity, order.quantity, traded)
    if not is_amount(quantity) or quantity > largest:
        raise InvalidTransition(f"replace {asked.key}: asked for {asked.quantity}, was {quantity}")
    # A market order has no price, whatever a broker fills the field with.
    is_told = report.limit_price is not None and asked.limit_price is not None
    price = report.limit_price if is_told else asked.limit_price
    return asked._replace(quantity=quantity, limit_price=price, state=_R.ACCEPTED)


def _under(order: Order, terms: Asked, report: ExecutionReport) -> Order:
    """Return the order under its new terms: the same executions, measured against them."""
    traded = EXACT.add(order.filled_quantity, order.overfilled_quantity)
    filled = min(traded, terms.quantity)
    status = order.status
    if status in WORKING or status is _S.FILLED:
        status = _S.PARTIALLY_FILLED if filled else _S.NEW
        status = _S.FILLED if filled == terms.quantity else status
    return order._replace(
        status=status,
        quantity=terms.quantity,
        limit_price=terms.limit_price,
        filled_quantity=filled,
        overfilled_quantity=EXACT.subtract(traded, filled),
        broker_order_id=report.broker_order_id,
    )
