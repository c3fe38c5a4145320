"""Taking orders, and what their owner may still do: edit and cancel.

The key table decides who was first, for ever: twins in one batch, in two batches or a year
apart meet the same primary key, and the loser is answered from the winner.
"""

from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.order import UNSENT, Order, cancel_requested, canceled_unsent, edited, is_stray
from app.domain.records import Conflict, Taken, Taking
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.ledger import rows

_CLAIM_KEYS: Final = text(
    "INSERT INTO order_keys (account_id, client_order_id, order_id, request_hash, accepted_at)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
    " FROM json_each(:keys) WHERE true ON CONFLICT DO NOTHING"
)
_OWNERS: Final = text(
    "SELECT json_group_array(json_array(k.account_id, k.client_order_id, k.order_id,"
    " k.request_hash)) FROM json_each(:keys) AS i CROSS JOIN order_keys AS k"
    " ON k.account_id = i.value ->> 0 AND k.client_order_id = i.value ->> 1"
)
# What a client decides is staged; what every new order begins with stands in the statement.
_GIVEN: Final = (*rows.FIELDS[: rows.FIELDS.index("version")], "status", "released_at")
_BEGINS: Final = {
    "version": "1",
    "pending_request": "'none'",
    **dict.fromkeys(("filled_quantity", "overfilled_quantity", "filled_value"), "'0'"),
    "done_for_day": "0",
    "updated_at": f"value ->> {_GIVEN.index('accepted_at')}",
}


def _column(field: str) -> str:
    if field in _GIVEN:
        return f"value ->> {_GIVEN.index(field)}"
    return _BEGINS.get(field, "NULL")


_INSERT: Final = text(
    f"INSERT INTO orders ({', '.join(rows.FIELDS)})"
    f" SELECT {', '.join(map(_column, rows.FIELDS))} FROM json_each(:orders)"
)
_given: Final = attrgetter(*_GIVEN)
_RESERVE: Final = text(
    "INSERT INTO reserved_book (trading_session_id, accept_sequence, route_id)"
    " SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows)"
)
# The n-th waiting order of an account has rank n, counted from the head of the queue, so that
# a newcomer stands beside the others' next orders and not behind one account's fifty thousand.
_QUEUE: Final = text(
    "INSERT INTO dispatch_ready (route_id, rank, accept_sequence, account_id, trading_session_id)"
    " SELECT route_id, max("
    " coalesce((SELECT min(d.rank) FROM dispatch_ready AS d WHERE d.route_id = r.route_id), 1) - 1,"
    " coalesce((SELECT d.rank FROM dispatch_ready AS d WHERE d.route_id = r.route_id"
    " AND d.account_id = r.account_id ORDER BY d.accept_sequence DESC LIMIT 1), 0))"
    " + row_number() OVER (PARTITION BY route_id, account_id ORDER BY accept_sequence),"
    " accept_sequence, account_id, trading_session_id"
    " FROM (SELECT value ->> 0 AS trading_session_id, value ->> 1 AS accept_sequence,"
    " value ->> 2 AS route_id, value ->> 3 AS account_id FROM json_each(:rows)) AS r"
)
_LEAVE_BOOK: Final = text(
    "DELETE FROM reserved_book WHERE trading_session_id = :session AND accept_sequence = :sequence"
)
# Every route for which something waits, found by skipping from one to the next: an order may
# wait for a route that has no row in `routes` (yet), and must be able to leave all the same.
_LEAVE_QUEUE: Final = text(
    "DELETE FROM dispatch_ready WHERE account_id = :account AND accept_sequence = :sequence"
    " AND route_id IN (WITH RECURSIVE waiting (route_id) AS (SELECT min(route_id)"
    " FROM dispatch_ready UNION ALL SELECT (SELECT min(d.route_id) FROM dispatch_ready AS d"
    " WHERE d.route_id > w.route_id) FROM waiting AS w WHERE w.route_id IS NOT NULL)"
    " SELECT route_id FROM waiting WHERE route_id IS NOT NULL)"
)

ZERO: Final = Decimal(0)


def queue_up(connection: Connection, waiting: Sequence[tuple[Order, str]]) -> None:
    """Give each (order, route) a fair place among those that wait for a permit."""
    staged = [
        (o.trading_session_id, o.accept_sequence, route, o.account_id) for o, route in waiting
    ]
    if staged:
        connection.execute(_QUEUE, {"rows": codec.text(staged)})


