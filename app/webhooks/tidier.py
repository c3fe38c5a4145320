"""Drops what is old, and tells people of endpoints that answers have disabled.

Such an endpoint is trouble for a day, in an anomaly of its own: somebody should tell the customer.
What is told is compared with what stands, once a minute, so it survives a restart of ours, and
ends when the endpoint is enabled or gone. The trap is a customer who never comes back: after that
day nobody here is told of him again.
"""

from typing import Final

from app.clock import Clock
from app.domain.anomaly import Finding, Observed, Recommended, Severity, Subject, Threshold
from app.domain.webhooks import DAY_MS, KEPT_MS, DisabledBy, Endpoint
from app.ports.trouble import AnomalyStore
from app.ports.webhooks import WebhookStore

RULE: Final = "webhook.disabled"
TOLD_MS: Final = DAY_MS
# What one commit drops, some 10 ms of an embedded ledger's writer.
DROPPED_AT_ONCE: Final = 500


class Tidier:
    """Looks after what nobody waits for."""

    def __init__(self, store: WebhookStore, anomalies: AnomalyStore, clock: Clock) -> None:
        self._store = store
        self._anomalies = anomalies
        self._clock = clock

    async def step(self) -> int:
        """Do it once; return how many deliveries were dropped."""
        dropped, gone = 0, DROPPED_AT_ONCE
        while gone == DROPPED_AT_ONCE:
            gone = await self._store.forget(self._clock.now() - KEPT_MS, DROPPED_AT_ONCE)
            dropped += gone
        await self._tell()
        return dropped

    async def _tell(self) -> None:
        since = self._clock.now() - TOLD_MS
        sick = {
            Subject("webhook", endpoint.endpoint_id): endpoint
            for endpoint in await self._store.endpoints()
            if endpoint.disabled_by in {DisabledBy.GONE, DisabledBy.FAILING}
            and endpoint.changed_at > since
        }
        going_on = await self._anomalies.open_anomalies()
        told = {anomaly.subject for anomaly in going_on if anomaly.rule_id == RULE}
        findings = [_finding(s, endpoint) for s, endpoint in sick.items() if s not in told]
        findings += [_finding(subject, None) for subject in told if subject not in sick]
        if findings:
            await self._anomalies.note(findings)


def _finding(subject: Subject, disabled: Endpoint | None) -> Finding:
    """Return what is to be known of an endpoint; no customer and no address is in it."""
    return Finding(
        rule_id=RULE,
        rule_version=1,
        subject=subject,
        severity=None if disabled is None else Severity.WARNING,
        observed=Observed("endpoints_disabled", 0 if disabled is None else 1, "endpoints", 0.0, 1),
        threshold=Threshold(">=", 1.0, 0.0, 0.0),
        recommended=Recommended("none"),
        evidence={} if disabled is None else {"disabled_by": str(disabled.disabled_by)},
        valid_for_s=TOLD_MS / 1_000,
    )
