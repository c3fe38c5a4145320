"""Asking about working orders: the budget, the second look, a broker that does not answer.

The ledger is the real one. The clock is the loop's, and each story is told without a gateway
around it: half an hour of quiet is some thousand ticks.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

import pytest

from app.diagnostics.health import HealthWitness
from app.dispatch.catchup import SECOND_LOOK_S, TICK_S, CatchUp, signs_of
from app.dispatch.gate import GatedBroker, GateSettings
from app.dispatch.ownership import Ownership
from app.dispatch.rounds import Rhythm, Signs
from app.domain.broker_session import SessionStatus
from app.domain.capabilities import Capabilities
from app.domain.messages import Absent, Accepted, ExecutionReport, Found, Lookup, Unknown
from app.domain.records import Fence, Settlement
from app.domain.values import Status
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ports.brokers import Standing
from tests.builders import SESSION, TODAY, a_report, a_taking
from tests.contracts.record import sendable
from tests.dispatch.rig import LIVELY, ScriptedBroker
from tests.scenarios.world import a_ledger
from tests.virtual import Virtual

BATCH: Final = 10
# What opens no circuit, so that a story about silence is about this loop alone.
STOIC: Final = GateSettings(failures_max=10_000, calls_min=10_000)


class Shown(ScriptedBroker):
    """Shows each order as working, but what a story says of it."""

    capabilities = Capabilities(find_batch_max=BATCH, visibility_window_s=5.0)

    def __init__(self, virtual: Virtual) -> None:
        super().__init__()
        self.name = "north"
        self.virtual = virtual
        self.shows: dict[str, Lookup] = {}
        self.all: Lookup | None = None
        self.found: list[tuple[int, Sequence[str]]] = []

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        await asyncio.sleep(0.01)
        self.found.append((self.virtual.loop.now_ns, keys))
        working = Found("N-1", Status.NEW)
        return [self.all or self.shows.get(key, working) for key in keys]


class Desk:
    """A broker's orders, and who asks about them."""

    def __init__(
        self,
        virtual: Virtual,
        orders: int,
        broker: Shown | None = None,
        rhythm: Rhythm | None = None,
    ) -> None:
        self.virtual = virtual
        self.database = a_ledger()
        self.clock = virtual.clock
        self.ledger = Ledger(self.database, self.clock)
        self.ledger.declare({"north": 1_000}, {"XNAS": "north"})
        self.anomalies = AnomalyLedger(self.database, self.clock)
        self.broker = broker or Shown(virtual)
        self.ownership = Ownership(self.ledger, self.clock, "north", "me")
        self.reports = self.taken = 0
        self.keys: list[str] = []
        virtual.run(self._open(orders))
        self.asks = CatchUp(
            broker=GatedBroker(self.broker, self.clock, STOIC),
            store=self.ledger,
            anomalies=self.anomalies,
            clock=self.clock,
            ownership=self.ownership,
            signs=lambda epoch: Signs(epoch, reports=self.reports),
            rhythm=rhythm,
        )

    async def _open(self, orders: int) -> None:
        await self.ownership.take()
        self.keys = await self.sent(orders)
        await self.ledger.settle([Settlement(key, Accepted("N-1"), 1) for key in self.keys])

    async def sent(self, orders: int) -> list[str]:
        """Take orders and claim them; return their keys."""
        self.taken += orders
        first = self.taken - orders
        await self.ledger.take([a_taking(f"c-{n}") for n in range(first, self.taken)])
        sessions = frozenset({SESSION.trading_session_id})
        fence = Fence("north", "me", self.ownership.epoch, sessions)
        claimed = await self.ledger.claim(fence, orders, sendable)
        return [claim.broker_order_key for claim in claimed]

    def passes(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        self.virtual.run(self._passes(seconds, each))

    async def _passes(self, seconds: float, each: Callable[[], None]) -> None:
        for tick in range(round(seconds / TICK_S)):
            if tick % 6 == 0:
                assert await self.ledger.renew_lease("north", "me", self.ownership.epoch, 10_000)
                self.ownership._until_ns = self.clock.monotonic_ns() + 10_000_000_000
            each()
            await self.asks.step()
            await asyncio.sleep(TICK_S)

    def gaps(self) -> list[tuple[str, str]]:
        found = self.virtual.run(self.anomalies.anomalies(None, 10))
        return [(a.rule_id, a.state.value) for a in found]

    def fill(self, key: str, **facts: Any) -> ExecutionReport:
        return a_report(broker_order_key=key, trade_date=TODAY, **facts)


@pytest.fixture
def virtual() -> Iterator[Virtual]:
    with Virtual() as virtual:
        yield virtual


def test_all_are_asked_once_and_never_faster_than_the_budget(virtual: Virtual) -> None:
    desk = Desk(virtual, 200)
    desk.passes(30)
    asked = [key for _, keys in desk.broker.found for key in keys]

    assert sorted(asked) == sorted(desk.keys)
    assert max(len(keys) for _, keys in desk.broker.found) == BATCH
    starts = [at for at, _ in desk.broker.found]
    for at in starts:
        assert sum(at <= other < at + 450_000_000 for other in starts) <= 4


def test_each_is_asked_about_every_ten_minutes_whatever_is_told(virtual: Virtual) -> None:
    desk = Desk(virtual, 40)

    def somebody_reports() -> None:
        desk.reports += 1

    desk.passes(1_900, somebody_reports)
    asked = [key for _, keys in desk.broker.found for key in keys]

    assert {asked.count(key) for key in desk.keys} == {4}  # taken over, and three rounds
    late = [at for at, _ in desk.broker.found][4:]
    assert all(b - a >= 400_000_000 for a, b in pairwise(late))


def test_silence_costs_a_sample_a_minute_when_nothing_was_missed(virtual: Virtual) -> None:
    desk = Desk(virtual, 40)
    desk.passes(10)
    desk.broker.found.clear()
    desk.passes(310)
    asked = [key for _, keys in desk.broker.found for key in keys]

    assert set(asked) == set(desk.keys[:20])
    assert 4 * 20 <= len(asked) <= 5 * 20


def test_what_was_not_missed_changes_nothing(virtual: Virtual) -> None:
    desk = Desk(virtual, 40)
    before = virtual.run(desk.ledger.orders_of(desk.keys))
    desk.passes(700)

    assert virtual.run(desk.ledger.orders_of(desk.keys)) == before
    assert (desk.asks.missed, desk.gaps()) == (0, [])


def test_what_looks_wrong_once_is_told_to_nobody(virtual: Virtual) -> None:
    desk = Desk(virtual, 3)
    filled = Found("N-1", Status.FILLED)
    desk.broker.shows = {desk.keys[0]: filled, desk.keys[1]: Absent()}
    desk.passes(2)
    execution = desk.fill(desk.keys[0], last_quantity=Decimal(10))
    desk.broker.shows = {desk.keys[0]: replace(filled, executions=(execution,))}
    desk.passes(2 * SECOND_LOOK_S)

    assert desk.gaps() == []
    shown = virtual.run(desk.ledger.orders_of(desk.keys))
    assert [shown[key].status for key in desk.keys] == [Status.FILLED, Status.NEW, Status.NEW]


def test_what_ends_without_its_fills_is_told_of_until_they_come(virtual: Virtual) -> None:
    desk = Desk(virtual, 2)
    key = desk.keys[0]
    desk.broker.shows = {key: Found("N-1", Status.CANCELED, filled_quantity=Decimal(4))}
    desk.passes(40)
    assert desk.gaps() == [("fills.missing", "open")]
    desk.passes(700)
    assert desk.gaps() == [("fills.missing", "open")]
    fill = desk.fill(key, last_quantity=Decimal(4))
    virtual.run(desk.ledger.apply([fill], "report"))
    desk.passes(30)

    assert desk.gaps() == [("fills.missing", "resolved")]
    order = virtual.run(desk.ledger.orders_of([key]))[key]
    assert order.status is Status.CANCELED
    assert order.filled_quantity == 4


def test_a_broker_that_answers_nothing_is_asked_less_and_less(virtual: Virtual) -> None:
    desk = Desk(virtual, 200)
    desk.broker.all = Unknown("no answer in time")
    desk.passes(300)
    silent = len(desk.broker.found)
    assert silent <= 17
    desk.broker.all = None
    desk.broker.found.clear()
    desk.passes(60)
    asked = {key for _, keys in desk.broker.found for key in keys}

    assert asked == set(desk.keys)
    assert desk.gaps() == []


def test_an_order_of_which_nothing_is_shown_holds_nobody_up(virtual: Virtual) -> None:
    desk = Desk(virtual, 30)
    desk.broker.shows = {desk.keys[0]: Unknown("unreadable")}
    desk.passes(200)
    asked = [key for _, keys in desk.broker.found for key in keys]

    assert asked.count(desk.keys[29]) == 1
    assert asked.count(desk.keys[0]) <= 5
    assert desk.gaps() == []


class OnASession(ScriptedBroker):
    """A broker on a session that stands as the story says."""

    status: SessionStatus | None = None

    async def run(self, _standing: Standing) -> None: ...

    def session(self) -> SessionStatus | None:
        return self.status

    async def log_out(self, _reason: str) -> None: ...


def test_a_session_is_down_until_its_logon_stands(virtual: Virtual) -> None:
    broker = OnASession()
    gate = GatedBroker(broker, virtual.clock)
    look = signs_of(gate, HealthWitness(virtual.clock, ["scripted"]), lambda: 0, broker)
    up = SessionStatus("S", "logged_on", None, "h:1", 5, 1, 7, 5, None, 3, None)
    logons = []
    for status in (None, up._replace(state="connecting"), up, up._replace(since=9)):
        broker.status = status
        logons.append(look(1).logon)

    assert logons == [None, None, 5, 9]


def test_an_open_circuit_or_a_ping_that_fails_is_an_outage(virtual: Virtual) -> None:
    broker, witness = ScriptedBroker(), HealthWitness(virtual.clock, ["scripted"])
    gate = GatedBroker(broker, virtual.clock, LIVELY, witness=witness)
    look = signs_of(gate, witness, lambda: 3, None)
    assert look(2) == Signs(2, reachable=True, reports=3, logon=0)
    witness.pinged("scripted", alive=False)
    assert not look(2).reachable
    witness.pinged("scripted", alive=True)
    assert look(2).reachable
    broker.lookup = Unknown("no answer in time")
    for _ in range(LIVELY.failures_max):
        virtual.run(gate.find(["k"]))

    assert not look(2).reachable
