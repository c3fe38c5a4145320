"""Ends doubts by asking, never by waiting.

It asks about every attempt in doubt, on a budget of its own, and hands each answer to
`verdict`: at the broker (then what the look-up showed is applied like any report), never
received (then the order may go again, under a new key), or still in doubt.

The trap is the moment from which the visibility window counts. The send is too early: a request
may hang in a slow connect until its time-out, and leave then. So it counts from when the doubt
was found: after the adapter gave up, and after a restart from the restart.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import islice
from typing import Final

from app import crash
from app.clock import Clock
from app.dispatch.contract import held
from app.dispatch.evidence import reports_of
from app.dispatch.gate import GatedBroker
from app.dispatch.verdict import (
    AtBroker,
    DoubtRecord,
    NeverReceived,
    StillInDoubt,
    Verdict,
    in_words,
    judge,
)
from app.domain.messages import ExecutionReport, Lookup
from app.domain.records import OpenAttempt
from app.domain.signs import Probe
from app.ports.dispatch import DispatchStore

TICK_S: Final = 0.25
# Look-ups have their own budget, apart from orders: this many requests each tick.
REQUESTS_PER_TICK: Final = 4
BY: Final = "lookup"
# A lane is shown four times a second: with so many, its row stays below two kilobytes or so.
PROBES_SHOWN: Final = 20
# A cause is told in the broker's own words, which may be long.
HEARD_MAX: Final = 100


class Reconciler:
    """Asks one broker about its doubts."""

    def __init__(
        self,
        broker: GatedBroker,
        store: DispatchStore,
        clock: Clock,
        is_owner: Callable[[], bool] = lambda: True,
    ) -> None:
        self._broker = broker
        self._is_owner = is_owner
        self._store = store
        self._clock = clock
        self._doubts: dict[str, DoubtRecord] = {}
        self._ask_at: dict[str, int | None] = {}
        self._heard: dict[str, Probe] = {}
        self.settled: Counter[str] = Counter()

    @property
    def followed(self) -> frozenset[str]:
        """The keys of the doubts that it asks about."""
        return frozenset(self._doubts)

    @property
    def probes(self) -> tuple[Probe, ...]:
        """What was last heard of those doubts that it has followed for the longest."""
        first = islice(self._doubts, PROBES_SHOWN)
        return tuple(self._heard[key] for key in first if key in self._heard)

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.step()
            await asyncio.sleep(TICK_S)

    async def step(self) -> None:
        """Ask about the doubts that are due; forget those that ended otherwise."""
        if not self._is_owner():  # the owner asks, on the one budget that there is
            self._follow({}, 0)
            return
        standing = {a.broker_order_key: a for a in await self._store.in_doubt(self._broker.name)}
        now = self._clock.monotonic_ns()
        self._follow(standing, now)
        waiting = sorted((at, key) for key, at in self._ask_at.items() if at is not None)
        due = [key for at, key in waiting if at <= now]  # the longest waiting first: none starves
        size = max(1, self._broker.capabilities.find_batch_max)
        for start in range(0, min(len(due), size * REQUESTS_PER_TICK), size):
            await self.ask(due[start : start + size])

    def _follow(self, standing: dict[str, OpenAttempt], now: int) -> None:
        for key in [key for key in self._doubts if key not in standing]:
            del self._doubts[key], self._ask_at[key]
            self._heard.pop(key, None)
        for key in standing:
            if key not in self._doubts:
                # Whoever sent it has just given up, or died: until now bytes could leave.
                self._doubts[key] = DoubtRecord(now)
                self._ask_at[key] = now

    async def ask(self, keys: list[str]) -> dict[str, Verdict]:
        """Look these up now and act on what is proved; return the verdicts."""
        asked_ns = self._clock.monotonic_ns()
        lookups = await held(self._broker.find(keys), len(keys), "other orders")
        crash.point("find.after_reply")
        verdicts = {
            key: self._judge(key, lookup, asked_ns)
            for key, lookup in zip(keys, lookups, strict=True)
        }
        gone = [key for key, v in verdicts.items() if isinstance(v, NeverReceived)]
        reports: list[ExecutionReport] = []
        for key, verdict in verdicts.items():
            if isinstance(verdict, AtBroker):
                now = self._clock.now()
                reports += reports_of(verdict.found, key, self._broker.name, now)
        if reports:
            await self._store.apply(reports, BY)
        if gone:
            await self._store.never_received(gone, BY)
        crash.point("verdict.after_commit")
        self.settled["at_broker"] += sum(isinstance(v, AtBroker) for v in verdicts.values())
        self.settled["never_received"] += len(gone)
        return verdicts

    def _judge(self, key: str, lookup: Lookup, asked_ns: int) -> Verdict:
        doubt = self._doubts.get(key, DoubtRecord(asked_ns))
        doubt, verdict = judge(doubt, lookup, asked_ns, self._broker.capabilities)
        if key in self._doubts:
            self._doubts[key] = doubt
            again = verdict.ask_again_ns if isinstance(verdict, StillInDoubt) else asked_ns
            self._ask_at[key] = again
            self._heard[key] = Probe(key, self._clock.now(), in_words(verdict)[:HEARD_MAX])
        return verdict
