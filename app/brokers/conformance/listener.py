"""Hears what the broker pushes, so that a case has a genuine callback to spoil.

It answers 204 to everything and believes nothing: whether a push is the broker's own is for the
adapter to say, and that is what the cases are about.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from aiohttp import web

from app.brokers.conformance.verdict import NotJudged

ASK_EVERY_S: Final = 0.02
KEPT_MAX: Final = 1_000


class Pushed(NamedTuple):
    """One callback as it came."""

    headers: Mapping[str, str]
    body: bytes


class Listener:
    """A small server at the address that the broker pushes to."""

    def __init__(self, address: str) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._runner: web.AppRunner | None = None
        self.pushed: deque[Pushed] = deque(maxlen=KEPT_MAX)

    async def open(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._hear)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as e:
            await self.close()
            raise NotJudged(f"nobody can listen at {self._host}:{self._port}: {e}") from e

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def heard(self, names: Sequence[bytes], patience_s: float) -> Pushed | None:
        """Wait for a push that speaks of one of these; None if there is none in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while True:
                    for push in self.pushed:
                        if any(name and name in push.body for name in names):
                            return push
                    await asyncio.sleep(ASK_EVERY_S)
        return None

    async def _hear(self, request: web.Request) -> web.Response:
        self.pushed.append(Pushed(_plain(request), await request.read()))
        return web.Response(status=204)


def _plain(request: web.Request) -> dict[str, str]:
    """Return the headers as the gateway's own door hands them on: their names have no case."""
    return {name.lower(): value for name, value in request.headers.items()}
