"""Where the cluster is, under which names we live there, and how patient we are with it."""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition  # type: ignore[import-untyped]

from app.bus.away import bounded
from app.settings import KafkaSettings

CLIENT: Final = "openbell"
# How long a rebalance waits for its members. They hear of it with their next heartbeat.
REBALANCE_MS: Final = 10_000
# A request to join is answered when all have joined, so it must outlast that.
READ_REQUEST_MS: Final = REBALANCE_MS + 5_000
HEARTBEAT_MS_MAX: Final = 3_000
# A consumer pauses while its store is away. Another member would fare no better.
PAUSE_MS_MAX: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long we wait for what. A test on a server of its own is less patient."""

    # A request that a healthy broker has not answered by then goes to another one, or again.
    request_s: float = 5.0
    # A leader that dies is replaced within seconds; after that the outbox tries again anyway.
    publish_s: float = 10.0
    answer_s: float = 10.0
    # A topic at rest and a cluster that is away look alike: after so long, ask which it is.
    quiet_s: float = 5.0
    # Something to read, a cluster that answers, and nothing comes: our consumer is broken. Much
    # longer than the slowest read of old records from a slow disk.
    stuck_s: float = 60.0
    # A member that is silent for so long is dead, and its partitions go to others. Shorter, and
    # a long pause of the process moves them for nothing.
    session_timeout_ms: int = 30_000


@dataclass(frozen=True, slots=True)
class Site:
    """One cluster as one process uses it."""

    settings: KafkaSettings
    # Stands before each topic and group, where others use the cluster too: tests, for one.
    prefix: str = ""
    patience: Patience = field(default_factory=Patience)

    def address(self) -> dict[str, Any]:
        """Return what every client needs to reach the cluster: where, how, as whom."""
        settings = self.settings
        address: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in settings.bootstrap.split(",")],
            "client_id": CLIENT,
            "security_protocol": "PLAINTEXT",
        }
        if settings.tls:
            cafile = None if settings.tls_ca_file is None else str(settings.tls_ca_file)
            address["ssl_context"] = ssl.create_default_context(cafile=cafile)
            address["security_protocol"] = "SSL"
        if settings.sasl_username is not None and settings.sasl_password is not None:
            address["security_protocol"] = "SASL_SSL" if settings.tls else "SASL_PLAINTEXT"
            address["sasl_mechanism"] = settings.sasl_mechanism
            address["sasl_plain_username"] = settings.sasl_username
            address["sasl_plain_password"] = settings.sasl_password.get_secret_value()
        return address

    def topic(self, name: str) -> str:
        """Return the topic's name on the wire."""
        return self.prefix + name

    def places(self, topic: str) -> list[Any]:
        """Return all partitions of a topic; their number was verified at the start."""
        wire = self.topic(topic)
        return [TopicPartition(wire, number) for number in range(self.settings.partitions)]

    async def consumer(self, group: str) -> Any:
        """Connect a client that can ask about this group, and joins it by `subscribe` only."""
        consumer = self._consumer(group)
        try:
            async with bounded(f"connect to {self.settings.bootstrap}", self.patience.answer_s):
                await consumer.start()
        except BaseException:
            await consumer.stop()
            raise
        return consumer

    def _consumer(self, group: str) -> Any:
        session_ms = self.patience.session_timeout_ms
        return AIOKafkaConsumer(
            **self.address(),
            group_id=self.prefix + group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=min(HEARTBEAT_MS_MAX, session_ms // 3),
            rebalance_timeout_ms=REBALANCE_MS,
            max_poll_interval_ms=PAUSE_MS_MAX,
            request_timeout_ms=READ_REQUEST_MS,
        )


async def stopped(consumer: Any, within_s: float) -> None:
    """Stop a consumer; a cluster that does not answer finds out by itself that it has gone."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await consumer.stop()
