"""Kafka is away while a route changes its broker: the route moves, and the events follow.

What is to be told stands in the outbox, in the transaction of what it tells. However often the
bus fails, also after it has taken something, a reader who goes by the event's id sees each event
once, and those of one route in their order.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.bus.kafka import KafkaBus
from app.bus.log import LogBus
from app.clock import SystemClock
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep
from app.domain.records import Actor
from app.ending import ended
from app.ledger.outbox.queue import EmbeddedOutbox
from app.ledger.outbox.relay import Relay
from app.ledger.schema import create
from app.ledger.store import Ledger
from app.ports.away import StoreAway
from app.ports.bus import Event
from app.sqlite import Database
from tests.bus.kafka_house import AUDIT, KafkaHouse, read
from tests.bus.test_kafka_faults import IMPATIENT
from tests.eventually import eventually
from tests.failover.house import House
from tests.servers.server import Server

ANOMALIES: Final = "openbell.anomalies.v1"
KIM: Final = Actor("kim", "the test says so")
STATES: Final = ("fencing", "draining", "ramping", "done")


class Line(LogBus):
    """The bus, on a line that breaks: before it takes something, or after."""

    is_cut = False
    forgets = False

    async def publish(self, events: Sequence[Event]) -> None:
        if self.is_cut:
            raise StoreAway("cut")
        await super().publish(events)
        if self.forgets:
            self.forgets = False
            raise StoreAway("cut before the answer")


def once_each(events: Sequence[Event]) -> list[Event]:
    """Return what a reader makes of it who drops what it has seen."""
    return list({event.event_id: event for event in events}.values())


def states(events: Sequence[Event]) -> list[str]:
    return [event.type.split(".")[-2] for event in events]


def test_the_switch_happens_without_the_bus_and_its_events_follow_once_and_in_order(
    house: House,
) -> None:
    bus = Line(Database(None), house.virtual.clock)
    relay = Relay(house.outbox(), bus)
    carrying = house.virtual.loop.create_task(relay.run())
    house.starts()
    house.passes(15)
    bus.is_cut = True
    house.lanes.dead.add("north")
    house.passes(60)
    assert house.active == "south"
    assert house.run(bus.poll(ANOMALIES, "readers", 100)) == []
    assert relay.trouble == "cut"
    assert house.events() == list(STATES)

    bus.is_cut, bus.forgets = False, True
    house.passes(3)
    heard = [r.event for r in house.run(bus.poll(ANOMALIES, "readers", 100))]
    carrying.cancel()

    assert len(heard) == 2 * len(STATES)  # once more than was answered: that is the promise
    assert states(once_each(heard)) == list(STATES)
    numbers = [int(event.event_id.rpartition("-")[2]) for event in once_each(heard)]
    assert numbers == sorted(set(numbers))
    assert house.events() == []


# --- on a real Kafka --------------------------------------------------------------------


def switched() -> list[Failover]:
    """Return a switch as it comes to each of its states."""
    now = SystemClock().now()
    begun = Failover(
        failover_id="fo_1",
        incident_id="in_1",
        route_id="XNAS",
        kind=FailoverKind.AUTO,
        state=FailoverState.FENCING,
        from_broker="north",
        to_broker="south",
        epoch=1,
        reason="north: submit and ping for 8 s",
        steps=(FailoverStep(FailoverState.FENCING, now),),
        by="openbell",
    )
    steps = [begun]
    for state in STATES[1:]:
        steps.append(steps[-1].came_to(FailoverState(state), at=now))
    return steps


async def leads_away(ledger: Ledger) -> None:
    fenced, *following = switched()
    after = await ledger.fence(fenced, 1, KIM)
    for step in following:
        await ledger.note_failover(step._replace(epoch=after.epoch), KIM)


async def arrived(bus: KafkaBus) -> list[Event]:
    """Return what a group that nobody has used finds, once all that was told is there."""
    found: list[Event] = []
    while len(once_each(found)) < len(STATES):
        found += [record.event for record in await read(bus, 1, group="readers", topic=ANOMALIES)]
    return found


def test_on_a_frozen_kafka_the_route_moves_and_its_events_follow(
    kafka: Server, tmp_path: Path
) -> None:
    kafka.needs("freeze")
    house = KafkaHouse(kafka, ANOMALIES, AUDIT)
    database = Database(tmp_path / "ledger.db")
    database.write_now(create)
    ledger = Ledger(database, SystemClock())
    ledger.declare({"north": 100, "south": 100}, {"XNAS": "north"})

    async def story() -> None:
        async with house.open(IMPATIENT) as bus, asyncio.TaskGroup() as loops:
            relay = Relay(EmbeddedOutbox(database), bus)
            await bus.publish([])
            with kafka.freeze():
                carrying = loops.create_task(relay.run())
                await leads_away(ledger)
                assert (await ledger.routes())[0].active_broker == "south"
                await eventually(lambda: relay.trouble)
            async with asyncio.timeout(90):
                heard = await arrived(bus)
                await eventually(lambda: relay.carried >= len(STATES))
            await ended(carrying)

            assert states(once_each(heard)) == list(STATES)

    try:
        house.run(story)
    finally:
        database.close()
