"""Cancels many orders at once, in chunks that nobody has to wait for long.

A chunk is one commit: what has never left ends in it, what may be at a broker is put on the list
of the lane that asks. Nothing here waits for a broker, so no silence of his can end a sweep.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.order import TERMINAL
from app.domain.records import Actor, Change
from app.domain.steps import earliest_day
from app.domain.sweep import Begun, Selection, SweepScope, Swept
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.ledger import audit, booking, days, rows
from app.ledger.dialect import Dialect, Statement, of

BEGUN: Final = "orders.mass_cancel"
_TEXTS: Final = SweepScope._fields[1:]
_ENDED: Final = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


def _found(d: Dialect) -> str:
    """Return the orders that a sweep has still to do with."""
    wanted = "".join(
        f" AND ({d.given(name, 'text')} IS NULL OR o.{name} = {d.given(name, 'text')})"
        for name in _TEXTS
    )
    return (
        " FROM orders@day AS o WHERE o.trade_date = @day"
        " AND o.accept_sequence > :after AND o.accept_sequence <= :upto"
        f" AND o.status NOT IN ({_ENDED}) AND o.pending_request <> '{PendingRequest.CANCEL}'"
        + wanted
    )


def _of_accounts(d: Dialect) -> str:
    return f"{_found(d)} AND o.account_id {d.among('accounts')}"


# Two statements, because one that asks "these accounts, or all" is entered by no index.
_COUNTS: Final = {
    True: Statement(lambda d: f"SELECT o.status, count(*){_of_accounts(d)} GROUP BY o.status"),
    False: Statement(lambda d: f"SELECT o.status, count(*){_found(d)} GROUP BY o.status"),
}
_NEXT: Final = {
    True: Statement(
        lambda d: (
            f"SELECT o.accept_sequence, o.order_id{_of_accounts(d)}"
            " ORDER BY o.accept_sequence LIMIT :limit"
        )
    ),
    False: Statement(
        lambda d: (
            f"SELECT o.accept_sequence, o.order_id{_found(d)}"
            " ORDER BY o.accept_sequence LIMIT :limit"
        )
    ),
}
_LAST: Final = {
    "sqlite": text("SELECT coalesce((SELECT last FROM accepted WHERE id = 1), 0)"),
    "postgresql": text("SELECT last_value FROM accept_sequence"),
}
# The sweeps of a day are few, and a chain of audit rows is read in a moment.
_BEGUN: Final = text(
    "SELECT after FROM audit WHERE request_id = :request_id AND action = :action"
    " AND actor = :actor ORDER BY sequence LIMIT 1"
)


def select(connection: Connection, scope: SweepScope, upto: int | None, now: int) -> Selection:
    """Count what a sweep would find, up to an order or up to the last one."""
    last = upto
    if last is None:
        last = connection.execute(_LAST[connection.dialect.name]).scalar_one()
    found: dict[Status, int] = {}
    statement = _COUNTS[scope.accounts is not None]
    for day in _days(connection, now):
        values = _values(scope) | {"after": 0, "upto": last}
        for status, count in _listed(connection, statement, day, values):
            found[Status(status)] = found.get(Status(status), 0) + count
    return Selection(last, found)


def begin(
    connection: Connection, scope: SweepScope, wanted: Selection, by: Actor, now: int
) -> Begun:
    """Fix where it ends, audited; one that began before ends where it was to end."""
    if of(connection).is_shared:
        connection.execute(audit.ONE_BY_ONE)
    asked = {"request_id": by.request_id, "action": BEGUN, "actor": by.name}
    before = connection.execute(_BEGUN, asked).scalar()
    told = {name: value for name, value in scope._asdict().items() if value is not None}
    if before is not None:
        known = codec.decode(before)
        if codec.text(known["scope"]) != codec.text(told):
            raise Refused(
                Code.IDEMPOTENCY_KEY_REUSED, f"{by.request_id} began a sweep of another scope"
            )
        return Begun(known["upto"], again=True)
    counted = {str(status): count for status, count in wanted.by_status.items()}
    change = Change(BEGUN, "orders", counted, {"scope": told, "upto": wanted.upto})
    audit.append(connection, by, change, now)
    return Begun(wanted.upto, again=False)


def sweep(
    connection: Connection,
    scope: SweepScope,
    place: tuple[int, int, int],
    origin: CancelOrigin,
    now: int,
) -> Swept:
    """Cancel the next orders, or ask for it; `place` is (after, upto, limit)."""
    after, upto, limit = place
    found = _next(connection, scope, place, now)
    locked = rows.locked(connection, [order_id for _, order_id in found])
    moves = []
    for order in sorted(locked.values(), key=lambda order: order.accept_sequence):
        if order.is_terminal or order.pending_request is PendingRequest.CANCEL:
            continue  # meanwhile
        moved = booking.ended_or_asked(connection, order, origin, now)
        moves.append(rows.Move(order, [moved], "mass_cancel"))
    rows.write(connection, moves, origin)
    canceled = sum(move.steps[0].status is Status.CANCELED for move in moves)
    more = len(found) == limit
    assert not more or after < found[-1][0] <= upto, "a sweep goes on, and ends"
    return Swept(canceled, len(moves) - canceled, found[-1][0] if more else None)


def _next(
    connection: Connection, scope: SweepScope, place: tuple[int, int, int], now: int
) -> Sequence[tuple[int, str]]:
    after, upto, limit = place
    found: list[tuple[int, str]] = []
    for day in _days(connection, now):
        values = _values(scope) | {"after": after, "upto": upto, "limit": limit}
        statement = _NEXT[scope.accounts is not None]
        found += [(row[0], row[1]) for row in _listed(connection, statement, day, values)]
    return sorted(found)[:limit]


def _listed(
    connection: Connection, statement: Statement, day: date, values: dict[str, Any]
) -> Sequence[Sequence[Any]]:
    return statement.run(connection, day, **values).all()


def _days(connection: Connection, now: int) -> Iterator[date]:
    """Return the days whose orders may still be alive."""
    earliest = earliest_day(now)
    return (day for day in days.attached(connection) if day >= earliest)


def _values(scope: SweepScope) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(scope, name) for name in _TEXTS}
    if scope.accounts is not None:
        values["accounts"] = codec.text(scope.accounts)
    return values
