"""Cancels, holds or lets go many orders at once, in chunks that nobody has to wait for long.

A chunk is one commit: what has never left ends in it, what may be at a broker is put on the list
of the lane that asks. Nothing here waits for a broker, so no silence of his can end a sweep.
What a hold and a release do to one order stands in `holding`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.holding import HOLDABLE, KEPT
from app.domain.order import TERMINAL, Order
from app.domain.records import Actor, Change
from app.domain.steps import earliest_day
from app.domain.sweep import Begun, Deed, Selection, SweepScope, Swept
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.ledger import days, rows
from app.ledger.dialect import Dialect, Statement, of
from app.ledger.operators import audit
from app.ledger.orders import booking

_TEXTS: Final = SweepScope._fields[1:]


def _words(codes: Iterable[str]) -> str:
    return ", ".join(f"'{code}'" for code in sorted(codes))


# What each deed has to do with.
_FOUND: Final = {
    Deed.CANCEL: (
        "orders@day AS o WHERE o.trade_date = @day"
        f" AND o.status NOT IN ({_words(TERMINAL)})"
        f" AND o.pending_request <> '{PendingRequest.CANCEL}'"
    ),
    Deed.HOLD: (f"orders@day AS o WHERE o.trade_date = @day AND o.status IN ({_words(HOLDABLE)})"),
    Deed.RELEASE: (
        "held_orders AS h CROSS JOIN orders@day AS o WHERE h.trade_date = @day"
        " AND o.trade_date = @day AND o.accept_sequence = h.accept_sequence"
        f" AND coalesce(h.reason_code, '') NOT IN ({_words(KEPT)})"
    ),
}


def _found(d: Dialect, deed: Deed, *, of_accounts: bool) -> str:
    """Return the orders that a sweep has still to do with."""
    place = "h" if deed is Deed.RELEASE else "o"
    wanted = "".join(
        f" AND ({d.given(name, 'text')} IS NULL OR o.{name} = {d.given(name, 'text')})"
        for name in _TEXTS
    )
    accounts = f" AND o.account_id {d.among('accounts')}" if of_accounts else ""
    return (
        f" FROM {_FOUND[deed]} AND {place}.accept_sequence > :after"
        f" AND {place}.accept_sequence <= :upto{wanted}{accounts}"
    )


def _counting(deed: Deed, *, of_accounts: bool) -> Statement:
    return Statement(
        lambda d: (
            f"SELECT o.status, count(*){_found(d, deed, of_accounts=of_accounts)} GROUP BY o.status"
        )
    )


def _following(deed: Deed, *, of_accounts: bool) -> Statement:
    place = "h" if deed is Deed.RELEASE else "o"
    return Statement(
        lambda d: (
            f"SELECT o.accept_sequence, o.order_id{_found(d, deed, of_accounts=of_accounts)}"
            f" ORDER BY {place}.accept_sequence LIMIT :limit"
        )
    )


# Two statements each, because one that asks "these accounts, or all" is entered by no index.
_KINDS: Final = [(deed, named) for deed in Deed for named in (True, False)]
_COUNTS: Final = {(deed, named): _counting(deed, of_accounts=named) for deed, named in _KINDS}
_NEXT: Final = {(deed, named): _following(deed, of_accounts=named) for deed, named in _KINDS}
_LAST: Final = {
    "sqlite": text("SELECT coalesce((SELECT last FROM accepted WHERE id = 1), 0)"),
    "postgresql": text("SELECT last_value FROM accept_sequence"),
}
# By an index: it is asked inside the write, and every client may ask it.
_BEGUN: Final = text(
    "SELECT after FROM audit WHERE request_id = :request_id AND action = :action"
    " AND actor = :actor ORDER BY sequence LIMIT 1"
)


def select(
    connection: Connection, deed: Deed, scope: SweepScope, upto: int | None, now: int
) -> Selection:
    """Count what a sweep would find, up to an order or up to the last one."""
    last = upto
    if last is None:
        last = connection.execute(_LAST[connection.dialect.name]).scalar_one()
    found: dict[Status, int] = {}
    statement = _COUNTS[deed, scope.accounts is not None]
    for day in _days(connection, now):
        values = _values(scope) | {"after": 0, "upto": last}
        for status, count in _listed(connection, statement, day, values):
            found[Status(status)] = found.get(Status(status), 0) + count
    return Selection(last, found)


def begin(
    connection: Connection, deed: Deed, scope: SweepScope, wanted: Selection, by: Actor, now: int
) -> Begun:
    """Fix where it ends, audited; one that began before ends where it was to end."""
    begun = f"orders.{deed}"
    if of(connection).is_shared:
        connection.execute(audit.ONE_BY_ONE)
    asked = {"request_id": by.request_id, "action": begun, "actor": by.name}
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
    change = Change(begun, "orders", counted, {"scope": told, "upto": wanted.upto})
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
    found, after = following(connection, Deed.CANCEL, scope, place, now)
    moves = []
    for order in found:
        if order.is_terminal or order.pending_request is PendingRequest.CANCEL:
            continue  # meanwhile
        moved = booking.ended_or_asked(connection, order, origin, now)
        moves.append(rows.Move(order, [moved], "mass_cancel"))
    rows.write(connection, moves, origin)
    canceled = sum(move.steps[0].status is Status.CANCELED for move in moves)
    return Swept(canceled, len(moves) - canceled, after)


def following(
    connection: Connection, deed: Deed, scope: SweepScope, place: tuple[int, int, int], now: int
) -> tuple[list[Order], int | None]:
    """Return the next orders, to be moved, and where the chunk after them begins, if there is one.

    `place` is (after, upto, limit).
    """
    after, upto, limit = place
    found: list[tuple[int, str]] = []
    for day in _days(connection, now):
        values = _values(scope) | {"after": after, "upto": upto, "limit": limit}
        statement = _NEXT[deed, scope.accounts is not None]
        found += [(row[0], row[1]) for row in _listed(connection, statement, day, values)]
    chunk = sorted(found)[:limit]
    more = len(chunk) == limit
    assert not more or after < chunk[-1][0] <= upto, "a sweep goes on, and ends"
    locked = rows.locked(connection, [order_id for _, order_id in chunk])
    orders = sorted(locked.values(), key=lambda order: order.accept_sequence)
    return orders, chunk[-1][0] if more else None


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
