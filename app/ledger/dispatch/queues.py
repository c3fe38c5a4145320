"""What waits, and how it leaves: the bell, the end of a session, the claim.

A claim commits the attempt before a byte can leave, and only if this process still owns the
broker (`owner_epoch`), the route still leads there (`route_epoch`), dispatch is running and no
halt covers the order: all read in the same transaction. Whoever claims late finds nothing.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, CursorResult, text

from app import codec
from app.domain.errors import Code
from app.domain.halts import Halts
from app.domain.holding import KEPT_AT_A_BROKER
from app.domain.order import Order, claimed, denied, expired_unsent, released
from app.domain.records import Claimed, Fence, FenceLost
from app.domain.values import ATTEMPT_NUMBER_MAX, broker_order_key
from app.ledger import rows
from app.ledger.dialect import Statement, of
from app.ledger.dispatch import attempts
from app.ledger.operators.control import halted
from app.ledger.orders.fresh import queue_up
from app.ports.dispatch import Recheck

ACTOR: Final = "openbell"

_UNSORTED: Final = text("SET LOCAL enable_sort = off")
_SORTED: Final = text("SET LOCAL enable_sort = on")
_SESSION_QUEUE: Final = " WHERE d.trading_session_id = :session"
_DUE: Final = Statement(
    lambda d: d.listed(
        d.array("accept_sequence", d.words("trade_date"), "route_id"),
        "(SELECT d.accept_sequence, d.trade_date, d.route_id FROM reserved_book AS d"
        f"{_SESSION_QUEUE} ORDER BY d.accept_sequence LIMIT :limit{d.lock_queue}) AS due",
    )
)
_OUT_OF_BOOK: Final = Statement(
    lambda d: (
        "DELETE FROM reserved_book WHERE trading_session_id = :session"
        f" AND accept_sequence {d.among('sequences', 'integer')}"
    )
)
_WAITING: Final = Statement(
    lambda d: d.listed(
        d.array("accept_sequence", d.words("trade_date"), "route_id", "rank"),
        "(SELECT d.accept_sequence, d.trade_date, d.route_id, d.rank FROM dispatch_ready AS d"
        f"{_SESSION_QUEUE} LIMIT :limit{d.lock_queue}) AS waiting",
    )
)
_PLACE: Final = {"route_id": "text", "rank": "integer", "accept_sequence": "integer"}
_KEPT: Final = ", ".join(f"'{code}'" for code in sorted(KEPT_AT_A_BROKER))
_HELD: Final = Statement(
    lambda d: d.listed(
        d.array("accept_sequence", d.words("trade_date")),
        "(SELECT d.accept_sequence, d.trade_date FROM held_orders AS d"
        f"{_SESSION_QUEUE} AND coalesce(d.reason_code, '') NOT IN ({_KEPT})"
        f" ORDER BY d.accept_sequence LIMIT :limit{d.lock_queue}) AS held",
    )
)
_OUT_OF_QUEUE: Final = Statement(
    lambda d: (
        "DELETE FROM dispatch_ready WHERE (route_id, rank, accept_sequence) IN"
        f" (SELECT route_id, rank, accept_sequence FROM {d.staged('rows', _PLACE)} AS i)"
    )
)


def in_place(
    connection: Connection, statement: Statement, day: date | None = None, /, **values: object
) -> CursorResult[Any]:
    """Read the head of a queue, or a page of a day, in the order of its key.

    A server that knows nothing of it yet takes it to be short, and sorts all of it.
    """
    shared = of(connection).is_shared
    if shared:
        connection.execute(_UNSORTED)
    found = statement.run(connection, day, **values)
    if shared:
        connection.execute(_SORTED)
    return found


def release(
    connection: Connection, session: str, limit: int, recheck: Recheck, now: int
) -> tuple[int, int]:
    """T2: queue the next reserved orders of a session that is open; return (queued, denied)."""
    due = codec.decode(in_place(connection, _DUE, session=session, limit=limit).scalar_one())
    if not due:
        return 0, 0
    routes = {sequence: route for sequence, _, route in due}
    moves, queued = [], []
    for order in rows.free_at(connection, _places(due)):
        code = recheck(order)
        if code is None:
            after = released(order, now)
            queued.append((after, routes[order.accept_sequence]))
            moves.append(rows.Move(order, [after], "bell"))
        else:
            moves.append(rows.Move(order, [denied(order, code, now)], code.code))
    _leave_book(connection, session, moves)
    rows.write(connection, moves, ACTOR)
    queue_up(connection, queued)
    return len(queued), len(moves) - len(queued)


def _places(found: Sequence[Sequence[Any]]) -> list[tuple[date, int]]:
    return [(date.fromisoformat(day), sequence) for sequence, day, *_ in found]


def _leave_book(connection: Connection, session: str, moves: Sequence[rows.Move]) -> None:
    """Delete what was moved, never move what was deleted: what is not moved keeps its place."""
    sequences = codec.text([move.before.accept_sequence for move in moves])
    _OUT_OF_BOOK.run(connection, session=session, sequences=sequences)


def expire(connection: Connection, session: str, limit: int, now: int) -> int:
    """T8: end unsent orders of a session that is over; return how many."""
    reserved = codec.decode(in_place(connection, _DUE, session=session, limit=limit).scalar_one())
    waiting = codec.decode(_WAITING.run(connection, session=session, limit=limit).scalar_one())
    held = codec.decode(_HELD.run(connection, session=session, limit=limit).scalar_one())
    moves = [
        rows.Move(order, [expired_unsent(order, Code.SESSION_OVER, now)], "session over")
        for order in rows.free_at(connection, _places([*reserved, *waiting, *held]))
    ]
    if not moves:
        return 0
    ended = {move.before.accept_sequence for move in moves}
    places = [(route, rank, at) for at, _, route, rank in waiting if at in ended]
    _leave_book(connection, session, moves)
    _OUT_OF_QUEUE.run(connection, rows=codec.text(places))
    rows.write(connection, moves, ACTOR)
    return len(moves)


_FENCE: Final = Statement(
    lambda d: d.listed(
        d.array("route_id", "epoch"),
        "(SELECT r.route_id, r.epoch FROM routes AS r"
        " JOIN broker_leases AS l ON l.broker_id = r.active_broker"
        " JOIN broker_control AS c ON c.broker_id = r.active_broker"
        " WHERE r.active_broker = :broker AND l.holder = :holder AND l.epoch = :epoch"
        f" AND l.expires_at > {d.now('now')} AND c.dispatch = 'running'{d.lock_fence}) AS held",
    )
)
_HEAD: Final = Statement(
    lambda d: d.listed(
        d.array("rank", "accept_sequence", "route_id", d.words("trade_date")),
        "(SELECT d.rank, d.accept_sequence, d.route_id, d.trade_date FROM dispatch_ready AS d"
        " WHERE d.route_id = :route"
        f" AND d.trading_session_id {d.among('sessions')}"
        f" AND d.account_id NOT IN (SELECT value FROM {d.values('accounts')} AS a)"
        f" AND d.symbol NOT IN (SELECT value FROM {d.values('symbols')} AS y)"
        f" ORDER BY d.rank, d.accept_sequence LIMIT :limit{d.lock_queue}) AS head",
    )
)


class _Place(NamedTuple):
    """Where an order stands in the queues."""

    rank: int
    accept_sequence: int
    route_id: str
    trade_date: date


def claim(
    connection: Connection, fence: Fence, limit: int, recheck: Recheck, *, token: int, now: int
) -> list[Claimed]:
    """T9: commit one attempt for each of the next orders, in fair order; or `FenceLost`.

    `token` names this very claim: if its commit stands and the answer was lost, it is read back.
    """
    held = {"broker": fence.broker_id, "holder": fence.holder, "epoch": fence.owner_epoch}
    epochs = dict(codec.decode(_FENCE.run(connection, **held, now=now).scalar_one()))
    stops = halted(connection)
    if not epochs or stops.covers_broker(fence.broker_id):
        raise FenceLost(fence.broker_id)
    heads = [
        head
        for route in epochs
        if route not in stops.routes
        for head in _head(connection, route, fence, stops, limit)
    ]
    places = {place.accept_sequence: place for place in sorted(heads)[:limit]}
    free = rows.free_at(connection, [(p.trade_date, p.accept_sequence) for p in places.values()])
    waiting = {order.accept_sequence: order for order in free}
    found = [waiting[sequence] for sequence in places if sequence in waiting]
    if not found:
        return []
    tries = attempts.tries(connection, found)
    moves, taken = [], []
    for order in found:
        code = _obstacle(order, tries[order.order_id], recheck)
        if code is not None:
            moves.append(rows.Move(order, [denied(order, code, now)], code.code))
            continue
        place = places[order.accept_sequence]
        after = claimed(order, fence.broker_id, now)
        key = broker_order_key(order.order_id, tries[order.order_id] + 1)
        taken.append(Claimed(after, key, place.route_id, epochs[place.route_id], place.rank))
        moves.append(rows.Move(order, [after], key))
    out = [(p.route_id, p.rank, p.accept_sequence) for p in places.values()]
    left = [place for place in out if place[-1] in waiting]
    _OUT_OF_QUEUE.run(connection, rows=codec.text(left))
    rows.write(connection, moves, ACTOR)
    attempts.begin(connection, taken, fence, token, now)
    return taken


def _head(
    connection: Connection, route: str, fence: Fence, stops: Halts, limit: int
) -> list[_Place]:
    found = in_place(
        connection,
        _HEAD,
        route=route,
        sessions=codec.text(sorted(fence.sessions)),
        accounts=codec.text(sorted(stops.accounts)),
        symbols=codec.text(sorted(stops.symbols)),
        limit=limit,
    )
    return [
        _Place(rank, sequence, route_id, date.fromisoformat(day))
        for rank, sequence, route_id, day in codec.decode(found.scalar_one())
    ]


def _obstacle(order: Order, tries: int, recheck: Recheck) -> Code | None:
    if tries >= ATTEMPT_NUMBER_MAX:
        return Code.ATTEMPTS_EXHAUSTED
    return recheck(order)
