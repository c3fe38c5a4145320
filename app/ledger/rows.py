"""How a batch of orders is read and moved: each statement one step, whatever the batch.

A batch travels to SQL as one JSON text and comes back as one (`app/sqlite.py` says why). Every
change of an order is a `Move`: the order as it was read in this transaction, and the versions
that `domain` led it through. `write` puts the row, the event and the outbox row down together,
and asserts that each row was still the one that was read.
"""

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from operator import attrgetter
from typing import Final, NamedTuple

from sqlalchemy import Connection, TextClause, text

from app import codec
from app.domain.order import Order
from app.domain.values import PendingRequest

FIELDS: Final = Order._fields
MOVING: Final = ("quantity", "limit_price", *FIELDS[FIELDS.index("version") :])
INSTANTS: Final = {"accepted_at", "released_at", "updated_at"}


def _column(field: str) -> str:
    if field == "done_for_day":
        return "json(iif(o.done_for_day, 'true', 'false'))"
    return f"o.{field}"


def _published(field: str) -> str:
    """How a field looks to the world: instants in RFC 3339, the rest as it is stored."""
    if field in INSTANTS:
        return f"'{field}', strftime('%Y-%m-%dT%H:%M:%fZ', o.{field} / 1000.0, 'unixepoch')"
    return f"'{field}', {_column(field)}"


AS_ARRAY: Final = f"json_array({', '.join(map(_column, FIELDS))})"
AS_EVENT: Final = f"json_object({', '.join(map(_published, FIELDS))})"


class Move(NamedTuple):
    """An order as it was, the versions that follow, oldest first, and why."""

    before: Order
    steps: Sequence[Order]
    cause: str


def select(where: str, *, order_by: str = "o.accept_sequence", limit: str = "-1") -> str:
    """Return SQL for one JSON array of orders; `where` may join further tables."""
    return (
        f"SELECT json_group_array(json(a)) FROM (SELECT {AS_ARRAY} AS a"
        f" FROM {where} ORDER BY {order_by} LIMIT {limit})"
    )


def read(connection: Connection, sql: str, **values: object) -> list[Order]:
    """Run a `select` and decode what it found."""
    return codec.decode_orders(connection.execute(text(sql), values).scalar_one())


BY_IDS: Final = select("json_each(:ids) AS i CROSS JOIN orders AS o ON o.order_id = i.value")
BY_SEQUENCES: Final = select(
    "json_each(:ids) AS i CROSS JOIN orders AS o ON o.accept_sequence = i.value"
)


def by_ids(connection: Connection, order_ids: Iterable[str]) -> dict[str, Order]:
    """Return the orders with these ids; an unknown id has no entry."""
    found = read(connection, BY_IDS, ids=codec.text(sorted(order_ids)))
    return {order.order_id: order for order in found}


# Most moves change where an order stands and not how much of it has traded: then a third of the
# columns is staged, and the statement costs half.
AMOUNTS: Final = (
    *("quantity", "limit_price", "filled_quantity", "overfilled_quantity", "filled_value"),
    *("average_price", "done_for_day"),
)
STANDING: Final = tuple(name for name in MOVING if name not in AMOUNTS)
_LEADING: Final = ("accept_sequence", "type", "cause")
_M: Final = (
    " FROM json_each(:moves) AS m CROSS JOIN orders AS o ON o.accept_sequence = m.value ->> 0"
)


def _update(columns: Sequence[str]) -> TextClause:
    staged = ", ".join(
        f"value ->> {i} AS {name}"
        for i, name in enumerate((*_LEADING, *columns))
        if i not in (1, 2)
    )
    return text(
        f"UPDATE orders SET {', '.join(f'{name} = m.{name}' for name in columns)}"
        f" FROM (SELECT {staged} FROM json_each(:moves)) AS m"
        " WHERE orders.accept_sequence = m.accept_sequence AND orders.version = m.version - 1"
    )


_STAND: Final = _update(STANDING)
_MOVE: Final = _update((*STANDING, *AMOUNTS))
_NOTE: Final = text(
    "INSERT INTO order_events (order_id, sequence, type, at, actor, cause)"
    f" SELECT o.order_id, o.version, m.value ->> 1, o.updated_at, :actor, m.value ->> 2{_M}"
)
_PUBLISH: Final = text(
    "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
    " SELECT o.order_id || '-' || o.version, 'orders', o.account_id,"
    f" 'io.openbell.' || (m.value ->> 1) || '.v1', {AS_EVENT}{_M}"
)
_standing: Final = attrgetter(*STANDING)
_amounts: Final = attrgetter(*AMOUNTS)


def event_type(before: Order, after: Order) -> str:
    """Name what happened to an order: a new status, or a request that waits from now on."""
    asked = after.pending_request is PendingRequest.CANCEL
    if asked and before.pending_request is not PendingRequest.CANCEL:
        return "order.pending_request"
    return f"order.{after.status}"


def _steps(move: Move) -> list[tuple[Order, Order, str]]:
    befores = (move.before, *move.steps)
    return [(*pair, move.cause) for pair in zip(befores, move.steps, strict=False)]


def write(connection: Connection, moves: Sequence[Move], actor: str) -> None:
    """Put every version of every move down: the row, its event, its outbox row.

    Orders that take several steps (a batch of fills) are written in rounds, so that each
    version is published as it was.
    """
    for steps in zip_longest(*map(_steps, moves)):
        _write_round(connection, [step for step in steps if step is not None], actor)


def _write_round(
    connection: Connection, steps: Sequence[tuple[Order, Order, str]], actor: str
) -> None:
    assert all(after.version == before.version + 1 for before, after, _ in steps)
    trading = any(_amounts(before) != _amounts(after) for before, after, _ in steps)
    staged = [
        (after.accept_sequence, event_type(before, after), cause, *_standing(after))
        + (_stored(after) if trading else ())
        for before, after, cause in steps
    ]
    values = {"moves": codec.text(staged), "actor": actor}
    changed = connection.execute(_MOVE if trading else _STAND, values).rowcount
    assert changed == len(staged), f"expected to move {len(staged)} orders, moved {changed}"
    connection.execute(_NOTE, values)
    connection.execute(_PUBLISH, values)


def _stored(order: Order) -> tuple[object, ...]:
    *amounts, done_for_day = _amounts(order)
    return (*amounts, int(done_for_day))


def publish_new(connection: Connection, sequences: Sequence[int], actor: str) -> None:
    """Put down the first event and outbox row of orders just inserted."""
    values = {"sequences": codec.text(sequences), "actor": actor}
    connection.execute(_NOTE_NEW, values)
    connection.execute(_PUBLISH_NEW, values)


_NEW: Final = (
    " FROM json_each(:sequences) AS n CROSS JOIN orders AS o ON o.accept_sequence = n.value"
)
_NOTE_NEW: Final = text(
    "INSERT INTO order_events (order_id, sequence, type, at, actor, cause)"
    f" SELECT o.order_id, o.version, 'order.' || o.status, o.updated_at, :actor, 'taken'{_NEW}"
)
_PUBLISH_NEW: Final = text(
    "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
    " SELECT o.order_id || '-' || o.version, 'orders', o.account_id,"
    f" 'io.openbell.order.' || o.status || '.v1', {AS_EVENT}{_NEW}"
)
