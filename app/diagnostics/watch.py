"""Looks twice a second at everything, asks the rules, and has it told. A thin loop.

    witness, lanes, ledger ─► snapshot ─► ring of ten minutes ─► tripwires ─► teller ─► store
                                                └─► replay: what would this rule have said?

A look is from memory and takes a millisecond or two. What waits for others (pings, the ledger,
the store) has loops of its own beside it: the trap is a watch that stands still with what it
watches, and says nothing for just as long as it matters.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple

from app.diagnostics.baselines import Baselines
from app.diagnostics.distance import Distance
from app.diagnostics.gathering import Gathering, Sources
from app.diagnostics.pings import Pings
from app.diagnostics.rules import WINDOW_S_MAX, BadRule, rule_from
from app.diagnostics.shipped import SHIPPED
from app.diagnostics.signals import Past, Snapshot
from app.diagnostics.tally import Tally, quantile_ms
from app.diagnostics.teller import Teller
from app.diagnostics.tripwires import RULE_FAILED, Firing, Tripwires, replay, rule_failed
from app.domain.anomaly import Finding, Subject
from app.ports.trouble import AnomalyStore

LOOK_EVERY_S: Final = 0.5
# Ten minutes, and one look more: the longest window has its beginning in the ring.
RING: Final = round(WINDOW_S_MAX / LOOK_EVERY_S) + 1
MINUTE_S: Final = 60.0
LATENCY_WINDOW_S: Final = 30.0
RULES_EVERY_S: Final = 5.0
# What this says ends with a person's acknowledgement. (So does what is in quarantine, but there
# the record itself counts from that word on.)
ENDS_WITH_A_WORD: Final = frozenset({"duplicate.execution"})

# What a look itself is called where rules are named, should it throw.
ITSELF: Final = "watch"

RuleBook = Callable[[], Awaitable[Sequence[Mapping[str, object]]]]


async def _as_shipped() -> Sequence[Mapping[str, object]]:
    return ()


class Rehearsal(NamedTuple):
    """What a rule would have raised within the minutes that are remembered."""

    firings: list[Firing]
    seconds: float
    now_ns: int


class Watch:
    """One process watches over the brokers that it owns, and over itself."""

    def __init__(
        self,
        sources: Sources,
        store: AnomalyStore,
        pings: Pings,
        rule_book: RuleBook = _as_shipped,
    ) -> None:
        self._sources = sources
        self._pings = pings
        self._rule_book = rule_book
        self._baselines = Baselines()
        self._gathering = Gathering(sources, self._baselines)
        self._ring: list[Snapshot] = []
        self.tripwires = Tripwires(SHIPPED.values())
        self.teller = Teller(store, self.tripwires, sources.clock)
        self.bad_rules: dict[str, str] = {}  # an operator's rules that are none, and why
        self.looks = 0
        self.looks_failed = 0
        self._failed: Finding | None = None  # what an earlier look had to say of itself
        self.late_s = 0.0  # how late the last look was: the loop's own lag
        self.look_s = 0.0

    @property
    def distance(self) -> Distance:
        return self._sources.distance

    @property
    def refused(self) -> int:
        """How many rules of operators are not in force."""
        return len(self.bad_rules)

    def owned(self) -> list[str]:
        """Return the brokers of the last look."""
        return list(self._ring[-1].tallies) if self._ring else []

    async def run(self) -> None:
        """Watch for ever."""
        async with asyncio.TaskGroup() as loops:
            for run in (self._sources.distance.run, self._pings.run, self.teller.run):
                loops.create_task(_forever(run))
            loops.create_task(self._read_rules())
            loops.create_task(self._look())

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            began = loop.time()
            self.late_s = began - due
            try:
                self.look()
            except Exception as e:  # noqa: BLE001 - whoever looks must not stop whoever sends
                self.looks_failed += 1
                self._failed = rule_failed(ITSELF, f"{type(e).__name__}: {e}")
                self.teller.hear([self._failed])
            self.look_s = loop.time() - began
            due = began + LOOK_EVERY_S
            await asyncio.sleep(due - loop.time())

    def look(self) -> list[Finding]:
        """Look once, and have told what is to be told; return what is wrong, or just ended."""
        self._hear_store()
        self._ring.append(self._gathering.take(self._minutes()))
        if len(self._ring) >= 2 * RING:  # now and then, so that no look shifts the whole ring
            del self._ring[:-RING]
        past = Past(self._ring)
        findings = self.tripwires.look(past)
        if self._failed is not None:  # this look came through
            findings.append(self._failed._replace(severity=None))
            self._failed = None
        self.teller.hear(findings)
        self._learn(past)
        self.looks += 1
        return findings

    def _minutes(self) -> dict[str, Tally]:
        if not self._ring:
            return {}
        past = Past(self._ring)
        return {broker_id: past.window(broker_id, MINUTE_S) for broker_id in past.now.tallies}

    def _learn(self, past: Past) -> None:
        """Learn what is usual of the brokers of which nothing is said."""
        spoken_of = {subject for _, subject in self.tripwires.raised}
        phase = self._gathering.phase()
        for broker_id in past.now.tallies:
            if Subject("broker", broker_id) not in spoken_of:
                p95 = quantile_ms(past.window(broker_id, LATENCY_WINDOW_S).times, 0.95)
                minute = past.window(broker_id, MINUTE_S)
                self._baselines.learn(broker_id, phase, p95, minute, past.now.at_ns)

    def _hear_store(self) -> None:
        """Keep what stood open before this start, until it ends or somebody acknowledges it."""
        for anomaly in self.teller.going_on:
            if anomaly.rule_id in ENDS_WITH_A_WORD:
                if anomaly.acknowledged_at is None:
                    self._gathering.keep(anomaly.subject)
                else:
                    self._gathering.seen(anomaly.subject, anomaly.acknowledged_at)
            elif (anomaly.rule_id, anomaly.subject.id) == (RULE_FAILED, ITSELF):
                self._failed = self._failed or rule_failed(ITSELF, "before this start")

    # --- rules --------------------------------------------------------------------------

    async def _read_rules(self) -> None:
        while True:
            try:
                self.put_rules(await self._rule_book())
            except OSError as e:
                self.bad_rules["*"] = f"{type(e).__name__}: {e}"
            await asyncio.sleep(RULES_EVERY_S)

    def put_rules(self, documents: Sequence[Mapping[str, object]]) -> None:
        """Put operators' rules in the place of ours; one that is none leaves ours in force."""
        self.bad_rules = {}
        rules = dict(SHIPPED)
        for document in documents:
            try:
                rule = rule_from(document, SHIPPED)
            except BadRule as e:
                self.bad_rules[str(document.get("rule_id"))] = str(e)
            else:
                rules[rule.rule_id] = rule
        self.tripwires.put(rules.values())

    def rehearse(self, document: Mapping[str, object]) -> Rehearsal:
        """Return what a rule would have raised within the last ten minutes, or raise `BadRule`."""
        rule = rule_from(document, SHIPPED)
        ring = self._ring[-RING:]
        if not ring:
            return Rehearsal([], 0.0, 0)
        first, last = ring[0].at_ns, ring[-1].at_ns
        return Rehearsal(replay(rule, ring), (last - first) / 1_000_000_000, last)


async def _forever(run: Callable[[], Awaitable[None]]) -> None:
    await run()
