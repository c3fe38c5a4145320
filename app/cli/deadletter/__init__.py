"""Dead letters: what nobody could apply, why, and how it is tried again or given up.

It works on the bus that the settings name, without a gateway; on the embedded bus only while no
gateway runs, because the file has one owner. A letter is listed until it was replayed: then its
event stands in its topic again, under its own id, and whoever still cannot apply it parks it
anew. Repeating it harms nobody else, for consumers know what they have. What is discarded is
listed no more; its record stands in the audit log before that.

The traps are to replay before the cause is gone, so read the cause first; and to pick one letter
of many: those before it move to the end of their topic, and none is lost.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import closing
from getpass import getuser
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Grade, Sure, Yes, someone
from app.cli.asking.command import DataDir, Form, JsonShort, Reason, chosen, examples_text, reported
from app.cli.asking.output import Ends, Failure, Output, Screen, say
from app.cli.deadletter.bus import every, on_the_bus
from app.cli.outbox import ledger_of

app = typer.Typer(
    no_args_is_help=True, help="Dead letters: what nobody could apply; replay it, or give it up."
)

COLUMNS: Final = ("event_id", "topic", "place", "type", "group", "cause")
Topic = Annotated[
    str | None,
    typer.Option(help="Only of this topic, such as openbell.orders.v1.", show_default=False),
]
Limit = Annotated[int, typer.Option(min=1, help="At most so many of each topic.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="EVENT_ID", help="Only these, as deadletter list shows them."),
]


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
    found = on_the_bus(data_dir, lambda bus: listed(bus, topic, limit))
    Screen(chosen(output, json=json)).show(found, COLUMNS)


@app.command(
    "show",
    epilog=examples_text(("deadletter show acc-17-3", "deadletter show acc-17-3 --json")),
)
def show(
    *,
    event_id: Annotated[str, typer.Argument(help="As deadletter list shows it.")],
    topic: Topic = None,
    limit: Limit = 10_000,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Show a letter whole: where it stood, who could not apply it and why, and what it says."""
    found = on_the_bus(data_dir, lambda bus: listed(bus, topic, limit))
    letters = [letter for letter in found if letter["event_id"] == event_id]
    with reported():
        if not letters:
            raise _nowhere([event_id], limit)
    screen = Screen(chosen(output, json=json))
    for letter in letters:  # two consumers may have parked the same event
        screen.show(letter)


@app.command(
    "replay",
    epilog=examples_text(
        (
            "deadletter replay --topic openbell.orders.v1",
            "deadletter replay acc-17-3 acc-17-4",
        )
    ),
)
def replay(
    *,
    event_ids: Ids = None,
    topic: Topic = None,
    limit: Limit = 100,
    data_dir: DataDir = Path("data"),
) -> None:
    """Publish them again where they came from, oldest first."""
    done, kept = on_the_bus(data_dir, lambda bus: retried(bus, topic, limit, event_ids or ()))
    say(f"{done} published again; {kept} cannot be, and stay")


@app.command(
    "retry",
    hidden=True,
    epilog=examples_text(
        ("deadletter retry --topic openbell.orders.v1", "deadletter retry --limit 1")
    ),
)
def retry(*, topic: Topic = None, limit: Limit = 100, data_dir: DataDir = Path("data")) -> None:
    """Publish them again, as before this verb was called replay."""
    replay(topic=topic, limit=limit, data_dir=data_dir)


@app.command(
    "discard",
    epilog=examples_text(
        (
            'deadletter discard acc-17-3 --reason "a test that leaked, OPS-12"',
            'deadletter discard acc-17-3 acc-17-4 --reason "settled by hand, OPS-13"',
        )
    ),
)
def discard(
    *,
    event_ids: Annotated[
        list[str], typer.Argument(metavar="EVENT_ID", help="As deadletter list shows them.")
    ],
    reason: Reason,
    topic: Topic = None,
    limit: Limit = 10_000,
    yes: Yes = False,
    data_dir: DataDir = Path("data"),
) -> None:
    """Give letters up: nobody will ever apply them. The audit log says who, which and why.

    The ledger can tell an order's state again (outbox replay); a broker's report stands nowhere
    else, so read it first.
    """

    async def note(doomed: Sequence[dict[str, Any]]) -> None:
        await _noted(data_dir, doomed, reason)

    wanted, sure = frozenset(event_ids), Sure(yes, ask=someone())
    with reported():
        if sure.ask is not None and not yes:
            # By itself: a bus does not wait for a person.
            found = on_the_bus(data_dir, lambda bus: listed(bus, topic, limit))
            agreed(sure, [letter for letter in found if letter["event_id"] in wanted])
        count = on_the_bus(data_dir, lambda bus: discarded(bus, (topic, limit), wanted, note))
    say(f"{count} given up; their record stands in the audit log")


