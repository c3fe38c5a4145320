"""One client for MongoDB from either of two libraries, with the edges of both filed off.

The only file that imports motor, whose maker has ended it; pymongo's own asynchronous client
has nearly the same calls. `make_client` returns either as the second one's type, and the rest
of the room uses calls that are equal in both. Two need a word: what one library returns and
the other has to await (`aggregate`, `list_indexes`, `watch`, `start_session`) goes through
`maybe`, and a client is closed by `close_client`.

The edges: without time-outs an unreachable server is a hang of 30 seconds and one that has
frozen is a hang for ever; a write that a majority has not journalled can be rolled back after
we have told the bus that it is done; a time without its zone reads as another time elsewhere.
A URL may choose other time-outs, but no weaker writes.
"""

import inspect
from collections.abc import Awaitable
from typing import Any, Final, Literal, TypeVar, cast, overload
from urllib.parse import parse_qsl

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI

from app.ports.accounts import BookUnfit

T = TypeVar("T")
Driver = Literal["motor", "pymongo"]
Client = AsyncMongoClient[dict[str, Any]]

# Long enough for an election (the server's own time-out is 10 s, most take two), and short
# enough that a person who waits at a terminal for a wrong address sees the error and not a hang.
SELECTION_MS: Final = 5_000
CONNECT_MS: Final = 5_000
# A server that has frozen keeps its sockets and answers nothing. The largest bulk takes a few
# seconds, so after twenty it is away.
SOCKET_MS: Final = 20_000
_TIMEOUTS: Final = {
    "serverSelectionTimeoutMS": SELECTION_MS,
    "connectTimeoutMS": CONNECT_MS,
    "socketTimeoutMS": SOCKET_MS,
}


def make_client(url: str, driver: Driver) -> Client:
    """Return a client that has not connected yet; raise `BookUnfit` for a URL it cannot read.

    Call it on the event loop that will use it: neither library lets another one in later.
    """
    chosen = {name.lower() for name, _ in parse_qsl(url.partition("?")[2])}
    timeouts = {name: ms for name, ms in _TIMEOUTS.items() if name.lower() not in chosen}
    make: Any = AsyncIOMotorClient if driver == "motor" else AsyncMongoClient
    try:
        client = make(
            url,
            appname="openbell",
            tz_aware=True,
            retryWrites=True,
            w="majority",
            journal=True,
            **timeouts,
        )
    except (ConfigurationError, InvalidURI, ValueError) as e:
        raise BookUnfit(f"the MongoDB url cannot be read: {e}") from e
    return cast("Client", client)


async def close_client(client: Client) -> None:
    """Let go of its connections and its monitors."""
    closing: Awaitable[None] | None = client.close()
    await maybe(closing)


@overload
async def maybe(value: Awaitable[T]) -> T: ...
@overload
async def maybe(value: T) -> T: ...
async def maybe(value: Awaitable[T] | T) -> T:
    """Return the value, awaited if it has to be: where one library returns, the other waits."""
    if inspect.isawaitable(value):
        return await value
    return value
