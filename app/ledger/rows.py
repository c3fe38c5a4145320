"""How a batch of orders is read and moved: each statement one step, whatever the batch.

A batch travels to SQL as one JSON text and comes back as one (`dialect` says why). Every change
of an order is a `Move`: the order as it was read in this transaction, and the versions that
`domain` led it through. `write` puts the row, the event and the outbox row down together, and
asserts that each row was still the one that was read: for that, what is to be moved is read by
`locked`, so that where others write too they wait.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from itertools import zip_longest
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import Connection

from app import codec
from app.domain.order import Order
from app.domain.values import PendingRequest, Status, trade_date_of
from app.ledger import days
from app.ledger.dialect import Dialect, Statement, by_day

FIELDS: Final = Order._fields
MOVING: Final = ("quantity", "limit_price", *FIELDS[FIELDS.index("version") :])
AMOUNTS: Final = (
    *("quantity", "limit_price", "filled_quantity", "overfilled_quantity", "filled_value"),
    *("average_price", "done_for_day"),
)
INSTANTS: Final = ("accepted_at", "released_at", "updated_at")
TYPE_OF: Final = {
    **dict.fromkeys(FIELDS, "text"),
    **dict.fromkeys(("accept_sequence", "version", "done_for_day", *INSTANTS), "integer"),
    **dict.fromkeys(AMOUNTS[:-1], "number"),
    **dict.fromkeys(("trade_date", "session_date"), "date"),
}


def _column(d: Dialect, field: str) -> str:
    if field == "done_for_day":
        return d.flag(f"o.{field}")
    return d.words(f"o.{field}") if TYPE_OF[field] in {"number", "date"} else f"o.{field}"


def _published(d: Dialect, field: str) -> str:
    """Return how a field looks to the world: instants in RFC 3339, the rest as it is read."""
    return d.instant(f"o.{field}") if field in INSTANTS else _column(d, field)


def as_event(d: Dialect) -> str:
    """Return SQL for the order `o` as the bus carries it."""
    return d.mapping(**{field: _published(d, field) for field in FIELDS})


class Move(NamedTuple):
    """An order as it was, the versions that follow, oldest first, and why."""

    before: Order
    steps: Sequence[Order]
    cause: str


def select(
    d: Dialect,
    source: str,
    *,
    order_by: str = "o.accept_sequence",
    limit: str = "",
    lock: str = "",
) -> str:
    """Return SQL for one JSON array of the orders `o` in `source`, which may join others."""
    fields = d.array(*(_column(d, field) for field in FIELDS))
    tail = f" ORDER BY {order_by}{limit and f' LIMIT {limit}'}{lock}"
    return d.listed(d.json("a"), f"(SELECT {fields} AS a FROM {source}{tail}) AS found")


def _by(column: str, type_: str, lock: Callable[[Dialect], str] = lambda _: "") -> Statement:
    return Statement(
        lambda d: select(
            d,
            f"orders@day AS o WHERE o.{column} {d.among('ids', type_)} AND o.trade_date = @day",
            lock=lock(d),
        )
    )


_BY_ID: Final = _by("order_id", "text")
_LOCK_ID: Final = _by("order_id", "text", lambda d: d.lock_orders)
_LOCK_FREE: Final = _by("accept_sequence", "integer", lambda d: d.lock_free_orders)


def by_ids(connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """Return the orders with these ids; an unknown id has no entry."""
    return _read(connection, _BY_ID, order_ids)


def locked(connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """Return the orders with these ids, to be moved: nobody else moves them meanwhile."""
    return _read(connection, _LOCK_ID, order_ids)


def _read(connection: Connection, statement: Statement, ids: Iterable[str]) -> dict[str, Order]:
    dated = [(i, day) for i in sorted(set(ids)) if (day := trade_date_of(i)) is not None]
    found: dict[str, Order] = {}
    for day, each in by_day(dated, lambda pair: pair[1]):
        if days.is_attached(connection, day):
            listed = codec.text([order_id for order_id, _ in each])
            orders = statement.run(connection, day, ids=listed).scalar_one()
            found |= {order.order_id: order for order in codec.decode_orders(orders)}
    return found


def free_at(connection: Connection, places: Iterable[tuple[date, int]]) -> list[Order]:
    """Return the orders at these (trade_date, accept_sequence), to be moved, day by day.

    One that somebody else is moving is passed over, so that who works through a queue never
    waits for a client, and cannot end up waiting for one who waits for him.
    """
    found: list[Order] = []
    for day, each in by_day(places, lambda place: place[0]):
        listed = codec.text([sequence for _, sequence in each])
        orders = _LOCK_FREE.run(connection, day, ids=listed).scalar_one()
        found += codec.decode_orders(orders)
    return found


# Most moves change where an order stands and not how much of it has traded: then a third of the
# columns is staged, and the statement costs half.
STANDING: Final = tuple(name for name in MOVING if name not in AMOUNTS)
_LEADING: Final = {"accept_sequence": "integer", "type": "text", "cause": "text"}


def _staged(d: Dialect, columns: Sequence[str] = ()) -> str:
    return d.staged("moves", _LEADING | {name: TYPE_OF[name] for name in columns})


def _update(columns: Sequence[str]) -> Statement:
    return Statement(
        lambda d: (
            f"UPDATE orders@day AS o SET {', '.join(f'{c} = m.{c}' for c in columns)}"
            f" FROM {_staged(d, columns)} AS m WHERE o.accept_sequence = m.accept_sequence"
            " AND o.version = m.version - 1 AND o.trade_date = @day"
        )
    )


_STAND: Final = _update(STANDING)
_MOVE: Final = _update((*STANDING, *AMOUNTS))


# The staged rows `m`, and the orders `o` that they name.
_M: Final = (
    " AS m CROSS JOIN orders@day AS o WHERE o.accept_sequence = m.accept_sequence"
    " AND o.trade_date = @day ORDER BY m.place"
)
_NOTE: Final = Statement(
    lambda d: (
        "INSERT INTO order_events@day (trade_date, order_id, sequence, type, at, actor,"
        " cause) SELECT o.trade_date, o.order_id, o.version, m.type, o.updated_at,"
        f" {d.given('actor', 'text')}, m.cause FROM {_staged(d)}{_M}"
    )
)
_PUBLISH: Final = Statement(
    lambda d: (
        "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
        " SELECT o.order_id || '-' || o.version, 'orders', o.account_id,"
        f" 'io.openbell.' || m.type || '.v1', {as_event(d)} FROM {_staged(d)}{_M}"
    )
)
_WISH: Final = {"trade_date": "date", "accept_sequence": "integer", "order_id": "text"}
_ASK: Final = Statement(
    lambda d: (
        f"INSERT INTO cancel_requests ({', '.join(_WISH)}) SELECT {', '.join(_WISH)}"
        f" FROM {d.staged('asked', _WISH)} AS a WHERE true ON CONFLICT DO NOTHING"
    )
)
_ANSWERED: Final = Statement(
    lambda d: f"DELETE FROM cancel_requests WHERE order_id {d.among('ids')}"
)
_HELD: Final = {
    "accept_sequence": "integer",
    "trade_date": "date",
    "order_id": "text",
    "trading_session_id": "text",
    "account_id": "text",
    "reason_code": "text",
    "held_at": "integer",
}
_HOLD: Final = Statement(
    lambda d: (
        f"INSERT INTO held_orders ({', '.join(_HELD)}) SELECT {', '.join(_HELD)}"
        f" FROM {d.staged('held', _HELD)} AS h WHERE true"
        " ON CONFLICT (accept_sequence) DO UPDATE SET reason_code = excluded.reason_code"
    )
)
_LET_GO: Final = Statement(
    lambda d: f"DELETE FROM held_orders WHERE accept_sequence {d.among('ids', 'integer')}"
)
_held: Final = attrgetter(*tuple(_HELD)[:-1], "updated_at")
_standing: Final = attrgetter(*STANDING)
_amounts: Final = attrgetter(*AMOUNTS)
_trade_date: Final = attrgetter("before.trade_date")


def event_type(before: Order, after: Order) -> str:
    """Name what happened to an order: a new status, or a request that waits from now on."""
    return "order.pending_request" if _asks(before, after) else f"order.{after.status}"


def _asks(before: Order, after: Order) -> bool:
    replace = after.pending_request is PendingRequest.REPLACE
    return _cancels(before, after) or (replace and before.pending_request is PendingRequest.NONE)


def _cancels(before: Order, after: Order) -> bool:
    asked = after.pending_request is PendingRequest.CANCEL
    return asked and before.pending_request is not PendingRequest.CANCEL


def _steps(move: Move) -> list[tuple[Order, Order, str]]:
    befores = (move.before, *move.steps)
    return [(*pair, move.cause) for pair in zip(befores, move.steps, strict=False)]


def write(connection: Connection, moves: Sequence[Move], actor: str) -> None:
    """Put every version of every move down: the row, its event, its outbox row.

    Orders that take several steps (a batch of fills) are written in rounds, so that each
    version is published as it was.
    """
    for day, each in by_day(moves, _trade_date):
        for steps in zip_longest(*map(_steps, each)):
            _write_round(connection, day, [step for step in steps if step is not None], actor)
    _note_cancels(connection, moves)
    _note_held(connection, moves)


def _write_round(
    connection: Connection, day: date, steps: Sequence[tuple[Order, Order, str]], actor: str
) -> None:
    assert all(after.version == before.version + 1 for before, after, _ in steps)
    trading = any(_amounts(before) != _amounts(after) for before, after, _ in steps)
    staged = codec.text(
        [
            (after.accept_sequence, event_type(before, after), cause, *_standing(after))
            + (_stored(after) if trading else ())
            for before, after, cause in steps
        ]
    )
    changed = (_MOVE if trading else _STAND).run(connection, day, moves=staged).rowcount
    assert changed == len(steps), f"expected to move {len(steps)} orders, moved {changed}"
    _NOTE.run(connection, day, moves=staged, actor=actor)
    _PUBLISH.run(connection, day, moves=staged)


def _stored(order: Order) -> tuple[object, ...]:
    *amounts, done_for_day = _amounts(order)
    return (*amounts, int(done_for_day))


def _note_cancels(connection: Connection, moves: Sequence[Move]) -> None:
    """Keep the work list of the cancel lane: the orders whose wish to end is unanswered."""
    asked, answered = [], []
    for before, steps, _ in moves:
        after = steps[-1]
        if _cancels(before, after):
            asked.append((after.trade_date, after.accept_sequence, after.order_id))
        elif before.pending_request is PendingRequest.CANCEL is not after.pending_request:
            answered.append(after.order_id)
    if asked:
        _ASK.run(connection, asked=codec.text(asked))
    if answered:
        _ANSWERED.run(connection, ids=codec.text(answered))


def _note_held(connection: Connection, moves: Sequence[Move]) -> None:
    """Keep the list of what is held: nothing else would ever look at it again."""
    held, free = [], []
    for before, steps, _ in moves:
        after = steps[-1]
        if after.status is Status.HELD:
            if before.status is not Status.HELD or before.reason_code != after.reason_code:
                held.append(_held(after))
        elif before.status is Status.HELD:
            free.append(after.accept_sequence)
    if held:
        _HOLD.run(connection, held=codec.text(held))
    if free:
        _LET_GO.run(connection, ids=codec.text(free))
