"""What brokers report is applied once, poison is parked, and an outage costs nothing but time."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from app import codec, letters
from app.bus.log import LogBus
from app.consuming import RETRY_S_MAX
from app.dispatch.reports import GROUP, TOPIC, Reports
from app.domain.messages import ExecutionReport, ExecutionType
from app.domain.values import Status
from app.ports.away import StoreAway
from app.ports.bus import Event, Record
from app.sqlite import Database
from tests.ledger.books import Books, on
from tests.virtual import Virtual

TRADE = ExecutionType.TRADE


class Bus(LogBus):
    """The twin, which is away when it is told to be."""

    polls_lost = 0
    commits_lost = 0
    polls = 0

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        self.polls += 1
        if self.polls_lost:
            self.polls_lost -= 1
            raise StoreAway("the bus is away")
        return await super().poll(topic, group, limit)

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        if self.commits_lost:
            self.commits_lost -= 1
            raise StoreAway("the bus is away")
        await super().commit(topic, group, records)


@pytest.fixture
def bus(virtual: Virtual) -> Bus:
    return Bus(Database(None), virtual.clock)


def told(report: ExecutionReport) -> Event:
    return raw(report.execution_id, codec.encode(report))


def raw(name: str, payload: bytes) -> Event:
    return Event(TOPIC, "k", name, "io.openbell.broker-report.trade.v1", payload)


def test_reports_are_applied_committed_and_applied_once(
    virtual: Virtual, books: Books, bus: Bus
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)
    event = told(on(claimed, TRADE, "e-1"))
    virtual.run(bus.publish([event, event]))

    assert virtual.run(reports.step()) == 2
    assert virtual.run(reports.step()) == 0
    assert (reports.applied, reports.known, reports.parked) == (1, 1, 0)
    assert books.order(claimed.order.order_id).status is Status.FILLED
    assert virtual.run(bus.lag(TOPIC, GROUP)) == 0


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xff\x00",
        b'{"broker_id":"\xff"}',
        b"null",
        b'{"broker_id":1}',
        b'{"x":' * 100_000,
        b'{"broker_id":"north","execution_type":"from the future"}',
    ],
)
def test_what_cannot_be_read_is_parked_with_its_cause_and_the_rest_goes_on(
    virtual: Virtual, books: Books, bus: Bus, payload: bytes
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)
    poison = raw("poison", payload)
    virtual.run(bus.publish([poison, told(on(claimed, TRADE, "e-1"))]))

    assert virtual.run(reports.step()) == 2
    assert books.order(claimed.order.order_id).status is Status.FILLED
    (found,) = virtual.run(bus.poll(f"{TOPIC}.dlq", "people", 10))
    letter = letters.read(found.event)
    assert letter.event == poison
    assert letter.group == GROUP
    assert letter.cause
    assert reports.parked == 1
    assert virtual.run(bus.lag(TOPIC, GROUP)) == 0


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e999999999", "-1"])
def test_a_number_that_is_none_is_the_ledgers_business_and_stops_nothing(
    virtual: Virtual, books: Books, bus: Bus, price: str
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)
    strange = on(claimed, TRADE, "e-1", last_price=Decimal(price))
    virtual.run(bus.publish([told(strange), told(on(claimed, TRADE, "e-2"))]))

    assert virtual.run(reports.step()) == 2
    assert (reports.applied, reports.quarantined, reports.parked) == (1, 1, 0)


def test_a_bus_that_is_away_costs_time_and_nothing_else(
    virtual: Virtual, books: Books, bus: Bus
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reports.run())
            await bus.publish([told(on(claimed, TRADE, "e-1"))])
            bus.polls_lost = 6
            await asyncio.sleep(1)
            said.append(reports.trouble)
            await asyncio.sleep(6 * RETRY_S_MAX)
            said.append(reports.trouble)
            running.cancel()

    said: list[str | None] = []
    virtual.run(story())
    assert said == ["StoreAway: the bus is away", None]
    assert reports.applied == 1
    assert books.order(claimed.order.order_id).status is Status.FILLED


def test_a_batch_that_could_not_be_committed_is_kept_and_changes_nothing_twice(
    virtual: Virtual, books: Books, bus: Bus
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)
    virtual.run(bus.publish([told(on(claimed, TRADE, "e-1", last_quantity=Decimal(4)))]))
    bus.commits_lost = 1
    with pytest.raises(StoreAway):
        virtual.run(reports.step())

    assert virtual.run(reports.step()) == 1
    assert (reports.applied, reports.known) == (1, 1)
    assert books.order(claimed.order.order_id).filled_quantity == 4
    assert virtual.run(bus.lag(TOPIC, GROUP)) == 0


def test_an_idle_loop_wakes_with_the_report_and_asks_no_more_than_it_must(
    virtual: Virtual, books: Books, bus: Bus
) -> None:
    claimed = books.working()
    reports = Reports(bus, books.ledger)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(reports.run())
            await asyncio.sleep(10.5)
            assert bus.polls <= 12
            await bus.publish([told(on(claimed, TRADE, "e-1"))])
            await asyncio.sleep(0.05)
            assert reports.applied == 1
            running.cancel()

    virtual.run(story())
