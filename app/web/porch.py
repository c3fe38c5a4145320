"""The one wrapper around all doors: a request id in, security headers out, problems for all.

It takes the place of the framework's stack of middleware: what an exception becomes is decided
here once, for a refusal of ours, a path that nobody knows and a bug alike. The trap is an
answer that has begun: then nothing can be said any more, and the connection ends.
"""

import logging
import re
from collections.abc import Iterable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.clock import Clock
from app.domain.errors import Code
from app.web.door import LEAVING, REQUEST_ID
from app.web.problems import Fault, fault_of
from app.web.quotas.toll import QUOTA
from app.web.spec import Reply, encode

PROBLEM: Final = b"application/problem+json"
ID_BITS: Final = 80
DRESS: Final = "openbell.dress"  # in the scope: security headers of a page that has its own
_GOOD_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
# W3C Trace Context: a version, a trace and a span that are not all zeros, and flags.
_TRACE: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_log: Final = logging.getLogger("openbell.web")


class Porch:
    """An ASGI application around the router."""

    def __init__(self, rooms: ASGIApp, clock: Clock) -> None:
        self._rooms = rooms
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._rooms(scope, receive, send)
            return
        request_id = self._request_id(scope["headers"])
        scope[REQUEST_ID] = request_id
        named = ((b"x-request-id", request_id.encode()), *_trace(scope["headers"]))
        begun = False

        async def dressed(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                late = (*scope.get(QUOTA, ()), *scope.get(LEAVING, ()))
                dress = scope.get(DRESS, _SECURITY)
                message["headers"] = [*message["headers"], *dress, *named, *late]
            await send(message)

        try:
            await self._rooms(scope, receive, dressed)
        except ClientDisconnect:
            return
        except Exception as e:
            fault = fault_of(e, self._clock)
            if fault.code is Code.INTERNAL:
                _log.exception("request.failed", extra={"request_id": request_id})
            if begun:
                raise
            await _reply(fault, e, scope["path"], request_id).send(dressed)

    def _request_id(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        for name, value in headers:
            if name == b"x-request-id" and _GOOD_ID.fullmatch(value):
                return value.decode()
        return f"req_{self._clock.random_bits(ID_BITS):020x}"


def _trace(headers: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the caller's trace context as it came, so that both sides log the same trace."""
    for name, value in headers:
        if name == b"traceparent" and _TRACE.fullmatch(value):
            return ((name, value),)
    return ()


def _reply(fault: Fault, e: Exception, path: str, request_id: str) -> Reply:
    headers = []
    if fault.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % fault.retry_after_s))
    if fault.code is Code.UNAUTHENTICATED:
        headers.append((b"www-authenticate", b"Bearer"))
    if fault.code is Code.BODY_TOO_LARGE:  # the rest of it is still coming
        headers.append((b"connection", b"close"))
    if isinstance(e, HTTPException) and e.headers:
        headers += [(n.lower().encode(), v.encode()) for n, v in e.headers.items()]
    body = encode(fault.document(path, request_id))
    return Reply(fault.code.status, body, *headers, content_type=PROBLEM)
