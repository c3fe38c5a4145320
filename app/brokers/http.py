"""A broker behind HTTP: every way in which a request can end becomes one of five answers.

The line is the first byte. Before a connection is in our hands nothing can have left, and the
order was `NotSent`; after it, only the broker's readable word about this very order counts,
and all else is `Unknown`.

Edges filed off aiohttp: it repeats a GET on a stale connection, so orders are only ever
POSTed; it follows redirects, takes any size of body, unpacks any compression and keeps
connections longer than many servers do.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

import aiohttp

from app.brokers import wire
from app.brokers.callback import Key, read_callback
from app.clock import Clock
from app.domain.messages import (
    Answer,
    Cancellation,
    Capabilities,
    ExecutionReport,
    Lookup,
    NotSent,
    Submission,
    Throttled,
    Unknown,
)

log: Final = logging.getLogger(__name__)

BODY_BYTES_MAX: Final = 4 * 1024 * 1024
# Below the shortest idle time-out that servers are known for (5 s): a connection that the
# server closes while we write to it makes a doubt out of nothing.
KEEP_ALIVE_S: Final = 4.0
FINDS_IN_FLIGHT: Final = 8
OK: Final = range(200, 300)
CREDENTIALS: Final = frozenset({401, 403})
JUDGED: Final = frozenset({400, 422})
TOO_MANY: Final = 429
UNAVAILABLE: Final = 503
DEFAULTS: Final = Capabilities(batch_max=100, cancel_batch_max=100, find_batch_max=100)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Failure = NotSent | Unknown


class HttpBroker:
    """One broker that speaks the dialect of `wire`."""

    def __init__(  # noqa: PLR0913 - keyword-only options, as settings name them
        self,
        *,
        name: str,
        url: str,
        secret: str,
        clock: Clock,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 1.0,
        max_in_flight: int = 64,
        callback_tolerance_s: float = 300.0,
        busy_means_not_accepted: bool = False,
        **capabilities: Any,
    ) -> None:
        """`busy_means_not_accepted`: the broker's documents say so of its 503."""
        self.name = name
        self.capabilities = replace(DEFAULTS, max_in_flight=max_in_flight, **capabilities)
        self._url = url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {secret}",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "openbell",
        }
        self._key = Key(name, secret.encode(), callback_tolerance_s)
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(
            total=timeout_s, connect=connect_timeout_s, sock_connect=connect_timeout_s
        )
        self._busy_means_not_accepted = busy_means_not_accepted
        self._orders: aiohttp.ClientSession | None = None
        self._finds: aiohttp.ClientSession | None = None

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send one batch in one request."""
        assert len(batch) <= self.capabilities.batch_max
        if not batch:
            return []
        reply = await self._exchange(self._order_session(), "/v1/orders", wire.order_body(batch))
        items = self._items(reply, [item.broker_order_key for item in batch])
        if not isinstance(items, dict):
            return [items] * len(batch)
        return [wire.submit_answer(items.get(item.broker_order_key)) for item in batch]

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel."""
        assert len(batch) <= self.capabilities.cancel_batch_max
        if not batch:
            return []
        reply = await self._exchange(self._order_session(), "/v1/cancels", wire.cancel_body(batch))
        items = self._items(reply, [item.broker_order_key for item in batch])
        if not isinstance(items, dict):
            return [items] * len(batch)
        return [
            wire.cancel_answer(items.get(item.broker_order_key), item.broker_order_id)
            for item in batch
        ]

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look orders up on a connection of this call's own."""
        assert len(keys) <= self.capabilities.find_batch_max
        if not keys:
            return []
        reply = await self._exchange(self._find_session(), "/v1/lookups", wire.lookup_body(keys))
        if not isinstance(reply, Reply):
            return [Unknown(reply.cause)] * len(keys)
        if reply.status not in OK:
            return [Unknown(f"HTTP {reply.status}")] * len(keys)
        try:
            shown = wire.by_key(wire.read_shown(reply.body).results)
        except wire.Malformed as e:
            return [Unknown(f"unreadable reply: {e}")] * len(keys)
        self._report_strays(shown, keys)
        return [wire.lookup_answer(self.name, key, shown.get(key)) for key in keys]

    async def ping(self) -> bool:
        """Return whether a cheap authenticated round trip succeeds."""
        reply = await self._exchange(self._find_session(), "/v1/ping", None)
        return isinstance(reply, Reply) and reply.status in OK

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        """Verify and read reports that the broker pushed, or raise `BadCallback`."""
        return read_callback(self._key, headers, body, self._clock.now())

    async def close(self) -> None:
        """Close idle connections; a later call opens new ones."""
        sessions, self._orders, self._finds = (self._orders, self._finds), None, None
        for session in sessions:
            if session is not None:
                await session.close()

    def _items(
        self, reply: Reply | Failure, keys: Sequence[str]
    ) -> dict[str, wire.Result | None] | Answer:
        """Return the reply's items, or the one answer that holds for the whole batch."""
        if not isinstance(reply, Reply):
            return reply
        if reply.status not in OK:
            return self._refused(reply, len(keys))
        try:
            items = wire.by_key(wire.read_results(reply.body).results)
        except wire.Malformed as e:
            return Unknown(f"unreadable reply: {e}")
        self._report_strays(items, keys)
        return items

    def _refused(self, reply: Reply, orders: int) -> Answer:
        """Return what a reply that is no 2xx proves about all of its orders."""
        if reply.status in CREDENTIALS:
            return NotSent(f"HTTP {reply.status}", credentials=True)
        if reply.status == TOO_MANY:
            return Throttled(wire.retry_after_s(reply.headers))
        if reply.status == UNAVAILABLE and self._busy_means_not_accepted:
            return Throttled(wire.retry_after_s(reply.headers))
        # Only a refusal that gives a reason is the broker's own, not some proxy's, and only of
        # a single order does it say which order was judged.
        if reply.status in JUDGED and orders == 1:
            try:
                refusal = wire.read_refusal(reply.body)
            except wire.Malformed:
                return Unknown(f"HTTP {reply.status} without a code")
            result = wire.Result("", "rejected", code=refusal.code, detail=refusal.detail)
            return wire.submit_answer(result)
        return Unknown(f"HTTP {reply.status}")

    def _report_strays(self, items: Mapping[str, object], keys: Sequence[str]) -> None:
        """Say that a reply spoke of other orders; it changes nothing for ours."""
        strays = set(items).difference(keys)
        if strays:
            named = sorted(strays)[:5]
            log.warning("broker %s answered for %d other orders: %s", self.name, len(strays), named)

    async def _exchange(
        self, session: aiohttp.ClientSession, path: str, body: bytes | None
    ) -> Reply | Failure:
        """Make one request, once."""
        line = SimpleNamespace(open=False)  # set by the trace below
        try:
            async with session.request(
                "GET" if body is None else "POST",
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
        except (aiohttp.ClientError, OSError) as e:
            cause = f"{type(e).__name__}: {e}"[:200]
            return Unknown(cause) if line.open else NotSent(cause)

    def _order_session(self) -> aiohttp.ClientSession:
        if self._orders is None:
            connector = aiohttp.TCPConnector(
                limit=self.capabilities.max_in_flight, keepalive_timeout=KEEP_ALIVE_S
            )
            self._orders = self._session(connector)
        return self._orders

    def _find_session(self) -> aiohttp.ClientSession:
        if self._finds is None:
            self._finds = self._session(
                aiohttp.TCPConnector(limit=FINDS_IN_FLIGHT, force_close=True)
            )
        return self._finds

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_line_is_open)
        trace.on_connection_reuseconn.append(_line_is_open)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=self._timeout,
            trace_configs=[trace],
            auto_decompress=False,
        )


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