def take(
    connection: Connection, entries: Sequence[Taking], order_ids: Sequence[str], now: int, last: int
) -> list[Taken | Conflict]:
    """Insert what is new, answer what is not, in input order; `last` is the sequence so far."""
    keys = [
        (e.request.account_id, e.request.client_order_id, order_id, e.request_hash, now)
        for e, order_id in zip(entries, order_ids, strict=True)
    ]
    staged = codec.text(keys)
    won = connection.execute(_CLAIM_KEYS, {"keys": staged}).rowcount
    owners: dict[tuple[str, str], tuple[str, str]] = {}
    if won < len(keys):
        listed = codec.decode(connection.execute(_OWNERS, {"keys": staged}).scalar_one())
        owners = {(account, client): (owner, digest) for account, client, owner, digest in listed}
    fresh: list[Order] = []
    results: list[Taken | Conflict | None] = []
    for entry, key in zip(entries, keys, strict=True):
        if owners and owners[key[0], key[1]][0] != key[2]:
            results.append(None)
            continue
        fresh.append(_order(entry, key[2], now, last + len(fresh) + 1))
        results.append(Taken(fresh[-1], created=True))
    routes = {key[2]: entry.route_id for entry, key in zip(entries, keys, strict=True)}
    _insert(connection, fresh, routes)
    if len(fresh) == len(entries):
        return [result for result in results if result is not None]
    standing = rows.by_ids(connection, {order_id for order_id, _ in owners.values()})
    return [
        result
        or _second(entry, owners[entry.request.account_id, entry.request.client_order_id], standing)
        for entry, result in zip(entries, results, strict=True)
    ]


def _second(entry: Taking, owner: tuple[str, str], standing: dict[str, Order]) -> Taken | Conflict:
    order_id, digest = owner
    if digest == entry.request_hash:
        return Taken(standing[order_id], created=False)
    return Conflict(order_id, standing[order_id].status)


def _order(entry: Taking, order_id: str, now: int, sequence: int) -> Order:
    request, session = entry.request, entry.session
    return Order(
        accept_sequence=sequence,
        order_id=order_id,
        trade_date=session.trade_date,
        session_date=session.trade_date,
        trading_session_id=session.trading_session_id,
        account_id=request.account_id,
        client_order_id=request.client_order_id,
        list_id=request.list_id,
        symbol=request.symbol,
        market=request.market,
        side=request.side,
        order_type=request.order_type,
        quantity=request.quantity,
        limit_price=request.limit_price,
        currency=request.currency,
        time_in_force=request.time_in_force,
        text=request.text,
        accepted_at=now,
        version=1,
        status=Status.RESERVED if entry.reserved else Status.QUEUED,
        pending_request=PendingRequest.NONE,
        filled_quantity=ZERO,
        overfilled_quantity=ZERO,
        filled_value=ZERO,
        average_price=None,
        broker_id=None,
        broker_order_id=None,
        reason_code=None,
        cancel_origin=None,
        done_for_day=False,
        released_at=None if entry.reserved else now,
        updated_at=now,
    )


def _insert(connection: Connection, fresh: Sequence[Order], routes: dict[str, str]) -> None:
    if not fresh:
        return
    connection.execute(_INSERT, {"orders": codec.text([_given(order) for order in fresh])})
    book = [
        (o.trading_session_id, o.accept_sequence, routes[o.order_id])
        for o in fresh
        if o.status is Status.RESERVED
    ]
    if book:
        connection.execute(_RESERVE, {"rows": codec.text(book)})
    queue_up(connection, [(o, routes[o.order_id]) for o in fresh if o.status is Status.QUEUED])
    rows.publish_new(connection, [o.accept_sequence for o in fresh], "client")


def _one(connection: Connection, order_id: str) -> Order:
    found = rows.by_ids(connection, [order_id])
    if order_id not in found:
        raise Refused(Code.NOT_FOUND, f"no order {order_id}")
    return found[order_id]


def amend(
    connection: Connection,
    order_id: str,
    version: int,
    terms: tuple[Decimal, Decimal | None],
    now: int,
) -> Order:
    """T3, if the order is still as the client saw it and no broker can have."""
    order = _one(connection, order_id)
    if order.version != version:
        raise Refused(
            Code.STALE_VERSION, f"the order is at version {order.version}", version=order.version
        )
    if order.status not in UNSENT or is_stray(order):
        code = Code.ORDER_TERMINAL if order.is_terminal else Code.ORDER_NOT_EDITABLE
        raise Refused(code, f"the order is {order.status}", status=order.status)
    after = edited(order, *terms, now)
    rows.write(connection, [rows.Move(order, [after], "edited")], "client")
    return after


def cancel(
    connection: Connection, order_id: str, version: int | None, origin: CancelOrigin, now: int
) -> Order:
    """T4 where it never left; else the wish is noted and evidence decides. Once, not twice."""
    order = _one(connection, order_id)
    if version is not None and order.version != version:
        raise Refused(
            Code.STALE_VERSION, f"the order is at version {order.version}", version=order.version
        )
    if order.is_terminal:
        raise Refused(Code.ORDER_TERMINAL, f"the order is {order.status}", status=order.status)
    if order.status in UNSENT and not is_stray(order):
        leave_queues(connection, order)
        after = canceled_unsent(order, origin, now)
    else:
        after = cancel_requested(order, origin, now)
    if after is not order:
        rows.write(connection, [rows.Move(order, [after], "cancel")], origin)
    return after


def leave_queues(connection: Connection, order: Order) -> None:
    """Take an unsent order out of the book or queue that it waits in."""
    where = {"session": order.trading_session_id, "sequence": order.accept_sequence}
    if order.status is Status.RESERVED:
        left = connection.execute(_LEAVE_BOOK, where).rowcount
    elif order.status is Status.QUEUED:
        left = connection.execute(_LEAVE_QUEUE, where | {"account": order.account_id}).rowcount
    else:
        return
    assert left == 1, f"{order.order_id} is {order.status}, but stands in {left} queues"
