"""Follows an account's orders as they move, a line for each step.

The stream tells where each event stands, and a line that was cut is taken up there: nothing is
lost, and what comes twice is shown once. The trap is a reader who believes that he has all: after
`resync` he has not, and is told to list the orders.
"""

import json
import sys
from collections.abc import Iterator
from itertools import count
from typing import Annotated, Any, Final, NamedTuple
from urllib.parse import urlencode

import typer

from app.cli.command import Call, verb
from app.cli.output import Output, print_out, printable, say
from app.cli.problems import BUSY, Problem, Unreachable

STREAM: Final = "/v1/stream"
AGAIN_S: Final = 2.0
# The gateway beats each 15 s; a line that is silent for twice as long is dead.
SILENCE_S_MAX: Final = 40.0
# Steps of the last minute may come again after a cut.
REMEMBERED_MAX: Final = 10_000


class Event(NamedTuple):
    """One event of a stream, and the place where it stands."""

    kind: str
    place: str
    data: str


def watch(
    call: Call,
    *,
    account: Annotated[str, typer.Option(help="Account (1).")],
    steps: Annotated[int, typer.Option(min=0, help="End after so many; 0: at Ctrl-C.")] = 0,
) -> None:
    """Follow an account's orders; with --json, each event as the gateway tells it."""
    shown: dict[str, None] = {}
    for event in _followed(call, account):
        if event.kind == "resync":
            say("too much was missed: openbell order list shows how things stand")
        elif event.kind == "order.updated" and event.place not in shown:
            shown[event.place] = None
            if len(shown) > REMEMBERED_MAX:
                del shown[next(iter(shown))]
            _tell(call, event.data)
            steps -= 1
            if not steps:
                return


def _followed(call: Call, account: str) -> Iterator[Event]:
    """Yield events, and take the line up again where it was cut."""
    place = ""
    for turn in count():
        headers = {"Last-Event-ID": place} if place else {}
        try:
            path = f"{STREAM}?{urlencode({'account_id': account})}"
            for event in _events(call.client.lines(path, headers)):
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
        call.client.pause(AGAIN_S)


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


def _tell(call: Call, data: str) -> None:
    if call.screen.output is Output.JSON:
        print_out(data)
    else:
        told: dict[str, Any] = json.loads(data)
        order = told["order"]
        words = (
            told["at"],
            told["order_id"],
            told["client_order_id"],
            f"{order['side']} {order['quantity']} {order['symbol']}",
            order["status"],
            f"{order['filled_quantity']} filled",
            told["cause"],
        )
        print_out("  ".join(printable(str(word)) for word in words))
    sys.stdout.flush()


def declare_watch(app: typer.Typer) -> None:
    """Add this verb to the noun."""
    verb(
        app,
        "watch",
        role="client",
        examples=("order watch --account A-1", "order watch --account A-1 --json > steps.ndjson"),
        timeout_s=SILENCE_S_MAX,
    )(watch)
