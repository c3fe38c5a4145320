"""The bus on a Kafka that is killed, frozen and cut off, and on members that die.

What was acknowledged is there afterwards; what was not is said so in time, and goes again; and
within a key nothing overtakes, whatever repeats.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE
from contextlib import suppress
from pathlib import Path

import pytest

from app.bus.away import BusAway
from app.bus.kafka import KafkaBus
from app.bus.site import Patience
from tests.bus.kafka_house import ORDERS, KafkaHouse, an_event, first_of_each, ids, read
from tests.eventually import eventually
from tests.servers.server import Server

IMPATIENT = Patience(
    request_s=0.5,
    publish_s=1.0,
    answer_s=2.0,
    quiet_s=0.2,
    stuck_s=1.0,
    session_timeout_ms=6_000,
)
KEYS = [f"acc-{number}" for number in range(6)]


@pytest.fixture
def house(kafka: Server) -> KafkaHouse:
    return KafkaHouse(kafka)


def of_each_key(*numbers: int) -> list[tuple[str, int]]:
    return [(key, number) for number in numbers for key in KEYS]


async def publish(bus: KafkaBus, *numbers: int) -> None:
    await bus.publish([an_event(number, key) for key, number in of_each_key(*numbers)])


async def until_it_is_back(bus: KafkaBus, *numbers: int) -> int:
    """Publish as the relay does: the same again, until it is done; return how often it failed."""
    failures = 0
    async with asyncio.timeout(40):
        while True:
            try:
                await publish(bus, *numbers)
            except BusAway:
                failures += 1
            else:
                return failures


async def everything(bus: KafkaBus) -> list[str]:
    """Return what the topic holds, through a group that nobody has used."""
    return ids(await read(bus, await bus.lag(ORDERS, "auditors"), group="auditors"))


def assert_in_order(arrived: list[str], *numbers: int) -> None:
    """Each key's events came, and the first of each in order: repetition is no disorder."""
    for key in KEYS:
        of_key = [name for name in first_of_each(arrived) if name.rpartition("-")[0] == key]
        assert of_key == [f"{key}-{number}" for number in numbers]


def test_what_was_acknowledged_survives_the_brokers_death(house: KafkaHouse, kafka: Server) -> None:
    kafka.needs("kill", "survives_kill")

    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1, 2)
            kafka.kill()
            with pytest.raises(BusAway):
                await publish(bus, 3)
            await asyncio.to_thread(kafka.start)
            await until_it_is_back(bus, 3)

            assert_in_order(await everything(bus), 1, 2, 3)

    house.run(story)


def test_a_frozen_broker_is_away_in_time_and_nothing_overtakes_after_the_thaw(
    house: KafkaHouse, kafka: Server
) -> None:
    kafka.needs("freeze")

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            before = asyncio.all_tasks()
            with kafka.freeze():
                began = loop.time()
                with pytest.raises(BusAway, match="no answer from Kafka within 1 s"):
                    await publish(bus, 2, 3)
                assert loop.time() - began < 1 + 3 * IMPATIENT.request_s + IMPATIENT.answer_s
                with pytest.raises(BusAway):
                    await publish(bus, 2, 3)
            await until_it_is_back(bus, 2, 3)
            await publish(bus, 4)
            await eventually(lambda: len(asyncio.all_tasks()) <= len(before))

            assert_in_order(await everything(bus), 1, 2, 3, 4)

    house.run(story)


def test_publishers_side_by_side_all_hear_that_it_is_away(house: KafkaHouse, kafka: Server) -> None:
    kafka.needs("freeze")

    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            with kafka.freeze():
                outcomes = await asyncio.gather(
                    *[bus.publish([an_event(2, key)]) for key in KEYS], return_exceptions=True
                )
            assert [type(outcome) for outcome in outcomes] == [BusAway] * len(KEYS)
            await until_it_is_back(bus, 2)

            assert_in_order(await everything(bus), 1, 2)

    house.run(story)


def test_who_gives_up_a_publish_leaves_the_next_one_in_peace(
    house: KafkaHouse, kafka: Server
) -> None:
    kafka.needs("freeze")

    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            with kafka.freeze(), suppress(TimeoutError):
                async with asyncio.timeout(0.1):
                    await publish(bus, 2)
            await until_it_is_back(bus, 2, 3)

            assert_in_order(await everything(bus), 1, 2, 3)

    house.run(story)


def test_an_answer_that_is_lost_is_no_loss(house: KafkaHouse, kafka: Server) -> None:
    kafka.needs("proxied")
    with kafka.proxied() as proxy:
        direct = house.settings
        house.settings = direct.model_copy(update={"bootstrap": proxy.address})

        async def story() -> None:
            async with house.open(IMPATIENT) as bus:
                await publish(bus, 1)
                proxy.hold()
                with pytest.raises(BusAway):
                    await publish(bus, 2)
                proxy.resume()
                await until_it_is_back(bus, 2, 3)

                assert proxy.lost > 0
                assert_in_order(await everything(bus), 1, 2, 3)

        house.run(story)


