"""What open consoles cost: a full book is sent with nobody looking, and with many who look.

Both halves of a round are the same bell on copies of the same ledger, one right after the other
and in turns which comes first, so that a busy machine is busy for both. The consoles are real
ones as far as the gateway can tell: each signs in with a key, loads the page and reads its own
stream to the end of the run. What a browser would spend on drawing is not measured here.

Beside orders a second stands the gateway's own processor time: on a machine that has other work
the first swings, and the second says what was really spent. What the consoles took of one core
is the difference of a round's halves over the seconds that they looked.
"""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, rmtree
from time import monotonic, sleep
from typing import Any, Final, NamedTuple

import aiohttp

from app.cli.asking.output import say
from app.cli.bench.bell import Book
from app.cli.bench.dispatch import PATIENCE_S, RATE, SLOWEST, Full
from app.cli.bench.machine import cpu_s
from app.cli.bench.report import Figure, figure, ratio
from app.cli.bench.store import fill

TARGET: Final = ">= 0.95"
OPEN_S_MAX: Final = 20.0
CHUNK: Final = 65_536


class Half(NamedTuple):
    """One bell: how fast, and what the gateway and its consoles had of it."""

    answered: float
    cpu_s: float | None
    took_s: float
    events: int
    bytes_a_console: float


class Consoles:
    """So many consoles that look, until they are told to stop."""

    def __init__(self, url: str, key: str, count: int) -> None:
        self._url, self._key, self._count = url, key, count
        self._stop = threading.Event()
        self._begun = 0
        self.events = 0
        self.bytes = 0

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look from a thread; return once every console has its first event."""
        thread = threading.Thread(target=lambda: asyncio.run(self._look()), daemon=True)
        thread.start()
        deadline = monotonic() + OPEN_S_MAX
        try:
            while self._begun < self._count:
                if monotonic() > deadline or not thread.is_alive():
                    raise TimeoutError(f"{self._begun} of {self._count} consoles came in")
                sleep(0.05)
            yield
        finally:
            self._stop.set()
            thread.join()

    async def _look(self) -> None:
        tasks = []
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one()) for _ in range(self._count)]
            while not self._stop.is_set():  # noqa: ASYNC110 - it is set in another thread
                await asyncio.sleep(0.05)
            for task in tasks:
                task.cancel()

    async def _one(self) -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # loopback has no name
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            form, ours = {"key": self._key}, {"origin": self._url}
            async with session.post(
                f"{self._url}/console/login", data=form, headers=ours, allow_redirects=True
            ) as page:
                page.raise_for_status()
                await page.read()
            wait = aiohttp.ClientTimeout(total=None)
            async with session.get(f"{self._url}/console/stream", timeout=wait) as stream:
                stream.raise_for_status()
                await self._read(stream)

    async def _read(self, stream: aiohttp.ClientResponse) -> None:
        first = True
        async for chunk in stream.content.iter_chunked(CHUNK):
            found = chunk.count(b"event: screen")
            self.events += found
            self.bytes += len(chunk)
            if found and first:
                first = False
                self._begun += 1


def measure(directory: Path, orders: int, consoles: int, rounds: int) -> list[Figure]:
    """Run each round both ways, and return what was lost."""
    say(f"{orders:,} orders into the ledger")
    data = directory / "full"
    data.mkdir(parents=True)
    sessions, _ = fill(data, orders)
    full = Full(data, sessions, orders)
    without: list[Half] = []
    watched: list[Half] = []
    for number in range(1, rounds + 1):
        halves = [(0, without), (consoles, watched)]
        for count, found in halves if number % 2 else reversed(halves):
            say(f"round {number}: {count} consoles")
            found.append(one(directory / "run", full, count))
    rmtree(data)
    return figures(without, watched, consoles)


def one(directory: Path, full: Full, consoles: int) -> Half:
    """Ring the bell of a copy of a full book while so many look, and wait for the last answer."""
    copytree(full.data_dir, directory / "data")
    book = Book(directory, full.sessions, rate=RATE)
    try:
        book.start(unlimited="true", view="false")
        looked = Consoles(book.stage.url, _key(directory), consoles)
        with looked.looking():
            before, began = cpu_s(book.pid), monotonic()
            book.move_bells()
            book.until_answered(full.orders, PATIENCE_S + full.orders / SLOWEST)
            after, took = cpu_s(book.pid), monotonic() - began
        spent = None if before is None or after is None else after - before
        each = looked.bytes / consoles if consoles else 0.0
        return Half(book.outcome(full.orders).answered, spent, took, looked.events, each)
    finally:
        book.close()
        rmtree(directory)


def _key(directory: Path) -> str:
    keys: dict[str, Any] = json.loads((directory / "data" / "first-keys.json").read_text())
    return str(keys["operator"])


def figures(without: Sequence[Half], watched: Sequence[Half], consoles: int) -> list[Figure]:
    """Return both rates, their ratio, and what was spent."""
    names = ("nobody looks", f"{consoles} consoles")
    rates = [[half.answered for half in halves] for halves in (without, watched)]
    found = [
        ratio(f"answered, {names[1]} / {names[0]}", rates[1], rates[0], TARGET),
    ]
    for name, halves in zip(names, (without, watched), strict=True):
        found += figure(f"{name}: answered", "a second", [half.answered for half in halves])
        found += figure(f"{name}: gateway's processor", "s", [half.cpu_s for half in halves])
    core = [
        None if a.cpu_s is None or b.cpu_s is None else (a.cpu_s - b.cpu_s) / a.took_s
        for a, b in zip(watched, without, strict=True)
    ]
    found += figure(f"{names[1]}: of one core", "ratio", core)
    found += figure("events read", "in all", [float(half.events) for half in watched])
    return found + figure("read by one console", "bytes", [h.bytes_a_console for h in watched])
