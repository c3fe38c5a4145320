"""The producer of a process: whatever goes wrong, the next publish begins with a new one.

    publish ─► together ─► a batch for each partition ─► await all acknowledgements ─► done
                                └── any error ─► end this producer ─► BusAway: the caller keeps
                                                                     its events

The broker numbers what an idempotent producer sends. Once a batch has failed, later ones may
have been appended or be refused for ever, and to send the failed ones alone would reorder. So
nothing is repaired: the caller sends all of it again, through a producer with a new number.

We fill the batches ourselves and hand them over whole: one by one, most of an event's time went
into a future, a lookup and a wake-up of its own (15 us of it, now 5).

Edges of aiokafka 0.14, filed off here: an idempotent batch never expires (so the time-out is
ours); `stop` first waits for what can never be sent (so the sender is ended before it); a batch
that the broker finds too large is an error like another (so it is told apart, and the event
that nobody will ever take is parked in the dead letters instead of holding up all that follow);
several who wait to hand over a batch for one partition give up early, for each counts the time
of all (so one publish is under way at a time).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from typing import Any, Final

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import (  # type: ignore[import-untyped]
    MessageSizeTooLargeError,
    ProducerClosed,
    RecordListTooLargeError,
)
from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from app.bus import envelope
from app.bus.away import bounded
from app.bus.site import Site
from app.bus.together import Together
from app.bus.topics import bytes_max
from app.clock import Clock
from app.letters import LETTER_BYTES_MAX, unsendable
from app.ports.bus import Event

# What one partition gets in one request: enough for a full batch of the relay, of which a
# partition of sixteen has some 130 KiB.
BATCH_BYTES_MAX: Final = 256 << 10
# To put an event into its batch takes some 4 us: give the loop back every millisecond.
BREATH: Final = 250
# An account's partition is always the same, and the hash is 2 us of Python. 16,384 keys are
# about 3 MB.
KEYS_REMEMBERED: Final = 1 << 14
RETRY_BACKOFF_MS: Final = 100


_Place = tuple[str, int]  # a topic's name on the wire, and a partition
_Round = dict[_Place, Any]  # what goes at once: a batch for each partition, or none


class TooLarge(ValueError):
    """The cluster will never take this: it is larger than its topic allows."""


class Publisher:
    """Sends events of this process, all through one producer."""

    def __init__(self, site: Site, clock: Clock) -> None:
        self._site = site
        self._clock = clock
        self._patience = site.patience
        self._producer: Any = None
        self._starting = asyncio.Lock()
        self._together = Together(self._publish)

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when all are on as many copies as the topic asks for, or raise `BusAway`."""
        await self._together.publish(events)

    async def _publish(self, events: Sequence[Event]) -> None:
        fitting = [_fitting(event) for event in events]
        try:
            await self._send(fitting)
        except TooLarge:
            await self._send_each(fitting)

    async def start(self) -> None:
        """Connect now, and not with the first event."""
        await self._started()

    async def close(self) -> None:
        """Let go of the connection. What was not acknowledged was never promised."""
        await self._end(self._producer)

    async def _send(self, events: Sequence[Event]) -> None:
        producer = await self._started()
        sent: list[asyncio.Future[Any]] = []
        try:
            async with bounded(f"publish {len(events)} events", self._patience.publish_s):
                await self._send_by(producer, events, sent)
        except (TooLarge, OSError):
            await self._end(producer)
            raise
        finally:
            for acknowledgement in sent:
                _forget(acknowledgement)

    async def _send_by(
        self, producer: Any, events: Sequence[Event], sent: list[asyncio.Future[Any]]
    ) -> None:
        try:
            for batches in await self._rounds(producer, events):
                for (topic, partition), batch in batches.items():
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                # Not `gather`: cancelled, it would cancel these, and what became of the batches
                # behind them would be an error that nobody has asked for.
                done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_EXCEPTION)
                for acknowledgement in done:
                    acknowledgement.result()
        except (MessageSizeTooLargeError, RecordListTooLargeError) as e:
            raise TooLarge(f"{events[0].event_id} or one that follows it: {e}") from e

    async def _rounds(self, producer: Any, events: Sequence[Event]) -> list[_Round]:
        """Put each event behind those that go to its partition; begin a round where one is full.

        What follows a full batch goes when that was acknowledged: so it cannot get ahead of it.
        """
        now = self._clock.now()
        published = envelope.stamp(now)
        wires = {event.topic: self._site.topic(event.topic) for event in events}
        counts = {t: len(await producer.partitions_for(wire)) for t, wire in wires.items()}
        rounds: list[_Round] = []
        last: dict[_Place, int] = {}  # the round that a partition's newest batch goes in
        for count, event in enumerate(events, 1):
            key = event.key.encode()
            place = wires[event.topic], partition_of(key, counts[event.topic])
            record = {
                "timestamp": now,
                "key": key,
                "value": event.payload,
                "headers": envelope.headers(event, published),
            }
            number = last.get(place, -1)
            if number < 0 or rounds[number][place].append(**record) is None:  # it is full
                number = last[place] = number + 1
                if number == len(rounds):
                    rounds.append({})
                rounds[number][place] = producer.create_batch()
                rounds[number][place].append(**record)  # the first one fits, however large it is
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return rounds

    async def _send_each(self, events: Sequence[Event]) -> None:
        """Send one by one, to find the one for which a batch was refused, and park that."""
        for event in events:
            try:
                await self._send([event])
            except TooLarge as e:
                await self._send([unsendable(event, e)])

    async def _started(self) -> Any:
        async with self._starting:
            if self._producer is None:
                producer = self._new()
                try:
                    where = self._site.settings.bootstrap
                    async with bounded(f"connect to {where}", self._patience.answer_s):
                        await producer.start()
                except BaseException:
                    await _stopped(producer, self._patience.request_s)
                    raise
                self._producer = producer
            return self._producer

    def _new(self) -> Any:
        return AIOKafkaProducer(
            **self._site.address(),
            enable_idempotence=True,
            acks="all",
            compression_type="lz4",
            max_batch_size=BATCH_BYTES_MAX,
            # We judge sizes ourselves, by topic; this is only above all of them.
            max_request_size=2 * LETTER_BYTES_MAX,
            request_timeout_ms=int(self._patience.request_s * 1000),
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )

    async def _end(self, producer: Any) -> None:
        """Retire this producer. Whoever else waits for its acknowledgements hears of it."""
        if producer is not None and self._producer is producer:
            self._producer = None
            # Whoever asked for it may be cancelled meanwhile; half ended it would live on.
            await asyncio.shield(_stopped(producer, self._patience.request_s))


