"""One HTTP request, once: what every broker behind HTTP shares, whatever dialect it speaks.

The line is the first byte. Before a connection is in our hands nothing can have left, and the
order was `NotSent`; after it, only the broker's readable word counts, and all else is
`Unknown`. What a word means is the dialect's business; here it is only carried, whole or not.

To get a connection takes round trips, half a second of them to another continent, and a halt may
come meanwhile. So whoever sends an order is asked once more, the connection in hand.

Edges filed off aiohttp: it repeats a GET, a PUT or a DELETE whose connection ends without a reply,
even a fresh one; it follows redirects, takes any size of body, unpacks any compression and keeps
connections longer than many servers do.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from app.brokers.wire import retry_after_s
from app.domain.messages import NotSent, Throttled, Unknown

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
# Below the shortest idle time-out that servers are known for (5 s): a connection that the
# server closes while we write to it makes a doubt out of nothing.
KEEP_ALIVE_S: Final = 4.0
FINDS_IN_FLIGHT: Final = 8
OK: Final = range(200, 300)
CREDENTIALS: Final = frozenset({401, 403})
TOO_MANY: Final = 429


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def proves(self) -> NotSent | Throttled | Unknown:
        """Return what a reply that is no 2xx proves of what was asked, whoever has sent it."""
        if self.status in CREDENTIALS:
            return NotSent(f"HTTP {self.status}", credentials=True)
        if self.status == TOO_MANY:
            return Throttled(retry_after_s(self.headers))
        return Unknown(f"HTTP {self.status}")


Failure = NotSent | Unknown
Stops = Callable[[], str | None]  # why it may not leave after all


def _nothing() -> str | None:
    """Stop nothing."""
    return None


_STOPS: ContextVar[Stops] = ContextVar("stops", default=_nothing)


class _Stopped(aiohttp.ClientError):
    """It may not leave after all; no byte of it has."""


class _Asking(aiohttp.TCPConnector):
    """Asks whoever sends once more, when a connection for it is there; nothing waits from here."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own name
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        why = _STOPS.get()()
        if why is not None:
            connection.release()  # it is as good as new
            raise _Stopped(why)
        return connection


class Exchange:
    """The way to one broker: kept connections for orders, and fresh ones for whatever asks."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 1.0,
        max_in_flight: int = 64,
    ) -> None:
        """`timeout_s` holds for one exchange as a whole, getting a connection included."""
        self._url = url.rstrip("/")
        # We ask for no compression: a few bytes that unpack to gigabytes are not for us.
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "openbell", **headers}
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s
        )
        self._max_in_flight = max_in_flight
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def send(
        self, path: str, body: bytes | None, *, method: str = "POST", stops: Stops = _nothing
    ) -> Reply | Failure:
        """Make one request on a kept connection, unless something `stops` it before its write."""
        _STOPS.set(stops)
        return await self._once(self._kept_session(), method, path, body)

    async def ask(self, path: str, body: bytes | None = None) -> Reply | Failure:
        """Make one request on a connection of its own, opened after this call began."""
        method = "GET" if body is None else "POST"
        return await self._once(self._fresh_session(), method, path, body)

    async def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        sessions, self._kept, self._fresh = (self._kept, self._fresh), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    async def _once(
        self, session: aiohttp.ClientSession, method: str, path: str, body: bytes | None
    ) -> Reply | Failure:
        line = SimpleNamespace(open=False)  # set by the trace below
        try:
            async with session.request(
                method,
                self._url + path,
                data=body,
                allow_redirects=False,
                trace_request_ctx=line,
            ) as reply:
                read = await _read(reply)
                if read is None:
                    reply.close()
                    return Unknown("oversized reply")
                return Reply(reply.status, reply.headers, read)
        except _Stopped as e:
            return NotSent(str(e), ours=True)
        except (aiohttp.ClientError, OSError) as e:
            cause = f"{type(e).__name__}: {e}"[:200]
            return Unknown(cause) if line.open else NotSent(cause)

    def _kept_session(self) -> aiohttp.ClientSession:
        if self._kept is None:
            connector = _Asking(limit=self._max_in_flight, keepalive_timeout=KEEP_ALIVE_S)
            self._kept = self._session(connector)
        return self._kept

    def _fresh_session(self) -> aiohttp.ClientSession:
        if self._fresh is None:
            self._fresh = self._session(
                aiohttp.TCPConnector(limit=FINDS_IN_FLIGHT, force_close=True)
            )
        return self._fresh

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_line_is_open)
        trace.on_connection_reuseconn.append(_line_is_open)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            trace_configs=[trace],
            auto_decompress=False,
        )
        # No option says it. A test closes the line under a DELETE, and fails should this end.
        session._retry_connection = False  # noqa: SLF001
        return session


async def _line_is_open(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    """Note that a connection is in this request's hands: from here on, bytes may be out."""
    context.trace_request_ctx.open = True


async def _read(reply: aiohttp.ClientResponse) -> bytes | None:
    """Read the body, but no more of it than a reply can honestly have."""
    parts, size = [], 0
    async for part in reply.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > BODY_BYTES_MAX:
            return None
    return b"".join(parts)
