"""Talks to the simulated broker, runs it inside a test's loop, and listens to its callbacks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from app.brokers.sim.callbacks import signature
from app.brokers.sim.options import Options
from app.brokers.sim.service import Service

SECRET = "s3cret"
Json = dict[str, Any]


async def eventually(check: Callable[[], Awaitable[bool]]) -> None:
    """Return once it holds; give up after five seconds."""
    for _ in range(1000):
        if await check():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


@dataclass
class Client:
    """Somebody who talks to the simulator, and listens."""

    session: aiohttp.ClientSession
    url: str
    heard: list[Json] = field(default_factory=list)

    async def post(self, path: str, body: object, fault: str | None = None) -> Json:
        headers = {"X-Sim-Fault": fault} if fault else {}
        async with self.session.post(self.url + path, json=body, headers=headers) as reply:
            return {"status": reply.status, **json.loads(await reply.read())}

    async def place(self, *orders: Json, fault: str | None = None) -> list[Json]:
        reply = await self.post("/v1/orders", {"orders": orders}, fault)
        assert reply["status"] == 200, reply
        return list(reply["results"])

    async def cancel(self, *keys: str) -> list[Json]:
        orders = [{"client_order_id": key} for key in keys]
        return list((await self.post("/v1/cancels", {"orders": orders}))["results"])

    async def replace(
        self, key: str, original: str, quantity: str, limit_price: str | None = "186"
    ) -> Json:
        terms: Json = {"client_order_id": key, "original_client_order_id": original}
        terms |= {"quantity": quantity, "limit_price": limit_price}
        [result] = (await self.post("/v1/replaces", {"orders": [terms]}))["results"]
        return dict(result)

    async def look_up(self, *keys: str) -> list[Json]:
        return list((await self.post("/v1/lookups", {"client_order_ids": keys}))["results"])

    async def faults(self, **faults: object) -> None:
        assert (await self.post("/sim/faults", faults))["status"] == 200

    async def flush(self) -> Json:
        return await self.post("/sim/flush", {})

    async def stats(self) -> Json:
        async with self.session.get(self.url + "/sim/stats") as reply:
            return dict(await reply.json())


@asynccontextmanager
async def receiving(
    callback: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[str]:
    """Serve one handler; yield its URL."""
    application = web.Application()
    application.router.add_post("/", callback)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{site.port}/"
    finally:
        await runner.cleanup()


def listening(heard: list[Json], refusals: int = 0) -> AbstractAsyncContextManager[str]:
    """Receive callbacks, but say 503 so many times first."""
    left = [refusals]

    async def callback(request: web.Request) -> web.Response:
        body = await request.read()
        stamp = int(request.headers["X-Signature"].partition(",")[0].removeprefix("t="))
        assert request.headers["X-Signature"] == signature(SECRET, stamp, body)
        if left[0]:
            left[0] -= 1
            return web.Response(status=503)
        heard.extend(json.loads(body)["reports"])
        return web.Response(status=204)

    return receiving(callback)


@asynccontextmanager
async def running(
    audit: Path, *, refusals: int = 0, sync: Callable[[int], None] | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Run the whole service inside this loop, with somebody who listens."""
    heard: list[Json] = []
    async with listening(heard, refusals) as callback, asyncio.TaskGroup() as group:
        given: Json = {"callback": callback, "trade_date": "2026-03-03", **options}
        chosen = Options(audit=audit, secret=SECRET, **given)
        service = Service(chosen) if sync is None else Service(chosen, sync)
        stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
        group.create_task(service.run(stop, port.set_result))
        headers = {"Authorization": f"Bearer {SECRET}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield Client(session, f"http://127.0.0.1:{await port}", heard)
        stop.set()


def play(
    audit: Path, scenario: Callable[[Client], Awaitable[None]], **options: Any
) -> list[dict[str, Any]]:
    """Run a scenario, and return the record that it left."""

    async def run() -> None:
        async with running(audit, **options) as client:
            await scenario(client)

    asyncio.run(run())
    return [json.loads(line) for line in audit.read_text().splitlines()]
