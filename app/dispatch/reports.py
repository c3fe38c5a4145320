"""Applies what brokers report later: from the bus, in order per order, each execution once.

Whoever receives a report (a callback, a session, a topic) publishes it first and acknowledges
it then; this loop folds it into the ledger and commits the offset after that. A crash in
between repeats reports, and a repeated report changes nothing.
"""

import asyncio
from typing import Final

from app import codec, crash
from app.domain.messages import ExecutionReport
from app.domain.records import Applied
from app.ports import Bus, DispatchStore

TOPIC: Final = "openbell.broker-reports.v1"
GROUP: Final = "openbell.dispatch"
BATCH_MAX: Final = 1_000
IDLE_S: Final = 0.02


class Reports:
    """The consumer of `openbell.broker-reports.v1`."""

    def __init__(self, bus: Bus, store: DispatchStore) -> None:
        self._bus = bus
        self._store = store
        self.applied = 0
        self.known = 0
        self.quarantined = 0

    async def run(self) -> None:
        """Apply reports for ever."""
        while True:
            if not await self.step():
                await asyncio.sleep(IDLE_S)

    async def step(self) -> int:
        """Apply one batch; return its size."""
        records = await self._bus.poll(TOPIC, GROUP, BATCH_MAX)
        if not records:
            return 0
        crash.point("report.after_poll")
        reports: list[ExecutionReport] = [codec.decode_report(r.event.payload) for r in records]
        self._count(await self._store.apply(reports, "report"))
        crash.point("report.after_apply")
        await self._bus.commit(TOPIC, GROUP, records)
        return len(records)

    def _count(self, done: Applied) -> None:
        self.applied += done.applied
        self.known += done.known
        self.quarantined += done.quarantined
