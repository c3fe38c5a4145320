"""How fast a full book leaves when nothing holds it back, and what waiting costs in memory.

Every size is sent with the account view and without. Right before each run the adapter alone
sends to the same broker, with no ledger and no bell, so that one sees how much of the figure is
the gateway's.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from shutil import copytree, rmtree
from time import perf_counter
from typing import Final, NamedTuple

from app.brokers.http import HttpBroker
from app.cli.asking.output import say
from app.cli.bench.bell import BROKER, SECRET, Bell, Book
from app.cli.bench.report import Figure, figure
from app.cli.bench.store import fill
from app.clock import SystemClock
from app.domain.messages import Accepted, Submission
from app.domain.values import OrderType, Side, TimeInForce

TARGET: Final = ">= 5,000"
FLAT: Final = "0: flat"
# More than any gateway sends: there is no limit in this bench, but the settings want a number.
RATE: Final = 1_000_000
# At a tenth of the target a run that still moves is given its time; one that does not ends.
PATIENCE_S: Final = 60.0
SLOWEST: Final = 500
ALONE: Final = 10_000
VIEWS: Final = {True: "view on", False: "view off"}


class Full(NamedTuple):
    """A ledger with a book, to be copied: every run finds the same one."""

    data_dir: Path
    sessions: dict[str, str]
    orders: int


class Run(NamedTuple):
    """One size, one way."""

    orders: int
    view: bool
    bell: Bell
    alone: float  # the adapter and this run's broker, before the gateway came


def measure(directory: Path, sizes: Sequence[int], rounds: int) -> list[Figure]:
    """Run every size both ways; the smallest size in `rounds`, for how far rounds lie apart."""
    runs: list[Run] = []
    preload: list[float] = []
    for size in sorted(sizes):
        say(f"{size:,} orders into the ledger")
        full = directory / f"full-{size}"
        full.mkdir(parents=True)
        sessions, rate = fill(full, size)
        preload.append(rate)
        for number in range(1, (rounds if size == min(sizes) else 1) + 1):
            for view, name in VIEWS.items():
                say(f"{size:,} orders, {name}, round {number}")
                runs.append(one(directory / "run", Full(full, sessions, size), view=view))
        rmtree(full)
    return figures(runs, preload)


def one(directory: Path, full: Full, *, view: bool) -> Run:
    """Ring the bell of a copy of a full book, and wait for the last answer."""
    copytree(full.data_dir, directory / "data")
    book = Book(directory, full.sessions, rate=RATE)
    try:
        alone = asyncio.run(_send(book.broker_url, min(full.orders, ALONE)))
        book.ring(unlimited="true", view=str(view).lower())
        book.until_answered(full.orders, PATIENCE_S + full.orders / SLOWEST)
        return Run(full.orders, view, book.outcome(full.orders), alone)
    finally:
        book.close()
        rmtree(directory)


async def _send(url: str, orders: int) -> float:
    broker = HttpBroker(name=BROKER, url=url, secret=SECRET, clock=SystemClock())
    step = broker.capabilities.batch_max
    batches = iter(
        [
            [_submission(number) for number in range(start, min(start + step, orders))]
            for start in range(0, orders, step)
        ]
    )

    async def line() -> None:
        for batch in batches:
            answers = await broker.submit(batch)
            assert all(isinstance(answer, Accepted) for answer in answers)

    began = perf_counter()
    async with asyncio.TaskGroup() as lines:
        for _ in range(broker.capabilities.max_in_flight):
            lines.create_task(line())
    rate = orders / (perf_counter() - began)
    await broker.close()
    return rate


def _submission(number: int) -> Submission:
    return Submission(
        f"{number:028d}",
        f"A-{number % 500:06d}",
        "AAPL",
        "XNAS",
        Side.BUY,
        OrderType.LIMIT,
        Decimal(10),
        Decimal("185.50"),
        "USD",
        TimeInForce.DAY,
    )


def figures(runs: Sequence[Run], preload: Sequence[float]) -> list[Figure]:
    """Return what the runs say: by size and way, then what waiting costs."""
    found: list[Figure] = []
    for size in sorted({run.orders for run in runs}):
        for view, name in VIEWS.items():
            bells = [run.bell for run in runs if (run.orders, run.view) == (size, view)]
            title = f"{size:,}, {name}"
            found += figure(f"{title}: answered", "a second", [b.answered for b in bells], TARGET)
            found += figure(f"{title}: sent", "a second", [b.sent for b in bells])
            found += figure(f"{title}: released", "a second", [b.released for b in bells])
            found += figure(f"{title}: memory before the bell", "MB", [b.before_mb for b in bells])
            found += figure(f"{title}: peak memory", "MB", [b.peak_mb for b in bells])
    for view, name in VIEWS.items():
        each = _bytes_each([run for run in runs if run.view is view])
        found += figure(f"{name}: memory of one more waiting order", "bytes", each, FLAT)
    for view, name in VIEWS.items():
        own = [run for run in runs if run.view is view]
        shares = [run.bell.answered / run.alone for run in own]
        found += figure(f"{name}: answered / the adapter alone", "ratio", shares)
    found += figure("the adapter alone, no ledger", "a second", [run.alone for run in runs])
    return found + figure("preload of the ledger", "a second", preload)


def _bytes_each(runs: Sequence[Run]) -> list[float]:
    """Return what each order more took at the peak, from each size to the next larger one."""
    peaks: dict[int, float] = {}
    for run in runs:
        if run.bell.peak_mb is not None:
            peaks[run.orders] = max(peaks.get(run.orders, 0.0), run.bell.peak_mb)
    sizes = sorted(peaks)
    return [
        (peaks[larger] - peaks[smaller]) * 1e6 / (larger - smaller)
        for smaller, larger in pairwise(sizes)
    ]
