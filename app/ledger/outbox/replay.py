"""Publishes once more what the ledger knows: each order as it stands, under its event's own id.

For a consumer that has lost its state, or a topic that was lost. It repeats states, not steps:
an order's newest version says everything, and who keeps versions takes it or knows it. The trap
is a replay under fresh ids, which nobody could tell from news.
"""

from datetime import date
from typing import Final

from sqlalchemy import Connection

from app.ledger import days
from app.ledger.dialect import Statement
from app.ledger.rows import as_event

# One transaction: a client who takes an order meanwhile waits for some 30 ms at most.
AT_ONCE: Final = 1_000
_REPLAY: Final = Statement(
    lambda d: (
        "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
        " SELECT o.order_id || '-' || o.version, 'orders', o.account_id,"
        f" 'io.openbell.order.' || o.status || '.v1', {as_event(d)} FROM orders@day AS o"
        " WHERE o.trade_date = @day AND o.accept_sequence > :after"
        f" AND ({d.given('account', 'text')} IS NULL OR o.account_id = :account)"
        " ORDER BY o.accept_sequence LIMIT :limit"
    )
)
_REACHED: Final = Statement(
    lambda d: (
        "SELECT max(accept_sequence) FROM (SELECT o.accept_sequence FROM orders@day AS o"
        " WHERE o.trade_date = @day AND o.accept_sequence > :after"
        f" AND ({d.given('account', 'text')} IS NULL OR o.account_id = :account)"
        " ORDER BY o.accept_sequence LIMIT :limit) AS page"
    )
)


def replay(
    connection: Connection, day: date, account_id: str | None, after: int
) -> tuple[int, int | None]:
    """Queue the next orders of a day; return how many, and after which sequence to go on."""
    if not days.is_attached(connection, day):
        return 0, None
    values = {"account": account_id, "after": after, "limit": AT_ONCE}
    reached = _REACHED.run(connection, day, **values).scalar_one()
    if reached is None:
        return 0, None
    return _REPLAY.run(connection, day, **values).rowcount, reached
