"""The bus on Kafka beyond the port: topics, sizes, strangers, members that come and go."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]
    ConfigResource,
    ConfigResourceType,
)
from aiokafka.partitioner import DefaultPartitioner  # type: ignore[import-untyped]
from aiokafka.producer import message_accumulator, producer  # type: ignore[import-untyped]
from aiokafka.record.default_records import (  # type: ignore[import-untyped]
    _DefaultRecordBatchBuilderPy,
)

from app import letters
from app.bus import cluster
from app.bus.away import BusAway
from app.bus.cluster import WrongTopic, ensure_topics
from app.bus.kafka import KafkaBus
from app.bus.publisher import partition_of
from app.bus.site import Patience
from app.bus.topics import DAY_MS, RECORD_BYTES_MAX, TOPICS
from app.cli.stage.ports import free_port
from app.clock import SystemClock
from app.ports.bus import Event, Record
from app.settings import KafkaSettings
from tests.bus.kafka_house import (
    ORDERS,
    PARTITIONS,
    SOON_S,
    KafkaHouse,
    an_event,
    first_of_each,
    ids,
    read,
)
from tests.eventually import eventually
from tests.servers.server import Server

DLQ = f"{ORDERS}.dlq"


@pytest.fixture
def house(kafka: Server) -> KafkaHouse:
    return KafkaHouse(kafka)


@asynccontextmanager
async def admin_of(house: KafkaHouse) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=house.server.bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def settings_of(house: KafkaHouse, topic: str) -> dict[str, str]:
    async with admin_of(house) as admin:
        resource = ConfigResource(ConfigResourceType.TOPIC, house.prefix + topic)
        (answer,) = await admin.describe_configs([resource])
        return {entry[0]: entry[1] for *_, entries in answer.resources for entry in entries}


async def change(house: KafkaHouse, topic: str, **settings: str) -> None:
    async with admin_of(house) as admin:
        named = {name.replace("_", "."): value for name, value in settings.items()}
        resource = ConfigResource(ConfigResourceType.TOPIC, house.prefix + topic, configs=named)
        await admin.alter_configs([resource])
    async with asyncio.timeout(SOON_S):
        while not named.items() <= (await settings_of(house, topic)).items():
            pass  # each question is a round trip


# --- topics ---------------------------------------------------------------------------------------


def test_every_topic_is_made_with_its_dead_letters_and_only_once(kafka: Server) -> None:
    house = KafkaHouse(kafka, *TOPICS)

    async def story() -> None:
        async with house.open():
            await ensure_topics(house.settings, prefix=house.prefix)  # another process starts
            async with admin_of(house) as admin:
                told = await admin.describe_topics([house.prefix + topic for topic in TOPICS])
            orders, dead = await settings_of(house, ORDERS), await settings_of(house, DLQ)
            state = await settings_of(house, "openbell.anomaly-state.v1")

        assert {len(topic["partitions"]) for topic in told} == {PARTITIONS}
        assert orders["cleanup.policy"] == "delete"
        assert state["cleanup.policy"] == "compact,delete"
        assert orders["retention.ms"] == str(14 * DAY_MS)
        assert orders["min.insync.replicas"] == "1"
        assert int(dead["retention.ms"]) > int(orders["retention.ms"])
        assert int(dead["max.message.bytes"]) > int(orders["max.message.bytes"])

    house.run(story)


def test_two_processes_may_make_the_topics_at_once(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open(), asyncio.TaskGroup() as starting:
            for _ in range(4):
                starting.create_task(
                    ensure_topics(house.settings, prefix=f"{house.prefix}x.", topics=[ORDERS])
                )
        async with admin_of(house) as admin:
            await admin.delete_topics([f"{house.prefix}x.{ORDERS}"])

    house.run(story)


def test_another_number_of_partitions_is_refused_with_both_numbers(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open():
            other = house.settings.model_copy(update={"partitions": PARTITIONS + 4})
            with pytest.raises(WrongTopic, match=rf"{ORDERS}.* 3 partitions.* 7"):
                await ensure_topics(other, prefix=house.prefix, topics=[ORDERS])

    house.run(story)


def test_a_topic_that_would_lose_or_refuse_what_we_promise_is_refused(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open():
            safer = house.settings.model_copy(update={"min_insync": 2})
            with pytest.raises(WrongTopic, match=r"min\.insync\.replicas=1 and needs 2"):
                await ensure_topics(safer, prefix=house.prefix, topics=[ORDERS])
            await change(house, ORDERS, max_message_bytes="1000")
            with pytest.raises(WrongTopic, match=r"max\.message\.bytes=1000"):
                await ensure_topics(house.settings, prefix=house.prefix, topics=[ORDERS])

    house.run(story)


def test_more_copies_than_brokers_are_refused_in_the_clusters_own_words(house: KafkaHouse) -> None:
    async def story() -> None:
        copies = house.settings.model_copy(update={"replication": 30})
        with pytest.raises(WrongTopic, match=rf"refuses to make .*{ORDERS}: .*replicat"):
            await ensure_topics(copies, prefix=house.prefix, topics=[ORDERS])

    house.run(story)


# --- a cluster that is not there ------------------------------------------------------------------


@pytest.fixture
def mute() -> Iterator[str]:
    """Lend the address of somebody who takes every call and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield "{}:{}".format(*listening.getsockname())


