"""The requests to change orders at brokers: asked for, claimed, settled by the broker's word.

    replace_requests (waiting ─► open ─► unknown) ──► replaces (accepted, rejected, …)

What `domain/replacing.py` decides is put down here with the move of the order, in one commit. A
request is claimed before a byte of it can leave, and only under the lease of its broker's owner;
what was out when a process died is unknown, is asked about, and never leaves again. A request
that was not sent is closed, and the wish waits again under the next key: one key, one message.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.errors import Code, Refused
from app.domain.order import Order
from app.domain.records import OpenAttempt
from app.domain.replacing import Asked, Chain, replace_requested
from app.domain.values import (
    ORDER_ID_LENGTH,
    REPLACE_NUMBER_MAX,
    ReplaceState,
    replace_key,
)
from app.ledger import rows
from app.ledger.dialect import Dialect, Statement, by_day

_R = ReplaceState


def _of(d: Dialect) -> str:
    cells = (
        f"order_id, broker_order_key, {d.words('quantity')} AS quantity,"
        f" {d.words('limit_price')} AS limit_price, state"
    )
    found = " UNION ALL ".join(
        f"SELECT {cells} FROM {table} WHERE order_id {d.among('ids')}"
        for table in ("replace_requests", "replaces")
    )
    fields = ("r.order_id", "r.broker_order_key", "r.quantity", "r.limit_price", "r.state")
    return d.listed(d.array(*fields), f"({found}) AS r")


_OF: Final = Statement(_of)
_ATTEMPT: Final = Statement(
    lambda d: (
        "SELECT a.broker_order_key FROM attempts@day AS a WHERE a.broker_order_key BETWEEN"
        f" {d.given('id', 'text')} || '00' AND {d.given('id', 'text')} || '99'"
        " AND a.broker_id = :broker AND a.outcome = 'accepted' AND a.trade_date = @day"
    )
)
_NEW: Final = {
    "order_id": "text",
    "trade_date": "date",
    "accept_sequence": "integer",
    "broker_id": "text",
    "broker_order_key": "text",
    "quantity": "number",
    "limit_price": "number",
}
_ASK: Final = Statement(
    lambda d: (
        f"INSERT INTO replace_requests ({', '.join(_NEW)}, state, asked_at)"
        f" SELECT {', '.join(_NEW)}, 'waiting', {d.given('now', 'integer')}"
        f" FROM {d.staged('rows', _NEW)} AS n"
    )
)
_END: Final = {
    **dict.fromkeys(("order_id", "key"), "text"),
    **dict.fromkeys(("quantity", "limit_price"), "number"),
    "state": "text",
}
# A word that came late changes what had been settled otherwise.
_AMEND: Final = Statement(
    lambda d: (
        "UPDATE replaces AS r SET quantity = m.quantity, limit_price = m.limit_price,"
        " state = m.state, settled_by = :by,"
        f" settled_at = {d.given('now', 'integer')} FROM {d.staged('rows', _END)} AS m"
        " WHERE r.broker_order_key = m.key"
    )
)
_CLOSE: Final = Statement(
    lambda d: (
        "INSERT INTO replaces (broker_order_key, trade_date, order_id, original, quantity,"
        " limit_price, state, settled_by, settled_at) SELECT q.broker_order_key, q.trade_date,"
        f" q.order_id, q.original, m.quantity, m.limit_price, m.state, {d.given('by', 'text')},"
        f" {d.given('now', 'integer')} FROM {d.staged('rows', _END)} AS m"
        " JOIN replace_requests AS q ON q.order_id = m.order_id AND q.broker_order_key = m.key"
    )
)
_LEAVE: Final = Statement(
    lambda d: (
        f"DELETE FROM replace_requests WHERE order_id {d.among('orders')}"
        f" AND broker_order_key {d.among('keys')}"
    )
)
_DOUBT: Final = {"order_id": "text", "key": "text", "sent_ns": "integer"}
_DOUBTED: Final = Statement(
    lambda d: (
        "UPDATE replace_requests AS q SET state = 'unknown',"
        f" sent_ns = coalesce(m.sent_ns, q.sent_ns) FROM {d.staged('rows', _DOUBT)} AS m"
        " WHERE q.order_id = m.order_id AND q.broker_order_key = m.key"
    )
)
_STANDING: Final = Statement(
    lambda d: (
        "SELECT broker_order_key, order_id, broker_id, sent_ns FROM replace_requests"
        f" WHERE broker_id = :broker AND state = {d.given('state', 'text')}"
        " ORDER BY broker_order_key"
    )
)

_PLACES: Final = Statement(
    lambda d: d.listed(
        d.array(d.words("trade_date"), "accept_sequence"),
        "(SELECT trade_date, accept_sequence FROM replace_requests WHERE broker_id = :broker"
        " AND state = 'waiting' ORDER BY asked_at, accept_sequence LIMIT :limit) AS w",
    )
)
_ROUTES: Final = Statement(
    lambda d: d.listed(
        d.array("a.broker_order_key", "a.route_id"),
        f"attempts@day AS a WHERE a.broker_order_key {d.among('keys')} AND a.trade_date = @day",
    )
)
_OUT: Final = {"order_id": "text", "key": "text", "original": "text"}
_GO: Final = Statement(
    lambda d: (
        "UPDATE replace_requests AS q SET state = 'open', original = m.original,"
        f" claim = {d.given('claim', 'integer')}, owner_epoch = {d.given('epoch', 'integer')}"
        f" FROM {d.staged('rows', _OUT)} AS m"
        " WHERE q.order_id = m.order_id AND q.broker_order_key = m.key AND q.state = 'waiting'"
    )
)


def chains(connection: Connection, order_ids: Iterable[str]) -> dict[str, Chain]:
    """Return the requests of each of these orders, all of which are locked."""
    ids = sorted(set(order_ids))
    found: dict[str, list[Asked]] = {order_id: [] for order_id in ids}
    if ids:
        listed = codec.decode(_OF.run(connection, ids=codec.text(ids)).scalar_one())
        for order_id, *row in listed:
            found[order_id].append(_asked(*row))
    return {order_id: Chain(asked) for order_id, asked in found.items()}


def _asked(key: str, quantity: str, limit_price: str | None, state: str) -> Asked:
    price = None if limit_price is None else Decimal(limit_price)
    return Asked(key, Decimal(quantity), price, ReplaceState(state))


def request(
    connection: Connection, order: Order, terms: tuple[Decimal, Decimal | None], now: int
) -> Order:
    """Note new terms for an order that works at a broker, or raise `Refused`."""
    quantity, limit_price = terms
    traded = order.filled_quantity + order.overfilled_quantity
    if quantity <= traded:
        detail = f"expected more than the {traded} that have traded; cancel the rest instead"
        raise Refused(Code.BAD_QUANTITY, detail, quantity=str(quantity))
    if terms == (order.quantity, order.limit_price):
        raise Refused(Code.VALIDATION_FAILED, "expected other terms than the order has")
    values = {"id": order.order_id, "broker": order.broker_id}
    attempt = _ATTEMPT.run(connection, order.trade_date, **values).scalar()
    chain = chains(connection, [order.order_id])[order.order_id]
    number = chain.next_number
    if attempt is None or chain.standing is not None or number > REPLACE_NUMBER_MAX:
        raise Refused(Code.ORDER_NOT_EDITABLE, "its terms cannot be changed any more")
    after = replace_requested(order, now)
    wish = Asked(replace_key(attempt, number), quantity, limit_price, _R.WAITING)
    ask(connection, [(order, wish)], now)
    rows.write(connection, [rows.Move(order, [after], "replace")], "client")
    return after


def ask(connection: Connection, wishes: Sequence[tuple[Order, Asked]], now: int) -> None:
    """Let each order's new terms wait until they may leave."""
    staged = [
        (o.order_id, o.trade_date, o.accept_sequence, o.broker_id, a.key, a.quantity, a.limit_price)
        for o, a in wishes
    ]
    if staged:
        _ASK.run(connection, rows=codec.text(staged), now=now)


