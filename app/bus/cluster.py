"""Makes the topics that are missing, and refuses a cluster whose topics are others than ours.

The number of partitions is for ever. A key stands in the partition that its hash modulo that
number says, so with another number an order's next event would stand in another partition than
its last one, and nobody would see them in order. So a topic with another number than the
settings' stops the start. To change it, make `.v2` topics.

The trap: `create_topics` raises nothing. It answers with a code for each topic, and the topic
that could not be made is found missing by whoever publishes first.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]
from aiokafka.admin.config_resource import (  # type: ignore[import-untyped]
    ConfigResource,
    ConfigResourceType,
)

from app.bus.away import bounded
from app.bus.site import Site
from app.bus.topics import TOPICS, configuration
from app.settings import KafkaSettings

# Who waits at a terminal for a wrong address wants the error and not a hang.
START_S_MAX: Final = 10.0
# What was just made is known to all brokers some milliseconds later.
_ASK_EVERY_S: Final = 0.05
_NO_ERROR: Final = 0
_EXISTS_ALREADY: Final = 36  # another process of ours was faster
# What an operator may raise but not lower, and what would break.
_AT_LEAST: Final = {
    "min.insync.replicas": "an acknowledged event would have fewer copies",
    "max.message.bytes": "an event that we took would find no place",
}


class WrongTopic(Exception):
    """A topic is not what the settings say, or the cluster refuses to make it."""


async def ensure_topics(
    settings: KafkaSettings, *, prefix: str = "", topics: Sequence[str] = TOPICS
) -> None:
    """Make the topics that are missing and verify all of them.

    Raises `BusAway` if the cluster cannot be reached, `WrongTopic` for what it has or refuses.
    """
    admin = AIOKafkaAdminClient(
        **Site(settings).address(),
        request_timeout_ms=int(START_S_MAX * 1000),
    )
    try:
        async with bounded(f"topics at {settings.bootstrap}", START_S_MAX):
            await admin.start()
            await led(admin)
            await _make_missing(admin, settings, prefix, topics)
            await _verify_partitions(admin, settings, [prefix + topic for topic in topics])
            await _verify_settings(admin, settings, prefix, topics)
    finally:
        await admin.close()


async def led(admin: Any) -> None:
    """Wait until the cluster has a controller: aiokafka 0.14 asks one also where there is none."""
    client = admin._client  # noqa: SLF001 - no public way leads around it
    while client.cluster.controller is None:
        await client.force_metadata_update()
        await asyncio.sleep(_ASK_EVERY_S)


async def _make_missing(
    admin: Any, settings: KafkaSettings, prefix: str, topics: Sequence[str]
) -> None:
    # Not asked for by name: a cluster that makes topics by itself would make them then, with a
    # number of partitions of its own.
    existing = set(await admin.list_topics())
    wanted = [
        NewTopic(
            name=prefix + topic,
            num_partitions=settings.partitions,
            replication_factor=settings.replication,
            topic_configs=configuration(topic, settings.min_insync),
        )
        for topic in topics
        if prefix + topic not in existing
    ]
    if not wanted:
        return
    answer = await admin.create_topics(wanted)
    for name, code, why in answer.topic_errors:
        if code not in (_NO_ERROR, _EXISTS_ALREADY):
            raise WrongTopic(f"the cluster refuses to make {name}: {why or f'error {code}'}")


async def _verify_partitions(admin: Any, settings: KafkaSettings, names: Sequence[str]) -> None:
    for name, partitions in (await _partitions(admin, names)).items():
        if partitions != settings.partitions:
            raise WrongTopic(
                f"topic {name} has {partitions} partitions, the settings say"
                f" {settings.partitions}: keys belong to partitions by that number, so it can"
                f" only be {partitions} here"
            )


async def _partitions(admin: Any, names: Sequence[str]) -> dict[str, int]:
    """Return how many partitions each has, as soon as the cluster tells of all of them."""
    while True:
        told = await admin.describe_topics(names)
        found = {topic["topic"]: len(topic["partitions"]) for topic in told}
        if all(found.get(name) for name in names):
            return found
        await asyncio.sleep(_ASK_EVERY_S)


async def _verify_settings(
    admin: Any, settings: KafkaSettings, prefix: str, topics: Sequence[str]
) -> None:
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + topic, configs=dict.fromkeys(_AT_LEAST))
        for topic in topics
    ]
    found = {
        (name, entry[0]): int(entry[1])
        for answer in await admin.describe_configs(asked)
        for _error, _why, _kind, name, entries in answer.resources
        for entry in entries
        if entry[0] in _AT_LEAST
    }
    for topic in topics:
        for setting, why in _AT_LEAST.items():
            wanted = int(configuration(topic, settings.min_insync)[setting])
            has = found.get((prefix + topic, setting), wanted)
            if has < wanted:
                raise WrongTopic(
                    f"topic {prefix}{topic} has {setting}={has} and needs {wanted} at least: {why}"
                )
