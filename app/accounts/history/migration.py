"""One load from its beginning to its end: survey, register, work, tell.

    files' footers ─► chunks in the store ─► N workers ─► what came of it

It does no loading itself: it watches. Everything that matters stands in the store, so a second
load of the same source may join from another machine, and one that died is simply started again.

The trap is a load that ends with a success which it only assumed: so the end is read from the
store, and whatever was refused, broken, failed or left over is told, each with its reason.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from app.accounts.history.chunks import Chunks, Progress
from app.accounts.history.crew import Crew
from app.accounts.history.plan import LoadPlan
from app.accounts.history.register import Register
from app.accounts.history.source import Broken, SourceFile, files
from app.accounts.history.view import AccountView
from app.accounts.mongo import Client
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_faults import away_by_its_name
from app.ports.away import StoreAway

LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a load."""

    progress: Progress
    broken: list[Broken]  # files that cannot be read at all
    refused: dict[str, str]  # files that contradict what was loaded of them
    failures: list[dict[str, Any]]  # chunks that could not be loaded
    deaths: list[int]  # exit codes of workers that died

    @property
    def is_whole(self) -> bool:
        """Whether every row of every file is in the store, or on or after the cut-over."""
        return self.is_over and not self.progress.counts.rejected

    @property
    def is_over(self) -> bool:
        """Whether nothing is left that a repetition of the same command would load."""
        return not (self.progress.open or self.broken or self.refused or self.failures)


async def migrate(
    plan: LoadPlan,
    workers: int,
    client: Client,
    told: Callable[[Progress], None],
    *,
    again: frozenset[str] = frozenset(),
) -> Outcome:
    """Load a source with so many workers, and tell how far it is.

    Raises `StoreAway`, and `BookUnfit` for a store that cannot be used as it stands.
    """
    database = plan.store.database
    # The collection gets its shards and indexes before its first document: later, on millions of
    # them, an index takes hours.
    await MongoAccountBook.open(client, database)
    await AccountView(client, database).prepare()
    found = await asyncio.to_thread(lambda: list(files(plan.root)))
    broken = [file for file in found if isinstance(file, Broken)]
    readable = [file for file in found if isinstance(file, SourceFile)]
    chunks = Chunks(client, database, plan.load)
    with away_by_its_name():
        refused = await Register(client, database, plan.load).register(readable, again)
        progress = await chunks.progress()
    told(progress)
    crew = Crew(plan, min(workers, progress.open))
    try:
        await asyncio.to_thread(crew.start)
        while crew.alive:
            await asyncio.sleep(LOOK_EVERY_S)
            # The workers wait for a store that is away, and say when they have given up.
            with suppress(StoreAway), away_by_its_name():
                told(await chunks.progress())
    finally:
        await asyncio.to_thread(crew.stop)
    with away_by_its_name():
        progress = await chunks.progress()
        told(progress)
        return Outcome(progress, broken, refused, await chunks.failures(), crew.deaths)
