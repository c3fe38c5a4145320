"""Follows a stream of the gateway, and takes it up where the line was cut.

Each event tells where it stands, and whoever names the last place that he has is told what came
after it. The trap is a reader who believes that he has all: after `resync` he has not.
"""

from collections.abc import Iterator
from itertools import count
from typing import Final, NamedTuple

from app.cli.asking.client import Client
from app.cli.asking.output import say
from app.cli.asking.problems import BUSY, Problem, Unreachable

RESYNC: Final = "resync"
AGAIN_S: Final = 2.0
# The gateway beats each 15 s; a line that is silent for twice as long is dead.
SILENCE_S_MAX: Final = 40.0


class Event(NamedTuple):
    """One event of a stream, and the place where it stands."""

    kind: str
    place: str
    data: str


def followed(client: Client, path: str, place: str = "") -> Iterator[Event]:
    """Yield events after a place, and take the line up again where it was cut."""
    for turn in count():
        headers = {"Last-Event-ID": place} if place else {}
        try:
            for event in _events(client.lines(path, headers)):
                place = event.place or place
                yield event
        except Unreachable as e:
            if not turn and not place:
                raise
            say(f"{e.what}: {e.why}; again in {AGAIN_S:g} s")
        except Problem as e:
            if e.status not in BUSY:
                raise
            say(f"{e.what}; again in {AGAIN_S:g} s")
        client.pause(AGAIN_S)


def _events(lines: Iterator[bytes]) -> Iterator[Event]:
    """Return the events that the lines spell: fields, and an empty line after each event."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.decode().partition(":")
        if name:
            fields[name] = value.removeprefix(" ")
        elif not line:
            yield Event(fields.get("event", ""), fields.get("id", ""), fields.get("data", ""))
            fields = {}
