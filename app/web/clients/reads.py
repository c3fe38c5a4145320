"""What a client may see: one order, its fills and its life, listings, sessions.

Single orders and the listing under `/v1/orders` come from the ledger and are current; the
listing under `/v1/accounts` comes from the account view, which follows within seconds and
costs the ledger nothing at the open.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from app.domain.errors import Code
from app.domain.order import TERMINAL, Order
from app.domain.query import OrderQuery
from app.domain.session import TradingSession
from app.web.access.keys import authorize, not_there
from app.web.clients import queries, schemas
from app.web.cursors import cursor_at, place_of
from app.web.house import House
from app.web.problems import invalid_at
from app.web.shapes import event_shape, execution_shape, order_shape, session_shape
from app.web.spec import Call, Reply, Spec, etag, ok
from app.web.told import SessionsTold, SessionTold

READ: Final = "orders:read"
SESSIONS_AHEAD: Final = 5


class Reads:
    """The doors through which nothing changes."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def order(self, call: Call[None, None]) -> Reply:
        """Show one order; its ETag is its version."""
        return self._told(await self._own(call))

    async def by_client_order_id(self, call: Call[None, None]) -> Reply:
        """Show one order by the client's own id."""
        account_id = call.part("account_id")
        authorize(call.who, READ, account_id)
        wanted = call.part("client_order_id")
        order = await self._house.orders.by_client_order_id(account_id, wanted)
        if order is None:
            raise not_there()
        return self._told(order)

    async def orders(self, call: Call[None, queries.OrdersAsked]) -> Reply:
        """List an account's orders from the ledger, newest first."""
        asked = call.query
        authorize(call.who, READ, asked.account_id)
        filters = asked.model_dump(exclude={"cursor", "limit"})
        listing = tuple(filters.values())
        query = OrderQuery(
            account_id=asked.account_id,
            status=asked.status,
            symbol=asked.symbol,
            list_id=asked.list_id,
            market=asked.market,
            broker_id=asked.broker_id,
            client_order_id=asked.client_order_id,
            updated_after=_instant("updated_after", asked.updated_after),
            accepted_from=_instant("created.gte", asked.created_from),
            accepted_before=_instant("created.lt", asked.created_before),
            trade_date=_date(asked.trade_date),
            before=None if asked.cursor is None else place_of(asked.cursor, listing),
            limit=asked.limit + 1,  # one more tells whether there is a next page
        )
        found = await self._house.orders.page(query)
        shown, more = found[: asked.limit], len(found) > asked.limit
        calendar = self._house.reference().calendar
        page = {
            "data": [order_shape(order, calendar) for order in shown],
            "has_more": more,
            "next_cursor": cursor_at(shown[-1].accept_sequence, listing) if more else None,
        }
        return ok(page)

    async def list_status(self, call: Call[None, queries.ListAsked]) -> Reply:
        """Show how far a list is: its orders counted by status, from the ledger."""
        account_id, list_id = call.query.account_id, call.part("list_id")
        authorize(call.who, READ, account_id)
        found = await self._house.orders.list_status(account_id, list_id)
        if not found:
            raise not_there()
        going_on = sum(count for status, count in found.items() if status not in TERMINAL)
        told = {
            "list_id": list_id,
            "account_id": account_id,
            "total_orders": sum(found.values()),
            "open_orders": going_on,
            "by_status": {str(status): count for status, count in found.items()},
            "list_order_status": "executing" if going_on else "all_done",
        }
        return ok(told)

    async def executions(self, call: Call[None, None]) -> Reply:
        """List what traded, busts and corrections included."""
        order = await self._own(call)
        found = await self._house.orders.executions(order.order_id)
        return ok({"data": [execution_shape(report) for report in found]})

    async def events(self, call: Call[None, None]) -> Reply:
        """List every step of the order's life, with its cause."""
        order = await self._own(call)
        found = await self._house.orders.events(order.order_id)
        return ok({"data": [event_shape(event) for event in found]})

    async def account_orders(self, call: Call[None, queries.BookAsked]) -> Reply:
        """List an account's orders from its view, newest first; seconds behind at most."""
        account_id = call.part("account_id")
        authorize(call.who, READ, account_id)
        page = await self._house.accounts.page(
            account_id, status=call.query.status, cursor=call.query.cursor, limit=call.query.limit
        )
        told = {
            "data": [msgspec.Raw(document) for document in page.documents],
            "has_more": page.next_cursor is not None,
            "next_cursor": page.next_cursor,
        }
        return ok(told)

    async def summary(self, call: Call[None, None]) -> Reply:
        """Count an account's orders by status, and what traded by currency."""
        account_id = call.part("account_id")
        authorize(call.who, READ, account_id)
        return ok(await self._house.accounts.summary(account_id))

    async def sessions(self, call: Call[None, queries.SessionsAsked]) -> Reply:
        """List the sessions that are open and those that follow."""
        markets = self._house.reference().calendar.markets
        wanted = call.query.market
        if wanted is not None and wanted not in markets:
            raise invalid_at("market", f"expected one of {', '.join(markets)}", Code.UNKNOWN_MARKET)
        now = self._house.clock.now()
        found = [
            session_shape(session, now)
            for market in ([wanted] if wanted else markets)
            for session in self._around(market, now)
        ]
        return ok({"data": found})

    async def session(self, call: Call[None, None]) -> Reply:
        """Show one session: its bells, and whether it is open."""
        calendar = self._house.reference().calendar
        session = calendar.session(call.part("trading_session_id"))
        if session is None:
            raise not_there()
        return ok(session_shape(session, self._house.clock.now()))

    def _around(self, market: str, now: int) -> Iterator[TradingSession]:
        calendar = self._house.reference().calendar
        current = calendar.current(market, now)
        if current is not None:
            yield current
        at = now
        for _ in range(SESSIONS_AHEAD):
            following = calendar.next(market, at)
            if following is None:
                return
            yield following
            at = following.opens_at

    async def _own(self, call: Call[None, Any]) -> Order:
        order = await self._house.orders.get(call.part("order_id"))
        if order is None:
            raise not_there()
        authorize(call.who, READ, order.account_id)
        return order

    def _told(self, order: Order) -> Reply:
        shape = order_shape(order, self._house.reference().calendar)
        return ok(shape, etag(order.version))


