"""How much of the machine is left for orders: accepting, beside doing nothing, in one run.

    single orders over HTTP   beside   the same requests to a handler that does nothing
    batches over HTTP         beside   the ledger's own bulk insert, without a gateway

Each round has all of them, one after the other, so that a busy machine is busy for both sides
of a ratio; between them the gateway works off what it still owes (its events, the account view).

Where the settings name a PostgreSQL, the gateway keeps its orders there, in a database of its
own, and batches are compared with one statement in a loop, which has no gateway around it. The
store's own insert stands beside it, from one thread and from two. What carries the events has
benches of its own, so here it stays embedded.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from random import getrandbits
from typing import Any, Final, NamedTuple

from app.cli.asking.output import say
from app.cli.bench.load import Job
from app.cli.bench.machine import cpu_s, memory_mb, until_quiet
from app.cli.bench.raw import GROUP as RAW_GROUP
from app.cli.bench.raw import staged, take
from app.cli.bench.report import Figure, figure, ratio
from app.cli.bench.server import EMPTY
from app.cli.bench.servers import own_ledger
from app.cli.bench.store import Store, far_sessions, takings
from app.clock import SystemClock
from app.domain.records import Taking
from app.reference import load_calendar
from app.settings import inherited

BATCH: Final = 1_000
# Two: while one batch is on its way to disk, the other is read.
BATCH_CONNECTIONS: Final = 2
SINGLE_TARGET: Final = ">= 0.60"
BATCH_TARGET: Final = ">= 0.50"
EMBEDDED: Final = "store's own insert"
RANDOM_BITS: Final = 79  # a group's ids count on from here, and must not overflow
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


class Round(NamedTuple):
    """Everything once."""

    single: Measured
    empty: Measured
    batch: Measured
    alone: Mapping[str, float]
    memory_mb: float | None


class Alone(NamedTuple):
    """What takes orders without a gateway: `take` returns how many a second."""

    name: str
    take: Callable[[list[Taking]], float]


class Places(NamedTuple):
    """Where the gateway keeps its orders, and what stands beside it: the first is its measure."""

    settings: Mapping[str, str]
    alone: Sequence[Alone]


class Bench:
    """A gateway and a load, side by side."""

    def __init__(self, gateway: Any, load: Any, directory: Path) -> None:
        self._load = load
        self._gateway = gateway
        self._ready = json.loads(gateway.stdout.readline())
        keys = json.loads((directory / "gateway" / "first-keys.json").read_text("utf-8"))
        self._key = keys["client"]
        self._calendar = load_calendar()
        self._sessions = far_sessions(self._calendar)
        self._jobs = 0

    def post(self, path: str, requests: int, *, orders: int, connections: int) -> Measured:
        """Have the load post; refuse to measure a gateway that sheds."""
        pid = self._ready["pid"]
        until_quiet(pid)
        used = cpu_s(pid)
        told = self._posted(path, requests, orders, connections)
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

    def press(self, requests: int, rate: float, connections: int) -> dict[str, Any]:
        """Have so many single orders become due a second; return what the load saw."""
        until_quiet(self._ready["pid"])
        return self._posted("/v1/orders", requests, 1, connections, rate)

    def _posted(
        self, path: str, requests: int, orders: int, connections: int, rate: float = 0.0
    ) -> dict[str, Any]:
        self._jobs += 1
        name, port = f"job{self._jobs}", self._ready["port"]
        asked = (path, self._key, self._sessions, requests, orders, connections, rate)
        self._load.stdin.write(json.dumps(Job(name, port, *asked)._asdict()) + "\n")
        self._load.stdin.flush()
        told: dict[str, Any] = json.loads(self._load.stdout.readline())
        return told

    def prepared(self, orders: int) -> list[Taking]:
        """Return orders as a ledger takes them, whose ids no others of this run have."""
        self._jobs += 1
        return list(takings(orders, self._sessions, self._calendar, f"job{self._jobs}"))

    def memory_mb(self) -> float | None:
        return memory_mb(self._ready["pid"], "VmRSS")


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
def places(directory: Path, ledger_url: str | None) -> Iterator[Places]:
    """Lend the ledgers of one run: files in the directory, or databases of its own."""
    if ledger_url is None:
        with closing(Store(directory / "store")) as store:
            yield Places(
                {}, [Alone(EMBEDDED, lambda orders: len(orders) / store.take(iter(orders)))]
            )
        return
    with (
        own_ledger(ledger_url) as gateways,
        own_ledger(ledger_url) as bare,
        closing(Store(bare)) as store,
    ):
        alone = [Alone("raw statement", partial(_raw, bare))]
        for lanes in (1, 2):
            name = f"store's own insert, {lanes} at once"
            alone.append(Alone(name, partial(_taken, store, lanes)))
        yield Places({"OPENBELL_LEDGER_URL": gateways}, alone)


def _raw(url: str, orders: list[Taking]) -> float:
    now = SystemClock().now()
    groups = [
        staged(orders[start : start + RAW_GROUP], now, getrandbits(RANDOM_BITS))
        for start in range(0, len(orders), RAW_GROUP)
    ]
    return take(url, groups, len(orders))


def _taken(store: Store, lanes: int, orders: list[Taking]) -> float:
    return len(orders) / store.take(iter(orders), group=RAW_GROUP, lanes=lanes)


@contextmanager
def opened(directory: Path, settings: Mapping[str, str], *, view: bool) -> Iterator[Bench]:
    """Start a gateway and a load; end both, by their own ids."""
    settings = {
        "OPENBELL_DATA_DIR": str(directory / "gateway"),
        "OPENBELL_PORT": "0",
        "OPENBELL_VIEW": str(view).lower(),
        **settings,
    }
    pipe = subprocess.PIPE
    gateway = subprocess.Popen(
        [sys.executable, "-m", "app.cli.bench.server"],
        env=inherited() | settings,
        stdout=pipe,
        text=True,
    )
    load = subprocess.Popen(
        [sys.executable, "-m", "app.cli.bench.load"], stdin=pipe, stdout=pipe, text=True
    )
    try:
        yield Bench(gateway, load, directory)
    finally:
        for process in (load, gateway):
            process.kill()
            process.communicate()


def measure(directory: Path, sizes: Sizes, ledger_url: str | None = None) -> list[Figure]:
    """Run all rounds; return the figures."""
    rounds = []
    with (
        places(directory, ledger_url) as where,
        opened(directory, where.settings, view=sizes.view) as bench,
    ):
        bench.post("/v1/orders", sizes.connections, orders=1, connections=sizes.connections)
        for one in reversed(where.alone):  # the store first, for it makes the tables of the day
            one.take(bench.prepared(BATCH))
        for number in range(1, sizes.rounds + 1):
            say(f"round {number} of {sizes.rounds}")
            rounds.append(_round(bench, where.alone, sizes))
    return figures(rounds)


def _round(bench: Bench, alone: Sequence[Alone], sizes: Sizes) -> Round:
    lines = {"orders": 1, "connections": sizes.connections}
    single = bench.post("/v1/orders", sizes.singles, **lines)
    empty = bench.post(EMPTY, sizes.singles, **lines)
    lines = {"orders": BATCH, "connections": BATCH_CONNECTIONS}
    batch = bench.post("/v1/orders/batch", sizes.batches, **lines)
    rates = {one.name: one.take(bench.prepared(sizes.batches * BATCH)) for one in alone}
    return Round(single, empty, batch, rates, bench.memory_mb())


def figures(rounds: Sequence[Round]) -> list[Figure]:
    """Return what the rounds say, the ratios first."""
    over_http = {
        "single orders": [r.single for r in rounds],
        "empty handler": [r.empty for r in rounds],
        "batches of 1,000": [r.batch for r in rounds],
    }
    single, nothing, batch = map(_rates, over_http.values())
    found = [ratio("single order / empty handler", single, nothing, SINGLE_TARGET)]
    for place, name in enumerate(rounds[0].alone):
        rates = [r.alone[name] for r in rounds]
        found.append(ratio(f"batch / the {name}", batch, rates, "" if place else BATCH_TARGET))
    for name, posted in over_http.items():
        found += figure(f"{name}: rate", "a second", _rates(posted))
    for name in rounds[0].alone:
        found += figure(f"{name}: rate", "a second", [r.alone[name] for r in rounds])
    for name, posted in over_http.items():
        each = [m.gateway_us for m in posted]
        found += figure(f"{name}: gateway's processor", "µs each", each)
    for name in ("single orders", "batches of 1,000"):
        found += figure(f"{name}: p50", "ms", [m.p50_ms for m in over_http[name]])
        found += figure(f"{name}: p99", "ms", [m.p99_ms for m in over_http[name]])
    found += figure("gateway's memory after a round", "MB", [r.memory_mb for r in rounds])
    busy = [m.load_busy for r in rounds for m in (r.single, r.empty)]
    return found + figure("load process: share of a core", "share", busy, "< 0.9, or it limits")


def _rates(rounds: Sequence[Measured]) -> list[float]:
    return [measured.per_second for measured in rounds]
