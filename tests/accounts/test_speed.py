"""How fast events are published and projected: `pytest -m bench -s tests/accounts`.

Each number is taken twice: on an idle loop, and beside a task that takes all of the loop that it
can get and makes a system call each 0.1 ms, as the intake does at the open. The second has no
budget: a thread that waits for Python's lock beside such a loop depends on who else wants the
cores, and so the number says as much about the machine's other tenants as about this code.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.accounts.projector import Projector
from app.accounts.sqlite import SqliteAccountBook
from app.bus.log import LogBus
from app.clock import SystemClock
from app.ports import Event
from app.sqlite import Database
from tests.accounts.orders import an_order, event

EVENTS = 20_000
PUBLISHED_AT_ONCE = 500
PUBLISHED_PER_S_MIN = 25_000
PROJECTED_PER_S_MIN = 15_000
CLOCK = SystemClock()

pytestmark = pytest.mark.bench


@asynccontextmanager
async def neighbour(*, busy: bool) -> AsyncIterator[None]:
    """Run a task beside it that is always ready: eight small requests a turn."""
    reader, writer = os.pipe()

    async def spin() -> None:
        while True:
            for _ in range(8):
                sum(range(3_000))
                os.write(writer, b"an answer")
                os.read(reader, 100)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as tasks:
        spinning = tasks.create_task(spin()) if busy else None
        yield
        if spinning is not None:
            spinning.cancel()
    os.close(reader)
    os.close(writer)


async def per_second(work: Callable[[], Awaitable[None]]) -> int:
    started = CLOCK.monotonic_ns()
    await work()
    return int(EVENTS / ((CLOCK.monotonic_ns() - started) / 1e9))


async def measured(home: Path, *, busy: bool) -> tuple[int, int]:
    events = [
        event(an_order(number % 9_999, account_id=f"acc-{number % 500}", version=number // 9_999))
        for number in range(EVENTS)
    ]
    databases = Database(home / "bus.db"), Database(home / "accounts.db")
    bus, book = LogBus(databases[0], CLOCK), SqliteAccountBook(databases[1])
    projector = Projector(bus, book)
    async with neighbour(busy=busy):
        published = await per_second(lambda: publish(bus, events))
        projected = await per_second(lambda: project(projector))
    for database in databases:
        database.close()
    return published, projected


async def publish(bus: LogBus, events: list[Event]) -> None:
    for start in range(0, EVENTS, PUBLISHED_AT_ONCE):
        await bus.publish(events[start : start + PUBLISHED_AT_ONCE])


async def project(projector: Projector) -> None:
    while await projector.step():
        pass


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_events_a_second(tmp_path: Path, *, busy: bool) -> None:
    published, projected = asyncio.run(measured(tmp_path, busy=busy))
    beside = "a busy loop" if busy else "an idle loop"
    print(f"\nbeside {beside}: published {published:,}/s, projected {projected:,}/s")  # noqa: T201

    assert busy or published >= PUBLISHED_PER_S_MIN
    assert busy or projected >= PROJECTED_PER_S_MIN
