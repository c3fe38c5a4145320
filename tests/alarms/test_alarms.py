"""The loop, in virtual time on the real bus: once, in order, in the end, and never lost."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.alarms import alarms as loop_module
from app.alarms.alarm import Answer, Later, Never, Told
from app.alarms.alarms import GROUPS, Alarms
from app.alarms.memory import Memory
from app.alarms.message import Message
from app.alarms.news import ANOMALIES, AUDIT, News
from app.alarms.news import read as read_news
from app.alarms.waiting import TICKETS_MAX
from app.bus.log import LogBus
from app.domain.records import AlarmCounts
from app.ledger.schema import create
from app.ledger.trouble.store import AnomalyLedger
from app.letters import read, topic_of_letters
from app.mishaps import Mishaps
from app.ports.away import StoreAway
from app.ports.bus import Event, Record
from app.sqlite import Database
from tests.alarms.words import NOW, anomaly_event, audit_event, failover_event
from tests.virtual import Virtual, VirtualClock, run_virtual


class Desk:
    """A channel that a test scripts: what it was told, when, and what it says."""

    pause_s = 1.0

    def __init__(self, says: Callable[[float], Answer] = lambda _: Told("ok", "C1:1")) -> None:
        self.says = says
        self.tried: list[float] = []
        self.told: list[tuple[float, Message, str | None]] = []

    async def tell(self, message: Message, thread: str | None) -> Answer:
        now = asyncio.get_running_loop().time()
        self.tried.append(now)
        answer = self.says(now)
        if isinstance(answer, Told):
            self.told.append((now, message, thread))
        return answer

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def titles(self) -> list[str]:
        return [message.title for _, message, _ in self.told]


class Line(LogBus):
    """The bus, on a line that can be cut."""

    is_cut = False

    async def publish(self, events: Sequence[Event]) -> None:
        if self.is_cut:
            raise StoreAway("cut")
        await super().publish(events)

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        if self.is_cut:
            raise StoreAway("cut")
        await super().commit(topic, group, records)


@asynccontextmanager
async def life(
    bus: LogBus,
    desk: Desk,
    clock: VirtualClock,
    memory: Path | None = None,
    store: AnomalyLedger | None = None,
) -> AsyncIterator[Alarms]:
    """Run one process of alarms, and kill it at the end."""
    store = store or a_store(clock)
    alarms = Alarms(
        bus, desk, clock, Memory(memory), Mishaps(store, "alarms"), "https://gw.example/console"
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(alarms.run())
        yield alarms
        running.cancel()


def a_store(clock: VirtualClock) -> AnomalyLedger:
    ledger = Database(None)
    ledger.write_now(create)
    return AnomalyLedger(ledger, clock)


async def lag(bus: LogBus) -> int:
    return sum([await bus.lag(topic, group) for topic, group in GROUPS.items()])


async def letters(bus: LogBus, topic: str = ANOMALIES) -> list[Record]:
    return await bus.poll(topic_of_letters(topic), "operators", 100)


def test_the_news_of_one_incident_is_one_message_after_two_seconds() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk = LogBus(Database(None), clock), Desk()
        async with life(bus, desk, clock) as alarms:
            await bus.publish([anomaly_event()])
            await asyncio.sleep(1.0)
            await bus.publish([anomaly_event("escalated", 2), failover_event("fencing")])
            await asyncio.sleep(0.9)
            assert len(desk.told) == 0
            assert await lag(bus) == 3
            await asyncio.sleep(0.2)

            ((at, message, thread),) = desk.told
            assert at == pytest.approx(2.0, abs=0.05)
            assert thread is None
            assert len(message.news) == 3
            assert message.title == "CRITICAL: route us moves from b1 to b2"
            assert alarms.counts == AlarmCounts(1, 0, 0, 0, 0)
            assert await lag(bus) == 0

    run_virtual(scenario)


def test_later_news_goes_to_the_message_of_its_incident() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk = LogBus(Database(None), clock), Desk()
        async with life(bus, desk, clock):
            await bus.publish([failover_event("fencing")])
            await asyncio.sleep(5)
            await bus.publish([failover_event("draining", 2), failover_event("done", 3)])
            await asyncio.sleep(5)

        assert [thread for _, _, thread in desk.told] == [None, "C1:1"]
        assert [len(message.news) for _, message, _ in desk.told] == [1, 1]
        assert "done" in desk.told[1][1].news[0]

    run_virtual(scenario)


def test_the_next_halt_of_a_symbol_is_a_new_message() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk = LogBus(Database(None), clock), Desk()
        async with life(bus, desk, clock):
            for sequence, action in enumerate(("halt", "resume", "halt"), 1):
                await bus.publish([audit_event(action, sequence, at=NOW + sequence)])
                await asyncio.sleep(5)
            assert await lag(bus) == 0

        assert [thread for _, _, thread in desk.told] == [None, "C1:1", None]

    run_virtual(scenario)


def test_the_worst_is_told_first_and_one_a_second() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk = LogBus(Database(None), clock), Desk()
        async with life(bus, desk, clock):
            await bus.publish(
                [
                    anomaly_event(incident_id="in-mild", anomaly_id="an-1"),
                    anomaly_event("resolved", incident_id="in-over", anomaly_id="an-2"),
                    anomaly_event("escalated", incident_id="in-bad", anomaly_id="an-3"),
                    failover_event("halted", incident_id="in-page"),
                ]
            )
            await asyncio.sleep(10)

        assert [m.incident_id for _, m, _ in desk.told] == [
            "in-page",
            "in-bad",
            "in-mild",
            "in-over",
        ]
        gaps = [b[0] - a[0] for a, b in zip(desk.told, desk.told[1:], strict=False)]
        assert min(gaps) >= 1.0

    run_virtual(scenario)


def test_an_outage_is_waited_for_and_what_is_told_is_how_things_are_then() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda now: Told("ok") if now > 300 else Later("away"))
        async with life(bus, desk, clock) as alarms:
            await bus.publish([anomaly_event()])
            await asyncio.sleep(100)
            troubles = [alarms.trouble]
            assert await lag(bus) == 1
            event = anomaly_event("escalated", 2, valid_until=clock.now() + 30_000)
            await bus.publish([event, audit_event("halt", at=clock.now())])
            await asyncio.sleep(300)

            assert desk.titles == [
                "CRITICAL: broker/b1, broker.error_rate",
                "WARNING: new sends are halted: symbol:TSLA",
            ]
            assert [*troubles, alarms.trouble] == ["away", None]
            assert await lag(bus) == 0
            assert alarms.counts.dead == 0
        waits = [b - a for a, b in zip(desk.tried, desk.tried[1:], strict=False)]
        assert waits[:7] == pytest.approx([1, 2, 4, 8, 16, 32, 60])

    run_virtual(scenario)


def test_a_wish_to_be_left_alone_is_granted() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda now: Later("429", 7.0) if now < 5 else Told("ok"))
        async with life(bus, desk, clock):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(20)

        assert desk.tried[1] - desk.tried[0] == pytest.approx(7.0)
        assert len(desk.tried) == 2

    run_virtual(scenario)


def test_after_a_quarter_of_an_hour_all_that_waits_is_parked_and_written_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda _: Later("away"))
        async with life(bus, desk, clock) as alarms:
            await bus.publish([anomaly_event(), anomaly_event("escalated", 2)])
            await bus.publish([anomaly_event(incident_id="in-2", anomaly_id="an-2")])
            await bus.publish([audit_event("halt")])
            await asyncio.sleep(890)
            assert await lag(bus) == 4
            await asyncio.sleep(100)

            assert await lag(bus) == 0
            assert alarms.counts.dead == 3
            assert alarms.counts.waiting == 0
            found = [read(record.event) for record in await letters(bus)]
            assert {it.event.event_id for it in found} == {"an-1-2", "an-2-1"}
            assert {(it.group, it.cause) for it in found} == {
                ("alarms", "not told within its time: away")
            }
            assert len(await letters(bus, AUDIT)) == 1

    run_virtual(scenario)
    assert caplog.text.count('"event":"alarm"') == 3


def test_what_is_refused_for_good_is_parked_at_once_and_stops_nobody() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda now: Never("invalid_blocks") if now < 3 else Told("ok"))
        async with life(bus, desk, clock) as alarms:
            await bus.publish([anomaly_event(), anomaly_event()._replace(payload=b"{")])
            await asyncio.sleep(3)
            await bus.publish([audit_event("halt")])
            await asyncio.sleep(5)

            causes = [read(record.event).cause for record in await letters(bus)]
            assert len(causes) == 2
            assert causes[0].startswith("DecodeError")
            assert causes[1] == "invalid_blocks"
            assert len(desk.told) == 1
            assert await lag(bus) == 0
            assert alarms.counts.dead == 1

    run_virtual(scenario)


def test_a_fault_of_ours_on_one_event_parks_it_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compose(*_: object) -> Message:
        raise ZeroDivisionError

    def fail_once(event: Event) -> News | None:
        if event.event_id == "an-9-1":
            raise ZeroDivisionError
        return read_news(event)

    monkeypatch.setattr(loop_module, "compose", compose)
    monkeypatch.setattr(loop_module, "read", fail_once)

    async def scenario(clock: VirtualClock) -> None:
        bus, desk, store = LogBus(Database(None), clock), Desk(), a_store(clock)
        async with life(bus, desk, clock, None, store):
            await bus.publish([anomaly_event(anomaly_id="an-9"), anomaly_event()])
            await asyncio.sleep(5)

            (anomaly,) = await store.open_anomalies()
            assert str(anomaly.subject) == "subscriber/alarms"
            assert list(anomaly.evidence["causes"]) == ["words"]  # type: ignore[call-overload]
            (letter,) = await letters(bus)
            assert "a fault of ours: ZeroDivisionError" in read(letter.event).cause
            assert "broker.error_rate on broker/b1" in desk.told[0][1].news[0]
            assert await lag(bus) == 0

    run_virtual(scenario)


def test_a_channel_that_throws_parks_that_message_and_tells_the_next() -> None:
    def throws_early(now: float) -> Answer:
        if now < 10:
            raise ZeroDivisionError
        return Told("ok")

    async def scenario(clock: VirtualClock) -> None:
        bus, desk, store = LogBus(Database(None), clock), Desk(throws_early), a_store(clock)
        async with life(bus, desk, clock, None, store) as alarms:
            await bus.publish([anomaly_event(), audit_event("halt")])
            await asyncio.sleep(8)
            (anomaly,) = await store.open_anomalies()
            assert anomaly.evidence["causes"] == {"telling": "ZeroDivisionError: "}
            assert alarms.counts.dead == len(desk.tried) == 2
            assert await lag(bus) == 0

            await asyncio.sleep(5)
            await bus.publish([failover_event("halted")])
            await asyncio.sleep(5)
            assert len(desk.told) == 1
            assert await store.open_anomalies() == []

    run_virtual(scenario)


def test_a_bus_that_throws_is_read_again_and_the_anomaly_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk, store = LogBus(Database(None), clock), Desk(), a_store(clock)
        poll = bus.poll

        async def throws(*_: object) -> list[Record]:
            raise ZeroDivisionError

        monkeypatch.setattr(bus, "poll", throws)
        async with life(bus, desk, clock, None, store):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(5)
            assert len(await store.open_anomalies()) == 1
            monkeypatch.setattr(bus, "poll", poll)
            await asyncio.sleep(10)
            assert len(desk.told) == 1
            assert await store.open_anomalies() == []

    run_virtual(scenario)


def test_a_crash_before_the_message_tells_it_and_after_it_does_not(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        file, memory = Database(None), tmp_path / "alarms.json"
        bus, desk = Line(file, clock), Desk()
        async with life(bus, desk, clock, memory):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(1.5)
        assert len(desk.told) == 0

        bus = Line(file, clock)
        async with life(bus, desk, clock, memory):
            await asyncio.sleep(1.9)
            bus.is_cut = True  # told, remembered, and not committed
            await asyncio.sleep(1.0)
        assert len(desk.told) == 1
        assert await lag(bus) == 1

        bus = Line(file, clock)
        async with life(bus, desk, clock, memory):
            await asyncio.sleep(5)
            assert len(desk.told) == 1
            assert await lag(bus) == 0
            await bus.publish([anomaly_event("resolved", 2, updated_at=clock.now())])
            await asyncio.sleep(5)
            assert desk.told[1][2] == "C1:1"
            assert desk.told[1][1].title.startswith("OVER")

    run_virtual(scenario)


def test_what_was_heard_and_not_told_is_not_remembered_as_told(tmp_path: Path) -> None:
    async def scenario(clock: VirtualClock) -> None:
        file, memory = Database(None), tmp_path / "alarms.json"
        bus, desk = LogBus(file, clock), Desk()
        async with life(bus, desk, clock, memory):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(2.5)
            await bus.publish([anomaly_event("escalated", 2, valid_until=NOW + 60_000)])
            # Another incident is told meanwhile, so the file is written.
            await bus.publish([failover_event("halted", incident_id="in-2", failover_id="fo-2")])
            desk.says = lambda _: Told("ok") if len(desk.tried) < 3 else Later("away")
            await asyncio.sleep(3)
        assert [m.incident_id for _, m, _ in desk.told] == ["in-1", "in-2"]

        desk.says = lambda _: Told("ok")
        async with life(LogBus(file, clock), desk, clock, memory):
            await asyncio.sleep(5)
        assert "now critical" in desk.told[2][1].news[0]

    run_virtual(scenario)


NOT_TEXT = '[{"events": [{"topic": "t", "key": "k", "event_id": "e", "type": "t", "payload": 1}]}]'


@pytest.mark.parametrize("text", ["{", "[{}]", '[{"events": []}]', "\xff", NOT_TEXT])
def test_a_memory_that_cannot_be_read_is_no_reason_to_be_silent(tmp_path: Path, text: str) -> None:
    memory = tmp_path / "alarms.json"
    memory.write_text(text, "latin-1")

    async def scenario(clock: VirtualClock) -> None:
        bus, desk = LogBus(Database(None), clock), Desk()
        async with life(bus, desk, clock, memory):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(5)
        assert len(desk.told) == 1

    run_virtual(scenario)


def test_a_bus_that_is_away_delays_the_commit_and_not_the_message(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, desk = Line(Database(None), clock), Desk()
        async with life(bus, desk, clock):
            await bus.publish([anomaly_event()])
            await asyncio.sleep(1)
            bus.is_cut = True
            await asyncio.sleep(60)
            assert len(desk.told) == 1
            assert await lag(bus) == 1
            bus.is_cut = False
            await asyncio.sleep(6)
            assert await lag(bus) == 0

    virtual.run(scenario(virtual.clock))


def test_a_storm_of_incidents_is_a_bounded_number_of_messages_and_the_worst_come_through() -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda now: Told("ok") if now > 60 else Later("away"))
        async with life(bus, desk, clock) as alarms:
            events = [
                anomaly_event(incident_id=f"in-{n}", anomaly_id=f"an-{n}")
                for n in range(2 * TICKETS_MAX)
            ]
            await bus.publish([*events, failover_event("halted", incident_id="in-page")])
            await asyncio.sleep(30)
            assert alarms.counts.waiting <= TICKETS_MAX + 1
            await asyncio.sleep(300)

            assert desk.told[0][1].incident_id == "in-page"
            assert len(desk.told) <= TICKETS_MAX + 1
            # Of 201, all but 99 share one ticket.
            (many,) = [message for _, message, _ in desk.told if message.incident_id == "many"]
            assert many.title == f"WARNING: {TICKETS_MAX + 2} further incidents"
            assert await lag(bus) == 0

    run_virtual(scenario)


def test_a_flood_that_cannot_be_told_stays_on_the_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "IN_HAND_MAX", 100)
    monkeypatch.setattr(loop_module, "BATCH_MAX", 50)

    async def scenario(clock: VirtualClock) -> None:
        bus = LogBus(Database(None), clock)
        desk = Desk(lambda now: Told("ok") if now > 30 else Later("away"))
        async with life(bus, desk, clock) as alarms:
            await bus.publish(
                [failover_event("held", n, held_by=[f"reason-{n}"]) for n in range(1, 400)]
            )
            await asyncio.sleep(20)
            in_hand = sum(map(len, alarms._in_hand[ANOMALIES].values()))
            assert in_hand == 100
            await asyncio.sleep(600)
            assert await lag(bus) == 0

    run_virtual(scenario)