@lru_cache(KEYS_REMEMBERED)
def partition_of(key: bytes, partitions: int) -> int:
    """Return where a key belongs: what every client of Kafka chooses by itself."""
    return (int(murmur2(key)) & 0x7FFFFFFF) % partitions


async def _stopped(producer: Any, within_s: float) -> None:
    """End the producer without its last wish, which is to send everything first."""
    sender = producer._sender.sender_task  # noqa: SLF001 - no public way leads around it
    if sender is not None:
        sender.cancel()
        _, running = await asyncio.wait([sender], timeout=within_s)
        if running:  # it waits for requests that nobody will answer: now it drops them
            sender.cancel()
            await asyncio.wait([sender], timeout=within_s)
    _fail_what_waits(producer._message_accumulator)  # noqa: SLF001
    with suppress(TimeoutError):  # what its sockets still hold, a frozen peer does not take
        async with asyncio.timeout(within_s):
            await producer.stop()


def _fail_what_waits(accumulator: Any) -> None:
    """Tell every publisher that waits on this producer; else they and `stop` wait for ever."""
    accumulator.fail_all(ProducerClosed("this producer was ended"))
    queued = chain.from_iterable(accumulator._batches.values())  # noqa: SLF001
    for batch in [*queued, *accumulator._pending_batches]:  # noqa: SLF001
        _forget(batch._drain_waiter)  # noqa: SLF001


def _forget(acknowledgement: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, and nobody shall be told that nobody asked how it ended."""
    if acknowledgement.done():
        _ask(acknowledgement)
    else:  # cancelled instead, it would no longer ask the batch that it stands for
        acknowledgement.add_done_callback(_ask)


def _ask(ended: asyncio.Future[Any]) -> None:
    if not ended.cancelled():
        ended.exception()


def _fitting(event: Event) -> Event:
    size = len(event.payload) + len(event.key)
    limit = bytes_max(event.topic)
    if size <= limit:
        return event
    return unsendable(event, f"{size} bytes, and {event.topic} takes at most {limit}")
