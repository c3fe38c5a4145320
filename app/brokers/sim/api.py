"""The broker's own routes: read, meet a fault perhaps, judge, write down, answer."""

import asyncio
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

import msgspec
from aiohttp import web

from app.brokers.sim import replies
from app.brokers.sim.audit import Audit
from app.brokers.sim.callbacks import Teller
from app.brokers.sim.desk import Desk
from app.brokers.sim.faults import UNJUDGED, Switch
from app.brokers.sim.messages import (
    AuditLine,
    Execution,
    NewOrder,
    Order,
    Result,
    encode,
    read_cancels,
    read_lookups,
    read_orders,
    read_replaces,
)
from app.brokers.sim.timeline import Timeline
from app.brokers.sim.world import SECOND_NS

FAULT_HEADER: Final = "X-Sim-Fault"
# How long an answer waits for a fill to be told before it, where that fault is on.
FILL_FIRST_S: Final = 2.0
NO_FAULT: Final = ("", Switch())


class Results(msgspec.Struct):
    """The body of an answer."""

    results: list[Result]


class Api:
    """The handlers of /v1."""

    def __init__(
        self,
        desk: Desk,
        audit: Audit,
        teller: Teller,
        timeline: Timeline,
        *,
        cancel_delay_s: float = 0.0,
        replace_delay_s: float = 0.0,
    ) -> None:
        self._desk = desk
        self._audit = audit
        self._teller = teller
        self._timeline = timeline
        self._connections: WeakKeyDictionary[object, int] = WeakKeyDictionary()
        self._last_connection = 0
        self.requests = 0
        self._cancel_delay_s = cancel_delay_s
        self._replace_delay_s = replace_delay_s
        self.tells_news = False  # whether a report of type `new` follows each acceptance

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/orders", self.orders),
            web.post("/v1/cancels", self.cancels),
            web.post("/v1/replaces", self.replaces),
            web.post("/v1/lookups", self.lookups),
            web.get("/v1/ping", self.ping),
        ]

    async def orders(self, request: web.Request) -> web.StreamResponse:
        orders = read_orders(await request.read()).orders
        ns, conn = self._desk.world.ns(), self._connection(request)
        self._desk.enforcer.arrived.add(ns, len(orders))
        name, switch = self._fault("orders", request)
        if name == "http_429":
            await self._audit.commit(self._desk.throttle_all(orders, ns, conn))
            return replies.refusal(429, "rate-limit", {"Retry-After": f"{switch.d:g}"})
        if name in UNJUDGED:
            keys = [order.client_order_id for order in orders]
            return await self._unjudged(request, keys, ns, (name, switch))
        if name == "late_accept":
            await asyncio.sleep(switch.d)
        if name == "disconnect_mid_batch":
            orders = orders[: switch.k]
        results = await self._place(orders, ns, conn, fill_first=name == "fill_before_ack")
        return await replies.judged(request, encode(Results(results)), name, switch)

    async def cancels(self, request: web.Request) -> web.StreamResponse:
        keys = [item.client_order_id for item in read_cancels(await request.read()).orders]
        ns, conn = self._desk.world.ns(), self._connection(request)
        self._desk.enforcer.arrived.add(ns, len(keys))
        name, switch = self._fault("cancels", request)
        if name in UNJUDGED:
            return await self._unjudged(request, keys, ns, (name, switch))
        if name == "late_accept":
            await asyncio.sleep(switch.d)
        results, lines, pending = self._desk.cancel(keys, ns, conn)
        await self._audit.commit(lines)
        for order in pending:
            self._timeline.at(self._cancel_delay_s, "end", order)
        return await replies.judged(request, encode(Results(results)), name, switch)

    async def replaces(self, request: web.Request) -> web.StreamResponse:
        wanted = read_replaces(await request.read()).orders
        ns, conn = self._desk.world.ns(), self._connection(request)
        self._desk.enforcer.arrived.add(ns, len(wanted))
        name, switch = self._fault("replaces", request)
        if name in UNJUDGED:
            keys = [terms.client_order_id for terms in wanted]
            return await self._unjudged(request, keys, ns, (name, switch))
        if name == "late_accept":
            await asyncio.sleep(switch.d)
        if name == "disconnect_mid_batch":
            wanted = wanted[: switch.k]
        results, lines, pending = self._desk.replace(wanted, ns, conn)
        await self._audit.commit(lines)
        for order in pending:
            self._timeline.at(self._replace_delay_s, "replace", order)
        return await replies.judged(request, encode(Results(results)), name, switch)

    async def lookups(self, request: web.Request) -> web.StreamResponse:
        keys = read_lookups(await request.read()).client_order_ids
        ns, conn = self._desk.world.ns(), self._connection(request)
        name, switch = self._fault("lookups", request)
        if name in UNJUDGED:
            return await self._unjudged(request, keys, ns, (name, switch))
        found = {key: order for key in keys if (order := self._visible(key, ns)) is not None}
        unknown = [key for key in keys if key not in found]
        line = AuditLine(ns=ns, kind="QUERY", conn=conn, found=list(found), unknown=unknown)
        pending = self._desk.book.changing
        items = [shown(key, found.get(key), pending=key in pending) for key in keys]  # one instant
        body = encode({"results": items})
        await self._audit.commit([line])
        return await replies.judged(request, body, name, switch)

    async def ping(self, request: web.Request) -> web.StreamResponse:
        name, switch = self._fault("ping", request)
        body = encode({"broker": self._desk.name})
        if name in UNJUDGED:
            return await self._unjudged(request, [], self._desk.world.ns(), (name, switch))
        return await replies.judged(request, body, name, switch)

    def _fault(self, call: str, request: web.Request) -> tuple[str, Switch]:
        self.requests += 1
        met = self._desk.faults.for_request(call, request.headers.get(FAULT_HEADER))
        return met or NO_FAULT

    async def _unjudged(
        self, request: web.Request, keys: list[str], ns: int, fault: tuple[str, Switch]
    ) -> web.Response:
        name, switch = fault
        line = AuditLine(
            ns=ns,
            kind="FAULT",
            conn=self._connection(request),
            fault=name,
            client_order_ids=keys,
        )
        await self._audit.commit([line])
        reply = replies.unjudged(request, name, switch)
        if reply is None:
            await asyncio.sleep(switch.d)
            reply = replies.hang_up(request)
        return reply

    async def _place(
        self, orders: Sequence[NewOrder], ns: int, conn: int, *, fill_first: bool
    ) -> list[Result]:
        results, lines, accepted = self._desk.place(orders, ns, conn)
        await self._audit.commit(lines)
        if fill_first:
            trades = [self._desk.trade(order, None, None) for order in accepted]
            await self._timeline.tell([trade for trade in trades if trade is not None])
            await self._teller.drain(FILL_FIRST_S)
        if self.tells_news:
            self._teller.tell(map(self._news, accepted))
        self._timeline.plan_fills(accepted)
        return results

    def _news(self, order: Order) -> Execution:
        at_ms = self._desk.world.now_ms()
        return Execution(
            client_order_id=order.client_order_id,
            order_id=order.order_id,
            execution_id=f"{order.order_id}-A",
            type="new",
            trade_date=self._desk.world.trade_date(order.market, at_ms),
            at_ms=at_ms,
        )

    def _visible(self, key: str, now: int) -> Order | None:
        order = self._desk.book.find(key) or self._desk.book.changing.get(key)
        if order is None:
            return None
        stale = self._desk.faults.draw("query_stale")
        if stale is not None and now < order.accepted_ns + round(stale.d * SECOND_NS):
            return None
        return order

    def _connection(self, request: web.Request) -> int:
        """Return a number of this connection that no other will have."""
        transport = request.transport
        if transport is None:
            return 0
        if transport not in self._connections:
            self._last_connection += 1
            self._connections[transport] = self._last_connection
        return self._connections[transport]


def shown(key: str, order: Order | None, *, pending: bool = False) -> dict[str, object]:
    """Return an order as a look-up shows it; `pending`: the key is that of an undecided replace."""
    if order is None:
        return {"client_order_id": key, "found": False}
    return {
        "client_order_id": key,
        "found": True,
        "order_id": order.order_id,
        "status": order.status,
        "filled": f"{order.filled:f}",
        "reason": order.reason,
        "pending": pending,
        "quantity": order.quantity,
        "limit_price": order.limit_price,
        "executions": order.executions,
    }
