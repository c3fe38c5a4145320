"""What makes a document a rule, for the doors: implements `Rulebook` of `ports.trouble`.

Every process can say what a rule is. Only one that watches remembers minutes to try it on.
"""

from collections.abc import Mapping
from typing import Final

from app.clock import Clock
from app.diagnostics.rules import BadRule, document_of, rule_from
from app.diagnostics.shipped import SHIPPED
from app.diagnostics.tripwires import Firing
from app.diagnostics.watch import Watch
from app.domain.errors import Code, Refused
from app.domain.values import rfc3339
from app.ports.trouble import Rehearsed

MS_NS: Final = 1_000_000


class RulesAsShipped:
    """The shipped rules, what an operator may make of them, and the last minutes."""

    def __init__(self, clock: Clock, watch: Watch | None) -> None:
        self._clock = clock
        self._watch = watch

    def shipped(self) -> Mapping[str, Mapping[str, object]]:
        return {rule_id: document_of(rule) for rule_id, rule in SHIPPED.items()}

    def checked(self, document: Mapping[str, object]) -> Mapping[str, object]:
        try:
            return document_of(rule_from(document, SHIPPED))
        except BadRule as e:
            raise Refused(Code.VALIDATION_FAILED, str(e)) from e

    def rehearsed(self, document: Mapping[str, object]) -> Rehearsed | None:
        if self._watch is None:
            return None
        found = self._watch.rehearse(document)
        return Rehearsed(found.seconds, [self._told(firing) for firing in found.firings])

    def _told(self, firing: Firing) -> dict[str, object]:
        return {
            "rule_id": firing.rule_id,
            "subject": str(firing.subject),
            "severity": firing.severity.value,
            "raised_at": self._wall(firing.raised_ns),
            "cleared_at": None if firing.cleared_ns is None else self._wall(firing.cleared_ns),
            "peak": round(firing.peak, 3),
        }

    def _wall(self, instant_ns: int) -> str:
        """Return when that was, as the wall clock runs now."""
        ago_ms = (self._clock.monotonic_ns() - instant_ns) // MS_NS
        return rfc3339(self._clock.now() - ago_ms)
