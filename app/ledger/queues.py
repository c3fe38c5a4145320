"""What waits, and how it leaves: the bell, the end of a session, the claim.

A claim commits the attempt before a byte can leave, and only if this process still owns the
broker (`owner_epoch`), the route still leads there (`route_epoch`), dispatch is running and no
halt covers the order: all read in the same transaction. Whoever claims late finds nothing.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code
from app.domain.halts import Halts
from app.domain.order import Order, claimed, denied, expired_unsent, released
from app.domain.records import Claimed, Fence, FenceLost
from app.domain.values import ATTEMPT_NUMBER_MAX, broker_order_key
from app.ledger import attempts, rows
from app.ledger.booking import queue_up
from app.ledger.control import halted
from app.ports import Recheck

ACTOR: Final = "openbell"

_DUE: Final = text(
    "SELECT json_group_array(json_array(accept_sequence, route_id)) FROM (SELECT accept_sequence,"
    " route_id FROM reserved_book WHERE trading_session_id = :session"
    " ORDER BY accept_sequence LIMIT :limit)"
)
_OUT_OF_BOOK: Final = text(
    "DELETE FROM reserved_book WHERE trading_session_id = :session"
    " AND accept_sequence IN (SELECT value FROM json_each(:sequences))"
)
_WAITING: Final = text(
    "SELECT json_group_array(json_array(route_id, rank, accept_sequence)) FROM (SELECT route_id,"
    " rank, accept_sequence FROM dispatch_ready WHERE trading_session_id = :session LIMIT :limit)"
)
_OUT_OF_QUEUE: Final = text(
    "DELETE FROM dispatch_ready WHERE (route_id, rank, accept_sequence) IN"
    " (SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows))"
)


def _in_order(connection: Connection, sequences: Sequence[int]) -> list[Order]:
    return rows.read(connection, rows.BY_SEQUENCES, ids=codec.text(sequences))


def release(
    connection: Connection, session: str, limit: int, recheck: Recheck, now: int
) -> tuple[int, int]:
    """T2: queue the next reserved orders of a session that is open; return (queued, denied)."""
    values = {"session": session, "limit": limit}
    due = codec.decode(connection.execute(_DUE, values).scalar_one())
    if not due:
        return 0, 0
    routes = dict(due)
    moves, queued = [], []
    for order in _in_order(connection, list(routes)):
        code = recheck(order)
        if code is None:
            after = released(order, now)
            queued.append((after, routes[order.accept_sequence]))
            moves.append(rows.Move(order, [after], "bell"))
        else:
            moves.append(rows.Move(order, [denied(order, code, now)], code.code))
    values = {"session": session, "sequences": codec.text(list(routes))}
    connection.execute(_OUT_OF_BOOK, values)
    rows.write(connection, moves, ACTOR)
    queue_up(connection, queued)
    return len(queued), len(moves) - len(queued)


def expire(connection: Connection, session: str, limit: int, now: int) -> int:
    """T8: end unsent orders of a session that is over; return how many."""
    values = {"session": session, "limit": limit}
    reserved = codec.decode(connection.execute(_DUE, values).scalar_one())
    waiting = codec.decode(connection.execute(_WAITING, values).scalar_one())
    sequences = [row[0] for row in reserved] + [row[2] for row in waiting]
    if not sequences:
        return 0
    moves = [
        rows.Move(order, [expired_unsent(order, Code.SESSION_OVER, now)], "session over")
        for order in _in_order(connection, sequences)
    ]
    connection.execute(_OUT_OF_BOOK, {"session": session, "sequences": codec.text(sequences)})
    connection.execute(_OUT_OF_QUEUE, {"rows": codec.text(waiting)})
    rows.write(connection, moves, ACTOR)
    return len(moves)


_FENCE: Final = text(
    "SELECT json_group_array(json_array(r.route_id, r.epoch)) FROM routes AS r"
    " JOIN broker_leases AS l ON l.broker_id = r.active_broker"
    " JOIN broker_control AS c ON c.broker_id = r.active_broker"
    " WHERE r.active_broker = :broker AND l.holder = :holder AND l.epoch = :epoch"
    " AND l.expires_at > :now AND c.dispatch = 'running'"
)
_HEAD: Final = text(
    "SELECT json_group_array(json_array(d.rank, d.accept_sequence, d.route_id)) FROM"
    " (SELECT d.rank, d.accept_sequence, d.route_id FROM dispatch_ready AS d"
    " CROSS JOIN orders AS o ON o.accept_sequence = d.accept_sequence"
    " WHERE d.route_id = :route"
    " AND d.trading_session_id IN (SELECT value FROM json_each(:sessions))"
    " AND o.account_id NOT IN (SELECT value FROM json_each(:accounts))"
    " AND o.symbol NOT IN (SELECT value FROM json_each(:symbols))"
    " ORDER BY d.rank, d.accept_sequence LIMIT :limit) AS d"
)
_TRIES: Final = text(
    "SELECT json_group_array(json_array(i.value, (SELECT count(*) FROM attempts AS a"
    " WHERE a.broker_order_key BETWEEN i.value || '00' AND i.value || '99')))"
    " FROM json_each(:ids) AS i"
)


def claim(
    connection: Connection, fence: Fence, limit: int, recheck: Recheck, now: int
) -> list[Claimed]:
    """T9: commit one attempt for each of the next orders, in fair order; or `FenceLost`."""
    held = {"broker": fence.broker_id, "holder": fence.holder, "epoch": fence.owner_epoch}
    epochs = dict(codec.decode(connection.execute(_FENCE, held | {"now": now}).scalar_one()))
    stops = halted(connection)
    if not epochs or stops.covers_broker(fence.broker_id):
        raise FenceLost(fence.broker_id)
    heads = [
        head
        for route in epochs
        if route not in stops.routes
        for head in _head(connection, route, fence, stops, limit)
    ]
    places = {sequence: (route, rank) for rank, sequence, route in sorted(heads)[:limit]}
    if not places:
        return []
    waiting = {order.accept_sequence: order for order in _in_order(connection, list(places))}
    found = [waiting[sequence] for sequence in places]
    tries = dict(_tries(connection, found))
    moves, taken = [], []
    for order in found:
        code = _obstacle(order, tries[order.order_id], recheck)
        if code is not None:
            moves.append(rows.Move(order, [denied(order, code, now)], code.code))
            continue
        route, rank = places[order.accept_sequence]
        after = claimed(order, fence.broker_id, now)
        key = broker_order_key(order.order_id, tries[order.order_id] + 1)
        taken.append(Claimed(after, key, route, epochs[route], rank))
        moves.append(rows.Move(order, [after], key))
    out = [(route, rank, sequence) for sequence, (route, rank) in places.items()]
    connection.execute(_OUT_OF_QUEUE, {"rows": codec.text(out)})
    rows.write(connection, moves, ACTOR)
    attempts.begin(connection, taken, fence.broker_id, fence.owner_epoch, now)
    return taken


def _head(
    connection: Connection, route: str, fence: Fence, stops: Halts, limit: int
) -> list[tuple[int, int, str]]:
    values = {
        "route": route,
        "sessions": codec.text(sorted(fence.sessions)),
        "accounts": codec.text(sorted(stops.accounts)),
        "symbols": codec.text(sorted(stops.symbols)),
        "limit": limit,
    }
    return [tuple(row) for row in codec.decode(connection.execute(_HEAD, values).scalar_one())]


def _tries(connection: Connection, orders: Sequence[Order]) -> list[tuple[str, int]]:
    ids = codec.text([order.order_id for order in orders])
    return codec.decode(connection.execute(_TRIES, {"ids": ids}).scalar_one())  # type: ignore[no-any-return]


def _obstacle(order: Order, tries: int, recheck: Recheck) -> Code | None:
    if tries >= ATTEMPT_NUMBER_MAX:
        return Code.ATTEMPTS_EXHAUSTED
    return recheck(order)
