"""Hears of orders, and keeps a delivery for each endpoint that is to be told.

    orders.v1 ─► group `webhooks` ─► making ─► rows (durable) ─► commit

A batch that comes again makes the same ids, and so no second row.

The trap is one endpoint for which much waits: what finds no room there is counted and not kept,
and the group goes on, or every other customer would wait for it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from app.clock import Clock
from app.consuming import ANYTHING, Consumer
from app.letters import parked
from app.mishaps import Mishaps
from app.ports.bus import Bus, Event, Record
from app.ports.webhooks import WebhookStore
from app.webhooks.making import Hearers, NotTellable, Told, deliveries, told

TOPIC: Final = "openbell.orders.v1"
GROUP: Final = "webhooks"
BATCH_MAX: Final = 1_000
# One commit of an embedded ledger, behind which new orders wait: 1,000 took 110 ms on a busy
# machine.
KEPT_AT_ONCE: Final = 200
# After a batch, let events gather: nobody's endpoint is that quick.
GATHER_S: Final = 0.25
# 50 MB of an embedded ledger for an endpoint that is dead.
WAITING_MAX: Final = 50_000


class Listener(Consumer):
    """The consumer of the orders' events."""

    def __init__(
        self,
        bus: Bus,
        store: WebhookStore,
        clock: Clock,
        mishaps: Mishaps,
        on_queued: Callable[[], None],
    ) -> None:
        super().__init__(bus, TOPIC, GROUP, BATCH_MAX, ANYTHING)
        self._store = store
        self._clock = clock
        self._mishaps = mishaps
        self._on_queued = on_queued
        self._made_at = 0
        self.queued = 0

    async def _apply(self, records: list[Record]) -> list[Event]:
        hearers = Hearers(await self._store.endpoints())
        events: list[Told] = []
        keyed: list[str] = []
        letters = []
        for record in records:
            if not hearers.of(record.event.key):
                continue
            try:
                events.append(told(record.event))
            except NotTellable as e:
                letters.append(parked(record, GROUP, e))
            else:
                keyed.append(record.event.key)
        # Two batches of one millisecond would have the same ranks.
        self._made_at = max(self._clock.now(), self._made_at + 1)
        made = deliveries(events, hearers, keyed, self._made_at)
        for start in range(0, len(made), KEPT_AT_ONCE):
            chunk = made[start : start + KEPT_AT_ONCE]
            self.queued += await self._store.enqueue(chunk, WAITING_MAX)
            self._on_queued()
        return letters

    def _note(self, trouble: Exception | None) -> None:
        super()._note(trouble)
        self._mishaps.of("reading")(trouble)

    async def _rest(self, done: int) -> None:
        if 0 < done < BATCH_MAX:
            await asyncio.sleep(GATHER_S)
