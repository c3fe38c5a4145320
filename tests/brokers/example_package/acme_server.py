"""Acme itself, as small as a broker can be: the other end of the example.

    python acme_server.py --port 9100 --secret s3cret --callback http://127.0.0.1:9101/

It keeps orders in memory, refuses what has no quantity, fills market orders at once, and pushes
what happens, signed. The trap it shows: it knows an order before it has answered, so a lost
answer is not a lost order.
"""

import argparse
import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

Json = dict[str, Any]


class Acme:
    """One broker in memory. `hidden_s`: a look-up does not show an order for so long."""

    def __init__(self, secret: str, callback: str | None = None, hidden_s: float = 0.0) -> None:
        self.callback = callback
        self._secret = secret
        self._hidden_s = hidden_s
        self.orders: dict[str, Json] = {}
        self._numbers = itertools.count(1)
        self._runner: web.AppRunner | None = None

    async def open(self, port: int = 0) -> int:
        """Listen, and return the port."""
        application = web.Application()
        for path, word in (("orders", self._order), ("cancels", self._cancel)):
            application.router.add_post(f"/{path}", self._handler(word))
        application.router.add_post("/lookups", self._handler(self._lookup))
        application.router.add_post("/ping", self._handler(self._ping))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return site.port

    async def close(self) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    def _handler(
        self, word: Callable[[str, Json], Awaitable[Any]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if request.headers.get("Authorization") != f"Bearer {self._secret}":
                return web.Response(status=401)
            asked = await request.json()
            return web.json_response({key: await word(key, item) for key, item in asked.items()})

        return handle

    async def _ping(self, _key: str, _item: object) -> str:
        return "pong"

    async def _order(self, key: str, item: Json) -> Json:
        if key in self.orders:
            return {"no": "duplicate"}
        if float(item["quantity"]) <= 0:
            return {"no": "bad-quantity"}
        order = {**item, "ref": f"A{next(self._numbers)}", "state": "new", "events": []}
        order["at"] = time.monotonic()  # noqa: TID251 - a stranger's own clock
        self.orders[key] = order
        if order["type"] == "market":
            await self._happens(key, "trade", "filled", item["quantity"], "10.05")
        return {"ok": order["ref"]}

    async def _cancel(self, key: str, _item: object) -> Json:
        order = self.orders.get(key)
        if order is None:
            return {"no": "unknown-order"}
        if order["state"] != "new":
            return {"no": "too-late"}
        await self._happens(key, "canceled", "canceled", "0", None)
        return {"ok": order["ref"]}

    async def _lookup(self, key: str, _item: object) -> Json:
        order = self.orders.get(key)
        now = time.monotonic()  # noqa: TID251 - a stranger's own clock
        if order is None or now < order["at"] + self._hidden_s:
            return {"state": "never heard of it"}
        return {name: order[name] for name in ("state", "ref", "events")}

    async def _happens(
        self, key: str, what: str, state: str, quantity: str, price: str | None
    ) -> None:
        order = self.orders[key]
        now = time.time_ns() // 1_000_000  # noqa: TID251 - a stranger's own clock
        event = {"key": key, "ref": order["ref"], "id": f"E{next(self._numbers)}", "what": what}
        event |= {"day": "2026-03-03", "at": now, "quantity": quantity, "price": price}
        order["state"] = state
        order["events"].append(event)
        if self.callback is not None:
            body, stamp = json.dumps([event]).encode(), now // 1000
            signed = hmac.new(self._secret.encode(), b"%d." % stamp + body, hashlib.sha256)
            headers = {"X-Signature": f"t={stamp},v1={signed.hexdigest()}"}
            with suppress(aiohttp.ClientError):
                async with aiohttp.ClientSession() as session:
                    await session.post(self.callback, data=body, headers=headers)


async def main() -> None:
    """Serve until somebody ends the process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--secret", required=True)
    parser.add_argument("--callback")
    given = parser.parse_args()
    port = await Acme(given.secret, given.callback).open(given.port)
    print(json.dumps({"port": port}), flush=True)  # noqa: T201 - its one line
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
