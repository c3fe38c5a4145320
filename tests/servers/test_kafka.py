"""Kafka, as tests get it: one law for each capability that a broker may claim."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.admin import (  # type: ignore[import-untyped]
    AIOKafkaAdminClient,
    NewPartitions,
    NewTopic,
)
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from tests.children import first_words, outlived
from tests.servers.server import Server, fresh_name

# A member that joins, says so, and never leaves by itself.
MEMBER = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
async def main(bootstrap, topic, group, session_ms):
    member = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, session_timeout_ms=int(session_ms),
        heartbeat_interval_ms=int(session_ms) // 4, auto_offset_reset="earliest",
    )
    await member.start()
    print(await member.getone(), flush=True)
    await asyncio.Event().wait()
asyncio.run(main(*sys.argv[1:]))
"""


@contextlib.asynccontextmanager
async def running(client: Any) -> AsyncIterator[Any]:
    try:
        await client.start()
        yield client
    finally:
        await client.stop() if hasattr(client, "stop") else await client.close()


@contextlib.asynccontextmanager
async def a_topic(bootstrap: str, partitions: int = 1) -> AsyncIterator[str]:
    name = fresh_name()
    async with running(AIOKafkaAdminClient(bootstrap_servers=bootstrap)) as admin:
        made = await admin.create_topics([NewTopic(name, partitions, 1)])
        assert [code for _, code, *_ in made.topic_errors] == [0]
        try:
            yield name
        finally:
            await admin.delete_topics([name])


def producer(bootstrap: str, **more: Any) -> Any:
    settings = {"acks": "all", "enable_idempotence": True} | more
    return running(AIOKafkaProducer(bootstrap_servers=bootstrap, **settings))


def consumer(bootstrap: str, *topics: str, **more: Any) -> Any:
    settings = {"auto_offset_reset": "earliest", "enable_auto_commit": False} | more
    return running(AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **settings))


async def send(bootstrap: str, topic: str, *values: bytes) -> None:
    async with producer(bootstrap) as sending:
        for value in values:
            await sending.send_and_wait(topic, value)


async def kept(bootstrap: str, topic: str) -> list[bytes]:
    """Return what the topic's first partition holds, from its start to its end."""
    async with consumer(bootstrap, topic) as reading:
        (partition,) = reading.assignment()
        end = (await reading.end_offsets([partition]))[partition]
        found: list[bytes] = []
        while len(found) < end:
            found.append((await reading.getone()).value)
        return found


def run(story: Callable[[], Any], timeout_s: float = 40) -> None:
    async def limited() -> None:
        async with asyncio.timeout(timeout_s):
            await story()

    asyncio.run(limited())


def test_it_answers_an_idempotent_producer(kafka: Server) -> None:
    kafka.needs("admin_topics", "idempotent")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            await send(kafka.bootstrap, topic, b"1", b"2")

            assert await kept(kafka.bootstrap, topic) == [b"1", b"2"]

    run(story)


def test_a_misspelt_topic_is_not_made(kafka: Server) -> None:
    kafka.needs("admin_topics", "strict_topics")
    misspelt = fresh_name()

    async def story() -> None:
        async with producer(kafka.bootstrap, request_timeout_ms=1_000) as sending:
            with pytest.raises((KafkaError, TimeoutError)):
                async with asyncio.timeout(2):
                    await sending.send_and_wait(misspelt, b"1")
        async with running(AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
            assert misspelt not in await admin.list_topics()

    run(story)


def test_create_partitions(kafka: Server) -> None:
    kafka.needs("create_partitions")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            async with running(AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)) as admin:
                await admin.create_partitions({topic: NewPartitions(total_count=3)})
                partitions = 1
                while partitions != 3:  # the broker learns of them a moment later
                    (told,) = await admin.describe_topics([topic])
                    partitions = len(told["partitions"])

    run(story)


def test_groups_resume_after_what_they_have_committed(kafka: Server) -> None:
    kafka.needs("groups")
    group = fresh_name()

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            await send(kafka.bootstrap, topic, b"1", b"2")
            found = []
            for _ in range(2):
                async with consumer(kafka.bootstrap, topic, group_id=group) as member:
                    found.append((await member.getone()).value)
                    position = await member.position(*member.assignment())
                    await member.commit(dict.fromkeys(member.assignment(), position))

            assert found == [b"1", b"2"]

    run(story)


@pytest.mark.parametrize("capability", ["session_expiry", "short_session"])
def test_a_killed_member_is_replaced(kafka: Server, capability: str) -> None:
    kafka.needs("groups", capability)
    short = "short_session" in kafka.capabilities  # and then both laws are shown in one second
    session_ms = 1_000 if short else 6_000
    group = fresh_name()

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            await send(kafka.bootstrap, topic, b"1")
            words = (kafka.bootstrap, topic, group, str(session_ms))
            await asyncio.to_thread(join_and_die, *words)
            async with consumer(
                kafka.bootstrap, topic, group_id=group, session_timeout_ms=session_ms
            ) as other:
                assert (await other.getone()).value == b"1"

    run(story)


def join_and_die(*words: str) -> None:
    command = [sys.executable, "-c", MEMBER, *words]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603 - our own lines
    with outlived(child) as member:
        assert first_words(member)


def test_dedupe_a_lost_acknowledgement_makes_no_second_record(kafka: Server) -> None:
    kafka.needs("proxied", "dedupe", "idempotent")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            with kafka.proxied() as proxy:
                async with producer(proxy.address, request_timeout_ms=2_000) as sending:
                    await sending.send_and_wait(topic, b"1")
                    proxy.hold(after=b"lost-ack")
                    await sending.send_and_wait(topic, b"lost-ack")

                assert proxy.lost == 1
            assert await kept(kafka.bootstrap, topic) == [b"1", b"lost-ack"]

    run(story)


def test_without_idempotence_a_lost_acknowledgement_makes_a_second_record(kafka: Server) -> None:
    kafka.needs("proxied", "dedupe")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            with kafka.proxied() as proxy:
                plain = producer(proxy.address, request_timeout_ms=2_000, enable_idempotence=False)
                async with plain as sending:
                    proxy.hold(after=b"lost-ack")
                    await sending.send_and_wait(topic, b"lost-ack")

            assert await kept(kafka.bootstrap, topic) == [b"lost-ack", b"lost-ack"]

    run(story)


def test_survives_kill(kafka: Server) -> None:
    kafka.needs("kill", "survives_kill")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            async with producer(kafka.bootstrap) as sending:
                await sending.send_and_wait(topic, b"1")
                kafka.kill()
                later = await sending.send(topic, b"2")
                await asyncio.to_thread(kafka.start)
                await later

            assert await kept(kafka.bootstrap, topic) == [b"1", b"2"]

    run(story)


def test_frozen_it_does_not_answer_and_then_it_does(kafka: Server) -> None:
    kafka.needs("freeze")

    async def story() -> None:
        async with a_topic(kafka.bootstrap) as topic:
            async with producer(kafka.bootstrap) as sending:
                await sending.send_and_wait(topic, b"1")
                with kafka.freeze():
                    later = await sending.send(topic, b"2")
                    done, _ = await asyncio.wait([later], timeout=0.3)
                    assert not done
                await later

            assert await kept(kafka.bootstrap, topic) == [b"1", b"2"]

    run(story)
