"""A ledger, its lanes, and as many candidates for leading as a test starts, in virtual time."""

import asyncio
from typing import Any, Final

from sqlalchemy import text

from app.domain.anomaly import Anomaly, Severity
from app.domain.failover import Failover
from app.domain.records import Actor, LaneStatus
from app.failover.switch import Grounds, Switch
from app.ledger.outbox.queue import EmbeddedOutbox
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.mishaps import Mishaps
from tests.builders import a_lane
from tests.failover.course import health
from tests.scenarios.builders import REFERENCE
from tests.scenarios.world import Life, Store, StoreLine, World, a_ledger
from tests.virtual import Virtual

KIM: Final = Actor("kim", "the test says so")
MARKET: Final = "XNAS"


class Lanes:
    """What the lanes show: `Floor`, as far as a switch looks at it."""

    def __init__(self, virtual: Virtual) -> None:
        self._clock = virtual.clock
        self.dead: set[str] = set()

    def lanes(self) -> list[LaneStatus]:
        return [self._lane(name) for name in ("north", "south")]

    def _lane(self, name: str) -> LaneStatus:
        seen = health(name, self._clock.now(), None if name in self.dead else 0.0)
        return a_lane(name, health=seen)

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        raise NotImplementedError

    async def probe(self, broker_order_key: str) -> str:
        raise NotImplementedError

    async def log_out(self, broker_id: str, reason: str) -> str:
        raise NotImplementedError

    def halts_changed(self) -> None:
        raise NotImplementedError


class House:
    """A ledger, its lanes, and as many switches as a test starts."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        self.lanes = Lanes(virtual)
        self.anomalies: list[Anomaly] = []
        self.moved = 0
        self._world = World(virtual.loop)
        self._store = Store(self._world, a_ledger())
        self._tasks: list[asyncio.Task[None]] = []
        self.ledger = self._ledger(Life(self._world))
        self.trouble = AnomalyLedger(self._store.database, virtual.clock)
        self.ledger.declare({"north": 100, "south": 100}, {MARKET: "north"})
        self.candidates("north", "south")

    def outbox(self) -> EmbeddedOutbox:
        return EmbeddedOutbox(StoreLine(self._store, Life(self._world)))

    def _ledger(self, life: Life) -> Ledger:
        return Ledger(StoreLine(self._store, life), self.virtual.clock)

    def run(self, work: Any) -> Any:
        return self.virtual.run(work)

    def candidates(self, *names: str) -> None:
        policy = self.run(self.ledger.policies())[MARKET]
        self.run(self.ledger.set_policy(policy._replace(candidates=names), policy.version, KIM))

    def starts(self) -> tuple[Switch, Life]:
        life = Life(self._world)
        switch = Switch(
            Grounds(
                record=self._ledger(life),
                anomalies=self._open,
                floor=self.lanes,
                clock=self.virtual.clock,
                calendar=lambda: REFERENCE.calendar,
                on_moved=self._on_moved,
                able={},
                stands_by=False,
            ),
            Mishaps(self.trouble, "failover", Severity.CRITICAL),
        )
        self._tasks.append(self.virtual.loop.create_task(switch.run()))
        return switch, life

    async def _open(self) -> list[Anomaly]:
        return self.anomalies

    def _on_moved(self) -> None:
        self.moved += 1

    def passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))
        for task in self._tasks:
            assert not task.done(), task.exception()

    @property
    def active(self) -> str:
        return str(self.run(self.ledger.routes())[0].active_broker)

    @property
    def failovers(self) -> list[Failover]:
        return list(self.run(self.ledger.failovers(0)))

    def events(self) -> list[str]:
        found = text("SELECT type FROM outbox WHERE aggregatetype = 'anomalies' ORDER BY id")
        database = self._store.database
        types = database.write_now(lambda c: c.execute(found).scalars().all())
        return [t.split(".")[-2] for t in types]

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self.run(_ended(self._tasks))


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
