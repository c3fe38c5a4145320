"""Carries the outbox to the bus: read in order, publish, delete what is durable there.

    publish  one ─────► two ─────────────► three ──► …
    outbox   read two   delete one, read three       while one is on its way

One batch is on its way to the bus at a time, and goes when the one before it is durable there.
A crash in between repeats events under the same ids; nothing is lost and nothing overtakes.
Where the ledger or the bus is away, orders go on flowing where they can, and their events wait
on disk.
"""

import asyncio
from typing import Final, TypeGuard

from app import crash
from app.ledger.outbox.queue import NOTHING, Batch, Outbox
from app.ports.bus import Bus

# A batch is one commit on the bus: 500 amortise its fsync, and 2,000 bound the memory, of which
# there are three: on its way, behind it and ahead of it.
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
                await self.step()
            except OSError as e:
                self.trouble = str(e)
                await asyncio.sleep(RETRY_S)
                continue
            self.trouble = None
            await asyncio.sleep(IDLE_S)

    async def step(self) -> int:
        """Carry what waits, batch after batch while they are full; return how many events."""
        carried, published = 0, NOTHING
        batch = await self._outbox.next(BATCH_MAX)
        while batch.events:
            crash.point("relay.before_publish")
            following = await self._publish(batch, published)
            crash.point("relay.after_publish")
            carried += len(batch.events)
            published, batch = batch, following
        await self._forget(published)
        return carried

    async def _publish(self, batch: Batch, published: Batch) -> Batch:
        """Publish this one; meanwhile forget the one before it, and return what follows."""
        results = await asyncio.gather(
            self._bus.publish(batch.events), self._turn(batch, published), return_exceptions=True
        )
        # What may pass is said last: beside a bug it would be tried again for ever.
        for failure in sorted(filter(_failed, results), key=_may_pass):
            raise failure
        _, following = results
        assert isinstance(following, Batch)
        return following

    async def _turn(self, batch: Batch, published: Batch) -> Batch:
        await self._forget(published)
        if len(batch.events) < BATCH_MAX:
            return NOTHING
        return await self._outbox.next(BATCH_MAX, in_hand=batch)

    async def _forget(self, published: Batch) -> None:
        if published.events:
            await self._outbox.done(published)
            self.carried += len(published.events)


def _failed(result: object) -> TypeGuard[BaseException]:
    return isinstance(result, BaseException)


def _may_pass(failure: BaseException) -> bool:
    return isinstance(failure, OSError)
