"""A TCP proxy that loses answers and cuts lines, as networks do.

    client ──► proxy ──► server          cut()      every connection ends, now
    client ◄── proxy ◄── server          hold()     what the server says is swallowed
                                         hold(after=b"COMMIT")  only the next answer to that, and
                                                    then that connection is cut
                                         resume()   all is well again

A lost answer to COMMIT is the case that no client can tell from a commit that never was, and no
server can be asked to produce. It works in threads, so tests with and without a loop use it, and
a blocked test cannot block it.
"""

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Final, Self

CHUNK_BYTES: Final = 65536
CONNECT_S_MAX: Final = 5.0
# Close with a reset, as a network that is gone does, and leave no port waiting.
RESET: Final = struct.pack("ii", 1, 0)


class _Line:
    """One client's connection and ours to the server."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.loses_the_next = False

    def cut(self) -> None:
        for side in (self.client, self.server):
            with contextlib.suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                side.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.client.close()
        self.server.close()


class Proxy:
    """Stands before one server; `url` is what the client is told, `lost` counts lost answers."""

    def __init__(self, server: tuple[str, int], *, url: str = "{}", port: int = 0) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.url = url.format(self.address)
        self._lock = threading.Lock()
        self._lines: set[_Line] = set()
        self._holds = False
        self._after: bytes | None = None
        self.lost = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True, name="proxy").start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """End every connection of this moment; new ones are welcome."""
        with self._lock:
            lines = list(self._lines)
        for line in lines:
            line.cut()

    def hold(self, *, after: bytes | None = None) -> None:
        """Swallow what the server says, until `resume`; the client's words still reach it.

        With `after`, lose only the answer to the next words that contain it, and cut that line.
        """
        with self._lock:
            self._after = after
            self._holds = after is None

    def resume(self) -> None:
        """Let answers pass. Lines that lost some are cut: what they would say next is nonsense."""
        with self._lock:
            held, self._holds, self._after = self._holds, False, None
        if held:
            self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._server, CONNECT_S_MAX)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            line = _Line(client, server)
            with self._lock:
                self._lines.add(line)
            threading.Thread(target=self._serve, args=(line,), daemon=True, name="proxy").start()

    def _serve(self, line: _Line) -> None:
        answers = threading.Thread(target=self._answers, args=(line,), daemon=True, name="proxy")
        answers.start()
        with contextlib.suppress(OSError):
            while words := line.client.recv(CHUNK_BYTES):
                self._look_at(words, line)
                line.server.sendall(words)
        line.cut()
        answers.join()
        line.close()
        with self._lock:
            self._lines.discard(line)

    def _look_at(self, words: bytes, line: _Line) -> None:
        with self._lock:
            if self._after is not None and self._after in words:
                self._after = None
                line.loses_the_next = True

    def _answers(self, line: _Line) -> None:
        with contextlib.suppress(OSError):
            while words := line.server.recv(CHUNK_BYTES):
                if self._holds or line.loses_the_next:
                    self.lost += 1
                    if line.loses_the_next:
                        break
                else:
                    line.client.sendall(words)
        line.cut()
