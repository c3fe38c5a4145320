"""A client of an event stream, below HTTP: what came, whether it has ended, how it goes away."""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

from tests.web.house import Gateway


class Listener:
    """One request for a stream. `run` it as a task; a suite says how its events are read."""

    def __init__(
        self, gateway: Gateway, path: str, headers: Mapping[str, str], query: str = ""
    ) -> None:
        self.text = ""
        self.ended = False
        self._gone = asyncio.Event()
        self._app = gateway.client.app
        self._scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(n.lower().encode(), v.encode()) for n, v in headers.items()],
        }

    async def run(self) -> None:
        await self._app(self._scope, self._receive, self._send)
        self.ended = True

    def leave(self) -> None:
        self._gone.set()

    async def _receive(self) -> dict[str, object]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        self.text += message.get("body", b"").decode()
