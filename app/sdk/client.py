"""The client and its twin for asyncio: the same calls, the same tries.

Each try of the plain client is a connection of its own: a connection that lay idle and was closed
by a proxy would be one more answer that never came. The twin keeps its connections, and is closed;
its library by itself asks a second time for a read or a cancel whose connection was lost, and for
nothing else.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp

from app.sdk import requests
from app.sdk.requests import Answer, OutcomeUnknown, Request, wait_before

TIMEOUT_S: Final = 10.0
Document = dict[str, Any]


class Client:
    """A caller of one gateway, with one API key. Safe to share between threads."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._url = urlsplit(url)
        self._key = key
        self._timeout_s = timeout_s
        self._sleep = sleep

    def place(self, order: Mapping[str, Any]) -> Document:
        """Place one order and return it; on disk when this returns."""
        return self._done(requests.place(order))

    def place_all(
        self, orders: Sequence[Mapping[str, Any]], list_id: str | None = None
    ) -> Document:
        """Place up to 1,000 orders; `results` has one answer for each, in order."""
        return self._done(requests.place_all(orders, list_id))

    def amend(self, order_id: str, version: int, **terms: str) -> Document:
        """Change `quantity` or `limit_price` of the version that you saw."""
        return self._done(requests.amend(order_id, version, terms))

    def cancel(self, order_id: str) -> Document:
        return self._done(requests.cancel(order_id))

    def mass_cancel(self, request_id: str, **scope: str) -> Document:
        """Cancel by account_id, symbol, trading_session_id, list_id; again until it is `done`."""
        return self._done(requests.mass_cancel(request_id, scope))

    def order(self, order_id: str) -> Document:
        return self._done(requests.one(order_id))

    def by_client_order_id(self, account_id: str, client_order_id: str) -> Document:
        return self._done(requests.by_client_order_id(account_id, client_order_id))

    def orders(self, account_id: str, **filters: object) -> Iterator[Document]:
        """Yield every order of an account, newest first, page after page."""
        cursor = None
        while True:
            asked = {"account_id": account_id, "cursor": cursor, **filters}
            page = self._done(requests.get("/v1/orders", **asked))
            yield from page["data"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    def _done(self, request: Request) -> Document:
        tried = 1
        while True:
            answer = self._try(request)
            wait_s = wait_before(request, answer, tried)
            if wait_s is None:
                return _told(request, answer)
            self._sleep(wait_s)
            tried += 1

    def _try(self, request: Request) -> Answer | None:
        """Return what came back, or None if nothing did."""
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(self._url.netloc, timeout=self._timeout_s)
        headers = {**request.headers, "Authorization": f"Bearer {self._key}"}
        try:
            connection.request(
                request.method, self._url.path.rstrip("/") + request.path, request.body, headers
            )
            reply = connection.getresponse()
            told = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, told, reply.read())
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()


class AsyncClient:
    """The same for asyncio; `async with AsyncClient(url, key) as client`."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(headers=self._headers, timeout=self._timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None, "it was entered"
        await self._session.close()

    async def place(self, order: Mapping[str, Any]) -> Document:
        """Place one order and return it; on disk when this returns."""
        return await self._done(requests.place(order))

    async def place_all(
        self, orders: Sequence[Mapping[str, Any]], list_id: str | None = None
    ) -> Document:
        """Place up to 1,000 orders; `results` has one answer for each, in order."""
        return await self._done(requests.place_all(orders, list_id))

    async def amend(self, order_id: str, version: int, **terms: str) -> Document:
        """Change `quantity` or `limit_price` of the version that you saw."""
        return await self._done(requests.amend(order_id, version, terms))

    async def cancel(self, order_id: str) -> Document:
        return await self._done(requests.cancel(order_id))

    async def mass_cancel(self, request_id: str, **scope: str) -> Document:
        """Cancel by account_id, symbol, trading_session_id, list_id; again until it is `done`."""
        return await self._done(requests.mass_cancel(request_id, scope))

    async def order(self, order_id: str) -> Document:
        return await self._done(requests.one(order_id))

    async def by_client_order_id(self, account_id: str, client_order_id: str) -> Document:
        return await self._done(requests.by_client_order_id(account_id, client_order_id))

    async def orders(self, account_id: str, **filters: object) -> AsyncIterator[Document]:
        """Yield every order of an account, newest first, page after page."""
        cursor = None
        while True:
            asked = {"account_id": account_id, "cursor": cursor, **filters}
            page = await self._done(requests.get("/v1/orders", **asked))
            for order in page["data"]:
                yield order
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def _done(self, request: Request) -> Document:
        tried = 1
        while True:
            answer = await self._try(request)
            wait_s = wait_before(request, answer, tried)
            if wait_s is None:
                return _told(request, answer)
            await self._sleep(wait_s)
            tried += 1

    async def _try(self, request: Request) -> Answer | None:
        assert self._session is not None, "use it as `async with AsyncClient(…)`"
        try:
            async with self._session.request(
                request.method,
                self._url + request.path,
                data=request.body,
                headers=request.headers,
                allow_redirects=False,
            ) as reply:
                told = {name.lower(): value for name, value in reply.headers.items()}
                return Answer(reply.status, told, await reply.read())
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None


def _told(request: Request, answer: Answer | None) -> Document:
    if answer is None:
        raise OutcomeUnknown(f"{request.method} {request.path}: no answer came")
    return answer.document()
