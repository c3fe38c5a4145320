"""The store hears what is new at once, what goes on now and then, and in the end everything."""

import asyncio
from collections.abc import Sequence

from app.diagnostics.shipped import CRITICAL, SHIPPED, WARNING
from app.diagnostics.signals import Past
from app.diagnostics.teller import Teller
from app.diagnostics.tripwires import Tripwires
from app.domain.anomaly import Anomaly, Finding
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ports.away import StoreAway
from app.sqlite import Database
from tests.diagnostics.stream import NORTH, Stream
from tests.virtual import Virtual

RULE = SHIPPED["broker.reply_silence"]


class Fickle(AnomalyLedger):
    """The embedded store, which a test can take away."""

    away = False
    notes = 0

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        if self.away:
            raise StoreAway("gone fishing")
        self.notes += len(findings)
        return await super().note(findings)


class Told:
    """A teller on a store of its own, and a broker's minutes."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        self.database = Database(None)
        self.database.write_now(create)
        Ledger(self.database, virtual.clock).declare({"north": 10}, {"XNAS": "north"})
        self.store = Fickle(self.database, virtual.clock)
        self.starts()

    def starts(self) -> None:
        self.stream = Stream(RULE)
        self.teller = Teller(self.store, self.stream.wires, self.virtual.clock)

    def passes(self, seconds: float, silence_s: float) -> None:
        """Let the watch look for so long, beside a teller that runs."""

        async def story() -> None:
            async with asyncio.TaskGroup() as loops:
                telling = loops.create_task(self.teller.run())
                for _ in range(round(seconds * 2)):
                    self.teller.hear(self.stream.passes(0.5, silence_s=silence_s))
                    await asyncio.sleep(0.5)
                telling.cancel()

        self.virtual.run(story())

    def trouble(self) -> str | None:
        return self.teller.trouble

    def open(self) -> list[Anomaly]:
        return self.virtual.run(self.store.open_anomalies())


def test_what_goes_on_is_told_every_ten_seconds_and_its_end_at_once(virtual: Virtual) -> None:
    told = Told(virtual)
    told.passes(35, 4)
    assert [(a.severity, a.occurrences) for a in told.open()] == [(WARNING, 4)]
    told.passes(1, 12)
    assert [a.severity for a in told.open()] == [CRITICAL]
    told.passes(1, 0)

    assert told.open() == []
    assert told.store.notes == 6
    told.database.close()


def test_a_store_that_is_away_hears_it_later(virtual: Virtual) -> None:
    told = Told(virtual)
    told.store.away = True
    told.passes(20, 4)
    assert told.teller.pending == 1
    assert told.trouble() == "StoreAway: gone fishing"
    told.passes(5, 12)
    told.store.away = False
    told.passes(2, 12)

    assert [a.severity for a in told.open()] == [CRITICAL]
    assert told.store.notes == 1
    assert told.trouble() is None
    told.database.close()


def test_an_end_that_the_store_did_not_hear_is_said_again(virtual: Virtual) -> None:
    told = Told(virtual)
    told.passes(2, 4)
    assert len(told.open()) == 1
    told.store.away = True
    told.passes(5, 0)
    told.store.away = False
    told.passes(2, 0)

    assert told.open() == []
    told.database.close()


def test_trouble_of_a_former_life_ends_in_the_next(virtual: Virtual) -> None:
    told = Told(virtual)
    told.passes(5, 12)
    (before,) = told.open()
    told.starts()
    told.passes(1, 5)
    assert [a.anomaly_id for a in told.open()] == [before.anomaly_id]
    told.starts()
    told.passes(2, 0)

    assert told.open() == []
    told.database.close()


def test_a_teller_without_findings_says_nothing(virtual: Virtual) -> None:
    told = Told(virtual)
    wires = Tripwires([RULE])
    told.passes(30, 0)

    assert told.store.notes == 0
    assert wires.look(Past(told.stream.snapshots)) == []
    assert told.stream.subject == NORTH
    told.database.close()
