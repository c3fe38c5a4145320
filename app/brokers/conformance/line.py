"""A line of ours between adapter and broker, which can refuse, cut, stall, swallow and lie.

The adapter need not know of it: `KitLoop` leads every TCP connection that a case opens to this
relay, whatever library opens it, and TLS passes through unopened. A `Fault` acts on connections
that stand and on those to come.

The traps: an order that slips through while no order may. What `Fault.keeps` is never written to
the broker, not even in part. And a relay that closes before the broker has answered would make
the loss of a request out of the loss of an answer: here the answer is waited for, then dropped.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final

from app.brokers.conformance.talk import Talk

CHUNK: Final = 65_536
# Nobody looks for a key further on than this.
HEARD_BYTES_MAX: Final = 1 << 20
# A client that has gone away takes no answer, but the broker's work on it is not to be cut short.
ANSWER_S: Final = 1.0
LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
REQUEST: Final = re.compile(rb"[A-Z]{3,7} [^ \r\n]+ HTTP/1\.[01]\r\n")
HOSTS: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


class Fault(Enum):
    """What goes wrong on the line, and when. The second half of a value: it reaches the broker."""

    NONE = ("nothing goes wrong", True)
    NAMELESS = ("the name does not resolve", False)
    REFUSED = ("the connection is refused", False)
    UNMADE = ("the connection is never made", False)
    CUT_FIRST = ("the connection is cut before the first byte", False)
    CUT = ("the connection is cut when the request has left", False)
    SWALLOWED = ("the request vanishes, and nothing comes back", False)
    SPOKEN = ("somebody else answers", False)
    LOST = ("the broker answers, and the answer is lost with the connection", True)
    HALVED = ("the connection is cut in the middle of the answer", True)
    STALLED = ("the broker answers, and nothing comes back", True)

    @property
    def keeps(self) -> bool:
        """Whether nothing that a client says reaches the broker."""
        return not self.value[1]

    @property
    def cuts(self) -> bool:
        """Whether connections that stand are cut when it begins."""
        return self in CUTTING


CUTTING: Final = frozenset({Fault.NAMELESS, Fault.REFUSED, Fault.UNMADE})
LOSING: Final = frozenset({Fault.LOST, Fault.HALVED, Fault.STALLED})


class Passage:
    """One connection that went through the line."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.talk = Talk()
        self.heard = bytearray()
        self.told = bytearray()  # what the broker said on it, whether it came through or not
        self.spoke = False  # since the fault began
        self.answered = False  # since then
        self._writer = writer

    def cut(self) -> None:
        """End it as a broken network does, with a reset."""
        self._writer.transport.abort()

    def request_is_whole(self) -> bool:
        """Whether a request of HTTP is complete; of another dialect, whether there is any."""
        if not self.is_http:
            return True
        head, found, body = bytes(self.heard).partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        return bool(found) and len(body) >= (int(length[1]) if length else 0)

    @property
    def is_http(self) -> bool:
        return REQUEST.match(self.heard) is not None


