"""An alert's event is written within five seconds of its cause, at p99.9 of a thousand causes.

Time is virtual: what is held here is the law of the loops (looks, readings of the ledger, the
teller's queue), under a store whose every commit waits its turn behind those of a full night. How
long a real commit takes under load is the machine's affair: `openbell drill failover` prints it.
"""

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Final

from app.domain.anomaly import Anomaly, AnomalyState, Finding
from app.ledger.trouble.store import AnomalyLedger
from tests.diagnostics.rig import KIM, Pinged, Watched
from tests.virtual import Virtual

CAUSES: Final = 1_000
BROKERS: Final = ("north", "south", *(f"b{n}" for n in range(8)))
WITHIN_S: Final = 5.0
# A commit behind a dispatcher that sends takes some ten milliseconds; now and then, a second.
COMMIT_S: Final = (0.005, 0.05)
STALL_S: Final = (0.5, 1.5)
STALLS: Final = 0.05
DOUBTS: Final = 25  # above the twenty at which the rule raises


class Laden(AnomalyLedger):
    """The embedded store under load; it notes when each opening was on disk."""

    def __init__(self, watched: Watched, die: random.Random) -> None:
        super().__init__(watched.database, watched.clock)
        self._die = die
        self._news = asyncio.Event()
        self.written: dict[tuple[str, str], float] = {}

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        span = STALL_S if self._die.random() < STALLS else COMMIT_S
        await asyncio.sleep(self._die.uniform(*span))
        changed = await super().note(findings)
        for anomaly in changed:
            if anomaly.state is AnomalyState.OPEN and anomaly.occurrences == 1:
                name = (anomaly.rule_id, anomaly.subject.id)
                self.written[name] = asyncio.get_running_loop().time()
        self._news.set()
        return changed

    async def all_told(self, names: Iterable[tuple[str, str]]) -> None:
        while not set(names) <= self.written.keys():
            self._news.clear()
            await self._news.wait()


class Night:
    """Causes one after another, on ten brokers at a time, and how late each was told."""

    def __init__(self, virtual: Virtual, seed: int) -> None:
        self._die = random.Random(seed)
        self._watched = Watched(virtual)
        for name in BROKERS:
            self._watched.brokers[name] = Pinged(name)
            self._watched.lanes[name] = {}
        self._store = self._watched.store = Laden(self._watched, self._die)
        self._watched.starts()
        self.late_s: list[float] = []

    async def play(self) -> None:
        async with asyncio.TaskGroup() as loops:
            watching = loops.create_task(self._watched.watch.run())
            await asyncio.sleep(5)
            while len(self.late_s) < CAUSES:
                await self._round()
            watching.cancel()

    async def _round(self) -> None:
        """Let each broker have doubts and a stray, each at an instant of its own; end it."""
        loop = asyncio.get_running_loop()
        self._store.written.clear()
        began: dict[tuple[str, str], float] = {}
        for name in BROKERS:
            await asyncio.sleep(self._die.uniform(0.0, 0.2))
            at = self._watched.clock.now()
            self._watched.has(doubts={**self._watched.vitals.doubts, name: (DOUBTS, at)})
            began["broker.in_doubt", name] = loop.time()
            await asyncio.sleep(self._die.uniform(0.0, 0.2))
            self._watched.strays[name] += 1
            began["duplicate.execution", name] = loop.time()
        await self._store.all_told(began)
        self.late_s += [self._store.written[cause] - at for cause, at in began.items()]
        self._watched.has(doubts={})
        while found := await self._store.open_anomalies():
            for anomaly in found:
                await self._store.acknowledge(anomaly.anomaly_id, KIM)
            await asyncio.sleep(0.5)

    def close(self) -> None:
        self._watched.database.close()


def test_a_thousand_causes_are_each_told_within_five_seconds(virtual: Virtual) -> None:
    night = Night(virtual, seed=5)
    virtual.run(asyncio.wait_for(night.play(), 20_000))
    night.close()
    late = sorted(night.late_s)

    assert len(late) >= CAUSES
    assert late[int(len(late) * 0.5)] < 1.5
    assert late[int(len(late) * 0.999)] <= WITHIN_S, late[-5:]
