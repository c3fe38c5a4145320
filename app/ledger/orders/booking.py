"""Taking orders, and what their owner may still do: edit and cancel.

The key table decides who was first, for ever: twins in one batch, in two batches or a year
apart meet the same primary key, and the loser is answered from the winner.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.order import (
    UNSENT,
    WORKING,
    Order,
    cancel_requested,
    canceled_unsent,
    edited,
    is_stray,
)
from app.domain.records import Conflict, Taken, Taking
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.ledger import rows
from app.ledger.dialect import Statement
from app.ledger.dispatch import replaces, replacing
from app.ledger.orders.fresh import put_down

_KEY: Final = {
    **dict.fromkeys(("account_id", "client_order_id", "order_id", "request_hash"), "text"),
    "accepted_at": "integer",
}
# Sorted, because two batches that meet the same keys in another order would wait for each other.
_CLAIM_KEYS: Final = Statement(
    lambda d: (
        f"INSERT INTO order_keys ({', '.join(_KEY)}) SELECT {', '.join(_KEY)}"
        f" FROM {d.staged('keys', _KEY)} AS k WHERE true"
        " ORDER BY account_id, client_order_id, place ON CONFLICT DO NOTHING"
    )
)
_OWNERS: Final = Statement(
    lambda d: d.listed(
        d.array("k.account_id", "k.client_order_id", "k.order_id", "k.request_hash"),
        f"{d.staged('keys', _KEY)} AS i CROSS JOIN order_keys AS k"
        " WHERE k.account_id = i.account_id AND k.client_order_id = i.client_order_id",
    )
)
_LEAVE_BOOK: Final = Statement(
    lambda _: (
        "DELETE FROM reserved_book"
        " WHERE trading_session_id = :session AND accept_sequence = :sequence"
    )
)
_LEAVE_QUEUE: Final = Statement(
    lambda _: (
        "DELETE FROM dispatch_ready WHERE account_id = :account AND accept_sequence = :sequence"
    )
)
_SEQUENCES: Final = {
    "sqlite": text(
        "INSERT INTO accepted (id, last) VALUES (1, :n)"
        " ON CONFLICT (id) DO UPDATE SET last = last + :n RETURNING last"
    ),
    "postgresql": text("SELECT nextval('accept_sequence') FROM generate_series(1, :n)"),
}

ZERO: Final = Decimal(0)


def take(
    connection: Connection, entries: Sequence[Taking], order_ids: Sequence[str], now: int
) -> list[Taken | Conflict]:
    """Insert what is new, answer what is not, in input order.

    May run again with the same ids after its commit was in doubt: then their orders stand.
    """
    keys = [
        (e.request.account_id, e.request.client_order_id, order_id, e.request_hash, now)
        for e, order_id in zip(entries, order_ids, strict=True)
    ]
    staged = codec.text(keys)
    won = _CLAIM_KEYS.run(connection, keys=staged).rowcount
    if won == len(keys):
        return [*_created(connection, list(zip(entries, order_ids, strict=True)), now)]
    listed = codec.decode(_OWNERS.run(connection, keys=staged).scalar_one())
    owners = {(account, client): (owner, digest) for account, client, owner, digest in listed}
    standing = rows.by_ids(connection, {order_id for order_id, _ in owners.values()})
    fresh = [
        (entry, key[2])
        for entry, key in zip(entries, keys, strict=True)
        if owners[key[0], key[1]][0] == key[2] and key[2] not in standing
    ]
    created = {t.order.order_id: t for t in _created(connection, fresh, now)}
    standing |= {order_id: taken.order for order_id, taken in created.items()}
    return [
        created.get(key[2]) or _second(entry, key[2], owners[key[0], key[1]], standing)
        for entry, key in zip(entries, keys, strict=True)
    ]


def _created(connection: Connection, fresh: Sequence[tuple[Taking, str]], now: int) -> list[Taken]:
    if not fresh:
        return []
    first_to_last = _next_sequences(connection, len(fresh))
    orders = [
        _order(entry, order_id, now, sequence)
        for (entry, order_id), sequence in zip(fresh, first_to_last, strict=True)
    ]
    put_down(connection, orders, {order_id: entry.route_id for entry, order_id in fresh})
    return [Taken(order, created=True) for order in orders]


def _next_sequences(connection: Connection, count: int) -> Sequence[int]:
    found = connection.execute(_SEQUENCES[connection.dialect.name], {"n": count}).scalars().all()
    return found if len(found) == count else range(found[0] - count + 1, found[0] + 1)


def _second(
    entry: Taking, fresh_id: str, owner: tuple[str, str], standing: dict[str, Order]
) -> Taken | Conflict:
    order_id, digest = owner
    if digest == entry.request_hash:
        return Taken(standing[order_id], created=order_id == fresh_id)
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


def seen(connection: Connection, order_id: str, version: int | None) -> Order:
    """Return the order, to be moved, if it is as somebody saw it (None: however it is)."""
    order = rows.locked(connection, [order_id]).get(order_id)
    if order is None:
        raise Refused(Code.NOT_FOUND, f"no order {order_id}")
    if version is not None and order.version != version:
        raise Refused(
            Code.STALE_VERSION, f"the order is at version {order.version}", version=order.version
        )
    return order


def amend(
    connection: Connection,
    order_id: str,
    version: int,
    terms: tuple[Decimal, Decimal | None],
    now: int,
) -> Order:
    """T3, if the order is still as the client saw it and no broker can have it.

    Of one that works at a broker new terms are a wish, which waits for the broker's word.
    """
    order = seen(connection, order_id, version)
    works = order.status in WORKING and order.pending_request is PendingRequest.NONE
    if works and not is_stray(order):
        return replaces.request(connection, order, terms, now)
    if order.status not in UNSENT or is_stray(order):
        code = Code.ORDER_TERMINAL if order.is_terminal else Code.ORDER_NOT_EDITABLE
        pending = order.pending_request
        raise Refused(code, f"the order is {order.status}, pending {pending}", status=order.status)
    after = edited(order, *terms, now)
    rows.write(connection, [rows.Move(order, [after], "edited")], "client")
    return after


def cancel(
    connection: Connection, order_id: str, version: int | None, origin: CancelOrigin, now: int
) -> Order:
    """T4 where it never left; else the wish is noted and evidence decides. Once, not twice."""
    order = seen(connection, order_id, version)
    if order.is_terminal:
        raise Refused(Code.ORDER_TERMINAL, f"the order is {order.status}", status=order.status)
    after = ended_or_asked(connection, order, origin, now)
    if after is not order:
        rows.write(connection, [rows.Move(order, [after], "cancel")], origin)
    return after


def ended_or_asked(connection: Connection, order: Order, origin: CancelOrigin, now: int) -> Order:
    """Return an order that has not ended as a cancel leaves it; to be written down."""
    if order.status in UNSENT and not is_stray(order):
        leave_queues(connection, order)
        return canceled_unsent(order, origin, now)
    after = cancel_requested(order, origin, now)
    replacing.withdraw(connection, order, now)
    return after


def leave_queues(connection: Connection, order: Order) -> None:
    """Take an unsent order out of the book or queue that it waits in."""
    sequence = order.accept_sequence
    if order.status is Status.RESERVED:
        session = order.trading_session_id
        left = _LEAVE_BOOK.run(connection, session=session, sequence=sequence).rowcount
    elif order.status is Status.QUEUED:
        account = order.account_id
        left = _LEAVE_QUEUE.run(connection, account=account, sequence=sequence).rowcount
    else:
        return
    assert left == 1, f"{order.order_id} is {order.status}, but stands in {left} queues"
