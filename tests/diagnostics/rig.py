"""A whole watch on virtual time, on lanes and vitals that a test writes down.

The store is the embedded one. What a lane really does is left to tests/scenarios: a gateway's
second costs a hundred times what the watch's does.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from app.diagnostics.distance import Asked, Distance
from app.diagnostics.gathering import Sources
from app.diagnostics.health import HealthWitness
from app.diagnostics.pings import Pings
from app.diagnostics.watch import Watch
from app.domain.anomaly import Anomaly
from app.domain.records import Actor, Backlog, BrokerControl, LaneStatus, Route, Vitals
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ports.away import StoreAway
from app.ports.brokers import Broker
from app.reference import load_reference
from app.sqlite import Database
from tests.builders import a_lane
from tests.dispatch.rig import ScriptedBroker
from tests.virtual import Virtual

KIM: Final = Actor("kim", "because")
CALENDAR: Final = load_reference().calendar
OPEN: Final = {"circuit": "open", "circuit_reason": "20 failures in a row"}


# Slow enough that a backlog of some hundreds is one.
SLOW: Final = {"tps_configured": 10, "tps_effective": 10}


class Pinged(ScriptedBroker):
    """A broker that is only ever pinged."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    async def ping(self) -> bool:
        return self.alive


class Watched:
    """One process that owns north and south."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual, self.clock = virtual, virtual.clock
        self.database = Database(None)
        self.database.write_now(create)
        ledger = Ledger(self.database, self.clock)
        ledger.declare({"north": 10, "south": 10}, {"XNAS": "north"})
        self.store = AnomalyLedger(self.database, self.clock)
        self.controls = virtual.run(ledger.controls())
        self.brokers = {name: Pinged(name) for name in ("north", "south")}
        self.lanes: dict[str, dict[str, Any]] = {"north": {}, "south": {}}
        self.shown: list[tuple[LaneStatus, int]] = []
        self.vitals = Vitals(
            at=0,
            ready={},
            routes=[Route("XNAS", "north", 1)],
            owned=frozenset(self.brokers),
            doubts={},
            outbox_first=0,
            outbox_last=0,
            unbalanced=0,
            quarantined=0,
        )
        self.away = False
        self.db_ahead_ms = 0
        self.behind = 0
        self.book: Backlog | None = None
        self.books_counted = 0
        self.halted = False
        self.operators: list[Mapping[str, object]] = []  # their rules
        self.starts()

    def starts(self) -> None:
        """Begin another life on the same store."""
        self.strays: Counter[str] = Counter()
        self.witness = HealthWitness(self.clock, self.brokers)
        pinged: dict[str, Broker] = dict(self.brokers)
        sources = Sources(
            clock=self.clock,
            witness=self.witness,
            distance=Distance(self._asked(), self.clock),
            lanes=lambda: [self._lane(name) for name in self.lanes],
            controls=lambda: self.controls,
            calendar=lambda: CALENDAR,
            halted=lambda: self.halted,
            able=lambda name: self.brokers[name].capabilities,
            strays=lambda: self.strays,
            instance="here",
        )
        pings = Pings(pinged, self.witness, lambda _: True)
        self.watch = Watch(sources, self.store, pings, self._rules)

    def control(self, **facts: Any) -> BrokerControl:
        self.controls["north"] = self.controls["north"]._replace(**facts)
        return self.controls["north"]

    def has(self, **facts: Any) -> None:
        """Let the ledger say this from now on."""
        self.vitals = self.vitals._replace(**facts)

    def passes(self, seconds: float) -> dict[str, Anomaly]:
        """Let the watch run for so long; return what is open then, by rule and subject."""

        async def story() -> None:
            async with asyncio.TaskGroup() as loops:
                watching = loops.create_task(self.watch.run())
                await asyncio.sleep(seconds)
                watching.cancel()

        self.virtual.run(story())
        found = self.virtual.run(self.store.open_anomalies())
        return {f"{a.rule_id} {a.subject}": a for a in found}

    def acknowledges(self, anomaly: Anomaly) -> None:
        self.virtual.run(self.store.acknowledge(anomaly.anomaly_id, KIM))

    async def _rules(self) -> list[Mapping[str, object]]:
        return self.operators

    async def _vitals(self) -> Vitals:
        if self.away:
            raise StoreAway("gone fishing")
        return self.vitals._replace(at=self.clock.now() + self.db_ahead_ms)

    async def _shown(self) -> list[tuple[LaneStatus, int]]:
        return self.shown

    def _asked(self) -> Asked:
        return Asked(self._vitals, self._shown, self._behind, book=self._book)

    async def _book(self) -> Backlog | None:
        self.books_counted += 1
        return self.book

    async def _behind(self) -> int:
        return self.behind

    def _lane(self, name: str) -> LaneStatus:
        return a_lane(name, health=self.witness.health(name), **SLOW | self.lanes[name])
