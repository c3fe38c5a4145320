"""What carries events, beside the clients that it is made of: each part in a process of its own.

    relay       outbox ─► bus              beside   reading and deleting rows alone
                                           beside   aiokafka's producer alone
    projector   bus ─► account store       beside   pymongo's bulks alone

Of one size all halves run one after the other, so that a busy machine is busy for both sides of
a ratio. What a part holds in memory must not grow with what waits: so there are two sizes, and
the peak of each.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Final, NamedTuple

from app.bus.site import Site
from app.cli.asking.output import say
from app.cli.bench.part import Job, Ran, run
from app.cli.bench.raw import remove_database, remove_topics
from app.cli.bench.report import Figure, figure, ratio
from app.cli.bench.servers import own_ledger, own_name
from app.settings import Settings

RELAY_TARGET: Final = ">= 40,000"
FLAT: Final = "0: flat"
MILLION: Final = 1_000_000
# Where the raw client writes, so that both begin with an empty collection.
ALONE: Final = "_alone"


class Turn(NamedTuple):
    """One size, once: the part of the gateway, and by name what ran alone beside it."""

    events: int
    ours: Ran
    alone: Mapping[str, Ran]


def measure_relay(settings: Settings, sizes: Sequence[int], rounds: int) -> list[Figure]:
    """Carry events from an outbox of our own to topics of our own."""
    assert settings.ledger_url is not None
    with own_ledger(settings.ledger_url) as url, _own_topics(settings) as name:
        turns = [_relayed(Job("relay", n, name, url)) for n in _in_turn(sizes, rounds)]
    return figures("relay", turns, RELAY_TARGET)


def _relayed(job: Job) -> Turn:
    run(job._replace(part="fill_outbox"))
    reading = run(job._replace(part="raw_drain"))
    run(job._replace(part="fill_outbox"))
    ours = run(job)
    sending = run(job._replace(part="raw_produce"))
    return Turn(job.events, ours, {"select and delete": reading, "aiokafka's producer": sending})


def measure_projector(settings: Settings, sizes: Sequence[int], rounds: int) -> list[Figure]:
    """Carry events from topics of our own into a collection of our own."""
    turns = []
    for size in _in_turn(sizes, rounds):
        with _own_topics(settings) as name, _own_book(settings, name):
            job = Job("projector", size, name)
            run(job._replace(part="fill_topic"))
            ours = run(job)
            storing = run(job._replace(part="raw_store", name=name + ALONE))
            turns.append(Turn(size, ours, {"pymongo's bulks": storing}))
    return figures("projector", turns, "")


def _in_turn(sizes: Sequence[int], rounds: int) -> Iterator[int]:
    """Yield the smallest size in `rounds`, for how far rounds lie apart; each other one once."""
    for size in sorted(sizes):
        for number in range(1, (rounds if size == min(sizes) else 1) + 1):
            say(f"{size:,} events, round {number}")
            yield size


@contextmanager
def _own_topics(settings: Settings) -> Iterator[str]:
    assert settings.kafka is not None
    name = own_name()
    try:
        yield name
    finally:
        asyncio.run(remove_topics(Site(settings.kafka).address(), name))


@contextmanager
def _own_book(settings: Settings, name: str) -> Iterator[None]:
    assert settings.mongo is not None
    try:
        yield
    finally:
        remove_database(settings.mongo.url, name)
        remove_database(settings.mongo.url, name + ALONE)


def figures(part: str, turns: Sequence[Turn], target: str) -> list[Figure]:
    """Return what the turns say: by size, the ratios first; then what waiting costs."""
    found: list[Figure] = []
    for size in sorted({turn.events for turn in turns}):
        own = [turn for turn in turns if turn.events == size]
        rates = [_rate(turn.ours, size) for turn in own]
        for name in own[0].alone:
            alone = [_rate(turn.alone[name], size) for turn in own]
            found.append(ratio(f"{size:,}: {part} / {name} alone", rates, alone, ""))
            found += figure(f"{size:,}: {name} alone", "a second", alone)
        found += figure(f"{size:,}: {part}", "a second", rates, target)
        each = [turn.ours.cpu_s * MILLION / size for turn in own]
        found += figure(f"{size:,}: {part}'s processor", "µs each", each)
        found += figure(f"{size:,}: {part}'s peak memory", "MB", [t.ours.peak_mb for t in own])
    return found + figure(f"{part}: memory of one more event", "bytes", _bytes_each(turns), FLAT)


def _rate(ran: Ran, events: int) -> float:
    return events / ran.wall_s


def _bytes_each(turns: Sequence[Turn]) -> list[float]:
    """Return what each event more took at the peak, from each size to the next larger one."""
    peaks: dict[int, float] = {}
    for turn in turns:
        if turn.ours.peak_mb is not None:
            peaks[turn.events] = max(peaks.get(turn.events, 0.0), turn.ours.peak_mb)
    return [
        (peaks[larger] - peaks[smaller]) * MILLION / (larger - smaller)
        for smaller, larger in pairwise(sorted(peaks))
    ]
