"""Carries the outbox to the bus: read in order, publish, delete what is durable there.

The outbox is a queue and not a log with a cursor: a reader that remembers "the last id" skips
what commits late, one that deletes what was acknowledged cannot. A crash in between repeats
events under the same ids; nothing is lost and nothing overtakes.
"""

import asyncio
from typing import Final

from sqlalchemy import Connection, text

from app import codec, crash
from app.ports import Bus, Event
from app.sqlite import Database

# A batch is one commit on the bus: 500 amortise its fsync, and 2,000 bound the memory.
BATCH_MAX: Final = 2_000
IDLE_S: Final = 0.05
# The bus is away: orders go on flowing, their events wait on disk.
RETRY_S: Final = 0.5
_NEXT: Final = text(
    "SELECT json_group_array(json_array(id, event_id, aggregatetype, aggregateid, type, payload))"
    " FROM (SELECT * FROM outbox ORDER BY id LIMIT :limit)"
)
_DONE: Final = text("DELETE FROM outbox WHERE id <= :last")


class Relay:
    """The outbox's only reader."""

    def __init__(self, database: Database, bus: Bus) -> None:
        self._database = database
        self._bus = bus

    async def run(self) -> None:
        """Carry events for ever."""
        while True:
            try:
                carried = await self.step()
            except OSError:
                await asyncio.sleep(RETRY_S)
                continue
            if carried < BATCH_MAX:
                await asyncio.sleep(IDLE_S)

    async def step(self) -> int:
        """Carry one batch; return its size."""
        raw = await self._database.read(
            lambda c: c.execute(_NEXT, {"limit": BATCH_MAX}).scalar_one()
        )
        found = codec.decode(raw)
        if not found:
            return 0
        crash.point("relay.before_publish")
        await self._bus.publish(
            [
                Event(f"openbell.{kind}.v1", key, event_id, type_, payload.encode())
                for _, event_id, kind, key, type_, payload in found
            ]
        )
        crash.point("relay.after_publish")
        last = found[-1][0]

        def done(connection: Connection) -> None:
            connection.execute(_DONE, {"last": last})

        await self._database.write(done)
        return len(found)
