"""Dead letters: what nobody could apply, why, and how it is tried again.

It works on the bus that the settings name, without a gateway; on the embedded bus only while no
gateway runs, because the file has one owner. A letter is listed until it was retried: then its
event stands in its topic again, under its own id, and whoever still cannot apply it parks it
anew. Repeating it harms nobody else, for consumers know what they have.

The trap is to retry before the cause is gone: read the cause first.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from app.cli.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.output import Ends, Failure, Output, Screen, say

app = typer.Typer(no_args_is_help=True, help="Dead letters: what nobody could apply; try it again.")

T = TypeVar("T")
# Its place in a topic of letters is what was retried: what lies after it is listed. One for each
# topic, because members of one group wait for each other.
GROUP: Final = "openbell.deadletter."
BATCH_MAX: Final = 500
# To join a group takes a second or three; a broker that is away is said before that.
SILENCE_S_MAX: Final = 15.0
COLUMNS: Final = ("topic", "place", "event_id", "type", "group", "cause")
Topic = Annotated[
    str | None,
    typer.Option(help="Only of this topic, such as openbell.orders.v1.", show_default=False),
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many of each topic.")]


@app.command("list", epilog=examples_text(("deadletter list", "deadletter list --json")))
def list_(
    *,
    topic: Topic = None,
    limit: Limit = 100,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """List what waits, with the cause."""
    found = _on_the_bus(data_dir, lambda bus: listed(bus, topic, limit))
    Screen(chosen(output, json=json)).show(found, COLUMNS)


@app.command(
    "retry",
    epilog=examples_text(
        ("deadletter retry --topic openbell.orders.v1", "deadletter retry --limit 1")
    ),
)
def retry(
    *,
    topic: Topic = None,
    limit: Limit = 100,
    data_dir: DataDir = Path("data"),
) -> None:
    """Publish them again where they came from, oldest first."""
    done, kept = _on_the_bus(data_dir, lambda bus: retried(bus, topic, limit))
    say(f"{done} published again; {kept} cannot be, and stay")


async def listed(bus: Any, topic: str | None, limit: int) -> list[dict[str, Any]]:
    """Return what waits in the dead letters of a topic, or of all."""
    return [_told(r) for records in await _every(bus, topic, limit) for r in records]


async def retried(bus: Any, topic: str | None, limit: int) -> tuple[int, int]:
    """Publish what waits where it came from; return how many, and how many can only stay."""
    done = kept = 0
    for records in await _every(bus, topic, limit):
        letters = records[0].event.topic
        events = [_again(record) for record in records]
        await bus.publish(events)
        # Only now: what was committed and not published would be lost.
        await bus.commit(letters, GROUP + letters, records)
        stay = sum(event.topic == letters for event in events)
        done, kept = done + len(events) - stay, kept + stay
    return done, kept


def _told(record: Any) -> dict[str, Any]:
    from app import letters

    place = f"{record.partition}:{record.offset}"
    try:
        letter = letters.read(record.event)
    except letters.NotALetter as e:
        event = record.event
        return {"topic": event.topic, "place": place, "event_id": event.event_id} | {
            "type": event.type,
            "group": "",
            "cause": f"no letter of ours: {e}",
        }
    event = letter.event
    return {
        "topic": event.topic,
        "place": place,
        "event_id": event.event_id,
        "type": event.type,
        "group": letter.group,
        "cause": letter.cause,
        "payload": event.payload.decode(errors="backslashreplace"),
    }


def _again(record: Any) -> Any:
    """Return the event that was parked; or the letter, which so moves to the end of its topic."""
    from app import letters

    try:
        letter = letters.read(record.event)
    except letters.NotALetter:
        return record.event
    return letter.event if letter.whole else record.event


async def _every(bus: Any, topic: str | None, limit: int) -> list[list[Any]]:
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


def _on_the_bus(data_dir: Path, work: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
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
