"""The edge at which the ledger commits: one call, one transaction, durable on return.

What stands behind the three doors of `store` takes a connection and never commits; only here a
change becomes a fact. A crash point right before the commit is where a storm kills us.
"""

from typing import TypeVar

from sqlalchemy import Connection

from app import crash
from app.clock import Clock
from app.sqlite import Database, Work

T = TypeVar("T")


class Edge:
    """One database, and the time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def _write(self, work: Work[T], point: str | None = None) -> T:
        if point is None:
            return await self._database.write(work)

        def watched(connection: Connection) -> T:
            result = work(connection)
            crash.point(point)
            return result

        return await self._database.write(watched)
