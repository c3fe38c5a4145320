"""Holds the line to Alpaca's stream of trade updates, and makes it again whenever it is lost.

    connect ─► authenticate ─► listen ─► an update, a bell each

What was told while the line was down is never told again, so whoever listens hears of each new
line too. A message that cannot be read rings as well: something happened, and one looks. The
trap is a line that is up and silent. Its pings are answered, and prove nothing but that.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

import aiohttp

from app.brokers.alpaca.shapes import (
    LISTEN,
    Listening,
    Order,
    Standing,
    Unreadable,
    Update,
    authentication,
    frame_in,
)
from app.clock import Clock

log: Final = logging.getLogger(__name__)

# A trade update with its order is below 4 KiB.
MESSAGE_BYTES_MAX: Final = 1 << 20
PING_EVERY_S: Final = 10.0
RETRY_S_MIN: Final = 0.5
RETRY_S_MAX: Final = 30.0
TRADE_UPDATES: Final = "trade_updates"


class LineLost(Exception):
    """The stream has ended, or never began."""


class Door(NamedTuple):
    """Where the stream is, and who we are there."""

    url: str
    key_id: str
    secret_key: str
    timeout_s: float  # for the connection and each step to the first update


class LineState(NamedTuple):
    """How the line stands, and since when."""

    state: str  # connecting, logged_on, waiting, refused
    why: str | None
    since: int


class Stream:
    """The line to one account's updates."""

    def __init__(
        self,
        door: Door,
        clock: Clock,
        on_update: Callable[[Order | None], None],
        on_line: Callable[[], None],
    ) -> None:
        """`on_update(None)`: something was said that could not be read."""
        self._door = door
        self._clock = clock
        self._on_update = on_update
        self._on_line = on_line
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.last_in_at: int | None = None
        self.standing = LineState("connecting", None, clock.now())

    async def run(self) -> NoReturn:
        """Listen for ever; a line that is lost is made again, after a pause that doubles."""
        pause_s = RETRY_S_MIN
        while True:
            try:
                await self._listen()
            except (aiohttp.ClientError, OSError, LineLost) as e:
                why = f"{type(e).__name__}: {e}"[:200]
            state = "refused" if self.standing.state == "refused" else "waiting"
            if self.standing.state == "logged_on" and self._lasted_s() >= RETRY_S_MAX:
                pause_s = RETRY_S_MIN  # one that is cut at once is made again no sooner each time
            self._stands(state, why)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)

    async def hang_up(self) -> None:
        """End the line politely; it is made again as after any loss."""
        if self._socket is not None:
            await self._socket.close()

    async def _listen(self) -> NoReturn:
        self._stands("connecting", None)
        door = self._door
        async with contextlib.AsyncExitStack() as line:
            async with asyncio.timeout(door.timeout_s):
                session = await line.enter_async_context(
                    aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
                )
                socket = await line.enter_async_context(
                    session.ws_connect(
                        door.url, heartbeat=PING_EVERY_S, max_msg_size=MESSAGE_BYTES_MAX
                    )
                )
                await socket.send_str(authentication(door.key_id, door.secret_key).decode())
                await self._authorized(socket)
                await socket.send_str(LISTEN.decode())
                await self._listening(socket)
            self._socket = socket
            line.callback(self._gone)
            self._stands("logged_on", None)
            self._on_line()
            while True:
                self._hear(await self._received(socket))

    def _gone(self) -> None:
        self._socket = None

    async def _authorized(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            said = _read(await self._received(socket))
            if isinstance(said, Standing):
                if said.status == "authorized":
                    return
                self._stands("refused", said.status)
                raise LineLost(f"the stream calls us {said.status!r}")

    async def _listening(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            said = _read(await self._received(socket))
            if isinstance(said, Listening):
                if TRADE_UPDATES in said.streams:
                    return
                raise LineLost(f"the stream gives us {said.streams}, and no trade updates")

    def _hear(self, raw: str | bytes) -> None:
        self.last_in_at = self._clock.now()
        try:
            said = frame_in(raw)
        except Unreadable as e:
            log.warning("a message of the stream cannot be read: %s", e)
            self._on_update(None)
            return
        if isinstance(said, Update):
            self._on_update(said.order)
        elif isinstance(said, Standing) and said.status != "authorized":
            raise LineLost(f"the stream calls us {said.status!r}")

    async def _received(self, socket: aiohttp.ClientWebSocketResponse) -> str | bytes:
        message = await socket.receive()
        if message.type in {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY}:
            data: str | bytes = message.data
            return data
        raise LineLost(f"the stream ended: {message.type.name} {socket.close_code}")

    def _lasted_s(self) -> float:
        return (self._clock.now() - self.standing.since) / 1_000

    def _stands(self, state: str, why: str | None) -> None:
        self.standing = LineState(state, why, self._clock.now())


def _read(raw: str | bytes) -> Standing | Listening | Update | None:
    try:
        return frame_in(raw)
    except Unreadable as e:
        raise LineLost(f"no greeting that can be read: {e}") from e
