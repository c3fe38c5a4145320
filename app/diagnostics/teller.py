"""Brings findings to the store of anomalies: what is new at once, what goes on now and then.

The store may be away, and most of all when things go wrong. What is to be said waits here, one
word for each rule and subject, and the newest one counts; looking goes on meanwhile. The trap is
a restart: what was open then is known to the store alone, and nobody would ever end it. So what
stands open there is taken over, and ends as if it had been found here.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.clock import Clock
from app.diagnostics.tripwires import Key, Tripwires
from app.domain.anomaly import Anomaly, Finding, Severity
from app.ports.trouble import AnomalyStore

SECOND_NS: Final = 1_000_000_000
# A third of the time for which a finding is good: two may be lost on the way.
AGAIN_NS: Final = 10 * SECOND_NS
TAKE_OVER_EVERY_S: Final = 10.0
RETRY_S: Final = 1.0


class _Noted(NamedTuple):
    severity: Severity | None
    at_ns: int


_NEVER: Final = _Noted(None, -AGAIN_NS)


class Teller:
    """What has been said, and what is still to be said."""

    def __init__(self, store: AnomalyStore, tripwires: Tripwires, clock: Clock) -> None:
        self._store = store
        self._tripwires = tripwires
        self._clock = clock
        self._noted: dict[Key, _Noted] = {}
        self._pending: dict[Key, Finding] = {}
        self._wake = asyncio.Event()
        self.going_on: list[Anomaly] = []  # as the store last said
        self.told = 0
        self.trouble: str | None = None  # why it pauses, None while all is well

    @property
    def pending(self) -> int:
        """How many findings wait for the store."""
        return len(self._pending)

    def hear(self, findings: Sequence[Finding]) -> None:
        """Keep what the store does not know, or was told long ago."""
        now = self._clock.monotonic_ns()
        for finding in findings:
            key = finding.rule_id, finding.subject
            noted = self._noted.get(key, _NEVER)
            if noted.severity is not finding.severity or now - noted.at_ns >= AGAIN_NS:
                self._pending[key] = finding
                self._wake.set()

    async def run(self) -> None:
        """Tell for ever; where the store is away, keep it and go on."""
        loop = asyncio.get_running_loop()
        take_over_at = loop.time()
        while True:
            try:
                if loop.time() >= take_over_at:
                    take_over_at = loop.time() + TAKE_OVER_EVERY_S
                    await self.take_over()
                await self.tell()
                self.trouble = None
            except OSError as e:
                self.trouble = f"{type(e).__name__}: {e}"
                await asyncio.sleep(RETRY_S)
                continue
            await self._rest(take_over_at - loop.time())

    async def _rest(self, at_most_s: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, at_most_s)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def tell(self) -> None:
        """Say what is to be said; what the store did not take stays, unless there is news."""
        self._wake.clear()
        telling, self._pending = self._pending, {}
        if not telling:
            return
        try:
            await self._store.note(list(telling.values()))
        except OSError:
            self._pending = telling | self._pending
            raise
        now = self._clock.monotonic_ns()
        for key, finding in telling.items():
            if finding.severity is None:
                self._noted.pop(key, None)
            else:
                self._noted[key] = _Noted(finding.severity, now)
        self.told += len(telling)

    async def take_over(self) -> None:
        """Make what stands open in the store ours to end, as far as our rules speak of it."""
        self.going_on = await self._store.open_anomalies()
        for anomaly in self.going_on:
            key = anomaly.rule_id, anomaly.subject
            if key not in self._pending:
                self._tripwires.adopt(*key, anomaly.severity)
