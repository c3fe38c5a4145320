"""The record as intake and clients see it: `OrderStore` of `app/ports.py` on SQLite.

It adds the time and fresh ids to `booking`. The last accept_sequence is read inside the
transaction: remembered outside of it, two takes at once would give two orders one place.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, text

from app import codec, crash
from app.domain.messages import ExecutionReport
from app.domain.order import Order
from app.domain.records import (
    AttemptView,
    Conflict,
    OrderEvent,
    OrderQuery,
    Taken,
    Taking,
)
from app.domain.values import CancelOrigin, new_order_id
from app.ledger import booking, rows
from app.ledger.edge import Edge

RANDOM_BITS: Final = 80
_LAST: Final = text("SELECT coalesce(max(accept_sequence), 0) FROM orders")
_KEY: Final = text(
    "SELECT order_id, request_hash FROM order_keys"
    " WHERE account_id = :account AND client_order_id = :client"
)
_EVENTS: Final = text(
    "SELECT sequence, type, at, actor, cause FROM order_events WHERE order_id = :id"
    " ORDER BY sequence"
)
_EXECUTIONS: Final = text(
    "SELECT json_group_array(json(report)) FROM (SELECT report FROM executions"
    " WHERE order_id = :id ORDER BY applied_at, execution_id)"
)
_ATTEMPTS: Final = text(
    "SELECT broker_order_key, attempt_number, broker_id, claimed_at, outcome, settled_by,"
    " settled_at FROM attempts WHERE broker_order_key BETWEEN :id || '00' AND :id || '99'"
    " ORDER BY attempt_number"
)
_PAGE: Final = rows.select(
    "orders AS o WHERE o.account_id = :account AND o.accept_sequence < :before"
    " AND (:status IS NULL OR o.status = :status) AND (:symbol IS NULL OR o.symbol = :symbol)"
    " AND (:list IS NULL OR o.list_id = :list) AND (:date IS NULL OR o.trade_date = :date)",
    order_by="o.accept_sequence DESC",
    limit=":limit",
)
NO_BOUND: Final = 2**63 - 1


class OrderLedger(Edge):
    """Takes, shows, edits and cancels orders."""

    async def take(self, entries: Sequence[Taking]) -> list[Taken | Conflict]:
        now = self._clock.now()
        fresh = [
            new_order_id(e.session.trade_date, now, self._clock.random_bits(RANDOM_BITS))
            for e in entries
        ]

        def work(connection: Connection) -> list[Taken | Conflict]:
            last = connection.execute(_LAST).scalar_one()
            results = booking.take(connection, entries, fresh, now, last)
            crash.point("intake.before_commit")
            return results

        results = await self._database.write(work)
        crash.point("intake.after_commit")
        return results

    async def get(self, order_id: str) -> Order | None:
        found = await self._database.read(lambda c: rows.by_ids(c, [order_id]))
        return found.get(order_id)

    async def by_client_order_id(self, account_id: str, client_order_id: str) -> Order | None:
        found = await self._owner(account_id, client_order_id)
        return found and found[0]

    async def standing(
        self, account_id: str, client_order_id: str, request_hash: str
    ) -> Taken | Conflict | None:
        found = await self._owner(account_id, client_order_id)
        if found is None:
            return None
        order, digest = found
        if digest == request_hash:
            return Taken(order, created=False)
        return Conflict(order.order_id, order.status)

    async def _owner(self, account_id: str, client_order_id: str) -> tuple[Order, str] | None:
        values = {"account": account_id, "client": client_order_id}

        def work(connection: Connection) -> tuple[Order, str] | None:
            key = connection.execute(_KEY, values).first()
            return (rows.by_ids(connection, [key[0]])[key[0]], key[1]) if key else None

        return await self._database.read(work)

    async def page(self, query: OrderQuery) -> list[Order]:
        values = {
            "account": query.account_id,
            "before": NO_BOUND if query.before is None else query.before,
            "status": query.status,
            "symbol": query.symbol,
            "list": query.list_id,
            "date": query.trade_date and str(query.trade_date),
            "limit": query.limit,
        }
        return await self._database.read(lambda c: rows.read(c, _PAGE, **values))

    async def amend(
        self, order_id: str, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        now, terms = self._clock.now(), (quantity, limit_price)
        return await self._write(lambda c: booking.amend(c, order_id, version, terms, now))

    async def cancel(self, order_id: str, version: int | None, origin: CancelOrigin) -> Order:
        now = self._clock.now()
        order = await self._write(lambda c: booking.cancel(c, order_id, version, origin, now))
        crash.point("cancel.after_commit")
        return order

    async def events(self, order_id: str) -> list[OrderEvent]:
        found = await self._database.read(lambda c: c.execute(_EVENTS, {"id": order_id}).all())
        return [OrderEvent(*row) for row in found]

    async def executions(self, order_id: str) -> list[ExecutionReport]:
        values = {"id": order_id}
        found = await self._database.read(lambda c: c.execute(_EXECUTIONS, values).scalar_one())
        return codec.decode_reports(found)

    async def attempts(self, order_id: str) -> list[AttemptView]:
        found = await self._database.read(lambda c: c.execute(_ATTEMPTS, {"id": order_id}).all())
        return [AttemptView(*row) for row in found]
