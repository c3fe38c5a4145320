"""The one stream of a console: the panels that have changed, once a second, drawn by the server.

Each event has the server's time, also when nothing else has changed: a screen that hears
nothing for three seconds says that it is stale. What has changed is drawn and written once for
all who may see the same, however many look: twenty consoles are one drawing and twenty writes.
The trap of streams is that nobody ends them: this one ends when its reader has gone or reads no
more, when the key has died and when the gateway drains, and only so many are open at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.types import Send

from app.clock import Clock
from app.domain.errors import Busy, Code, Refused
from app.web.console.chart import charted
from app.web.console.lookout import Lookout
from app.web.console.panels import panels
from app.web.console.second import asks
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
NOTHING: Final = b'"panels":{}'
FORGET_MS: Final = 60_000


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


class Frame:
    """One moment as some viewers see it, written once: whole, and as a change of the one before."""

    __slots__ = ("_before", "_change", "_whole", "chart", "panels", "sight")

    def __init__(self, sight: Sight, viewer: Viewer, before: "Frame | None") -> None:
        self.sight = sight
        self.panels = panels(sight, viewer)
        self.chart = charted(sight, viewer)
        self._change = self._compared(before) if before is not None else b""
        self._before = before.sight if before is not None else None
        self._whole = b""

    def since(self, seen: Sight | None) -> bytes:
        """Return the inside of the event for a reader who has seen that much."""
        if seen is self.sight:
            return NOTHING
        if seen is not None and seen is self._before:
            return self._change
        if not self._whole:
            self._whole = _inside(self.panels, self.chart.whole())
        return self._whole

    def _compared(self, before: "Frame") -> bytes:
        old = before.panels
        fresh = {name: html for name, html in self.panels.items() if old.get(name) != html}
        return _inside(fresh, self.chart.since(before.chart))


def _inside(panels: Mapping[str, str], chart: Mapping[str, object]) -> bytes:
    return encode({"panels": panels, "chart": chart})[1:-1]


class Panels:
    """Draws each sight once for all who may see the same."""

    def __init__(self, lookout: Lookout, clock: Clock) -> None:
        self._lookout = lookout
        self._clock = clock
        self._frames: dict[Viewer, Frame] = {}
        self._open = 0

    async def frame(self, viewer: Viewer) -> Frame:
        """Return this moment as the viewer may see it."""
        sight = await self._lookout.look()
        alike = viewer if asks(sight, viewer) else viewer._replace(name="")
        drawn = self._frames.get(alike)
        if drawn is None or drawn.sight is not sight:
            # Of those who look no more, nothing is kept.
            kept = {v: f for v, f in self._frames.items() if sight.at - f.sight.at < FORGET_MS}
            drawn = Frame(sight, alike, drawn)
            self._frames = kept | {alike: drawn}
        return drawn

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
            seen: Sight | None = None
            seer: Viewer | None = None
            while not await request.is_disconnected():
                try:
                    viewer = who()
                except Refused:
                    yield GONE
                    return
                frame = await self.frame(viewer)
                inside = frame.since(seen if viewer == seer else None)
                seen, seer = frame.sight, viewer
                now = self._clock.now()
                yield b'event: screen\ndata: {"now":%d,"at":%d,%b}\n\n' % (now, seen.at, inside)
                if seen.draining:
                    return
                await asyncio.sleep(TICK_S)
        finally:
            self._open -= 1
