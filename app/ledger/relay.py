"""Carries the outbox to the bus: read in order, publish, delete what is durable there.

A crash in between repeats events under the same ids; nothing is lost and nothing overtakes.
Where the ledger or the bus is away, orders go on flowing where they can, and their events wait
on disk.
"""

import asyncio
from typing import Final

from app import crash
from app.ledger.outbox import Outbox
from app.ports import Bus

# A batch is one commit on the bus: 500 amortise its fsync, and 2,000 bound the memory.
BATCH_MAX: Final = 2_000
# Events gather meanwhile: each batch is a commit here and one on the bus.
IDLE_S: Final = 0.1
RETRY_S: Final = 0.5


class Relay:
    """The reader of an outbox."""

    def __init__(self, outbox: Outbox, bus: Bus) -> None:
        self._outbox = outbox
        self._bus = bus
        self.carried = 0
        self.trouble: str | None = None  # why it pauses, None while all is well

    async def run(self) -> None:
        """Carry events for ever."""
        while True:
            try:
                carried = await self.step()
            except OSError as e:
                self.trouble = str(e)
                await asyncio.sleep(RETRY_S)
                continue
            self.trouble = None
            if carried < BATCH_MAX:
                await asyncio.sleep(IDLE_S)

    async def step(self) -> int:
        """Carry one batch; return its size."""
        batch = await self._outbox.next(BATCH_MAX)
        if not batch.events:
            return 0
        crash.point("relay.before_publish")
        await self._bus.publish(batch.events)
        crash.point("relay.after_publish")
        await self._outbox.done(batch)
        self.carried += len(batch.events)
        return len(batch.events)
