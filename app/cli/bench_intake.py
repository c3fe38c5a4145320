"""How much of the machine is left for orders: accepting, beside doing nothing, in one run.

    single orders over HTTP   beside   the same requests to a handler that does nothing
    batches over HTTP         beside   the ledger's own bulk insert, without a gateway

Each round has all four, one after the other, so that a busy machine is busy for both sides of
a ratio; between them the gateway works off what it still owes (its events, the account view).
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.cli.bench_load import Job
from app.cli.bench_machine import cpu_s, until_quiet
from app.cli.bench_report import Figure, figure, ratio
from app.cli.bench_server import EMPTY
from app.cli.bench_store import Store, far_sessions, takings
from app.cli.output import say
from app.reference import load_calendar
from app.settings import inherited

BATCH: Final = 1_000
# Two: while one batch is on its way to disk, the other is read.
BATCH_CONNECTIONS: Final = 2
SINGLE_TARGET: Final = ">= 0.60"
BATCH_TARGET: Final = ">= 0.50"
MILLION: Final = 1_000_000


class Sizes(NamedTuple):
    """How much of everything one run does."""

    rounds: int
    singles: int
    batches: int
    connections: int
    view: bool


class Measured(NamedTuple):
    """One half of a round."""

    per_second: float
    gateway_us: float | None  # processor time of the gateway for one order
    load_busy: float
    p50_ms: float
    p99_ms: float


class Bench:
    """A gateway, a load and a bare ledger, side by side."""

    def __init__(self, gateway: Any, load: Any, directory: Path) -> None:
        self._load = load
        self._gateway = gateway
        self._ready = json.loads(gateway.stdout.readline())
        keys = json.loads((directory / "gateway" / "first-keys.json").read_text("utf-8"))
        self._key = keys["client"]
        self._calendar = load_calendar()
        self._sessions = far_sessions(self._calendar)
        self._store = Store(directory / "store")
        self._jobs = 0

    def post(self, path: str, requests: int, *, orders: int, connections: int) -> Measured:
        """Have the load post; refuse to measure a gateway that sheds."""
        self._jobs += 1
        port, pid = self._ready["port"], self._ready["pid"]
        name = f"job{self._jobs}"
        job = Job(name, port, path, self._key, self._sessions, requests, orders, connections)
        until_quiet(pid)
        used = cpu_s(pid)
        self._load.stdin.write(json.dumps(job._asdict()) + "\n")
        self._load.stdin.flush()
        told = json.loads(self._load.stdout.readline())
        why = shed(told["statuses"], path, requests, orders)
        if why:
            raise RuntimeError(why)
        until_quiet(pid)  # what an order costs after its answer is part of what it costs
        spent = cpu_s(pid)
        count = requests * orders
        gateway_us = None if used is None or spent is None else (spent - used) * MILLION / count
        return Measured(
            count / told["wall_s"], gateway_us, told["load_busy"], told["p50_ms"], told["p99_ms"]
        )

    def insert(self, orders: int) -> float:
        """Take orders with the bare ledger; return how many a second."""
        self._jobs += 1
        prepared = list(takings(orders, self._sessions, self._calendar, f"job{self._jobs}"))
        return orders / self._store.take(iter(prepared))

    def close(self) -> None:
        self._store.close()


def shed(statuses: Mapping[str, int], path: str, requests: int, orders: int) -> str:
    """Return what is wrong if not every order was taken: a refusal is quick, and no figure."""
    if path == EMPTY:
        wanted = {"200": requests}
    elif orders == 1:
        wanted = {"201": requests}
    else:
        wanted = {"200": requests, "whole": requests}
    if statuses == wanted:
        return ""
    return f"{path}: expected {wanted}, was answered {dict(statuses)}"


@contextmanager
def opened(directory: Path, *, view: bool) -> Iterator[Bench]:
    """Start a gateway and a load; end both, by their own ids."""
    settings = {
        "OPENBELL_DATA_DIR": str(directory / "gateway"),
        "OPENBELL_PORT": "0",
        "OPENBELL_VIEW": str(view).lower(),
    }
    pipe = subprocess.PIPE
    gateway = subprocess.Popen(
        [sys.executable, "-m", "app.cli.bench_server"],
        env=inherited() | settings,
        stdout=pipe,
        text=True,
    )
    load = subprocess.Popen(
        [sys.executable, "-m", "app.cli.bench_load"], stdin=pipe, stdout=pipe, text=True
    )
    try:
        bench = Bench(gateway, load, directory)
        try:
            yield bench
        finally:
            bench.close()
    finally:
        for process in (load, gateway):
            process.kill()
            process.communicate()


def measure(directory: Path, sizes: Sizes) -> list[Figure]:
    """Run all rounds; return the figures."""
    singles: list[Measured] = []
    empties: list[Measured] = []
    batches: list[Measured] = []
    inserts: list[float] = []
    with opened(directory, view=sizes.view) as bench:
        bench.post("/v1/orders", sizes.connections, orders=1, connections=sizes.connections)
        for number in range(1, sizes.rounds + 1):
            say(f"round {number} of {sizes.rounds}")
            lines = {"orders": 1, "connections": sizes.connections}
            singles.append(bench.post("/v1/orders", sizes.singles, **lines))
            empties.append(bench.post(EMPTY, sizes.singles, **lines))
            lines = {"orders": BATCH, "connections": BATCH_CONNECTIONS}
            batches.append(bench.post("/v1/orders/batch", sizes.batches, **lines))
            inserts.append(bench.insert(sizes.batches * BATCH))
    return figures(singles, empties, batches, inserts)


def figures(
    singles: Sequence[Measured],
    empties: Sequence[Measured],
    batches: Sequence[Measured],
    inserts: Sequence[float],
) -> list[Figure]:
    """Return what the rounds say, the ratios first."""
    rates = {
        "single orders": singles,
        "empty handler": empties,
        "batches of 1,000": batches,
    }
    single, nothing = _rates(singles), _rates(empties)
    found = [
        ratio("single order / empty handler", single, nothing, SINGLE_TARGET),
        ratio("batch / the store's own insert", _rates(batches), inserts, BATCH_TARGET),
    ]
    for name, rounds in rates.items():
        found += figure(f"{name}: rate", "a second", _rates(rounds))
    found += figure("store's own insert: rate", "a second", inserts)
    for name, rounds in rates.items():
        found += figure(f"{name}: gateway's processor", "µs each", [m.gateway_us for m in rounds])
    found += figure("single orders: p50", "ms", [m.p50_ms for m in singles])
    found += figure("single orders: p99", "ms", [m.p99_ms for m in singles])
    busy = [m.load_busy for m in (*singles, *empties)]
    return found + figure("load process: share of a core", "share", busy, "< 0.9, or it limits")


def _rates(rounds: Sequence[Measured]) -> list[float]:
    return [measured.per_second for measured in rounds]
