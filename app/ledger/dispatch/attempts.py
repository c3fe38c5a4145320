"""The rows of attempts: one a send, on disk before its bytes leave.

An attempt is open until something is *known* of it, and `close` touches open ones alone: the
first verdict stands, whatever comes later. While it is open its order is `sending` or
`in_doubt`, and never otherwise.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from app import codec
from app.domain.order import Order
from app.domain.records import Claimed, Fence, OpenAttempt
from app.domain.values import ORDER_ID_LENGTH, Outcome, order_id_of, trade_date_of
from app.ledger import days, rows
from app.ledger.dialect import Statement, by_day

OPEN: Final = frozenset({Outcome.OPEN, Outcome.UNKNOWN})

_FIELDS: Final = (
    *("a.broker_order_key", "a.order_id", "a.attempt_number", "a.broker_id", "a.route_id"),
    *("a.rank", "a.outcome", "a.sent_ns"),
)
_BY_KEYS: Final = Statement(
    lambda d: d.listed(
        d.array(*_FIELDS),
        f"attempts@day AS a WHERE a.broker_order_key {d.among('keys')} AND a.trade_date = @day",
    )
)
_INFLIGHT: Final = Statement(
    lambda d: d.listed(
        d.array("i.broker_order_key"),
        "dispatch_inflight AS i WHERE i.broker_id = :broker"
        f" AND ({d.given('claim', 'integer')} IS NULL OR i.claim = :claim)"
        f" AND ({d.given('outcome', 'text')} IS NULL OR i.outcome = :outcome)",
    )
)
_TRIES: Final = Statement(
    lambda d: d.listed(
        d.array(
            "i.value",
            "(SELECT count(*) FROM attempts@day AS a WHERE a.broker_order_key"
            " BETWEEN i.value || '00' AND i.value || '99' AND a.trade_date = @day)",
        ),
        f"{d.values('ids')} AS i",
    )
)
_CLAIMED: Final = Statement(
    lambda d: d.listed(
        d.array("a.order_id", "a.broker_order_key", "a.route_id", "a.route_epoch", "a.rank"),
        f"attempts@day AS a WHERE a.broker_order_key {d.among('keys')} AND a.trade_date = @day",
    )
)
_NEW: Final = {
    "trade_date": "date",
    "broker_order_key": "text",
    "order_id": "text",
    "attempt_number": "integer",
    "route_id": "text",
    "route_epoch": "integer",
    "rank": "integer",
}
_BEGIN: Final = Statement(
    lambda d: (
        "INSERT INTO attempts@day (trade_date, broker_order_key, order_id, attempt_number,"
        " broker_id, route_id, route_epoch, owner_epoch, rank, claimed_at, send_count, outcome)"
        " SELECT trade_date, broker_order_key, order_id, attempt_number,"
        f" {d.given('broker', 'text')}, route_id, route_epoch, {d.given('epoch', 'integer')}, rank,"
        f" {d.given('now', 'integer')}, 1, 'open' FROM {d.staged('rows', _NEW)} AS n"
    )
)
_FLY: Final = Statement(
    lambda d: (
        "INSERT INTO dispatch_inflight (order_id, broker_order_key, trade_date, broker_id,"
        " outcome, claim) SELECT order_id, broker_order_key, trade_date,"
        f" {d.given('broker', 'text')}, 'open', {d.given('claim', 'integer')}"
        f" FROM {d.staged('rows', _NEW)} AS n"
    )
)
_END: Final = {"key": "text", "outcome": "text", "sent_ns": "integer", "settled_by": "text"}
_CLOSE: Final = Statement(
    lambda d: (
        "UPDATE attempts@day AS a SET outcome = m.outcome,"
        " sent_ns = coalesce(m.sent_ns, a.sent_ns), settled_by = m.settled_by,"
        " settled_at = CASE WHEN m.outcome IN ('open', 'unknown') THEN NULL ELSE"
        f" {d.given('now', 'integer')} END FROM {d.staged('rows', _END)} AS m"
        " WHERE a.broker_order_key = m.key AND coalesce(a.outcome IN ('open', 'unknown'), false)"
        " AND a.trade_date = @day"
    )
)
_LAND: Final = Statement(
    lambda d: (
        f"DELETE FROM dispatch_inflight WHERE order_id {d.among('orders')}"
        f" AND broker_order_key {d.among('keys')}"
    )
)
_DOUBT: Final = Statement(
    lambda d: (
        f"UPDATE dispatch_inflight SET outcome = 'unknown' WHERE order_id {d.among('orders')}"
        f" AND broker_order_key {d.among('keys')}"
    )
)
_BACK: Final = {
    "route_id": "text",
    "rank": "integer",
    "accept_sequence": "integer",
    "trade_date": "date",
    "account_id": "text",
    "symbol": "text",
    "trading_session_id": "text",
}
_AGAIN: Final = Statement(
    lambda d: (
        f"INSERT INTO dispatch_ready ({', '.join(_BACK)})"
        f" SELECT {', '.join(_BACK)} FROM {d.staged('rows', _BACK)} AS b"
    )
)


class Attempt(NamedTuple):
    """One attempt, as far as its end needs to know."""

    key: str
    order_id: str
    attempt_number: int
    broker_id: str
    route_id: str
    rank: int
    outcome: Outcome
    sent_ns: int | None


class Closing(NamedTuple):
    """What became of an attempt, and who said so; `UNKNOWN` leaves it open."""

    key: str
    outcome: Outcome
    sent_ns: int | None
    settled_by: str | None


def by_keys(connection: Connection, keys: Iterable[str]) -> dict[str, Attempt]:
    """Return the attempts with these keys; an unknown key has no entry.

    To decide on one, lock its order first: an attempt moves only with it.
    """
    found = [Attempt(*row) for row in each_day(connection, _BY_KEYS, keys)]
    return {a.key: a._replace(outcome=Outcome(a.outcome)) for a in found}


def lock_orders(connection: Connection, keys: Iterable[str]) -> dict[str, Order]:
    """Return the orders of these attempts, to be moved; then read the attempts."""
    return rows.locked(connection, {key[:ORDER_ID_LENGTH] for _, key in _dated(keys)})


def each_day(
    connection: Connection, statement: Statement, keys: Iterable[str], **values: Any
) -> list[Any]:
    """Run a statement about attempts on each of their days."""
    found: list[Any] = []
    for day, each in by_day(_dated(keys), itemgetter(0)):
        if days.is_attached(connection, day):
            listed = codec.text([key for _, key in each])
            listing = statement.run(connection, day, keys=listed, **values)
            found += codec.decode(listing.scalar_one())
    return found


def _dated(keys: Iterable[str]) -> list[tuple[date, str]]:
    ids = ((key, order_id_of(key)) for key in sorted(set(keys)))
    dated = ((trade_date_of(order_id), key) for key, order_id in ids if order_id)
    return [(day, key) for day, key in dated if day]


def open_at(connection: Connection, broker_id: str, outcome: Outcome | None = None) -> list[str]:
    """Return the keys of the attempts at this broker of which nothing is known, sorted."""
    values = {"broker": broker_id, "outcome": outcome, "claim": None}
    found = codec.decode(_INFLIGHT.run(connection, **values).scalar_one())
    return sorted(key for (key,) in found)


def in_doubt(connection: Connection, broker_id: str) -> list[OpenAttempt]:
    """Return the attempts that only evidence can close, by their keys."""
    keys = open_at(connection, broker_id, Outcome.UNKNOWN)
    return [
        OpenAttempt(a.key, a.order_id, a.broker_id, a.sent_ns)
        for a in sorted(by_keys(connection, keys).values())
        if a.outcome is Outcome.UNKNOWN
    ]


def tries(connection: Connection, orders: Sequence[Order]) -> dict[str, int]:
    """Return how many attempts each order has had."""
    counted: dict[str, int] = {}
    for day, each in by_day(orders, attrgetter("trade_date")):
        ids = codec.text([order.order_id for order in each])
        counted |= dict(codec.decode(_TRIES.run(connection, day, ids=ids).scalar_one()))
    return counted


def begin(
    connection: Connection, claims: Sequence[Claimed], fence: Fence, token: int, now: int
) -> None:
    """Put one open attempt down for each claim."""
    for day, each in by_day(claims, attrgetter("order.trade_date")):
        staged = codec.text([_begun(claim) for claim in each])
        values = {"rows": staged, "broker": fence.broker_id}
        _BEGIN.run(connection, day, **values, epoch=fence.owner_epoch, now=now)
        _FLY.run(connection, **values, claim=token)


def _begun(claim: Claimed) -> tuple[object, ...]:
    order, key = claim.order, claim.broker_order_key
    number = int(key[-2:])
    place = (claim.route_id, claim.route_epoch, claim.rank)
    return (order.trade_date, key, order.order_id, number, *place)


def claimed_by(connection: Connection, broker_id: str, token: int) -> list[Claimed]:
    """Return what this very claim has put down, if its commit stands."""
    values = {"broker": broker_id, "outcome": None, "claim": token}
    keys = [key for (key,) in codec.decode(_INFLIGHT.run(connection, **values).scalar_one())]
    found = each_day(connection, _CLAIMED, keys)
    orders = rows.by_ids(connection, (order_id for order_id, *_ in found))
    claims = [Claimed(orders[order_id], *rest) for order_id, *rest in found]
    return sorted(claims, key=lambda c: (c.rank, c.order.accept_sequence))


def close(connection: Connection, closings: Sequence[Closing], now: int) -> None:
    """Note what became of open attempts; a closed one stays as it is."""
    known = {closing.key: closing for closing in closings}
    for day, each in by_day(_dated(known), itemgetter(0)):
        staged = codec.text([known[key] for _, key in each])
        _CLOSE.run(connection, day, rows=staged, now=now)
    ended = [c.key for c in closings if c.outcome not in OPEN]
    doubted = [c.key for c in closings if c.outcome is Outcome.UNKNOWN]
    for statement, keys in ((_LAND, ended), (_DOUBT, doubted)):
        if keys:
            orders = codec.text([key[:ORDER_ID_LENGTH] for key in keys])
            statement.run(connection, orders=orders, keys=codec.text(keys))


def requeue(connection: Connection, back: Sequence[tuple[Order, Attempt]]) -> None:
    """Put orders that came back where they stood, not at the end."""
    back_in_line(connection, [(order, a.route_id, a.rank) for order, a in back])


def back_in_line(connection: Connection, places: Sequence[tuple[Order, str, int]]) -> None:
    """Let each order wait for a permit at this (route, rank)."""
    staged = [
        (
            route_id,
            rank,
            o.accept_sequence,
            o.trade_date,
            o.account_id,
            o.symbol,
            o.trading_session_id,
        )
        for o, route_id, rank in places
    ]
    if staged:
        _AGAIN.run(connection, rows=codec.text(staged))
