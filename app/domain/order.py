"""An order and the only moves it may make.

    reserved ──► queued ──► sending ──► new ──► partially_filled ──► filled
       │  ▲        │  ▲       │  │       │             │
       ▼  │        ▼  │       │  ▼       └──────┬──────┘
       held ◄──────┘  └───────┤ in_doubt        ▼
       │                      │   │      canceled · expired · rejected
       ▼                      └───┘
    denied · canceled · expired      (in_doubt ends by evidence, never by a timer)

`pending_request` is an overlay: a cancel or a replace that waits does not change where the
order stands, so fills stay simple. Each function returns the next version, one higher, or raises
`InvalidTransition`; T numbers are the transitions of the order model.
"""

from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from app.domain.errors import Code, InvalidTransition
from app.domain.values import (
    CancelOrigin,
    OrderType,
    PendingRequest,
    Side,
    Status,
    TimeInForce,
)

_S = Status
# From where to where. Amounts or the overlay may move while the status stays, so a state may
# stand in its own set. Busts (T22) go back by amounts: the only fill undone leaves `new`.
MOVES: Final[dict[Status, frozenset[Status]]] = {
    _S.RESERVED: frozenset({_S.RESERVED, _S.QUEUED, _S.HELD, _S.CANCELED, _S.DENIED, _S.EXPIRED}),
    # At a broker only by stray evidence: then it ends as the broker says, and never goes again.
    _S.HELD: frozenset({_S.HELD, _S.RESERVED, _S.QUEUED, _S.CANCELED, _S.DENIED, _S.EXPIRED}),
    _S.QUEUED: frozenset({_S.QUEUED, _S.HELD, _S.SENDING, _S.CANCELED, _S.DENIED, _S.EXPIRED}),
    # Back to queued only on proof that no broker has it; canceled only with a cancel pending.
    _S.SENDING: frozenset(
        {_S.SENDING, _S.QUEUED, _S.HELD, _S.IN_DOUBT, _S.NEW, _S.PARTIALLY_FILLED, _S.FILLED}
        | {_S.REJECTED, _S.CANCELED}
    ),
    _S.IN_DOUBT: frozenset(
        {_S.IN_DOUBT, _S.QUEUED, _S.HELD, _S.NEW, _S.PARTIALLY_FILLED, _S.FILLED}
        | {_S.REJECTED, _S.CANCELED, _S.EXPIRED}
    ),
    _S.NEW: frozenset(
        {_S.NEW, _S.PARTIALLY_FILLED, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED}
    ),
    # `rejected` after a fill is illegal: a trade is not undone by a refusal.
    _S.PARTIALLY_FILLED: frozenset(
        {_S.PARTIALLY_FILLED, _S.NEW, _S.FILLED, _S.CANCELED, _S.EXPIRED}
    ),
    # It ends otherwise only with a replace out: it had been raised, and we did not know yet.
    _S.FILLED: frozenset({_S.FILLED, _S.PARTIALLY_FILLED, _S.NEW, _S.CANCELED, _S.EXPIRED}),
    _S.CANCELED: frozenset({_S.CANCELED, _S.FILLED}),  # T20: a late fill
    _S.EXPIRED: frozenset({_S.EXPIRED, _S.FILLED}),
    _S.REJECTED: frozenset({_S.REJECTED}),  # T21: a fill on a refused order is still a fill
    _S.DENIED: frozenset({_S.DENIED}),
}
assert set(MOVES) == set(Status), "every state says where it may go"

UNSENT: Final = frozenset({_S.RESERVED, _S.HELD, _S.QUEUED})
MAYBE_OUT: Final = frozenset({_S.SENDING, _S.IN_DOUBT})
WORKING: Final = frozenset({_S.NEW, _S.PARTIALLY_FILLED})
SENT: Final = frozenset(Status) - UNSENT
TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.DENIED})
assert set(Status) == UNSENT | MAYBE_OUT | WORKING | TERMINAL


