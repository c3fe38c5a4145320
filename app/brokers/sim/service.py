"""Puts the simulated broker together and keeps it running until it is told to stop.

Start-up is recovery: an existing record is replayed, the rest of each planned fill is planned
again, and what was never told is told.
"""

import asyncio
import gc
import hmac
import os
import signal
import sys
from collections.abc import Callable
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from app.brokers.sim import replies
from app.brokers.sim.api import Api
from app.brokers.sim.audit import Audit, read_audit
from app.brokers.sim.book import TERMINAL, rebuild
from app.brokers.sim.callbacks import Teller
from app.brokers.sim.control import Control
from app.brokers.sim.desk import Desk
from app.brokers.sim.faults import BadFault, Faults, read_switches
from app.brokers.sim.messages import Malformed, encode
from app.brokers.sim.options import Options
from app.brokers.sim.timeline import Timeline
from app.brokers.sim.world import World

BODY_BYTES_MAX: Final = 16 * 1024 * 1024
OPEN_PATHS: Final = frozenset({"/sim/stats"})

# Sooner than anybody can start the parent again.
PARENT_EVERY_S = 0.2


class Listener:
    """The listening socket, which can go away for a while."""

    def __init__(self, runner: web.AppRunner, host: str, port: int) -> None:
        self._runner = runner
        self._host = host
        self.port = port
        self._site: web.TCPSite | None = None
        self._closing = asyncio.Event()
        self._away_s = 0.0

    async def open(self) -> None:
        self._site = web.TCPSite(self._runner, self._host, self.port, backlog=1024)
        await self._site.start()
        self.port = self._site.port

    async def refuse(self, away_s: float) -> None:
        """Ask `run` to close the door for so many seconds; the answer still gets out."""
        self._away_s = away_s
        self._closing.set()

    async def run(self) -> None:
        while True:
            await self._closing.wait()
            self._closing.clear()
            await asyncio.sleep(0.05)  # the answer that asked for this leaves first
            assert self._site is not None
            await self._site.stop()
            assert self._runner.server is not None
            for connection in self._runner.server.connections:
                if connection.transport is not None:
                    connection.transport.abort()
            await asyncio.sleep(self._away_s)
            await self.open()


class Service:
    """One simulated broker."""

    def __init__(self, options: Options, sync: Callable[[int], None] = os.fsync) -> None:
        self._options = options
        world = World(options.seed, options.trade_date)
        self._faults = Faults(world)
        self._faults.set(read_switches(options.faults))
        self._desk = Desk(options.name, world, self._faults, options.tps, dedupe=options.dedupe)
        untold = rebuild(self._desk.book, read_audit(options.audit))
        self._audit = Audit(options.audit, sync)
        self._teller = Teller(options.name, options.callback, options.secret, world, self._audit)
        self._timeline = Timeline(self._desk, self._audit, self._teller, options.plan)
        self._teller.tell(untold)
        self._plan_again()

    def _plan_again(self) -> None:
        for order in self._desk.book.orders.values():
            if order.status not in TERMINAL:
                self._timeline.plan_fills([order])
                if order.cancel_pending:
                    self._timeline.at(self._options.cancel_delay_ms / 1000, "end", order)
        for order in [*self._desk.book.changing.values()]:
            self._timeline.at(self._options.replace_delay_ms / 1000, "replace", order)

    async def run(self, stop: asyncio.Event, ready: Callable[[int], None]) -> None:
        """Serve until `stop` is set; `ready` hears the port."""
        options = self._options
        api = Api(
            self._desk,
            self._audit,
            self._teller,
            self._timeline,
            cancel_delay_s=options.cancel_delay_ms / 1000,
            replace_delay_s=options.replace_delay_ms / 1000,
        )
        api.tells_news = options.acks
        application = web.Application(
            client_max_size=BODY_BYTES_MAX, middlewares=[_guard(options.secret)]
        )
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
        listener = Listener(runner, options.host, options.port)
        control = Control(self._desk, api, self._teller, self._timeline, listener.refuse)
        application.add_routes([*api.routes(), *control.routes()])
        await runner.setup()
        try:
            async with asyncio.TaskGroup() as group:
                loops = [self._audit.run(), self._teller.run(), self._timeline.run()]
                tasks = [group.create_task(loop) for loop in [*loops, listener.run()]]
                await listener.open()
                ready(listener.port)
                await stop.wait()
                for task in tasks:
                    task.cancel()
        finally:
            await runner.cleanup()
            self._audit.close()


def _guard(secret: str) -> Middleware:
    bearer = f"Bearer {secret}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "").encode()
        if request.path not in OPEN_PATHS and not hmac.compare_digest(shown, bearer):
            return replies.refusal(401, "unauthorized")
        try:
            return await handler(request)
        except (*Malformed, BadFault) as e:
            return replies.refusal(400, "unreadable", detail=str(e))

    return guard


async def serve(options: Options) -> None:
    """Run until SIGTERM or SIGINT."""
    # A million orders are no garbage: look for some seldom, and never among what is here now.
    gc.set_threshold(50_000, 20, 100)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    if options.with_parent:
        _end_with(os.getppid(), stop)

    def ready(port: int) -> None:
        line = {"ready": True, "name": options.name, "port": port, "pid": os.getpid()}
        sys.stdout.write(encode(line).decode() + "\n")
        sys.stdout.flush()

    await Service(options).run(stop, ready)


def _end_with(parent: int, stop: asyncio.Event) -> None:
    """Stop when that process has ended, however it did: two of us would write to one record."""
    if os.getppid() != parent:
        stop.set()
        return
    asyncio.get_running_loop().call_later(PARENT_EVERY_S, _end_with, parent, stop)
