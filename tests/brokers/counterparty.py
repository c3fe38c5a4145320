"""A broker played line by line: raw TCP, so that it can misbehave below HTTP.

Each act answers one request; the last one repeats. What arrived stays to be counted, which is
how a hidden retry is found.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from app.brokers.http import HttpBroker
from app.clock import Clock, SystemClock

SECRET = "s3cret"


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def keys(self) -> list[str]:
        return [order["client_order_id"] for order in json.loads(self.body)["orders"]]


@dataclass(frozen=True)
class Act:
    """What is written back, and what becomes of the connection after it."""

    raw: bytes = b""
    then: Literal["keep", "close", "reset", "silence"] = "keep"


def reply(
    status: int = 200, body: object = None, *, raw: bytes | None = None, headers: str = ""
) -> Act:
    """Return an act that answers with JSON, or with these very bytes."""
    content = json.dumps(body or {}).encode() if raw is None else raw
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
    return Act(head.encode() + content)


def results(*items: Mapping[str, object]) -> Act:
    return reply(body={"results": list(items)})


def accepted(key: str) -> dict[str, object]:
    return {"client_order_id": key, "status": "accepted", "order_id": f"n-{key}"}


@dataclass
class Counterparty:
    """The other end of the line."""

    acts: list[Act]
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self._silent = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def has_heard(self) -> bool:
        return bool(self.requests)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._silent.set()
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = self.connections
        try:
            while (request := await _read(reader, connection)) is not None:
                act = self.acts[min(len(self.requests), len(self.acts) - 1)]
                self.requests.append(request)
                writer.write(act.raw)
                await writer.drain()
                if act.then == "silence":
                    await self._silent.wait()
                if act.then == "reset":
                    sock = writer.get_extra_info("socket")
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                if act.then != "keep":
                    return
        except ConnectionError:
            return
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *fields = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    return Request(line, headers, body, connection)


def broker_at(url: str, *, clock: Clock | None = None, **options: Any) -> HttpBroker:
    """Return our adapter, pointed at a counterparty."""
    given: dict[str, Any] = {"name": "north", "secret": SECRET, "timeout_s": 5.0}
    return HttpBroker(**{**given, **options}, url=url, clock=clock or SystemClock())
