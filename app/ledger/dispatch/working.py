"""Which orders work at a broker, read in the order of the key, so many rows at a time.

An index over what works would be written with each order that begins and ends to work, and on a
server it would forbid that a changed row stays where it is (HOT). So there is none, and no read
here looks at more than a page of rows, however many orders a day has.
"""

from datetime import date
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.order import TERMINAL, WORKING
from app.domain.working import WorkingOrder, WorkingPage
from app.ledger import days
from app.ledger.dialect import Statement
from app.ledger.dispatch.queues import in_place

# Rows looked at for one page: some milliseconds in either database.
ROWS_A_PAGE: Final = 5_000
# A transaction that began earlier may still put an order down under a smaller number.
COMMIT_MS_MAX: Final = 120_000


def _words(statuses: frozenset[str]) -> str:
    return ", ".join(f"'{status}'" for status in sorted(statuses))


_TERMINAL: Final = _words(frozenset(s.value for s in TERMINAL))
_WORKING: Final = _words(frozenset(s.value for s in WORKING))
_SPAN: Final = Statement(
    lambda d: (
        "SELECT count(*), max(p.accept_sequence), min(CASE WHEN p.status"
        f" IN ({_TERMINAL}) AND p.updated_at <= :settled THEN NULL ELSE p.accept_sequence END),"
        f" max(CASE WHEN p.status IN ({_WORKING}) AND p.broker_id = {d.given('broker', 'text')}"
        " THEN 1 ELSE 0 END)"
        " FROM (SELECT o.accept_sequence, o.status, o.updated_at, o.broker_id FROM orders@day AS o"
        " WHERE o.accept_sequence > :after AND o.trade_date = @day"
        f" ORDER BY o.accept_sequence LIMIT {ROWS_A_PAGE}) AS p"
    )
)
_WORK: Final = Statement(
    lambda d: d.listed(
        d.array("w.accept_sequence", "w.order_id", "a.broker_order_key", d.words("w.quantity")),
        "(SELECT o.accept_sequence, o.order_id, o.quantity FROM orders@day AS o"
        " WHERE o.accept_sequence > :after AND o.accept_sequence <= :last"
        f" AND o.trade_date = @day AND o.status IN ({_WORKING}) AND o.broker_id = :broker"
        " ORDER BY o.accept_sequence LIMIT :limit) AS w"
        " CROSS JOIN attempts@day AS a WHERE a.broker_order_key BETWEEN w.order_id || '00'"
        " AND w.order_id || '99' AND a.trade_date = @day AND a.broker_id = :broker"
        " AND a.outcome = 'accepted'",
    )
)


def page(
    connection: Connection, broker_id: str, day: date, after: int, limit: int, now: int
) -> WorkingPage:
    """Return the next orders of a day that work there."""
    if not days.is_attached(connection, day):
        return WorkingPage([], None, after)
    settled = now - COMMIT_MS_MAX
    values = {"broker": broker_id, "after": after}
    span = in_place(connection, _SPAN, day, **values, settled=settled).one()
    rows, last, unended, works = tuple(span)
    if not rows:
        return WorkingPage([], None, after)
    found = []
    if works:
        work = in_place(connection, _WORK, day, **values, last=last, limit=limit)
        listed = work.scalar_one()
        found = sorted(
            WorkingOrder(sequence, order_id, key, Decimal(str(quantity)))
            for sequence, order_id, key, quantity in codec.decode(listed)
        )
    ended_to = int(last) if unended is None else int(unended) - 1
    if len({order.accept_sequence for order in found}) >= limit:
        return WorkingPage(found, found[-1].accept_sequence, ended_to)
    return WorkingPage(found, int(last) if rows == ROWS_A_PAGE else None, ended_to)
