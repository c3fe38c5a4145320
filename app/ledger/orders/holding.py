"""Holds orders back and lets them go: one by an operator's word, or many chunk by chunk.

An order that is let go stands again before the younger ones of its account, because it has kept
its `accept_sequence`. The audit row of a change stands in the same transaction.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection

from app import codec
from app.domain import holding as law
from app.domain.errors import Code, Refused
from app.domain.holding import HeldOrder
from app.domain.order import Order
from app.domain.records import Actor, Change
from app.domain.sweep import Dealt, Deed, SweepScope
from app.domain.values import CancelOrigin, Status
from app.ledger import rows
from app.ledger.dialect import Statement
from app.ledger.dispatch import attempts
from app.ledger.operators import audit
from app.ledger.orders import booking, sweeps
from app.ledger.orders.fresh import queue_up
from app.ports.orders import SessionOf

ACTOR: Final = str(CancelOrigin.OPERATOR)
_BOOKED: Final = {
    "trading_session_id": "text",
    "accept_sequence": "integer",
    "trade_date": "date",
    "route_id": "text",
}
_BOOK: Final = Statement(
    lambda d: (
        f"INSERT INTO reserved_book ({', '.join(_BOOKED)})"
        f" SELECT {', '.join(_BOOKED)} FROM {d.staged('rows', _BOOKED)} AS b"
    )
)
_PLACE: Final = {"route_id": "text", "account_id": "text", "accept_sequence": "integer"}
# The rank of the account's next younger order, beside which it stood before it was held.
_RANKS: Final = Statement(
    lambda d: d.listed(
        d.array(
            "p.accept_sequence",
            "(SELECT q.rank FROM dispatch_ready AS q WHERE q.account_id = p.account_id"
            " AND q.route_id = p.route_id AND q.accept_sequence > p.accept_sequence"
            " ORDER BY q.accept_sequence LIMIT 1)",
        ),
        f"{d.staged('rows', _PLACE)} AS p",
    )
)
_HELD: Final = Statement(
    lambda d: d.listed(
        d.array(
            *("h.accept_sequence", "h.order_id", "h.account_id", "h.trading_session_id"),
            *("h.reason_code", "h.held_at"),
        ),
        "(SELECT h.* FROM held_orders AS h WHERE h.accept_sequence < :before"
        f" AND ({d.given('everyone', 'integer')} = 1 OR h.account_id {d.among('accounts')})"
        " ORDER BY h.accept_sequence DESC LIMIT :limit) AS h",
    )
)


def hold(connection: Connection, order_id: str, version: int, by: Actor, now: int) -> Order:
    """T5 for one order, audited; or raise `Refused`."""
    before = booking.seen(connection, order_id, version)
    after = law.held(before, now)
    if isinstance(after, Code):
        raise Refused(after, f"the order is {before.status}", status=before.status)
    booking.leave_queues(connection, before)
    return _told(connection, (before, after), "order.hold", by, now)


def let_go(
    connection: Connection, seen: tuple[str, int], session_of: SessionOf, by: Actor, now: int
) -> Order:
    """T6 for one order, `seen` as (order id, version), audited; or raise `Refused`."""
    before = booking.seen(connection, *seen)
    after = law.let_go(before, session_of(before.trading_session_id), now)
    if isinstance(after, Code):
        why = f"the order is {before.status}, {before.reason_code or 'and its session is over'}"
        raise Refused(after, why, status=before.status, reason_code=before.reason_code)
    told = _told(connection, (before, after), "order.release", by, now)
    _queue(connection, [after])
    return told


def cancel(connection: Connection, order_id: str, version: int, by: Actor, now: int) -> Order:
    """T4 for one order, or the wish for it, by an operator: audited; or raise `Refused`."""
    before = booking.seen(connection, order_id, version)
    if before.is_terminal:
        raise Refused(Code.ORDER_TERMINAL, f"the order is {before.status}", status=before.status)
    after = booking.ended_or_asked(connection, before, CancelOrigin.OPERATOR, now)
    return _told(connection, (before, after), "order.cancel", by, now)


def _told(
    connection: Connection, orders: tuple[Order, Order], action: str, by: Actor, now: int
) -> Order:
    before, after = orders
    if after is not before:
        rows.write(connection, [rows.Move(before, [after], action)], ACTOR)
    change = Change(action, f"order/{before.order_id}", _facts(before), _facts(after))
    audit.append(connection, by, change, now)
    return after


def _facts(order: Order) -> dict[str, Any]:
    names = ("status", "version", "pending_request", "reason_code")
    return {name: getattr(order, name) for name in names}


def hold_some(
    connection: Connection, scope: SweepScope, place: tuple[int, int, int], now: int
) -> Dealt:
    """Hold the next orders back; `place` is (after, upto, limit)."""
    found, after = sweeps.following(connection, Deed.HOLD, scope, place, now)
    moves = []
    for order in found:
        step = law.held(order, now)
        if not isinstance(step, Code):
            booking.leave_queues(connection, order)
            moves.append(rows.Move(order, [step], Deed.HOLD))
    rows.write(connection, moves, ACTOR)
    return Dealt(len(moves), len(found) - len(moves), after)


def let_some_go(
    connection: Connection,
    scope: SweepScope,
    place: tuple[int, int, int],
    session_of: SessionOf,
    now: int,
) -> Dealt:
    """Let the next held orders go; `place` is (after, upto, limit)."""
    found, after = sweeps.following(connection, Deed.RELEASE, scope, place, now)
    moves, free = [], []
    for order in found:
        step = law.let_go(order, session_of(order.trading_session_id), now)
        if not isinstance(step, Code):
            moves.append(rows.Move(order, [step], Deed.RELEASE))
            free.append(step)
    rows.write(connection, moves, ACTOR)
    _queue(connection, free)
    return Dealt(len(moves), len(found) - len(moves), after)


def _queue(connection: Connection, free: Sequence[Order]) -> None:
    """Give each its place again: in the book, or before the younger ones of its account."""
    booked = [
        (o.trading_session_id, o.accept_sequence, o.trade_date, o.market)
        for o in free
        if o.status is Status.RESERVED
    ]
    if booked:
        _BOOK.run(connection, rows=codec.text(booked))
    waiting = [order for order in free if order.status is Status.QUEUED]
    if not waiting:
        return
    asked = [(o.market, o.account_id, o.accept_sequence) for o in waiting]
    found = _RANKS.run(connection, rows=codec.text(asked)).scalar_one()
    ranks: dict[int, int | None] = dict(codec.decode(found))
    attempts.back_in_line(connection, [(o, o.market, r) for o in waiting if (r := _of(ranks, o))])
    queue_up(connection, [(o, o.market) for o in waiting if _of(ranks, o) is None])


def _of(ranks: dict[int, int | None], order: Order) -> int | None:
    return ranks[order.accept_sequence]


def listed(
    connection: Connection, accounts: Sequence[str] | None, before: int, limit: int
) -> list[HeldOrder]:
    """Return what is held, the youngest order first; `accounts` None: of everybody."""
    found = _HELD.run(
        connection,
        everyone=int(accounts is None),
        accounts=codec.text(accounts or []),
        before=before,
        limit=limit,
    )
    return [HeldOrder(*row) for row in codec.decode(found.scalar_one())]
