"""What a subscriber has to say of its own faults: an anomaly, until it works again.

    threw ──► `subscriber.failed` on subscriber/<group> ──► every part of it works ──► over

A subscriber that throws must stop neither the orders beside it nor the other subscribers, so it
catches its own bug, goes on, and says so here. To say it waits for nobody: what is heard is kept,
and a loop of its own tells the store when the store is there. What a former life left open ends
with the first thing that works in this one.

The trap is a subscriber that fails at the very event that says so, and feeds itself: one anomaly
is open for a group however often it throws, and the store tells of it again each ten seconds.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from app.domain.anomaly import Finding, Observed, Recommended, Severity, Subject, Threshold
from app.ports.trouble import AnomalyStore

RULE: Final = "subscriber.failed"
# A subscriber that throws at each of a thousand events writes one row a second, not a thousand.
TELL_EVERY_S: Final = 1.0
CAUSE_MAX: Final = 500


class Mishaps:
    """The faults of one subscriber."""

    def __init__(
        self, store: AnomalyStore, group: str, severity: Severity = Severity.WARNING
    ) -> None:
        self._store = store
        self._subject = Subject("subscriber", group)
        self._severity = severity
        self._is_well = False  # nobody knows yet
        self._pending: list[Finding] = []
        self._wake = asyncio.Event()
        self.failing: dict[str, str] = {}  # by part, why it threw when it was tried last

    def threw(self, cause: Exception, part: str) -> None:
        """Hear of a bug that was caught; for whoever is away, its own rules speak."""
        if isinstance(cause, OSError):
            return
        self.failing[part] = f"{type(cause).__name__}: {cause}"
        self._is_well = False
        self._pending = [self._finding(self._severity)]  # an end that was not told yet is none
        self._wake.set()

    def worked(self, part: str) -> None:
        """Hear that a part works; all is well when none fails."""
        self.failing.pop(part, None)
        if self.failing or self._is_well:
            return
        self._is_well = True
        self._pending.append(self._finding(None))
        self._wake.set()

    def of(self, part: str) -> Callable[[Exception | None], None]:
        """Return whom to tell how a part does: why it threw, or None when it works."""

        def told(trouble: Exception | None) -> None:
            if trouble is None:
                self.worked(part)
            else:
                self.threw(trouble, part)

        return told

    async def run(self) -> None:
        """Tell for ever; where the store is away, keep it and try again."""
        while True:
            self._wake.clear()
            await self.tell()
            await asyncio.sleep(TELL_EVERY_S)
            await self._wake.wait()

    async def tell(self) -> None:
        """Say what there is to say, one by one: what is begun and ended is both."""
        while self._pending:
            telling = self._pending[0]
            try:
                await self._store.note([telling])
            except OSError:
                await asyncio.sleep(TELL_EVERY_S)
                continue
            if self._pending and self._pending[0] is telling:  # nothing newer took its place
                del self._pending[0]

    def _finding(self, severity: Severity | None) -> Finding:
        causes = {part: cause[:CAUSE_MAX] for part, cause in self.failing.items()}
        failing = len(causes)
        return Finding(
            rule_id=RULE,
            rule_version=1,
            subject=self._subject,
            severity=severity,
            observed=Observed("parts_failing", failing, "parts", 0.0, failing),
            threshold=Threshold(">=", 1.0, 0.0, 0.0),
            recommended=Recommended("none"),
            evidence={"causes": causes} if causes else {},
        )
