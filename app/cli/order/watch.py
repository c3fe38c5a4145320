"""Follows an account's orders as they move, a line for each step.

A line that was cut is taken up where it was: nothing is lost, and what comes twice is shown once.
The trap is a reader who believes that he has all: after `resync` he has not, and is told to list
the orders.
"""

import json
import sys
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import typer

from app.cli.asking.command import Call, verb
from app.cli.asking.following import RESYNC, SILENCE_S_MAX, followed
from app.cli.asking.output import Output, print_out, printable, say

STREAM: Final = "/v1/stream"
# Steps of the last minute may come again after a cut.
REMEMBERED_MAX: Final = 10_000


def watch(
    call: Call,
    *,
    account: Annotated[str, typer.Option(help="Account (1).")],
    steps: Annotated[int, typer.Option(min=0, help="End after so many; 0: at Ctrl-C.")] = 0,
) -> None:
    """Follow an account's orders; with --json, each event as the gateway tells it."""
    shown: dict[str, None] = {}
    path = f"{STREAM}?{urlencode({'account_id': account})}"
    for event in followed(call.client, path):
        if event.kind == RESYNC:
            say("too much was missed: openbell order list shows how things stand")
        elif event.kind == "order.updated" and event.place not in shown:
            shown[event.place] = None
            if len(shown) > REMEMBERED_MAX:
                del shown[next(iter(shown))]
            _tell(call, event.data)
            steps -= 1
            if not steps:
                return


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
