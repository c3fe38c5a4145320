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
# Events gather meanwhile: each batch is a commit here and one on the bus.
IDLE_S: Final = 0.1
# The bus is away: orders go on flowing, their events wait on disk.
RETRY_S: Final = 0.5
# Small facts as JSON, and the payloads end to end, so that no payload is escaped and read back.
_NEXT: Final = text(
    "SELECT json_group_array(json_array(id, event_id, aggregatetype, aggregateid, type,"
    " length(CAST(payload AS BLOB)))), CAST(group_concat(payload, '') AS BLOB)"
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
        last, events = await self._database.read(_next)
        if not events:
            return 0
        crash.point("relay.before_publish")
        await self._bus.publish(events)
        crash.point("relay.after_publish")

        def done(connection: Connection) -> None:
            connection.execute(_DONE, {"last": last})

        await self._database.write(done)
        return len(events)


def _next(connection: Connection) -> tuple[int, list[Event]]:
    """Return the oldest events in order, and the id of the last."""
    facts, payloads = connection.execute(_NEXT, {"limit": BATCH_MAX}).one()
    found = codec.decode(facts)
    events: list[Event] = []
    start = 0
    for _, event_id, kind, key, type_, length in found:
        payload = payloads[start : start + length]
        events.append(Event(f"openbell.{kind}.v1", key, event_id, type_, payload))
        start += length
    return found[-1][0] if found else 0, events
