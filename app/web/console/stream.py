"""The one stream of a console: the panels that have changed, once a second, drawn by the server.

Each event has the server's time, also when nothing else has changed: a screen that hears
nothing for three seconds says that it is stale. The trap of streams is that nobody ends them:
this one ends when its reader has gone or reads no more, when the key has died and when the
gateway drains, and only so many are open at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import Send

from app.domain.errors import Busy, Code, Refused
from app.web.console.lookout import Lookout
from app.web.console.panels import panels
from app.web.console.sight import Sight, Viewer
from app.web.spec import Reply, encode

TICK_S: Final = 1.0
# An operator has one tab, a wall screen another; more than this is a script that went wrong.
STREAMS_MAX: Final = 100
# A reader whose buffers, and the system's, take nothing for so long is gone.
WRITE_S_MAX: Final = 20.0
LATER_S: Final = 5.0
RETRY: Final = b"retry: 2000\n\n"
GONE: Final = b"event: gone\ndata: {}\n\n"


class Stream(Reply):
    """An answer that goes on."""

    __slots__ = ("events",)

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(200, b"", (b"x-accel-buffering", b"no"), content_type=b"text/event-stream")
        self.headers = [pair for pair in self.headers if pair[0] != b"content-length"]
        self.events = events

    async def send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        async with aclosing(self.events) as events:
            async for event in events:
                async with asyncio.timeout(WRITE_S_MAX):
                    await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


class Panels:
    """Draws each sight once for all who may see the same."""

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._drawn_at: Sight | None = None
        self._drawn: dict[Viewer, dict[str, str]] = {}
        self._open = 0

    async def drawn(self, viewer: Viewer) -> tuple[Sight, dict[str, str]]:
        """Return this moment, and the panels as the viewer may see them."""
        sight = await self._lookout.look()
        if sight is not self._drawn_at:
            self._drawn_at, self._drawn = sight, {}
        alike = viewer._replace(name="")
        if alike not in self._drawn:
            self._drawn[alike] = panels(sight, alike)
        return sight, self._drawn[alike]

    def stream(self, request: Request, who: Callable[[], Viewer]) -> Stream:
        """Return a stream for the viewer that `who` names at each tick, or raise `Busy`."""
        if self._open >= STREAMS_MAX:
            raise Busy(Code.OVERLOADED, LATER_S)
        return Stream(self._events(request, who))

    async def _events(
        self, request: Request, who: Callable[[], Viewer]
    ) -> AsyncGenerator[bytes, None]:
        self._open += 1
        try:
            yield RETRY
            sent: dict[str, str] = {}
            while not await request.is_disconnected():
                try:
                    viewer = who()
                except Refused:
                    yield GONE
                    return
                sight, drawn = await self.drawn(viewer)
                fresh = {name: html for name, html in drawn.items() if sent.get(name) != html}
                sent = drawn
                yield b"event: screen\ndata: %b\n\n" % encode({"at": sight.at, "panels": fresh})
                if sight.draining:
                    return
                await asyncio.sleep(TICK_S)
        finally:
            self._open -= 1
