"""A real terminal around a real process of ours: what it draws, and how it leaves."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import perf_counter

STYLES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-B0-9]|\r")
SECOND_SCREEN = ("\x1b[?1049h", "\x1b[?1049l")
SAYS_WITHIN_S = 30.0


class Screen:
    """What a process has drawn since the last look."""

    def __init__(self, process: "subprocess.Popen[bytes]", handle: int) -> None:
        self.process = process
        self.raw = ""
        self._handle = handle
        self._read_to = 0

    def says(self, *words: str) -> str:
        """Wait until all of the words were drawn after the last wait, and return what was."""
        ends_at = perf_counter() + SAYS_WITHIN_S
        while not all(word in self._fresh() for word in words):
            assert perf_counter() < ends_at, f"{words} not in:\n{self._fresh()[-3_000:]}"
            assert self._read(), f"it ended:\n{self._fresh()[-3_000:]}"
        found = self._fresh()
        self._read_to = len(self.raw)
        return found

    def press(self, keys: bytes) -> None:
        os.write(self._handle, keys)

    def ends(self) -> int:
        """Wait for the end, and return the exit code."""
        ends_at = perf_counter() + SAYS_WITHIN_S
        while self._read():  # what goes on drawing never falls silent
            assert perf_counter() < ends_at, f"it goes on:\n{self._fresh()[-3_000:]}"
        return self.process.wait(SAYS_WITHIN_S)

    def _fresh(self) -> str:
        return STYLES.sub("", self.raw[self._read_to :])

    def _read(self) -> bool:
        ready, _, _ = select.select([self._handle], [], [], SAYS_WITHIN_S)
        try:
            read = os.read(self._handle, 65_536) if ready else b""
        except OSError:  # the other end is closed
            read = b""
        self.raw += read.decode(errors="replace")
        return bool(read)


@contextmanager
def a_terminal(
    words: Sequence[str], environment: Mapping[str, str], columns: int = 80, rows: int = 24
) -> Iterator[Screen]:
    """Run `openbell` with these words in a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "app", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(environment),
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Screen(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