def _date(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise invalid_at("trade_date", "expected a date such as 2026-03-03") from None


def _instant(name: str, text: str | None) -> int | None:
    try:
        return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError:
        raise invalid_at(name, "expected an instant such as 2026-03-02T14:30:00.000Z") from None


_PATHS: Final = (
    ("/v1/orders/{order_id}", "get_order", schemas.OrderTold),
    ("/v1/orders/{order_id}/executions", "list_executions", schemas.ExecutionsTold),
    ("/v1/orders/{order_id}/events", "list_order_events", schemas.EventsTold),
    (
        "/v1/accounts/{account_id}/orders/by-client-order-id/{client_order_id}",
        "get_order_by_client_order_id",
        schemas.OrderTold,
    ),
    ("/v1/accounts/{account_id}/summary", "get_account_summary", schemas.SummaryTold),
    ("/v1/sessions/{trading_session_id}", "get_session", SessionTold),
)


def read_specs(house: House) -> Sequence[Spec[Any, Any]]:
    reads = Reads(house)
    handlers = (
        reads.order,
        reads.executions,
        reads.events,
        reads.by_client_order_id,
        reads.summary,
        reads.session,
    )
    plain = [
        Spec(
            method="GET",
            path=path,
            name=name,
            scope=READ,
            handler=handler,
            answers={200: told},
            shows=("ETag",) if told is schemas.OrderTold else (),
            refuses=(Code.NOT_FOUND,),
        )
        for (path, name, told), handler in zip(_PATHS, handlers, strict=True)
    ]
    return (*plain, *_listings(reads))


def _listings(reads: Reads) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path="/v1/orders",
            name="list_orders",
            scope=READ,
            handler=reads.orders,
            asks=queries.OrdersAsked,
            answers={200: schemas.PageTold},
            refuses=(Code.NOT_FOUND, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path="/v1/lists/{list_id}",
            name="get_list",
            scope=READ,
            handler=reads.list_status,
            asks=queries.ListAsked,
            answers={200: schemas.ListTold},
            refuses=(Code.NOT_FOUND, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path="/v1/accounts/{account_id}/orders",
            name="list_account_orders",
            scope=READ,
            handler=reads.account_orders,
            asks=queries.BookAsked,
            answers={200: schemas.BookPageTold},
            refuses=(Code.NOT_FOUND, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path="/v1/sessions",
            name="list_sessions",
            scope=READ,
            handler=reads.sessions,
            asks=queries.SessionsAsked,
            answers={200: SessionsTold},
            refuses=(Code.UNKNOWN_MARKET,),
        ),
    )
