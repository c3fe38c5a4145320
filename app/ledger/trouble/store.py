"""The record of trouble: `AnomalyStore`, `RuleStore` and `AlertStore` of `ports.trouble`.

It stands beside `Ledger` on the same database, because both have a word `note`. It adds the
time, fresh numbers for ids, and the calendar to `anomalies`. What watches says the
same each second, and mostly that all is well: that is looked up beside the writer, and only
what changes something takes its turn there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from app.clock import Clock
from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Anomaly, Finding
from app.domain.records import Actor
from app.domain.reverting import FOR_GOOD, Spell
from app.domain.session import Calendar
from app.ledger.edge import Edge
from app.ledger.trouble import anomalies, anomaly_rules, outside
from app.ledger.trouble.anomalies import Drawn, Seen
from app.ports.trouble import RuleKept
from app.sql import Database

ID_BITS: Final = 80
# Who sends alerts waits some seconds for an answer, and then sends them again.
SENDERS_PATIENCE_S: Final = 5.0


class AnomalyLedger(Edge):
    """Remembers what goes wrong, and tells of it."""

    def __init__(
        self, database: Database, clock: Clock, calendar: Callable[[], Calendar] | None = None
    ) -> None:
        super().__init__(database, clock)
        # It says of each anomaly which session it fell into.
        self._calendar = calendar

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        going_on = await self._read(anomalies.standing)
        known = {(kept.anomaly.rule_id, kept.anomaly.subject) for kept in going_on}
        telling = [f for f in findings if f.severity or (f.rule_id, f.subject) in known]
        if not telling:
            return []
        drawn = self._drawn(len(telling))
        return await self._write(lambda c: anomalies.note(c, telling, drawn))

    async def open_anomalies(self) -> list[Anomaly]:
        return [kept.anomaly for kept in await self._read(anomalies.standing)]

    async def anomalies(self, before: int | None, limit: int) -> list[Anomaly]:
        return await self._read(lambda c: anomalies.page(c, before, limit))

    async def anomaly(self, anomaly_id: str) -> Anomaly | None:
        kept = await self._read(lambda c: anomalies.one(c, anomaly_id))
        return None if kept is None else kept.anomaly

    async def acknowledge(self, anomaly_id: str, by: Actor, seen: int | None = None) -> Anomaly:
        now, looked = self._clock.now(), Seen(anomaly_id, seen)
        return await self._write_once(lambda c: anomalies.acknowledge(c, looked, by, now))

    async def silence(
        self, anomaly_id: str, until: int, by: Actor, seen: int | None = None
    ) -> Anomaly:
        now, looked = self._clock.now(), Seen(anomaly_id, seen)
        return await self._write_once(lambda c: anomalies.silence(c, looked, until, by, now))

    async def raise_by(self, finding: Finding, by: Actor) -> Anomaly:
        drawn = self._drawn(1)
        return await self._write_once(lambda c: anomalies.raise_by(c, finding, drawn, by))

    async def resolve_by(self, anomaly_id: str, by: Actor, seen: int | None = None) -> Anomaly:
        drawn, looked = self._drawn(1), Seen(anomaly_id, seen)
        return await self._write_once(lambda c: anomalies.resolve_by(c, looked, drawn, by))

    async def rules(self) -> list[RuleKept]:
        return await self._read(anomaly_rules.rules)

    async def put_rule(
        self,
        rule_id: str,
        document: Mapping[str, object],
        seen: int,
        by: Actor,
        spell: Spell = FOR_GOOD,
    ) -> RuleKept:
        now, wanted = self._clock.now(), (rule_id, document)
        return await self._write_once(lambda c: anomaly_rules.put(c, wanted, seen, spell, by, now))

    async def hear(self, alerts: Sequence[OutsideAlert]) -> int:
        if not alerts:
            return 0
        drawn = self._drawn(len(alerts))
        return await self._write(
            lambda c: outside.hear(c, alerts, drawn), patience_s=SENDERS_PATIENCE_S
        )

    def _drawn(self, findings: int) -> Drawn:
        numbers = [self._clock.random_bits(ID_BITS) for _ in range(2 * findings)]
        calendar = self._calendar() if self._calendar is not None else None
        return Drawn(self._clock.now(), numbers, calendar)