class Line:
    """The relay of one case."""

    def __init__(self) -> None:
        self.fault = Fault.NONE
        self.says = b""  # what somebody else answers
        self.passages: list[Passage] = []
        self.tried = 0  # connections, the refused ones too
        self.resolved = 0  # names
        self._targets: dict[int, asyncio.Future[Any]] = {}  # by the client's own port
        self._servers: dict[int, asyncio.Server] = {}
        self._open: set[asyncio.StreamWriter] = set()
        self._is_closed = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._busy = 0

    async def open(self) -> None:
        """Listen on both loopbacks, where there are two."""
        for family, host in HOSTS.items():
            with suppress(OSError):
                self._servers[family] = await asyncio.start_server(self._serve, host, 0)

    async def close(self) -> None:
        """Cut what still stands, and wait until nobody works here."""
        self._is_closed = True
        for server in self._servers.values():
            server.close()
        for writer in self._open:
            writer.transport.abort()
        for target in self._targets.values():
            target.cancel()
        await self._quiet.wait()
        for server in self._servers.values():
            await server.wait_closed()

    def arm(self, fault: Fault, says: bytes = b"") -> None:
        """Let this go wrong from now on."""
        self.fault, self.says = fault, says
        for passage in self.passages:
            passage.spoke = passage.answered = False
            if fault.cuts:
                passage.cut()

    def carriers(self, key: str) -> int:
        """Return how many connections carried this key."""
        return sum(key.encode() in passage.heard for passage in self.passages)

    def mentions(self, key: str) -> int:
        """Return how often this key left, on whichever connection."""
        return sum(passage.heard.count(key.encode()) for passage in self.passages)

    @property
    def requests(self) -> int:
        """How many connections a client has spoken on."""
        return sum(bool(passage.heard) for passage in self.passages)

    @property
    def standing(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def is_sealed(self) -> bool:
        """Whether what passes is TLS, so that nobody here can read or answer it."""
        return any(passage.talk.is_tls for passage in self.passages)

    async def connect(
        self, plain: Callable[[Any, Any], Awaitable[None]], sock: socket.socket, target: Any
    ) -> None:
        """Connect a client's socket to us instead of its target."""
        self.tried += 1
        if self.fault is Fault.UNMADE:
            await asyncio.Event().wait()
        if self.fault is Fault.REFUSED or sock.family not in self._servers:
            raise ConnectionRefusedError(111, "refused by the line")
        await plain(sock, self._servers[sock.family].sockets[0].getsockname())
        self._target(sock.getsockname()[1]).set_result(target)

    def _target(self, port: int) -> "asyncio.Future[Any]":
        found = self._targets.get(port)
        if found is None:
            found = self._targets[port] = asyncio.get_running_loop().create_future()
        return found

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_closed:  # it was accepted before, and its client is gone
            writer.transport.abort()
            return
        LINE.set(None)  # the way from here to the broker is not to lead back to us
        self._busy += 1
        self._quiet.clear()
        self._open.add(writer)
        try:
            port = writer.get_extra_info("peername")[1]
            target = await self._target(port)
            del self._targets[port]
            await self._relay(reader, writer, target)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()
            self._busy -= 1
            if not self._busy:
                self._quiet.set()

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: Any
    ) -> None:
        passage = Passage(writer)
        self.passages.append(passage)
        if self.fault is Fault.CUT_FIRST:
            passage.cut()
            return
        broker_reader, broker = await asyncio.open_connection(*target[:2])
        self._open.add(broker)
        try:
            async with asyncio.TaskGroup() as ways:
                back = ways.create_task(self._back(passage, broker_reader, writer))
                await self._forth(passage, reader, writer, broker)
                if self._waits(passage):
                    await asyncio.wait([back], timeout=ANSWER_S)
                broker.transport.abort()
        except* OSError:
            writer.transport.abort()
        finally:
            self._open.discard(broker)
            broker.transport.abort()

    async def _forth(
        self,
        passage: Passage,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        broker: asyncio.StreamWriter,
    ) -> None:
        """Carry what the client says, as far as the fault lets it."""
        while data := await reader.read(CHUNK):
            greeting, words = passage.talk.split(data)
            broker.write(greeting)
            if words and self._heard(passage, words):
                broker.write(words)
            await broker.drain()
            if self.fault is Fault.CUT and words and passage.request_is_whole():
                passage.cut()
                return
            if self.fault is Fault.SPOKEN and passage.is_http and passage.request_is_whole():
                writer.write(self.says)
                await writer.drain()
                return

    def _waits(self, passage: Passage) -> bool:
        """Whether the broker works at an answer that is to be lost."""
        return self.fault in LOSING and passage.spoke and not passage.answered

    def _heard(self, passage: Passage, words: bytes) -> bool:
        """Note what a client said; return whether it goes on to the broker."""
        passage.spoke = True
        if len(passage.heard) < HEARD_BYTES_MAX:
            passage.heard += words
        return not self.fault.keeps

    async def _back(
        self, passage: Passage, broker: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry what the broker answers, as far as the fault lets it."""
        while data := await broker.read(CHUNK):
            if len(passage.told) < HEARD_BYTES_MAX:
                passage.told += data
            struck = self.fault in LOSING and passage.spoke
            passage.answered = struck
            if struck and self.fault is Fault.LOST:
                passage.cut()
                return
            if struck and self.fault is Fault.HALVED:
                writer.write(data[: max(1, len(data) // 2)])
                writer.close()
                return
            if not struck:
                writer.write(data)
        if self.fault is not Fault.STALLED:
            writer.close()


LINE: Final[ContextVar[Line | None]] = ContextVar("openbell-line", default=None)


class KitLoop(asyncio.SelectorEventLoop):
    """An event loop on which a case's connections lead through its line."""

    async def sock_connect(self, sock: Any, address: Any) -> None:
        line = LINE.get()
        if line is None or sock.family not in HOSTS:
            await super().sock_connect(sock, address)
            return
        await line.connect(super().sock_connect, sock, address)

    async def getaddrinfo(self, host: Any, port: Any, **hints: Any) -> Any:
        line = LINE.get()
        if line is not None:
            line.resolved += 1
            if line.fault is Fault.NAMELESS:
                raise socket.gaierror(socket.EAI_NONAME, "unknown to the line")
        return await super().getaddrinfo(host, port, **hints)
