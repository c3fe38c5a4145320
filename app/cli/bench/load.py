"""The load of a bench, in a process of its own: so many connections, each always waiting.

With a rate it is an open loop instead: a request is due at its time whoever waits for an answer,
and what it took is counted from then. A closed loop would be polite to a gateway that is slow.

It reads one job a line on stdin and answers with one line. Requests are finished bytes before
the clock starts, and a reply is only looked at where its length and its status stand, so that
the load takes as little of the machine as it can; what it took it reports.
"""

import asyncio
import gc
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple, cast

from app.cli.stage.book import reserved_book

HEAD: Final = "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
TYPE: Final = "content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
LENGTH: Final = b"content-length: "
END: Final = b"\r\n\r\n"
STATUS: Final = slice(9, 12)
# How exactly an open loop keeps its time; a request that is late waits from when it was due.
TICK_S: Final = 0.001


class Job(NamedTuple):
    """One measurement: `requests` of `orders` each (1: a single order) to one path."""

    name: str  # no two jobs of one gateway share it: it is part of each client_order_id
    port: int
    path: str
    key: str
    sessions: dict[str, str]
    requests: int
    orders: int
    connections: int
    rate: float = 0.0  # so many become due a second; 0: each when the one before is answered


def orders_of(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the orders of a job, under ids that no other job has."""
    for number, order in enumerate(reserved_book(job.requests * job.orders, job.sessions)):
        yield order | {"client_order_id": f"{job.name}-{number}"}


def bodies(job: Job) -> Iterator[bytes]:
    """Yield what is posted, one after the other."""
    orders = orders_of(job)
    for _ in range(job.requests):
        if job.orders == 1:
            yield json.dumps(next(orders)).encode()
        else:
            yield json.dumps({"orders": [next(orders) for _ in range(job.orders)]}).encode()


def requests(job: Job) -> list[bytes]:
    """Return every request of a job as it will stand on the wire."""
    head = HEAD.format(path=job.path, key=job.key)
    return [(head + TYPE.format(length=len(body))).encode() + body for body in bodies(job)]


class Run:
    """What all connections share: the rest of the work, and what came back."""

    def __init__(self, work: list[bytes], marks: Mapping[str, bytes]) -> None:
        self._work = iter(work)
        self._left = len(work)
        self._marks = marks
        self.statuses: Counter[str] = Counter()
        self.taken_s: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def next(self) -> tuple[bytes, float] | None:
        """Return what leaves next, and since when it is due; None if nothing is."""
        request = next(self._work, None)
        return None if request is None else (request, perf_counter())

    def rests(self, line: "Line") -> None:
        """Hear of a line that had nothing to send."""

    async def end(self) -> None:
        """Return when the last answer has come."""
        await self.done

    def answered(self, reply: bytes, taken_s: float) -> None:
        status = reply[STATUS].decode()
        self.statuses[status] += 1
        for name, mark in self._marks.items():
            self.statuses[name] += mark in reply
        self.taken_s.append(taken_s)
        self._left -= 1
        if not self._left and not self.done.done():
            self.done.set_result(None)

    def broken(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(why))


class Paced(Run):
    """Requests that become due at their time."""

    def __init__(self, work: list[bytes], marks: Mapping[str, bytes], rate: float) -> None:
        super().__init__(work, marks)
        self._step_s = 1 / rate
        self._due: float | None = None
        self._unsent = len(work)
        self._resting: list[Line] = []

    def next(self) -> tuple[bytes, float] | None:
        since = self._due = perf_counter() if self._due is None else self._due
        if not self._unsent or since > perf_counter():
            return None
        self._unsent -= 1
        self._due += self._step_s
        return next(self._work), since

    def rests(self, line: "Line") -> None:
        self._resting.append(line)

    async def end(self) -> None:
        while self._unsent and not self.done.done():
            while self._resting and self._unsent and (self._due or 0) <= perf_counter():
                self._resting.pop().send()
            await asyncio.sleep(TICK_S)
        await self.done


class Line(asyncio.Protocol):
    """One connection: its next request leaves when its last one is answered."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._heard = b""
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are write transports that do not say so.
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._run.broken(f"the gateway hung up: {error}")

    def send(self) -> None:
        found = self._run.next()
        if found is None:
            self._run.rests(self)
            return
        request, self._since = found
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._heard = self._heard + data if self._heard else data
        end = self._heard.find(END)
        if end < 0:
            return
        at = self._heard.find(LENGTH, 0, end) + len(LENGTH)
        length = int(self._heard[at : self._heard.index(b"\r", at)])
        if len(self._heard) < end + len(END) + length:
            return
        reply, self._heard = self._heard, b""
        self._run.answered(reply, perf_counter() - self._since)
        self.send()

    def close(self) -> None:
        self._transport.close()


async def run(job: Job) -> dict[str, Any]:
    """Do one job; the clock runs from the first request to the last answer."""
    work = requests(job)
    whole = b'"accepted":%d,' % job.orders
    marks = {"whole": whole} if job.orders > 1 else {}
    run = Paced(work, marks, job.rate) if job.rate else Run(work, marks)
    loop = asyncio.get_running_loop()
    lines = [
        (await loop.create_connection(lambda: Line(run), "127.0.0.1", job.port))[1]
        for _ in range(job.connections)
    ]
    gc.collect()
    began, used = perf_counter(), process_time()
    for line in lines:
        line.send()
    await run.end()
    wall_s, cpu_s = perf_counter() - began, process_time() - used
    for line in lines:
        line.close()
    taken = sorted(run.taken_s)
    return {
        "wall_s": wall_s,
        "load_busy": cpu_s / wall_s,
        "statuses": dict(run.statuses),
        "p50_ms": taken[len(taken) // 2] * 1_000,
        "p99_ms": taken[len(taken) * 99 // 100] * 1_000,
    }


def main() -> None:
    """Do jobs until there are no more."""
    import uvloop

    gc.disable()  # between the jobs is early enough
    for line in sys.stdin:
        told = uvloop.run(run(Job(**json.loads(line))))
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