class Order(NamedTuple):
    """One order, whole. Instants are integer milliseconds since 1970 UTC.

    A NamedTuple because a million of these move three times within minutes: `_replace`
    costs 1.5 µs where a frozen dataclass of this size costs 9.
    """

    accept_sequence: int
    order_id: str  # 37
    trade_date: date  # 75, the exchange's; rules ids and retention, never changes
    session_date: date  # rules release and expiry; a rolled session moves it
    trading_session_id: str  # 336
    account_id: str  # 1
    client_order_id: str  # 11
    list_id: str | None  # 66
    symbol: str  # 55
    market: str  # 207
    side: Side  # 54
    order_type: OrderType  # 40
    quantity: Decimal  # 38
    limit_price: Decimal | None  # 44
    currency: str  # 15
    time_in_force: TimeInForce  # 59
    text: str | None  # 58
    accepted_at: int
    # From here on fields move; `ledger/rows.py` writes exactly these.
    version: int
    status: Status
    pending_request: PendingRequest
    filled_quantity: Decimal  # 14
    overfilled_quantity: Decimal  # beyond `quantity`: flagged, never dropped
    filled_value: Decimal  # sum of price x quantity, exact, so that no order of fills matters
    average_price: Decimal | None  # 6, from the two above
    broker_id: str | None
    broker_order_id: str | None  # 198
    reason_code: str | None
    cancel_origin: CancelOrigin | None
    done_for_day: bool
    released_at: int | None
    updated_at: int

    @property
    def remaining_quantity(self) -> Decimal:
        """Tag 151: what may still trade; zero once the order has ended."""
        if self.status in TERMINAL:
            return Decimal(0)
        return max(Decimal(0), self.quantity - self.filled_quantity)

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL


# Tag 39 is derived, never stored. FIX precedence: what is pending, done for day, the rest.
ORDER_STATUS: Final[dict[Status, str]] = {
    _S.RESERVED: "pending_new",
    _S.HELD: "suspended",
    _S.QUEUED: "pending_new",
    _S.SENDING: "pending_new",
    _S.IN_DOUBT: "pending_new",
    _S.NEW: "new",
    _S.PARTIALLY_FILLED: "partially_filled",
    _S.FILLED: "filled",
    _S.CANCELED: "canceled",
    _S.EXPIRED: "expired",
    _S.REJECTED: "rejected",
    _S.DENIED: "rejected",
}
assert set(ORDER_STATUS) == set(Status)


def order_status(order: Order) -> str:
    """Return tag 39 for this order: what a FIX client would see."""
    if order.status in TERMINAL:
        return ORDER_STATUS[order.status]
    if order.pending_request is not PendingRequest.NONE:
        return f"pending_{order.pending_request}"
    if order.done_for_day:
        return "done_for_day"
    return ORDER_STATUS[order.status]


def moved(order: Order, to: Status, now: int, **changes: Any) -> Order:
    """Return the order in `to`, one version on, or raise `InvalidTransition`."""
    if to not in MOVES[order.status]:
        raise InvalidTransition(f"order {order.order_id}: {order.status} -> {to}")
    return order._replace(status=to, version=order.version + 1, updated_at=now, **changes)


def is_stray(order: Order) -> bool:
    """Whether a broker has shown a copy that we held to be nowhere: a person decides."""
    return order.reason_code == Code.STRAY_EVIDENCE.code


def _expect(order: Order, allowed: frozenset[Status], what: str) -> None:
    if order.status not in allowed:
        raise InvalidTransition(f"order {order.order_id}: {what} in {order.status}")


def _expect_unseen(order: Order, allowed: frozenset[Status], what: str) -> None:
    _expect(order, allowed, what)
    if is_stray(order):
        raise InvalidTransition(f"order {order.order_id}: {what}, but a broker has shown a copy")


def released(order: Order, now: int) -> Order:
    """T2, T6: the bell has rung, or an operator let go; it waits for a permit."""
    _expect_unseen(order, frozenset({_S.RESERVED, _S.HELD}), "released")
    return moved(order, _S.QUEUED, now, released_at=now)


def edited(order: Order, quantity: Decimal, limit_price: Decimal | None, now: int) -> Order:
    """T3: change an order that no broker has seen."""
    _expect_unseen(order, UNSENT, "edited")
    return moved(order, order.status, now, quantity=quantity, limit_price=limit_price)


def held(order: Order, now: int) -> Order:
    """T5: stop an unsent order; it keeps its `accept_sequence`, so its place."""
    _expect(order, frozenset({_S.RESERVED, _S.QUEUED}), "held")
    return moved(order, _S.HELD, now)


def canceled_unsent(order: Order, origin: CancelOrigin, now: int) -> Order:
    """T4: it never left, and now it never will."""
    _expect_unseen(order, UNSENT, "canceled unsent")
    return moved(order, _S.CANCELED, now, cancel_origin=origin, pending_request=PendingRequest.NONE)