def write(connection: Connection, changed: Iterable[Chain], by: str, now: int) -> None:
    """Put down how requests ended, as their chains have noted it."""
    ended = [asked for chain in changed for asked in chain.changed.values()]
    if not ended:
        return
    staged = codec.text(
        [(a.key[:ORDER_ID_LENGTH], a.key, a.quantity, a.limit_price, a.state) for a in ended]
    )
    _AMEND.run(connection, rows=staged, by=by, now=now)
    _CLOSE.run(connection, rows=staged, by=by, now=now)
    keys = [asked.key for asked in ended]
    orders = codec.text([key[:ORDER_ID_LENGTH] for key in keys])
    _LEAVE.run(connection, orders=orders, keys=codec.text(keys))


def doubt(connection: Connection, out: Sequence[tuple[str, int | None]]) -> None:
    """Note that these left, and that nothing is known of them yet."""
    staged = [(key[:ORDER_ID_LENGTH], key, sent_ns) for key, sent_ns in out]
    if staged:
        _DOUBTED.run(connection, rows=codec.text(staged))


def standing(connection: Connection, broker_id: str, state: ReplaceState) -> list[OpenAttempt]:
    """Return the requests at this broker that stand so, by their keys."""
    found = _STANDING.run(connection, broker=broker_id, state=state)
    return [OpenAttempt._make(row) for row in found]


def waiting(connection: Connection, broker_id: str, limit: int) -> list[Order]:
    """Return the orders whose new terms wait to leave, the longest waiting first, locked.

    One that somebody else is moving is passed over.
    """
    found = codec.decode(_PLACES.run(connection, broker=broker_id, limit=limit).scalar_one())
    places = [(date.fromisoformat(day), sequence) for day, sequence in found]
    order_of = {place: rank for rank, place in enumerate(places)}
    free = rows.free_at(connection, places)
    return sorted(free, key=lambda o: order_of[o.trade_date, o.accept_sequence])


def routes(connection: Connection, orders: Sequence[tuple[Order, str]]) -> dict[str, str]:
    """Return by which route each (order, attempt key) went, by key."""
    found: dict[str, str] = {}
    for day, each in by_day(orders, lambda pair: pair[0].trade_date):
        keys = codec.text([key for _, key in each])
        found |= dict(codec.decode(_ROUTES.run(connection, day, keys=keys).scalar_one()))
    return found


def go(
    connection: Connection, leaving: Sequence[tuple[str, str, str]], claim: int, epoch: int
) -> None:
    """Note each (order id, key, original) as out, before its bytes are."""
    changed = _GO.run(connection, rows=codec.text(leaving), claim=claim, epoch=epoch).rowcount
    assert changed == len(leaving), f"expected to claim {len(leaving)} replaces, was {changed}"
