"""A server process of our own: started, killed, frozen, thawed, ended.

It has its own session and its own directory, and one port over all its lives, so that a client
finds it again after a crash. The trap is a port among those that the kernel lends to clients: one
that calls a dead server again and again can be given that server's own port, and is then connected
with itself.
"""

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Final

from tests.servers import proc, remains
from tests.servers.remains import Owner, Unavailable

ASK_EVERY_S: Final = 0.01
# A reason stands in one line, and the last words of a log are the ones that say why.
SAID_CHARACTERS: Final = 300


def ask(port: int) -> None:
    """Raise unless somebody listens on the port."""
    socket.create_connection(("127.0.0.1", port), 0.2).close()


@dataclass(frozen=True, kw_only=True)
class Program:
    """How one server is run: `ready` raises until it serves; `end` is how it is asked to end."""

    name: str
    command: Sequence[str]
    directory: Path
    ready: Callable[[], None]
    owner: Owner | None = None
    end: signal.Signals = signal.SIGTERM
    start_s_max: float = 60.0
    # Kafka's own end takes a second or two; what has not ended by then hangs.
    end_s_max: float = 8.0

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def said(self) -> str:
        """Return the end of its log as one line."""
        words = self.log.read_text("utf-8", "replace").split() if self.log.exists() else []
        return " ".join(words)[-SAID_CHARACTERS:]


class Process:
    """One server's process, over several lives."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self._running: subprocess.Popen[bytes] | None = None
        self._orphans: list[int] = []

    def start(self) -> "Process":
        """Start it, where it does not run already; return when it serves."""
        if self.lives():
            return self
        if self._running is not None:
            self._bury()  # it ended by itself
        self._outlive_orphans()
        program = self.program
        with program.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - a server that we found, on our files
                program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=program.directory,
                start_new_session=True,
                **remains.as_owner(program.owner),
            )
        remains.started(self)
        remains.note(f"+p {self.pid} {int(program.end)}")
        self._wait_until_ready()
        return self

    def lives(self) -> bool:
        return self._running is not None and self._running.poll() is None

    @property
    def pid(self) -> int:
        assert self._running is not None, f"{self.program.name} was never started"
        return self._running.pid

    def kill(self) -> None:
        """End it as a crash does: SIGKILL. What it has forked ends by itself, soon after."""
        if self.lives():
            self._orphans = proc.descendants(self.pid)
            self._signal(signal.SIGKILL)
            self._bury()

    def ask_to_end(self) -> None:
        if self.lives():
            self._signal(signal.SIGCONT)
            self._signal(self.program.end)

    def stop(self) -> None:
        """Ask it to end, wait, and insist after a while. Its data stay."""
        if self._running is None:
            return
        self.ask_to_end()
        try:
            self._running.wait(self.program.end_s_max)
        except subprocess.TimeoutExpired:
            self.kill()
        self._bury()

    def discard(self) -> None:
        """Stop it and remove its data: it is not started again."""
        self.stop()
        remains.remove(self.program.directory)

    def wait_for_end(self) -> None:
        """Return when it has ended by itself: its sockets close a moment before that."""
        assert self._running is not None
        self._running.wait(self.program.end_s_max)

    @contextlib.contextmanager
    def freeze(self) -> Iterator[None]:
        """Hold it still: its sockets stay open, and nothing answers. It thaws at the end."""
        assert self.lives(), f"{self.program.name} does not run"
        held: list[int] = []
        try:
            held.append(self.pid)
            proc.hold(self.pid)
            # Then its children: before, it could have forked another behind our back.
            for child in proc.descendants(self.pid):
                held.append(child)
                proc.hold(child)
            yield
        finally:
            proc.thaw(held)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _bury(self) -> None:
        assert self._running is not None
        self._running.wait()
        remains.ended(self)
        remains.note(f"-p {self.pid}")

    def _wait_until_ready(self) -> None:
        name, give_up_at = self.program.name, perf_counter() + self.program.start_s_max
        why: object = None
        while perf_counter() < give_up_at:
            try:
                self.program.ready()
            except Exception as e:  # noqa: BLE001 - each client has its own errors for "not yet"
                why = e
            else:
                return
            if not self.lives():
                self._bury()
                raise Unavailable(f"{name} ended at its start: {self.program.said()}")
            sleep(ASK_EVERY_S)
        self.stop()
        waited = self.program.start_s_max
        raise Unavailable(f"{name} not ready in {waited} s ({why}): {self.program.said()}")

    def _outlive_orphans(self) -> None:
        """Wait for the children of a killed life: until they end, they hold what was its."""
        give_up_at = perf_counter() + self.program.end_s_max
        while any(map(proc.lives, self._orphans)) and perf_counter() < give_up_at:
            sleep(ASK_EVERY_S)
        for pid in filter(proc.lives, self._orphans):
            proc.tell(pid, signal.SIGKILL)
        self._orphans = []