def cancel_requested(order: Order, origin: CancelOrigin, now: int) -> Order:
    """Note a cancel for an order that may be at a broker; evidence decides who won."""
    allowed = MAYBE_OUT | WORKING | ({_S.HELD} if is_stray(order) else frozenset())
    _expect(order, allowed, "cancel requested")
    if order.pending_request is PendingRequest.CANCEL:
        return order
    return moved(
        order, order.status, now, pending_request=PendingRequest.CANCEL, cancel_origin=origin
    )


def cancel_refused(order: Order, now: int, *, replacing: bool = False) -> Order:
    """Go on as before: the broker will not cancel it. A replace that was out still is."""
    _expect(order, WORKING | {_S.HELD}, "cancel refused")
    if order.pending_request is not PendingRequest.CANCEL:
        return order
    left = PendingRequest.REPLACE if replacing else PendingRequest.NONE
    return moved(order, order.status, now, pending_request=left, cancel_origin=None)


def denied(order: Order, code: Code, now: int) -> Order:
    """T7: we refuse after all. Proof that it never left."""
    _expect_unseen(order, UNSENT, "denied")
    return moved(order, _S.DENIED, now, reason_code=code.code)


def expired_unsent(order: Order, code: Code, now: int) -> Order:
    """T8: its session ended before it could leave."""
    _expect_unseen(order, UNSENT, "expired unsent")
    return moved(order, _S.EXPIRED, now, reason_code=code.code)


def claimed(order: Order, broker_id: str, now: int) -> Order:
    """T9: an attempt is being committed with this very move; bytes may follow."""
    _expect(order, frozenset({_S.QUEUED}), "claimed")
    return moved(order, _S.SENDING, now, broker_id=broker_id)


def returned(order: Order, now: int, *, exhausted: bool = False) -> Order:
    """T10, T15: proof that no broker has it. A waiting cancel wins; else it queues again."""
    _expect(order, MAYBE_OUT, "returned")
    if is_stray(order):  # not this attempt, but an earlier one may be live: never send again
        return moved(order, _S.HELD, now, broker_id=None)
    if order.pending_request is PendingRequest.CANCEL:
        none = PendingRequest.NONE
        return moved(order, _S.CANCELED, now, pending_request=none, broker_id=None)
    if exhausted:
        code = Code.ATTEMPTS_EXHAUSTED.code
        return moved(order, _S.HELD, now, broker_id=None, reason_code=code)
    return moved(order, _S.QUEUED, now, broker_id=None)


def doubted(order: Order, now: int) -> Order:
    """T13: sent, and no answer. Only evidence or an operator leads on from here."""
    _expect(order, frozenset({_S.SENDING}), "doubted")
    return moved(order, _S.IN_DOUBT, now)


def acknowledged(order: Order, broker_order_id: str, now: int) -> Order:
    """T11, T14: a broker has it. An execution that came first has said so already."""
    _expect(order, SENT, "acknowledged")
    if order.status not in MAYBE_OUT:
        if order.broker_order_id == broker_order_id:
            return order
        return moved(order, order.status, now, broker_order_id=broker_order_id)
    to = _S.PARTIALLY_FILLED if order.filled_quantity else _S.NEW  # filled by a stray copy
    return moved(order, to, now, broker_order_id=broker_order_id)


def rejected(order: Order, reason: str | None, now: int) -> Order:
    """T12, T14, T18: a broker refused it, definitively."""
    _expect(order, MAYBE_OUT | {_S.NEW}, "rejected")
    return moved(
        order,
        _S.REJECTED,
        now,
        reason_code=order.reason_code if is_stray(order) else reason or Code.BROKER_REFUSED.code,
        pending_request=PendingRequest.NONE,
        cancel_origin=None,
    )


def ended_at_broker(order: Order, to: Status, now: int) -> Order:
    """T14, T18, T19: the broker says canceled or expired. Nobody asked it: its own doing."""
    assert to in {_S.CANCELED, _S.EXPIRED}
    allowed = WORKING | {_S.IN_DOUBT} | ({_S.HELD} if is_stray(order) else frozenset())
    if order.pending_request is PendingRequest.REPLACE:
        allowed |= {_S.FILLED}
    _expect(order, allowed, f"{to} at broker")
    origin = None if to is _S.EXPIRED else order.cancel_origin or CancelOrigin.BROKER
    return moved(order, to, now, pending_request=PendingRequest.NONE, cancel_origin=origin)
