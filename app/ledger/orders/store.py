"""The record as intake and clients see it: `OrderStore` of `ports.orders`.

It adds the time and fresh ids to `booking`. The ids are drawn once, before the first try: when
the answer to a commit is lost, the same ids find out whether it stands.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec, crash
from app.domain.messages import ExecutionReport
from app.domain.order import Order
from app.domain.query import OrderQuery, SymbolPage
from app.domain.records import (
    AttemptView,
    Conflict,
    OrderEvent,
    Taken,
    Taking,
)
from app.domain.steps import Place, Step, earliest_day
from app.domain.values import CancelOrigin, Status, legible, new_order_id, trade_date_of
from app.ledger import days, rows
from app.ledger.dialect import Dialect, Statement
from app.ledger.edge import Edge
from app.ledger.orders import booking, looking, steps
from app.sql import MissingDay

RANDOM_BITS: Final = 80
# A client waits for this: long enough for a server to restart, then he is told to ask again.
CLIENT_PATIENCE_S: Final = 5.0
_KEY: Final = text(
    "SELECT order_id, request_hash FROM order_keys"
    " WHERE account_id = :account AND client_order_id = :client"
)
_EVENTS: Final = Statement(
    lambda _: (
        "SELECT sequence, type, at, actor, cause FROM order_events@day"
        " WHERE order_id = :id AND trade_date = @day ORDER BY sequence"
    )
)
_EXECUTIONS: Final = Statement(
    lambda d: d.listed(
        d.json("report"),
        "(SELECT report FROM executions@day WHERE order_id = :id AND trade_date = @day"
        " ORDER BY applied_at, execution_id) AS e",
    )
)
_ATTEMPTS: Final = Statement(
    lambda d: (
        "SELECT broker_order_key, attempt_number, broker_id, claimed_at, outcome,"
        " settled_by, settled_at FROM attempts@day WHERE broker_order_key BETWEEN"
        f" {d.given('id', 'text')} || '00' AND {d.given('id', 'text')} || '99'"
        " AND trade_date = @day ORDER BY attempt_number"
    )
)
_EQUAL: Final = {
    **dict.fromkeys(("status", "symbol", "list_id", "market", "broker_id"), "text"),
    "client_order_id": "text",
    "trade_date": "date",
}
_BOUNDS: Final = {
    "updated_after": "o.updated_at >",
    "accepted_from": "o.accepted_at >=",
    "accepted_before": "o.accepted_at <",
}


def _wanted(d: Dialect) -> str:
    conditions = [(f"o.{name} =", d.given(name, type_)) for name, type_ in _EQUAL.items()]
    conditions += [(words, d.given(name, "integer")) for name, words in _BOUNDS.items()]
    return "".join(f" AND ({value} IS NULL OR {words} {value})" for words, value in conditions)


_PAGE: Final = Statement(
    lambda d: rows.select(
        d,
        "orders AS o WHERE o.account_id = :account AND o.accept_sequence < :before" + _wanted(d),
        order_by="o.accept_sequence DESC",
        limit=":limit",
    )
)
_OF_LIST: Final = Statement(
    lambda _: (
        "SELECT o.status, count(*) AS orders FROM orders AS o"
        " WHERE o.account_id = :account AND o.list_id = :list GROUP BY o.status"
    )
)
NO_BOUND: Final = 2**63 - 1


class OrderLedger(Edge):
    """Takes, shows, edits and cancels orders."""

    days_made_late = 0  # by an order, and not by the plan
    _days: frozenset[date] = frozenset()  # seen or made; asked for at each first order of a day

    async def take(self, entries: Sequence[Taking]) -> list[Taken | Conflict]:
        now = self._clock.now()
        fresh = [
            new_order_id(e.session.trade_date, now, self._clock.random_bits(RANDOM_BITS))
            for e in entries
        ]
        wanted = {e.session.trade_date for e in entries}

        def work(connection: Connection) -> list[Taken | Conflict]:
            results = booking.take(connection, entries, fresh, now)
            crash.point("intake.before_commit")
            return results

        await self._have_days(wanted)
        try:
            results = await self._write(work, patience_s=CLIENT_PATIENCE_S)
        except MissingDay:  # taken away behind our memory of it
            self._days = frozenset()
            await self._have_days(wanted)
            results = await self._write(work, patience_s=CLIENT_PATIENCE_S)
        crash.point("intake.after_commit")
        return results

    async def _have_days(self, wanted: set[date]) -> None:
        """Make the tables of a day that has none: late, so somebody should look at the plan."""
        for day in sorted(wanted - self._days):
            late = await self._write(lambda c, day=day: days.make(c, day))  # type: ignore[misc]
            self.days_made_late += late
            self._days = self._days | {day}

    async def get(self, order_id: str) -> Order | None:
        found = await self._read(lambda c: rows.by_ids(c, [order_id]), CLIENT_PATIENCE_S)
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
        if _never_stored(account_id, client_order_id):
            return None

        def work(connection: Connection) -> tuple[Order, str] | None:
            key = connection.execute(_KEY, values).first()
            return (rows.by_ids(connection, [key[0]])[key[0]], key[1]) if key else None

        return await self._read(work, CLIENT_PATIENCE_S)

    async def page(self, query: OrderQuery) -> list[Order]:
        if _never_stored(*query):
            return []
        values = {name: getattr(query, name) for name in (*_EQUAL, *_BOUNDS, "limit")}
        values |= {
            "account": query.account_id,
            "before": NO_BOUND if query.before is None else query.before,
            "trade_date": query.trade_date and query.trade_date.isoformat(),
        }
        found = await self._read(lambda c: _PAGE.run(c, **values).scalar_one(), CLIENT_PATIENCE_S)
        return codec.decode_orders(found)

    async def of_symbol(
        self, symbol: str, day: date, before: int | None, accounts: Sequence[str] | None
    ) -> SymbolPage:
        if _never_stored(symbol, *(accounts or ())):
            return SymbolPage([], None)
        return await self._read(
            lambda c: looking.page(c, symbol, day, before, accounts), CLIENT_PATIENCE_S
        )

    async def list_status(self, account_id: str, list_id: str) -> dict[Status, int]:
        if _never_stored(account_id, list_id):
            return {}

        def work(connection: Connection) -> dict[Status, int]:
            found = _OF_LIST.run(connection, account=account_id, list=list_id)
            return {Status(row.status): row.orders for row in found}

        return await self._read(work, CLIENT_PATIENCE_S)

    async def amend(
        self, order_id: str, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        now, terms = self._clock.now(), (quantity, limit_price)
        return await self._write_once(lambda c: booking.amend(c, order_id, version, terms, now))

    async def cancel(self, order_id: str, version: int | None, origin: CancelOrigin) -> Order:
        now = self._clock.now()
        order = await self._write_once(lambda c: booking.cancel(c, order_id, version, origin, now))
        crash.point("cancel.after_commit")
        return order

    async def events(self, order_id: str) -> list[OrderEvent]:
        found = await self._of_order(_EVENTS, order_id)
        return [OrderEvent(*row) for row in found]

    async def steps(self, accounts: Sequence[str], after: Place, limit: int) -> list[Step]:
        earliest = earliest_day(after.at)
        return await self._read(
            lambda c: steps.after(c, accounts, after, earliest, limit), CLIENT_PATIENCE_S
        )

    async def executions(self, order_id: str) -> list[ExecutionReport]:
        found = await self._of_order(_EXECUTIONS, order_id)
        return codec.decode_reports(found[0][0]) if found else []

    async def attempts(self, order_id: str) -> list[AttemptView]:
        found = await self._of_order(_ATTEMPTS, order_id)
        return [AttemptView(*row) for row in found]

    async def _of_order(self, statement: Statement, order_id: str) -> Sequence[Sequence[Any]]:
        day = trade_date_of(order_id)
        if day is None:
            return []

        def work(connection: Connection) -> Sequence[Sequence[Any]]:
            if not days.is_attached(connection, day):
                return []
            return statement.run(connection, day, id=order_id).all()

        return await self._read(work, CLIENT_PATIENCE_S)


def _never_stored(*asked: object) -> bool:
    """Whether a text is none that intake lets in: a server would rather fail than look for it."""
    return any(isinstance(text, str) and text != legible(text) for text in asked)
