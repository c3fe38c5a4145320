"""The record on disk: nothing is answered before it is written and fsynced here.

Requests that arrive while the disk works share the next fsync (group commit), which is what
makes it cheap. A write or an fsync that fails ends the process without an answer: repeating
an fsync after an error proves nothing.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from app.brokers.sim.messages import AuditLine, encode, read_line


class Audit:
    """An append-only file of JSON lines with one writer."""

    def __init__(self, path: Path, sync: Callable[[int], None] = os.fsync) -> None:
        _drop_torn_tail(path)
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._sync = sync
        self._lines: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self._work = asyncio.Event()

    async def commit(self, lines: Sequence[AuditLine]) -> None:
        """Return when these lines are on disk."""
        self._lines.extend(map(encode, lines))
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._work.set()
        await done

    async def run(self) -> None:
        """Carry lines to the disk, for ever. An error escapes and ends the process."""
        while True:
            await self._work.wait()
            self._work.clear()
            lines, self._lines = self._lines, []
            waiting, self._waiting = self._waiting, []
            await asyncio.to_thread(self._write, lines)
            for done in waiting:
                if not done.cancelled():
                    done.set_result(None)

    def close(self) -> None:
        os.close(self._file)

    def _write(self, lines: list[bytes]) -> None:
        rest = memoryview(b"".join(line + b"\n" for line in lines))
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self._sync(self._file)


def read_audit(path: Path) -> Iterator[AuditLine]:
    """Read the record back, oldest first; stop at a line that a crash tore."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield read_line(line)


def _drop_torn_tail(path: Path) -> None:
    """Cut what a crash left of a line: nobody was answered for it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - 65536)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)
