"""The edge at which the ledger commits: one call, one transaction, durable on return.

What stands behind the doors of `store` takes a connection and never commits; only here a change
becomes a fact. A crash point right before the commit is where a storm kills us.

A store that several processes share can go and come back. Work that may run twice is then asked
for again, with patience, so that a restart of the server is a pause and no crash; work that may
not says how it is read back. When the patience is over the failure goes up, and the process ends
as it does for every other: the next start recovers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy import Connection

from app import crash
from app.clock import Clock
from app.ports.away import StoreAway
from app.sql import Database, Work

T = TypeVar("T")
# A server that restarts after a crash replays its log for seconds; an operator who moves it to
# another host takes half a minute. Longer than that, somebody should be told by a dead process.
PATIENCE_S: Final = 60.0
PAUSE_S: Final = 0.2


class Edge:
    """One database, and the time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def _read(self, work: Work[T], patience_s: float = PATIENCE_S) -> T:
        return await _patiently(lambda: self._database.read(work), patience_s)

    async def _write(
        self, work: Work[T], point: str | None = None, patience_s: float = PATIENCE_S
    ) -> T:
        """Commit work that changes nothing more when it runs a second time."""
        return await _patiently(lambda: self._write_once(work, point), patience_s)

    async def _write_once(self, work: Work[T], point: str | None = None) -> T:
        if point is None:
            return await self._database.write(work)

        def watched(connection: Connection) -> T:
            result = work(connection)
            crash.point(point)
            return result

        return await self._database.write(watched)


async def _patiently(ask: Callable[[], Awaitable[T]], patience_s: float = PATIENCE_S) -> T:
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_s
    while True:
        try:
            return await ask()
        except StoreAway:
            if loop.time() >= until:
                raise
        await asyncio.sleep(PAUSE_S)
