"""What a subscriber says of itself: one anomaly while anything of it fails, none when it works."""

import asyncio
from collections.abc import Iterator, Sequence

import pytest

from app.domain.anomaly import Anomaly, Finding, Severity
from app.ledger.schema import create
from app.ledger.trouble.store import AnomalyLedger
from app.mishaps import RULE, Mishaps
from app.ports.away import StoreAway
from app.sqlite import Database
from tests.virtual import Virtual


class Fickle(AnomalyLedger):
    """The embedded store, which a test can take away."""

    away = False
    notes = 0

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        if self.away:
            raise StoreAway("gone fishing")
        self.notes += 1
        return await super().note(findings)


class Group:
    """A subscriber's mishaps, told by a loop that runs."""

    def __init__(self, virtual: Virtual) -> None:
        self.virtual = virtual
        self.database = Database(None)
        self.database.write_now(create)
        self.store = Fickle(self.database, virtual.clock)
        self.starts()

    def starts(self) -> None:
        self.mishaps = Mishaps(self.store, "alarms")

    def passes(self, seconds: float) -> None:
        async def story() -> None:
            async with asyncio.TaskGroup() as loops:
                telling = loops.create_task(self.mishaps.run())
                await asyncio.sleep(seconds)
                telling.cancel()

        self.virtual.run(story())

    @property
    def standing(self) -> list[Anomaly]:
        return self.virtual.run(self.store.open_anomalies())

    @property
    def all_of_them(self) -> list[Anomaly]:
        return self.virtual.run(self.store.anomalies(None, 10))


@pytest.fixture
def group(virtual: Virtual) -> Iterator[Group]:
    group = Group(virtual)
    yield group
    group.database.close()


def test_what_throws_is_an_anomaly_until_every_part_of_it_works(group: Group) -> None:
    group.mishaps.threw(ZeroDivisionError("by 0"), "telling")
    group.mishaps.threw(KeyError("rule"), "reading")
    group.passes(2)
    (anomaly,) = group.standing
    assert (anomaly.rule_id, str(anomaly.subject)) == (RULE, "subscriber/alarms")
    assert anomaly.severity is Severity.WARNING
    assert anomaly.evidence["causes"] == {
        "telling": "ZeroDivisionError: by 0",
        "reading": "KeyError: 'rule'",
    }

    group.mishaps.worked("reading")
    group.passes(2)
    assert len(group.standing) == 1

    group.mishaps.worked("telling")
    group.passes(2)
    assert group.standing == []


def test_what_throws_once_and_works_again_at_once_is_told_as_both(group: Group) -> None:
    group.mishaps.threw(ZeroDivisionError(), "hearing")
    group.mishaps.worked("hearing")
    group.passes(3)

    (anomaly,) = group.all_of_them
    assert anomaly.state == "resolved"


def test_a_thousand_mishaps_are_one_anomaly_and_one_row_a_second(group: Group) -> None:
    for _ in range(1_000):
        group.mishaps.threw(ZeroDivisionError(), "hearing")
    group.passes(3)

    assert len(group.standing) == group.store.notes == 1


def test_a_store_that_is_away_is_told_when_it_is_back(group: Group) -> None:
    group.store.away = True
    group.mishaps.threw(ZeroDivisionError(), "hearing")
    group.passes(5)
    group.store.away = False
    group.passes(2)

    assert len(group.standing) == 1


def test_what_a_former_life_left_open_ends_with_what_works_in_this_one(group: Group) -> None:
    group.mishaps.threw(ZeroDivisionError(), "hearing")
    group.passes(2)
    group.starts()
    group.mishaps.worked("reading")
    group.passes(2)

    assert group.standing == []


def test_who_is_away_is_no_fault_of_the_subscriber(group: Group) -> None:
    group.mishaps.of("reading")(StoreAway("the bus"))
    group.passes(2)

    assert group.all_of_them == []
