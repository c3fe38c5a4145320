"""A stand-in for Alpaca's trading API, as far as its public documentation describes it.

Its shapes, words and codes are from the public pages and from what users have quoted in public
issues; no traffic was recorded, and nothing here has met the real one. It is a stranger: it shares
no code with the adapter, so that a mistake on one side does not agree with itself on the other.

Fills are listed and told apart from each other, because that is how they get lost.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from aiohttp import WSMsgType, web

from tests.brokers.alpaca.lists import ENDED, Json, ended_orders, fills, stamp

KEY_ID, SECRET = "AKTEST", "s3cret"


def _refused(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)


class FakeAlpaca:
    """One account there. What a test does to it stands in its verbs."""

    def __init__(self) -> None:
        self.orders: dict[str, Json] = {}
        self.activities: list[Json] = []
        self.requests: list[tuple[str, str]] = []
        self.faults: list[tuple[str, str, Callable[[web.Response], web.Response | None]]] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.lines = 0  # connections of the stream that were listened on
        self.silent = False  # the stream is up, and says nothing
        self.doubles = False  # the stream says everything twice
        self.buying_power = 1_000_000_000
        self.url = ""
        self._numbers = count(1)
        self._now = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
        self._over = asyncio.Event()

    # --- what a test does -------------------------------------------------------------------

    def now_ms(self) -> int:
        return round(self._now.timestamp() * 1000)

    def passes(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def by_key(self, key: str) -> Json:
        return next(o for o in self.orders.values() if o["client_order_id"] == key)

    def place(self, key: str, qty: int = 10) -> Json:
        """Place an order as if by another request, or another program."""
        body = {"client_order_id": key, "symbol": "AAPL", "qty": str(qty), "side": "buy"}
        return self._placed(body | {"type": "market", "time_in_force": "day"})

    async def fill(
        self, key: str, qty: int, price: str = "185.50", *, lists: bool = True, tells: bool = True
    ) -> Json:
        """Fill a part of an order, list it, and tell the stream; either may be left out."""
        order = self.by_key(key)
        self.passes(0.01)
        filled = int(order["filled_qty"]) + qty
        done = filled == int(order["qty"])
        status = "filled" if done else "partially_filled"
        order |= {"filled_qty": str(filled), "status": status, "updated_at": stamp(self._now)}
        activity = {
            "activity_type": "FILL",
            "id": f"{self._now:%Y%m%d%H%M%S}000::{next(self._numbers):036d}",
            "order_id": order["id"],
            "type": "fill" if done else "partial_fill",
            "qty": str(qty),
            "price": price,
            "cum_qty": str(filled),
            "leaves_qty": str(int(order["qty"]) - filled),
            "side": order["side"],
            "symbol": order["symbol"],
            "transaction_time": stamp(self._now),
            "order_status": status,
        }
        if lists:
            self.activities.append(activity)
        if tells:
            await self.tell("fill" if done else "partial_fill", order, price=price, qty=str(qty))
        return activity

    async def end(self, key: str, status: str, *, tells: bool = True) -> None:
        """End an order otherwise than by its fills."""
        order = self.by_key(key)
        self.passes(0.01)
        order |= {"status": status, "updated_at": stamp(self._now)}
        if tells:
            await self.tell(status, order)

    async def decide(self, key: str, *, replaced: bool, tells: bool = True) -> None:
        """Let a replacing order take the place of the old one, or come to nothing."""
        order = self.by_key(key)
        old = self.orders[order["replaces"]]
        self.passes(0.01)
        if replaced:
            old |= {"status": "replaced", "replaced_by": order["id"]}
            order["status"] = "new"
        else:
            order["status"] = "rejected"
            old["status"] = "new"
        if tells:  # of a replace that works, the event is of the old order
            await self.tell(*("replaced", old) if replaced else ("rejected", order))

    async def tell(self, event: str, order: Json, **facts: str) -> None:
        data = {"event": event, "order": order, "timestamp": stamp(self._now), **facts}
        if event in {"fill", "partial_fill"}:  # its own name for the fill, and not the list's
            data["execution_id"] = f"exec-{next(self._numbers)}"
        await self.say(json.dumps({"stream": "trade_updates", "data": data}).encode())

    async def say(self, frame: bytes) -> None:
        """Send bytes to whoever listens."""
        if not self.silent:
            for socket in self.sockets:
                for _ in range(2 if self.doubles else 1):
                    await socket.send_bytes(frame)  # paper accounts are sent binary frames

    async def cut(self) -> None:
        """End every line of the stream; what is told now is told to nobody."""
        sockets, self.sockets = self.sockets, []
        for socket in sockets:
            await socket.close()

    def fault(self, method: str, path: str, *, status: int | None = None, **reply: Any) -> None:
        """Do what the next such request asks for, and answer this instead; or never (None)."""

        def spoil(_honest: web.Response) -> web.Response | None:
            return None if status is None else web.Response(status=status, **reply)

        self.faults.append((method, path, spoil))

    def asked(self, method: str, path: str) -> int:
        return sum(m == method and p.startswith(path) for m, p in self.requests)

    # --- what the other side sees -----------------------------------------------------------

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._faulty])
        app.add_routes(
            [
                web.get("/v2/account", self._account),
                web.post("/v2/orders", self._post),
                web.get("/v2/orders", self._list),
                web.get("/v2/orders:by_client_order_id", self._by_client_order_id),
                web.get("/v2/orders/{order_id}", self._get),
                web.patch("/v2/orders/{order_id}", self._patch),
                web.delete("/v2/orders/{order_id}", self._delete),
                web.get("/v2/account/activities/FILL", self._fills),
                web.get("/stream", self._stream),
            ]
        )
        return app

    @web.middleware
    async def _faulty(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path == "/stream":
            answer: web.StreamResponse = await handler(request)
            return answer
        self.requests.append((request.method, request.path_qs))
        keys = request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")
        if keys != (KEY_ID, SECRET):
            return web.json_response({"message": "forbidden."}, status=403)
        honest: web.Response = await handler(request)
        for fault in self.faults:
            method, path, spoil = fault
            if request.method == method and request.path.startswith(path):
                self.faults.remove(fault)
                spoiled = spoil(honest)
                if spoiled is None:
                    await self._over.wait()
                    raise web.HTTPGatewayTimeout
                return spoiled
        return honest

    async def _account(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ACTIVE", "trading_blocked": False, "cash": "1000"})

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(o["client_order_id"] == body["client_order_id"] for o in self.orders.values()):
            return _refused(422, 40010001, "client_order_id must be unique")
        if not isinstance(body["qty"], str) or float(body["qty"]) <= 0:
            return _refused(422, 42210000, "qty must be > 0")
        if float(body["qty"]) * float(body.get("limit_price", "1")) > self.buying_power:
            return _refused(403, 40310000, "insufficient buying power")
        return web.json_response(self._placed(body))

    def _placed(self, body: Json) -> Json:
        self.passes(0.01)
        order_id = f"{next(self._numbers):08d}-0000-4000-8000-000000000000"
        self.orders[order_id] = body | {
            "id": order_id,
            "created_at": stamp(self._now),
            "updated_at": stamp(self._now),
            "submitted_at": stamp(self._now),
            "filled_at": None,
            "filled_qty": "0",
            "filled_avg_price": None,
            "status": "accepted",
            "notional": None,
            "order_class": "",
            "replaces": None,
            "replaced_by": None,
        }
        return self.orders[order_id]

    async def _by_client_order_id(self, request: web.Request) -> web.Response:
        key = request.query["client_order_id"]
        for order in self.orders.values():
            if order["client_order_id"] == key:
                return web.json_response(order)
        return _refused(404, 40410000, f"order not found for {key}")

    async def _get(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["order_id"])
        return web.json_response(order) if order else _refused(404, 40410000, "order not found")

    async def _delete(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["order_id"])
        if order is None:
            return _refused(404, 40410000, "order not found")
        if order["status"] in ENDED:
            return _refused(422, 42210000, f'order is already in "{order["status"]}" state')
        await self.end(order["client_order_id"], "canceled")
        return web.Response(status=204)

    async def _patch(self, request: web.Request) -> web.Response:
        order = self.orders.get(request.match_info["order_id"])
        terms = await request.json()
        if order is None:
            return _refused(404, 40410000, "order not found")
        if order["status"] in ENDED:
            return _refused(422, 42210000, "order is not replaceable")
        if terms.get("limit_price") == order.get("limit_price") and terms["qty"] == order["qty"]:
            return _refused(403, 40310000, "order parameters are not changed")
        order["status"] = "pending_replace"
        of_the_order = ("symbol", "side", "type", "time_in_force")
        new = self._placed({name: order[name] for name in of_the_order} | terms)
        new["replaces"] = order["id"]
        return web.json_response(new)

    async def _list(self, request: web.Request) -> web.Response:
        return web.json_response(ended_orders(list(self.orders.values()), request.query))

    async def _fills(self, request: web.Request) -> web.Response:
        return web.json_response(fills(self.activities, request.query))

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if message.type is not WSMsgType.TEXT:
                break
            said = json.loads(message.data)
            if said["action"] == "authenticate":
                known = said["data"] == {"key_id": KEY_ID, "secret_key": SECRET}
                data = {"status": "authorized" if known else "unauthorized"}
                await socket.send_bytes(
                    json.dumps({"stream": "authorization", "data": data}).encode()
                )
            elif said["action"] == "listen":
                answer = {"stream": "listening", "data": said["data"]}
                await socket.send_bytes(json.dumps(answer).encode())
                self.sockets.append(socket)
                self.lines += 1
        if socket in self.sockets:
            self.sockets.remove(socket)
        return socket

    def over(self) -> None:
        """Let go of whoever was never answered."""
        self._over.set()


@asynccontextmanager
async def alpaca() -> AsyncIterator[FakeAlpaca]:
    """Run a fake on a port of its own."""
    fake = FakeAlpaca()
    runner = web.AppRunner(fake.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        fake.over()
        await fake.cut()
        await runner.cleanup()
