"""One part of the gateway at work in a process of its own, or a raw client beside it.

It reads a job on stdin, and answers with a line: how many events, the seconds from the first to
the last, and what the process used. The clock starts when everything is connected and ready,
because a start is another bench's figure. The events are those that a ledger writes: orders are
taken by an embedded one, and its outbox is read.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import islice
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple

from app.cli.bench.machine import memory_mb
from app.ports.bus import Event
from app.settings import Settings

POLL_S: Final = 0.005
JOIN_S: Final = 30.0
GROUP: Final = 1_000


class Job(NamedTuple):
    """What to do, where, with how many events."""

    part: str
    events: int
    name: str  # of a database in the account store; and it stands before topics
    ledger_url: str = ""

    @property
    def prefix(self) -> str:
        return f"{self.name}_"


class Ran(NamedTuple):
    """What it took."""

    wall_s: float
    cpu_s: float
    peak_mb: float | None


Part = Callable[[Settings, Job], Coroutine[Any, Any, Ran]]
Loop = Callable[[], Coroutine[Any, Any, None]]


class Watch:
    """Time and processor from here on."""

    def __init__(self) -> None:
        self._began, self._used = perf_counter(), process_time()

    def read(self) -> Ran:
        wall_s, cpu_s = perf_counter() - self._began, process_time() - self._used
        return Ran(wall_s, cpu_s, memory_mb(os.getpid()))


async def _until(done: Callable[[], bool], loop: Loop) -> Ran:
    """Run a loop of the house until it has done enough."""
    watch = Watch()
    async with asyncio.TaskGroup() as loops:
        running = loops.create_task(loop())
        while not done():  # noqa: ASYNC110 - the house's own counters, which tell nobody
            await asyncio.sleep(POLL_S)
        ran = watch.read()
        running.cancel()
    return ran


async def written(count: int) -> AsyncIterator[list[Event]]:
    """Yield the events of as many new orders, as a ledger writes them."""
    from app.cli.bench.store import far_sessions, takings
    from app.clock import SystemClock
    from app.ledger.outbox.queue import EmbeddedOutbox
    from app.ledger.schema import upgrade
    from app.ledger.store import Ledger
    from app.reference import load_calendar
    from app.sqlite import Database

    database, calendar = Database(None), load_calendar()
    upgrade(database)
    ledger, outbox = Ledger(database, SystemClock()), EmbeddedOutbox(database)
    entries = takings(count, far_sessions(calendar), calendar)
    while group := list(islice(entries, GROUP)):
        await ledger.take(group)
        batch = await outbox.next(len(group))
        await outbox.done(batch)
        yield batch.events
    database.close()


async def fill_outbox(_settings: Settings, job: Job) -> Ran:
    """Let events wait in the ledger for whoever carries them."""
    import psycopg

    watch = Watch()
    columns = "event_id, aggregatetype, aggregateid, type, payload"
    with (
        psycopg.connect(job.ledger_url) as session,
        session.cursor() as cursor,
        cursor.copy(f"COPY outbox ({columns}) FROM STDIN") as rows,
    ):
        async for events in written(job.events):
            for one in events:
                rows.write_row((one.event_id, "orders", one.key, one.type, one.payload.decode()))
    return watch.read()


async def relay(settings: Settings, job: Job) -> Ran:
    """Carry them to the bus, as `openbell serve --role relay` does."""
    from app.bus.kafka import KafkaBus
    from app.clock import SystemClock
    from app.ledger.outbox.queue import SharedOutbox
    from app.ledger.outbox.relay import Relay
    from app.ledger.tables import SHARDS
    from app.postgres import PostgresDatabase

    assert settings.kafka is not None
    bus = KafkaBus(settings.kafka, SystemClock(), prefix=job.prefix)
    database = PostgresDatabase(job.ledger_url)
    outbox = SharedOutbox(database)
    relay = Relay(outbox, bus)
    try:
        await bus.start()
        while len(outbox.owned) < SHARDS:
            await outbox.next(0)
            await asyncio.sleep(POLL_S)
        return await _until(lambda: relay.carried >= job.events, relay.run)
    finally:
        outbox.close()
        database.close()
        await bus.close()


async def raw_drain(_settings: Settings, job: Job) -> Ran:
    from app.cli.bench.raw import drain

    watch = Watch()
    wall_s = drain(job.ledger_url, job.events)
    return watch.read()._replace(wall_s=wall_s)


async def raw_produce(settings: Settings, job: Job) -> Ran:
    from app.bus import envelope
    from app.bus.site import Site
    from app.cli.bench.raw import Sent, produce
    from app.clock import SystemClock

    assert settings.kafka is not None
    stamp = envelope.stamp(SystemClock().now())
    records = [
        Sent(one.key.encode(), one.payload, envelope.headers(one, stamp))
        async for events in written(job.events)
        for one in events
    ]
    topic = f"{job.prefix}openbell.orders.v1"
    watch = Watch()
    wall_s = await produce(Site(settings.kafka).address(), topic, records)
    return watch.read()._replace(wall_s=wall_s)


async def fill_topic(settings: Settings, job: Job) -> Ran:
    """Let events wait on the bus for whoever shows them."""
    from app.bus.kafka import KafkaBus
    from app.clock import SystemClock

    assert settings.kafka is not None
    bus = KafkaBus(settings.kafka, SystemClock(), prefix=job.prefix)
    watch = Watch()
    try:
        await bus.start()
        async for events in written(job.events):
            await bus.publish(events)
    finally:
        await bus.close()
    return watch.read()


async def projector(settings: Settings, job: Job) -> Ran:
    """Carry them into the account store, as `openbell serve --role projector` does."""
    from app.accounts.mongo import close_client, make_client
    from app.accounts.mongo_book import MongoAccountBook
    from app.accounts.projector import GROUP as CONSUMERS
    from app.accounts.projector import TOPIC, Projector
    from app.bus.kafka import KafkaBus
    from app.clock import SystemClock

    assert settings.kafka is not None
    assert settings.mongo is not None
    bus = KafkaBus(settings.kafka, SystemClock(), prefix=job.prefix)
    client = make_client(settings.mongo.url, settings.mongo.driver)
    try:
        view = Projector(bus, await MongoAccountBook.open(client, job.name))
        await bus.wait(TOPIC, CONSUMERS, JOIN_S)  # the group has met, and the first record is here
        return await _until(lambda: view.stored >= job.events, view.run)
    finally:
        await close_client(client)
        await bus.close()


async def raw_store(settings: Settings, job: Job) -> Ran:
    from app.accounts.bson_document import pack
    from app.accounts.fold import fold
    from app.accounts.mongo import close_client, make_client
    from app.accounts.mongo_book import MongoAccountBook
    from app.accounts.mongo_shape import COLLECTION
    from app.cli.bench.raw import store

    assert settings.mongo is not None
    client = make_client(settings.mongo.url, settings.mongo.driver)
    await MongoAccountBook.open(client, job.name)  # the same indexes
    await close_client(client)
    documents = [pack(fold(one.payload)) async for events in written(job.events) for one in events]
    watch = Watch()
    wall_s = store(settings.mongo.url, (job.name, COLLECTION), documents)
    return watch.read()._replace(wall_s=wall_s)


PARTS: Final[dict[str, Part]] = {
    part.__name__: part
    for part in (fill_outbox, relay, raw_drain, raw_produce, fill_topic, projector, raw_store)
}


def main() -> None:
    """Do the one job that stands on stdin."""
    import uvloop

    from app.settings import read_settings

    job = Job(**json.loads(sys.stdin.read()))
    ran = uvloop.run(PARTS[job.part](read_settings(), job))
    sys.stdout.write(json.dumps(ran._asdict()) + "\n")


def run(job: Job) -> Ran:
    """Do a job in a process of its own; raise what its last words were if it fails."""
    import subprocess

    done = subprocess.run(  # the environment is ours: it names the servers
        [sys.executable, "-m", "app.cli.bench.part"],
        input=json.dumps(job._asdict()),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{job.part} failed: {done.stderr.strip()[-2_000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return Ran(**found)


if __name__ == "__main__":
    main()
