"""Anomalies, the rules that raise them, and what other systems alarm about.

The trap it avoids: a change that is kept and never told, or told and never kept.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Anomaly, Finding
from app.domain.records import Actor
from app.domain.reverting import FOR_GOOD, Spell


class AnomalyStore(Protocol):
    """Remembers trouble. Each change and the event that tells it are one commit."""

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        """Open, escalate, update or resolve the anomaly of each (rule, subject); return changes.

        A finding without severity resolves; one that says the same again is an update, told at
        most every ten seconds and returned only then. Findings of one episode share an incident.
        """

    async def open_anomalies(self) -> list[Anomaly]:
        """Return what goes on, the oldest first."""

    async def anomalies(self, before: int | None, limit: int) -> list[Anomaly]:
        """Return the latest ones, opened before that instant, the newest first.

        A few more than `limit` where several opened in one millisecond: a page never parts them.
        """

    async def anomaly(self, anomaly_id: str) -> Anomaly | None: ...

    async def acknowledge(self, anomaly_id: str, by: Actor, seen: int | None = None) -> Anomaly:
        """Note that somebody has seen it, audited; or raise `Refused` (not found, stale).

        The first one stands. `seen` is the version that was looked at; without it, what stands.
        """

    async def silence(
        self, anomaly_id: str, until: int, by: Actor, seen: int | None = None
    ) -> Anomaly:
        """Let nobody be told of it before then, audited."""

    async def raise_by(self, finding: Finding, by: Actor) -> Anomaly:
        """Note trouble by a person's word, audited in the same commit; return what stands."""

    async def resolve_by(self, anomaly_id: str, by: Actor, seen: int | None = None) -> Anomaly:
        """End an anomaly by a person's word, audited in the same commit; what is over stays so."""


class RuleKept(NamedTuple):
    """An operator's version of a rule; its document was checked before it was kept."""

    rule_id: str
    version: int
    document: Mapping[str, object]  # JSON values, `rule_id` and `version` among them
    changed_by: str
    changed_at: int
    reason: str
    expires_at: int | None = None
    reverts_to: str | None = None  # JSON of what `expires_at` brings back


class RuleStore(Protocol):
    """Keeps the rules that operators have changed."""

    async def rules(self) -> list[RuleKept]: ...

    async def put_rule(
        self,
        rule_id: str,
        document: Mapping[str, object],
        seen: int,
        by: Actor,
        spell: Spell = FOR_GOOD,
    ) -> RuleKept:
        """Keep it as version `seen` + 1, audited; or raise `Refused(STALE_VERSION)`.

        A rule that nobody has changed yet has the version that it was shipped with.
        """


class Rehearsed(NamedTuple):
    """What a rule would have raised in the time that is remembered; JSON values, oldest first."""

    seconds: float
    firings: list[Mapping[str, object]]


class Rulebook(Protocol):
    """What makes a document a rule. It decides from memory: nothing here waits."""

    def shipped(self) -> Mapping[str, Mapping[str, object]]:
        """Return the rules as they were shipped, as documents, by id."""

    def checked(self, document: Mapping[str, object]) -> Mapping[str, object]:
        """Return the whole rule, or raise `Refused(VALIDATION_FAILED)` naming every fault."""

    def rehearsed(self, document: Mapping[str, object]) -> Rehearsed | None:
        """Try a checked rule on the last minutes; None where nobody remembers them."""


class AlertStore(Protocol):
    """Hears what other systems alarm about."""

    async def hear(self, alerts: Sequence[OutsideAlert]) -> int:
        """Keep what is new and note it as findings, in one commit; return how many were new.

        What is known changes nothing, whenever it is told again. `StoreAway`: tell it again.
        """
