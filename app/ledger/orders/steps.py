"""The steps of some accounts' orders in the order of their instants: what a stream is read from.

`order_events` has no index of time, and a day of it is millions of rows. So it is entered by the
accounts: their orders by index, of these the ones that moved lately, and of those the last steps.
The cost is that of the accounts that somebody follows, whatever the rest of the market does.

The trap is a step that commits late: its instant was taken before its commit, so it may appear
behind a place that was read already. Whoever follows reads again from a while back.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.records import OrderEvent
from app.domain.steps import Place, Step
from app.ledger import days, rows
from app.ledger.dialect import Statement

# The clocks of two processes are apart by so much at most: a later step may be the earlier one.
SKEW_MS: Final = 5_000
_STEPS: Final = Statement(
    lambda d: d.listed(
        d.json("a"),
        f"(SELECT {d.array('e.order_id', *(f'e.{name}' for name in OrderEvent._fields))} AS a"
        " FROM orders@day AS o CROSS JOIN order_events@day AS e"
        f" WHERE o.account_id {d.among('accounts')} AND o.updated_at >= :since"
        " AND o.trade_date = @day AND e.trade_date = @day AND e.order_id = o.order_id"
        f" AND (e.at, e.order_id, e.sequence) > (:at, {d.given('id', 'text')}, :sequence)"
        " ORDER BY e.at, e.order_id, e.sequence LIMIT :limit) AS found",
    )
)


def after(
    connection: Connection, accounts: Sequence[str], place: Place, earliest: date, limit: int
) -> list[Step]:
    """Return the steps behind this place, the oldest first, with each order as it stands now."""
    found: list[tuple[Place, OrderEvent]] = []
    for day in days.attached(connection):
        if day >= earliest:
            found += _of_day(connection, day, accounts, place, limit)
    found.sort(key=lambda step: step[0])
    first = found[:limit]
    orders = rows.by_ids(connection, {place.order_id for place, _ in first})
    # One whose day was dropped between the two statements has left with all its steps.
    return [Step(orders[p.order_id], event) for p, event in first if p.order_id in orders]


def _of_day(
    connection: Connection, day: date, accounts: Sequence[str], place: Place, limit: int
) -> list[tuple[Place, OrderEvent]]:
    listed = _STEPS.run(
        connection,
        day,
        accounts=codec.text(accounts),
        since=place.at - SKEW_MS,
        at=place.at,
        id=place.order_id,
        sequence=place.sequence,
        limit=limit,
    ).scalar_one()
    steps = [(order_id, OrderEvent(*event)) for order_id, *event in codec.decode(listed)]
    return [(Place(event.at, order_id, event.sequence), event) for order_id, event in steps]
