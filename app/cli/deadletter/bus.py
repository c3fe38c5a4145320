"""The dead letters of the bus that the settings name, as far as they reach now.

Each topic of letters has one reader, whose place says what was dealt with: what lies after it is
listed. The trap is to commit a place before its work is on the bus, so this file commits nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from app.cli.asking.command import reported
from app.cli.asking.output import Ends, Failure

T = TypeVar("T")
BATCH_MAX: Final = 500
# To join a group takes a second or three; a broker that is away is said before that.
SILENCE_S_MAX: Final = 15.0


async def every(bus: Any, topic: str | None, limit: int) -> list[list[Any]]:
    """Return the letters of each topic that has some, as far as they reach now."""
    from app.bus.topics import RETENTION_DAYS
    from app.letters import topic_of_letters

    if topic is not None and topic not in RETENTION_DAYS:
        known = ", ".join(RETENTION_DAYS)
        raise Failure(Ends.USAGE, f"there is no topic {topic}", advice=f"one of {known}")
    found = []
    for name in RETENTION_DAYS if topic is None else [topic]:
        records = await _waiting(bus, topic_of_letters(name), limit)
        if records:
            found.append(records)
    return found


async def _waiting(bus: Any, topic: str, limit: int) -> list[Any]:
    from app.letters import GROUP

    group = GROUP + topic
    wanted = min(limit, await bus.lag(topic, group))
    found: list[Any] = []
    loop = asyncio.get_running_loop()
    heard_at = loop.time()
    while len(found) < wanted:
        batch = await bus.poll(topic, group, min(BATCH_MAX, wanted - len(found)))
        found += batch
        if batch:
            heard_at = loop.time()
        elif loop.time() > heard_at + SILENCE_S_MAX:
            raise Failure(
                Ends.TRY_AGAIN,
                f"read {len(found)} of {wanted} letters of {topic}",
                why="somebody else is reading them",
                advice="ask again when they have ended",
            )
        else:
            await bus.wait(topic, group, 1.0)
    return found


def on_the_bus(data_dir: Path, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
    """Do this with the bus that the settings name; end in words when there is none."""
    from app.ports.away import StoreAway
    from app.sqlite import InUse

    async def life() -> T:
        async with _bus(data_dir) as bus:
            return await work(bus)

    with reported():
        try:
            return asyncio.run(life())
        except InUse as e:
            raise Failure(
                Ends.TRY_AGAIN,
                "the gateway has its bus open",
                why=str(e),
                advice="stop it first: the embedded bus has one owner at a time",
            ) from e
        except StoreAway as e:
            raise Failure(Ends.UNREACHABLE, "the bus does not answer", why=str(e)) from e


@asynccontextmanager
async def _bus(data_dir: Path) -> AsyncIterator[Any]:
    from app.clock import SystemClock
    from app.settings import read_settings

    try:
        settings = read_settings(data_dir=data_dir)
    except ValueError as e:
        raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from e
    if settings.kafka is None:
        from app.bus.log import LogBus
        from app.sqlite import Database

        file = settings.data_dir / "bus.db"
        if not file.exists():
            raise Failure(Ends.NOT_FOUND, f"there is no bus in {settings.data_dir}")
        database = Database(file)
        try:
            yield LogBus(database, SystemClock())
        finally:
            database.close()
        return
    from app.bus.kafka import KafkaBus

    bus = KafkaBus(settings.kafka, SystemClock())
    try:
        await bus.start()
        yield bus
    finally:
        await bus.close()