async def away(bus: KafkaBus) -> BusAway:
    """Poll until the bus says that it is away."""
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.poll(ORDERS, "accounts", 100)
                await bus.wait(ORDERS, "accounts", 0.1)
            except BusAway as e:
                return e


async def come_back(bus: KafkaBus, count: int) -> list[str]:
    """Poll as a consumer does that pauses while the bus is away."""
    async with asyncio.timeout(40):
        while True:
            try:
                return ids(await read(bus, count))
            except BusAway:
                await asyncio.sleep(0.05)


def test_a_consumer_says_that_the_broker_is_away_and_goes_on_when_it_is_back(
    house: KafkaHouse, kafka: Server
) -> None:
    kafka.needs("kill", "survives_kill")

    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            held = await read(bus, len(KEYS))
            kafka.kill()
            await away(bus)
            with pytest.raises(BusAway):
                await bus.commit(ORDERS, "accounts", held)
            await asyncio.to_thread(kafka.start)
            await until_it_is_back(bus, 2)

            # What was held and not committed may come again; what is new comes.
            assert {f"{key}-2" for key in KEYS} <= set(await come_back(bus, len(KEYS)))

    house.run(story)


def test_a_consumer_of_a_frozen_broker_says_so_and_goes_on_after_the_thaw(
    house: KafkaHouse, kafka: Server
) -> None:
    kafka.needs("freeze")

    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            await read(bus, len(KEYS))
            with kafka.freeze():
                await away(bus)
            await until_it_is_back(bus, 2)

            assert {f"{key}-2" for key in KEYS} <= set(await come_back(bus, len(KEYS)))

    house.run(story)


def test_a_consumer_whose_fetching_has_died_is_replaced(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            await read(bus, len(KEYS))
            (reader,) = bus._readers.values()
            reader._consumer._fetcher._fetch_task.cancel()  # as a bug of the library would
            await publish(bus, 2)  # a request that is under way may still bring some of these
            await bus.wait(ORDERS, "accounts", 0.5)
            await publish(bus, 3)
            said = await away(bus)

            assert "nothing comes after" in str(said)
            arrived = await come_back(bus, 3 * len(KEYS))  # none was committed
            assert_in_order(arrived, 1, 2, 3)

    house.run(story)


def test_a_consumer_that_never_gets_partitions_is_replaced_and_says_what_keeps_it_out(
    house: KafkaHouse,
) -> None:
    async def story() -> None:
        async def fails(*_: object) -> None:
            raise ValueError("a bug of the library")

        async with house.open(IMPATIENT) as bus:
            await publish(bus, 1)
            await bus.poll(ORDERS, "accounts", 1)  # it begins to join
            (reader,) = bus._readers.values()
            reader._consumer._coordinator.ensure_active_group = fails
            said = await away(bus)

            assert "a bug of the library" in str(said)
            assert_in_order(await come_back(bus, len(KEYS)), 1)

    house.run(story)


MEMBER = """
import asyncio, sys
from app.bus.kafka import KafkaBus
from app.bus.site import Patience
from app.clock import SystemClock
from app.settings import KafkaSettings
async def main(settings, prefix, topic, session_ms):
    bus = KafkaBus(
        KafkaSettings.model_validate_json(settings), SystemClock(), prefix=prefix,
        patience=Patience(session_timeout_ms=int(session_ms)),
    )
    while not (batch := await bus.poll(topic, "accounts", 1)):
        await bus.wait(topic, "accounts", 1)
    print(batch[0].event.event_id, flush=True)
    await asyncio.Event().wait()
asyncio.run(main(*sys.argv[1:]))
"""


def test_what_a_dead_member_held_comes_to_another_when_its_session_is_over(
    house: KafkaHouse, kafka: Server
) -> None:
    kafka.needs("session_expiry", "short_session")
    short = Patience(session_timeout_ms=1_000)

    async def story() -> None:
        async with house.open(short) as bus:
            await publish(bus, 1)
            dead = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", MEMBER, house.settings.model_dump_json()),
                *(house.prefix, ORDERS, "1000"),
                cwd=Path(__file__).parents[2],
                stdout=PIPE,
            )
            assert dead.stdout is not None
            assert (await dead.stdout.readline()).strip()  # it has polled, and commits nothing
            os.kill(dead.pid, signal.SIGKILL)
            await dead.wait()

            assert_in_order(ids(await read(bus, len(KEYS))), 1)

    house.run(story)