def agreed(sure: Sure, letters: Sequence[dict[str, Any]]) -> None:
    """Show what is to be given up, and raise unless somebody says yes."""
    for letter in letters:
        say(f"  {letter['event_id']}  {letter['topic']}  {letter['type']}  {letter['cause']}")
    sure.agreed(f"give up these {len(letters)} for ever", "", Grade.YES)


def _nowhere(event_ids: Sequence[str], limit: int) -> Failure:
    return Failure(
        Ends.NOT_FOUND,
        f"no letter {', '.join(event_ids)}",
        why=f"it is not among the first {limit:,} of each topic",
        advice="openbell deadletter list; --limit reaches further",
    )


async def _noted(data_dir: Path, letters: Sequence[dict[str, Any]], reason: str) -> None:
    """Write down what is about to be given up: afterwards nobody could."""
    from app.clock import SystemClock
    from app.domain.records import Actor, Change
    from app.ledger.store import Ledger

    told = [{name: letter[name] for name in ("topic", "place", "cause")} for letter in letters]
    with closing(ledger_of(data_dir)) as database:
        ledger = Ledger(database, SystemClock())
        for letter, before in zip(letters, told, strict=True):
            resource = f"dead-letter/{letter['event_id']}"
            change = Change("dead_letter.discard", resource, before, None)
            await ledger.note(change, Actor(getuser(), reason))


async def listed(bus: Any, topic: str | None, limit: int) -> list[dict[str, Any]]:
    """Return what waits in the dead letters of a topic, or of all, and stay where we are."""
    return [_told(r) for records in await every(bus, topic, limit) for r in records]


async def retried(
    bus: Any, topic: str | None, limit: int, event_ids: Collection[str] = ()
) -> tuple[int, int]:
    """Publish what waits where it came from; return how many, and how many can only stay."""
    done = kept = 0
    for records in await every(bus, topic, limit):
        letters = records[0].event.topic
        reached = _upto(records, event_ids)
        ours = [_is_meant(record, event_ids) for record in reached]
        events = [_again(r) if meant else r.event for r, meant in zip(reached, ours, strict=True)]
        await _carried(bus, letters, events, reached)
        stay = sum(meant and e.topic == letters for e, meant in zip(events, ours, strict=True))
        done, kept = done + sum(ours) - stay, kept + stay
    return done, kept


async def discarded(
    bus: Any,
    among: tuple[str | None, int],
    event_ids: frozenset[str],
    note: Callable[[Sequence[dict[str, Any]]], Awaitable[None]],
) -> int:
    """Pass these letters over for ever, once they are noted; return how many they were."""
    topics = await every(bus, *among)
    found = [_told(r) for records in topics for r in records if _is_meant(r, event_ids)]
    missing = event_ids - {letter["event_id"] for letter in found}
    if missing:
        raise _nowhere(sorted(missing), among[1])
    await note(found)
    for records in topics:
        reached = _upto(records, event_ids)
        others = [record.event for record in reached if not _is_meant(record, event_ids)]
        await _carried(bus, records[0].event.topic, others, reached)
    return len(found)


async def _carried(bus: Any, letters: str, events: list[Any], reached: list[Any]) -> None:
    from app.letters import GROUP

    await bus.publish(events)
    # Only now: what was committed and not published would be lost.
    await bus.commit(letters, GROUP + letters, reached)


def _is_meant(record: Any, event_ids: Collection[str]) -> bool:
    return not event_ids or record.event.event_id in event_ids


def _upto(records: list[Any], event_ids: Collection[str]) -> list[Any]:
    """Return the records up to the last that is meant: what follows keeps its place."""
    meant = [place for place, record in enumerate(records) if _is_meant(record, event_ids)]
    return records[: meant[-1] + 1] if meant else []


def _told(record: Any) -> dict[str, Any]:
    from app import letters

    place = f"{record.partition}:{record.offset}"
    try:
        letter = letters.read(record.event)
    except letters.NotALetter as e:
        event = record.event
        return {"event_id": event.event_id, "topic": event.topic, "place": place} | {
            "type": event.type,
            "group": "",
            "cause": f"no letter of ours: {e}",
        }
    event = letter.event
    return {
        "event_id": event.event_id,
        "topic": event.topic,
        "place": place,
        "type": event.type,
        "key": event.key,
        "group": letter.group,
        "cause": letter.cause,
        "whole": letter.whole,
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
