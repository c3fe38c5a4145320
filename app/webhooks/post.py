"""One POST to a stranger's server: to the addresses that were judged, and never further.

A name is asked for once for each connection, each of its addresses is judged, and the connection
goes to one of these: who asks twice can be told something else the second time (DNS rebinding). A
connection serves one delivery, so each delivery is judged anew. TLS is checked against the name.
No redirect is followed, no proxy of the environment is used, nothing of the answer is read but its
status and `Retry-After`, and none of it is shown to anybody.

The traps: an address in the URL passes by the resolver of the library, so it is judged before;
and names are asked for in threads, which a dead name server holds for many seconds: they are
our own, or a customer's dead name would hold up the look-up of a broker's.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from app.clock import Clock
from app.domain.webhooks import OK, Answer
from app.webhooks.guard import NOT_PUBLIC, Forbidden, Rules, Target, check_address, check_addresses

# The specification's upper end: who takes longer should answer first and work later.
TIMEOUT_S: Final = 15.0
CONNECT_S: Final = 5.0
LOOKUPS_AT_ONCE: Final = 8
REDIRECTS: Final = range(300, 400)
HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": "openbell-webhooks/1",
    "Accept-Encoding": "identity",
}
Lookup = Callable[[str, int], Awaitable[list[str]]]


class HttpPost:
    """`Post` by HTTP."""

    def __init__(self, rules: Rules, clock: Clock, lookup: Lookup | None = None) -> None:
        self._rules = rules
        self._clock = clock
        self._threads = ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="webhook-names")
        self._lookup = lookup or self._asked
        self._session: aiohttp.ClientSession | None = None

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        try:
            self._check_literal(target.host)
            async with self._opened().post(
                target.url, data=body, headers={**HEADERS, **headers}, allow_redirects=False
            ) as reply:
                return self._answer(reply)
        except Forbidden as e:
            return Answer(None, f"not sent: {e}")
        except (aiohttp.ClientError, OSError, ValueError) as e:
            return Answer(None, _named(e))

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _answer(self, reply: aiohttp.ClientResponse) -> Answer:
        if reply.status in OK:
            return Answer(reply.status)
        error = f"HTTP {reply.status}"
        if reply.status in REDIRECTS:
            error += ": a redirect is not followed"
        rest_s = after_s(reply.headers.get("Retry-After"), self._clock.now())
        return Answer(reply.status, error, rest_s)

    def _check_literal(self, host: str) -> None:
        with suppress(ValueError):
            check_address(str(ipaddress.ip_address(host)), self._rules)

    async def _asked(self, host: str, port: int) -> list[str]:
        loop = asyncio.get_running_loop()
        ask = socket.getaddrinfo
        found = await loop.run_in_executor(
            self._threads, lambda: ask(host, port, type=socket.SOCK_STREAM)
        )
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, connect=CONNECT_S),
                connector=aiohttp.TCPConnector(
                    limit=0,  # the courier counts
                    force_close=True,
                    use_dns_cache=False,
                    resolver=_Judged(self._lookup, self._rules),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
        return self._session


class _Judged(AbstractResolver):
    """Names, as addresses of which each was judged: the connection goes to these."""

    def __init__(self, lookup: Lookup, rules: Rules) -> None:
        self._lookup = lookup
        self._rules = rules

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        addresses = await self._lookup(host, port)
        check_addresses(addresses, self._rules)
        found = [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]
        return [one for one in found if family in {socket.AF_UNSPEC, one["family"]}]

    async def close(self) -> None:
        return None


def after_s(value: str | None, now: int) -> float | None:
    """Return how long somebody asks to be left alone: seconds, or until a date."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])  # a century is as good as ever
    try:
        until_s = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):  # a stranger's year or zone may be any number
        return None
    return max(0.0, until_s - now / 1_000)


def _named(error: Exception) -> str:
    """Return what failed, in words of ours: the library's would quote the address."""
    match error:
        case aiohttp.InvalidURL():
            return "not sent: expected a host that has a name"
        case TimeoutError():
            return "no answer in time"
        case aiohttp.ClientConnectorDNSError():
            return f"not sent: {NOT_PUBLIC}"
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return "no TLS that we trust"
        case aiohttp.ClientConnectorError():
            return "no connection"
        case _:
            return f"no readable answer: {type(error).__name__}"
