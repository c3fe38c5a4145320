"""Applies what brokers report later: from the bus, in order per order, each execution once.

    poll ─► decode ─► apply (durable) ─► park what is poison ─► commit

Whoever receives a report (a callback, a session, a topic) publishes it first and acknowledges
it then; this loop folds it into the ledger and commits the offset after that. A crash in
between repeats reports, and a repeated report changes nothing.

Two kinds of failure, and they must not be confused. Bytes that are no report would fail for
ever: they are parked in the dead letters with their cause, and the rest goes on. (A report that
can be read and fits no order of ours is no poison: the ledger keeps it in its quarantine.) A bus
or a ledger that is away is nobody's fault: the batch stays in hand, and goes again.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from app import codec, crash
from app.consuming import Consumer
from app.dispatch.unwitnessed import NOBODY
from app.domain.messages import ExecutionReport
from app.domain.records import Applied
from app.domain.values import order_id_of
from app.letters import parked
from app.ports.bus import Bus, Event, Record
from app.ports.dispatch import DispatchStore, Witness

TOPIC: Final = "openbell.broker-reports.v1"
GROUP: Final = "openbell.dispatch"
BATCH_MAX: Final = 1_000
# A batch is a commit in the ledger and one on the bus: let some reports gather for it.
GATHER_S: Final = 0.02
# What bytes can do to their reader: be no JSON, no text, or nested deeper than any stack.
_UNREADABLE: Final = (codec.Malformed, UnicodeDecodeError, RecursionError)


class Reports(Consumer):
    """The consumer of `openbell.broker-reports.v1`."""

    def __init__(self, bus: Bus, store: DispatchStore, witness: Witness = NOBODY) -> None:
        super().__init__(bus, TOPIC, GROUP, BATCH_MAX)
        self._store = store
        self._witness = witness
        self.applied = 0
        self.known = 0
        self.quarantined = 0
        self.strays: Counter[str] = Counter()  # by broker: words on attempts that were settled

    async def _apply(self, records: list[Record]) -> list[Event]:
        crash.point("report.after_poll")
        reports, letters = _sorted_out(records)
        if reports:
            self._witness.reported(reports)
            self._count(await self._store.apply(reports, "report"))
        crash.point("report.after_apply")
        return letters

    async def _rest(self, done: int) -> None:
        if not done:
            await asyncio.sleep(GATHER_S)

    def _count(self, done: Applied) -> None:
        self.applied += done.applied
        self.known += done.known
        self.quarantined += done.quarantined
        self.strays.update(done.strays)


def event_of(report: ExecutionReport) -> Event:
    """Return the event of one report; told twice, it has the same id twice.

    The trade date is part of the id, because brokers number their executions by the day.
    """
    name = f"{report.broker_id}-{report.execution_id}-{report.trade_date}"
    return Event(
        topic=TOPIC,
        key=order_id_of(report.broker_order_key) or report.broker_order_key,
        event_id=name,
        type=f"io.openbell.broker-report.{report.execution_type}.v1",
        payload=codec.encode(report),
    )


def _sorted_out(records: Sequence[Record]) -> tuple[list[ExecutionReport], list[Event]]:
    """Return what can be read, and the letters that park the rest."""
    reports, letters = [], []
    for record in records:
        try:
            reports.append(codec.decode_report(record.event.payload))
        except _UNREADABLE as e:
            letters.append(parked(record, GROUP, f"{type(e).__name__}: {e}"))
    return reports, letters