def no_task_is_left() -> bool:
    return len(asyncio.all_tasks()) == 1  # the one who asks


def starting(bootstrap: str) -> float:
    """Start against nobody; return how long it took to say so."""

    async def story() -> float:
        settings = KafkaSettings(bootstrap=bootstrap, replication=1, min_insync=1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(BusAway, match=bootstrap):
            await KafkaBus(settings, SystemClock()).start()
        took = loop.time() - began
        await eventually(no_task_is_left)
        return took

    return asyncio.run(story())


def test_a_cluster_that_is_not_there_is_said_at_once_with_its_address() -> None:
    assert starting(f"127.0.0.1:{free_port()}") < 2


def test_a_cluster_that_does_not_answer_is_said_after_the_time_for_a_start(
    mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cluster.START_S_MAX == 10
    monkeypatch.setattr(cluster, "START_S_MAX", 0.3)

    assert starting(mute) < 2


def test_each_call_on_a_cluster_that_does_not_answer_ends(mute: str) -> None:
    async def story() -> None:
        settings = KafkaSettings(bootstrap=mute, replication=1, min_insync=1)
        bus = KafkaBus(settings, SystemClock(), patience=Patience(answer_s=0.2, publish_s=0.2))
        for call in (
            bus.publish([an_event(1)]),
            bus.poll(ORDERS, "accounts", 1),
            bus.wait(ORDERS, "accounts", 1),
            bus.lag(ORDERS, "accounts"),
        ):
            async with asyncio.timeout(20):
                with pytest.raises(BusAway):
                    await call
        await bus.close()
        await eventually(no_task_is_left)

    asyncio.run(story())


# --- what is too large ----------------------------------------------------------------------------


def large(number: int, size: int = RECORD_BYTES_MAX) -> Event:
    return an_event(number)._replace(payload=b'"%s"' % (b"x" * size))


def test_what_no_topic_takes_is_parked_whole_and_holds_up_nobody(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open() as bus:
            await bus.publish([an_event(1), large(2), an_event(3)])

            assert ids(await read(bus, 2)) == ["acc-1-1", "acc-1-3"]
            (parked,) = await read(bus, 1, topic=DLQ, group="people")
            letter = letters.read(parked.event)
            assert letter.event == large(2)
            assert f"{ORDERS} takes at most {RECORD_BYTES_MAX}" in letter.cause

    house.run(story)


def test_the_largest_that_we_take_fits(house: KafkaHouse) -> None:
    async def story() -> None:
        # Noise, so that nothing of it can be compressed away.
        noise = SystemClock().random_bits(8 * (RECORD_BYTES_MAX - len("acc-1")))
        payload = noise.to_bytes(RECORD_BYTES_MAX - len("acc-1"), "big")
        async with house.open() as bus:
            await bus.publish([an_event(1)._replace(payload=payload)])

            (record,) = await read(bus, 1)
            assert record.event.payload == payload

    house.run(story)


def test_a_limit_that_was_lowered_meanwhile_parks_just_the_one_it_stops(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open() as bus:
            await change(house, ORDERS, max_message_bytes="2000")
            noise = SystemClock().random_bits(8 * 4000).to_bytes(4000, "big")
            await bus.publish([an_event(1), an_event(2)._replace(payload=noise), an_event(3)])

            arrived = ids(await read(bus, 2))
            (parked,) = await read(bus, 1, topic=DLQ, group="people")
        assert first_of_each(arrived) == ["acc-1-1", "acc-1-3"]
        assert letters.read(parked.event).event.payload == noise

    house.run(story)


# --- how they travel ------------------------------------------------------------------------------


def heavy(number: int, key: str = "acc-1") -> Event:
    """Return an event of which a batch takes two."""
    return an_event(number, key)._replace(payload=b'{"number":%d}' % number + b" " * 100_000)


def test_what_fills_several_batches_of_a_partition_arrives_in_order(house: KafkaHouse) -> None:
    sent = [heavy(number, key) for number in range(9) for key in ("acc-1", "acc-2")]

    async def story() -> None:
        async with house.open() as bus:
            await bus.publish(sent)
            arrived = [record.event for record in await read(bus, len(sent))]

        for key in ("acc-1", "acc-2"):
            assert [e for e in arrived if e.key == key] == [e for e in sent if e.key == key]

    house.run(story)


def test_nothing_gets_ahead_of_an_event_that_the_cluster_refuses(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open() as bus:
            await change(house, ORDERS, max_message_bytes="3000")
            noise = SystemClock().random_bits(8 * 4000).to_bytes(4000, "big")
            first = [an_event(0), an_event(1)._replace(payload=noise)]
            await bus.publish([*first, *map(heavy, range(2, 12))])

            arrived = ids(await read(bus, 11))
        assert first_of_each(arrived) == ["acc-1-0", *(f"acc-1-{n}" for n in range(2, 12))]

    house.run(story)


def test_single_events_at_once_travel_together_and_all_arrive(house: KafkaHouse) -> None:
    """As the answers of a broker come in: each a request of its own, and many at a time."""

    async def story() -> None:
        async with house.open() as bus:

            async def client(key: str) -> None:
                for number in range(5):
                    await bus.publish([an_event(number, key)])

            keys = [f"acc-{number}" for number in range(64)]
            await asyncio.gather(*map(client, keys))
            arrived = ids(await read(bus, 5 * len(keys)))

        assert [name for name in arrived if name.startswith("acc-7-")] == [
            f"acc-7-{number}" for number in range(5)
        ]
        assert len(arrived) == len(set(arrived)) == 5 * len(keys)

    house.run(story)


def test_a_key_goes_where_every_other_client_of_kafka_would_put_it() -> None:
    """Else the newer events of an order would lie in another partition, and could overtake."""
    keys = [b"", b"a", "한국".encode(), *(b"acc-%d" % number for number in range(500))]
    partitions = list(range(12))

    theirs = [DefaultPartitioner()(key, partitions, partitions) for key in keys]

    assert [partition_of(key, 12) for key in keys] == theirs


# --- what others write ----------------------------------------------------------------------------


def test_whatever_strangers_write_is_polled_and_stops_nobody(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open() as bus:
            await bus.publish([an_event(1)])
            stranger = AIOKafkaProducer(bootstrap_servers=house.server.bootstrap)
            await stranger.start()
            wire = house.prefix + ORDERS
            for key, value in ((b"acc-1", None), (b"\xff", b"\xff\x00"), (None, b"{}")):
                await stranger.send_and_wait(wire, key=key, value=value)
            await stranger.stop()
            await bus.publish([an_event(2)])

            found = await read(bus, 5)
        assert [name for name in ids(found) if name.startswith("acc-1")] == ["acc-1-1", "acc-1-2"]
        foreign = [record.event for record in found if record.event.type == "unknown"]
        assert sorted(event.payload for event in foreign) == [b"", b"{}", b"\xff\x00"]
        assert len({event.event_id for event in foreign}) == 3

    house.run(story)


class NoText(str):
    """A header's name that is no UTF-8; other clients can send one, and the broker takes it."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        return b"\xff\xfe"


def test_a_record_that_the_library_cannot_read_is_stepped_over_and_can_be_parked(
    house: KafkaHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    # aiokafka's builder in C takes no such name.
    for module in (message_accumulator, producer):
        monkeypatch.setattr(module, "DefaultRecordBatchBuilder", _DefaultRecordBatchBuilderPy)

    async def story() -> None:
        async with house.open(Patience(quiet_s=0.2, stuck_s=1.0)) as bus:
            stranger = AIOKafkaProducer(bootstrap_servers=house.server.bootstrap)
            await stranger.start()
            for number in range(24):
                headers = [(NoText("x"), b"")] if number in {3, 7, 8} else []
                name = b"%d" % number
                wire = house.prefix + ORDERS
                await stranger.send_and_wait(wire, name, partition=number % 2, headers=headers)
            await stranger.stop()

            found = await read(bus, 24, limit=5)
            await bus.commit(ORDERS, "accounts", found)
            assert await bus.lag(ORDERS, "accounts") == 0
        for partition in (0, 1):
            shown = [r.event.payload for r in found if r.partition == partition]
            assert [b"?" if b"unreadable" in payload else payload for payload in shown] == [
                b"?" if number in {3, 7, 8} else b"%d" % number
                for number in range(partition, 24, 2)
            ]

    house.run(story)


def test_a_topic_that_is_made_anew_is_read_and_committed_from_its_start(house: KafkaHouse) -> None:
    # A stand-in makes the topic by itself, as soon as a client asks for it.
    house.server.needs("dedupe")

    async def story() -> None:
        async with house.open(Patience(quiet_s=0.2, publish_s=2)) as bus:
            await bus.publish([an_event(number) for number in range(20)])
            await bus.commit(ORDERS, "accounts", await read(bus, 20))
            async with admin_of(house) as admin:
                await admin.delete_topics([house.prefix + ORDERS])
            await ensure_topics(house.settings, prefix=house.prefix, topics=[ORDERS])
            await until_published(bus, an_event(100), an_event(101))
            while "acc-1-101" not in ids(records := await come_back(bus)):
                await bus.commit(ORDERS, "accounts", records)
            await bus.commit(ORDERS, "accounts", records)

            assert await bus.lag(ORDERS, "accounts") == 0

    house.run(story)


async def until_published(bus: KafkaBus, *events: Event) -> None:
    """Publish as the relay does: the same again, until it is done."""
    while True:
        with suppress(BusAway):
            await bus.publish(events)
            return


async def come_back(bus: KafkaBus) -> list[Record]:
    """Read something, as a consumer does that pauses while the bus is away."""
    while True:
        with suppress(BusAway):
            return await read(bus, 1)


# --- members that come and go ---------------------------------------------------------------------

KEYS = [f"acc-{number}" for number in range(30)]
# Quick to hear of a rebalance: heartbeats come at a third of it.
QUICK = Patience(session_timeout_ms=6_000)


async def publish_each(bus: KafkaBus, *numbers: int) -> None:
    await bus.publish([an_event(number, key) for number in numbers for key in KEYS])


class Member:
    """Reads and commits for ever, and notes what it has seen."""

    def __init__(self, bus: KafkaBus) -> None:
        self.bus = bus
        self.seen: list[str] = []

    async def run(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            batch = await self.bus.poll(ORDERS, "accounts", 7)
            self.seen += ids(batch)
            await self.bus.commit(ORDERS, "accounts", batch)
            if not batch:
                await self.bus.wait(ORDERS, "accounts", 0.1)

    def versions_of(self, key: str) -> list[int]:
        """Return what it saw of one key, each when it came first."""
        named = [name.rpartition("-") for name in first_of_each(self.seen)]
        return [int(version) for name, _, version in named if name == key]


def have_seen(number: int, *members: Member) -> bool:
    seen = {name for member in members for name in member.seen}
    return {f"{key}-{number}" for key in KEYS} <= seen


def test_two_members_share_the_partitions_and_lose_nothing(house: KafkaHouse) -> None:
    # A member that lost its place joins as a new one, and the old one must end some time.
    house.server.needs("session_expiry")

    async def story() -> None:
        enough = asyncio.Event()
        async with house.open(QUICK) as bus, house.open(QUICK) as other:
            one, two = Member(bus), Member(other)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(one.run(enough))
                number = 0
                while len(set(two.seen)) < 100:
                    number += 1
                    await publish_each(bus, number)
                    await eventually(partial(have_seen, number, one, two), SOON_S)
                    if number == 3:  # in the middle of it all
                        tasks.create_task(two.run(enough))
                enough.set()
            assert await bus.lag(ORDERS, "accounts") == 0

        for key in KEYS:
            assert one.versions_of(key) == sorted(one.versions_of(key))
            assert two.versions_of(key) == sorted(two.versions_of(key))

    house.run(story)


def test_a_commit_for_a_partition_that_has_gone_is_passed_over(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open(QUICK) as one, house.open(QUICK) as two:
            await publish_each(one, 1)
            held = await read(one, len(KEYS))
            theirs = await read(two, 1)
            (left,) = one._readers.values()
            await eventually(left._has_partitions.is_set)
            ours = {place.partition for place in left._consumer.assignment()}
            kept = [record for record in held if record.partition in ours]
            await one.commit(ORDERS, "accounts", held)

            assert 0 < len(kept) < len(held)
            assert await one.lag(ORDERS, "accounts") == len(held) - len(kept)
            theirs += await read(two, len(held) - len(kept) - len(theirs))
            await two.commit(ORDERS, "accounts", theirs)
            assert await one.lag(ORDERS, "accounts") == 0

    house.run(story)


def test_a_batch_held_over_anothers_reign_does_not_set_the_group_back(house: KafkaHouse) -> None:
    async def story() -> None:
        async with house.open(QUICK) as one:
            await publish_each(one, 1, 2)
            held = await read(one, 2 * len(KEYS))
            early = [record for record in held if record.event.event_id.endswith("-1")]
            # Let go of the group without leaving the process, as a rebalance would.
            (reader,) = one._readers.values()
            await reader.close()
            one._readers.clear()
            async with house.open(QUICK) as two:
                await two.commit(ORDERS, "accounts", await read(two, 2 * len(KEYS)))
            assert await one.lag(ORDERS, "accounts") == 0
            async with asyncio.timeout(20):
                await one.wait(ORDERS, "accounts", 1)  # it is a member again
                await one.commit(ORDERS, "accounts", early)

            assert await one.lag(ORDERS, "accounts") == 0

    house.run(story)
