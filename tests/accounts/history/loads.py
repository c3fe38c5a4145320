"""Loads an archive in this process, so that a test need not start one, and looks at the result."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeVar

from app.accounts.history.ceiling import Ceilings, Change
from app.accounts.history.chunks import Chunks, Counts, Progress
from app.accounts.history.loader import Worker
from app.accounts.history.making import made
from app.accounts.history.plan import LoadPlan
from app.accounts.history.register import Register
from app.accounts.history.source import SourceFile, bound_to, files, read, slices
from app.accounts.history.totals import DayTotals, Tally
from app.accounts.mongo import Client, close_client, make_client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_shape import COLLECTION
from app.clock import SystemClock
from tests.eventually import ASK_EVERY_S

T = TypeVar("T")


@asynccontextmanager
async def client_of(plan: LoadPlan) -> AsyncIterator[Client]:
    client = make_client(plan.store.url, plan.store.driver)
    try:
        yield client
    finally:
        await close_client(client)


def with_client(plan: LoadPlan, work: Callable[[Client], Coroutine[Any, Any, T]]) -> T:
    async def life() -> T:
        async with client_of(plan) as client:
            return await work(client)

    return asyncio.run(life())


async def registered(
    plan: LoadPlan, client: Client, again: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Prepare a load; return the files that are refused."""
    await MongoAccountBook.open(client, plan.store.database)
    found = [file for file in files(plan.root) if isinstance(file, SourceFile)]
    return await Register(client, plan.store.database, plan.load).register(found, again)


async def set_ceiling(plan: LoadPlan, client: Client, number: int) -> None:
    ceilings = Ceilings(client, plan.store.database)
    assert await ceilings.change(Change(number, "a test", "tests"), await ceilings.now())


def worker(plan: LoadPlan, client: Client, name: str = "w-1") -> Worker:
    return Worker(name, plan, client, SystemClock())


def load(plan: LoadPlan, *, again: frozenset[str] = frozenset()) -> Counts:
    """Load all of it with one worker and a ceiling that is not felt; return the counts."""

    async def work(client: Client) -> Counts:
        assert await registered(plan, client, again) == {}
        await set_ceiling(plan, client, 1_000_000)
        await worker(plan, client).run()
        return (await progress(plan, client)).counts

    return with_client(plan, work)


async def progress(plan: LoadPlan, client: Client) -> Progress:
    return await Chunks(client, plan.store.database, plan.load).progress()


async def stored(plan: LoadPlan, client: Client) -> list[dict[str, Any]]:
    """Return all account documents, by id."""
    orders = client[plan.store.database][COLLECTION]
    return await orders.find({}).sort("_id", 1).to_list(None)


def documents(plan: LoadPlan) -> list[dict[str, Any]]:
    return with_client(plan, lambda client: stored(plan, client))


async def until(condition: Callable[[], Awaitable[object]], timeout_s: float = 20.0) -> None:
    """Ask a store until it says yes; `tests.eventually` asks what need not be awaited."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + timeout_s
    while not await condition():
        assert loop.time() < give_up_at, "it never came true"
        await asyncio.sleep(5 * ASK_EVERY_S)


def control_totals(plan: LoadPlan) -> dict[date, DayTotals]:
    """Return what the load itself has noted of what it loaded."""

    async def noted(client: Client) -> dict[date, DayTotals]:
        return Tally(await Chunks(client, plan.store.database, plan.load).totals()).days

    return with_client(plan, noted)


def expected_totals(plan: LoadPlan) -> dict[date, DayTotals]:
    """Read the archive from beginning to end, in one piece, and add it up."""
    tally = Tally()
    for file in files(plan.root):
        assert isinstance(file, SourceFile)
        bound = bound_to(plan.root, file.path, plan.mapping)
        for part in slices(file):
            for batch in read(plan.root, part, bound.columns):
                for _, document in made(batch, bound, None, range(len(batch.rows))).documents:
                    tally.add(document.document)
    return tally.days
