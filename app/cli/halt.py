"""Stops new sends, and starts them again with another person's key.

A halt does not cancel what is at a broker, and cancels still pass; the trap is a stop button
that leaves somebody in the belief that it did more.
"""

from typing import Annotated, Final

import typer

from app.cli.client import NOTHING_SEEN, etag_of
from app.cli.command import Call, Reason, verb
from app.cli.output import say

app = typer.Typer(no_args_is_help=True, help="Halts: stop new sends, and start them again.")

SCOPES: Final = ("route", "broker", "account", "symbol")


def _known(text: str) -> str:
    scope, colon, target = text.partition(":")
    if text != "all" and not (scope in SCOPES and colon and target):
        raise typer.BadParameter("expected all, route:ID, broker:ID, account:ID or symbol:SYMBOL")
    return text


Scope = Annotated[
    str,
    typer.Option(
        metavar="SCOPE",
        callback=_known,
        help="all, route:us, broker:b1, account:A-1 or symbol:AAPL.",
    ),
]


@verb(app, "status", role="operator", examples=("halt status", "halt status --json"))
def status(call: Call) -> None:
    """List the halts in force."""
    call.show(call.get("/admin/v1/halts")["data"])


@verb(
    app,
    "on",
    role="operator",
    examples=(
        'halt on --scope all --reason "orders look wrong, everybody stop"',
        'halt on --scope symbol:AAPL --reason "halted by the exchange"',
    ),
)
def on(call: Call, *, scope: Scope, reason: Reason) -> None:
    """Stop new sends within a scope, at once."""
    # What is stopped was typed in full a moment ago: that is the confirmation.
    confirmed = {"X-Confirm": scope.rpartition(":")[2]}
    reply = call.client.call("POST", "/admin/v1/halt", _body(scope, reason), confirmed)
    call.show(reply.document)
    say("new sends stop; orders at a broker go on, and cancels still pass")


@verb(
    app,
    "off",
    role="approver",
    examples=(
        'halt off --scope all --reason "checked with the desk"',
        'halt off --scope symbol:AAPL --reason "the exchange resumed"',
    ),
)
def off(call: Call, *, scope: Scope, reason: Reason) -> None:
    """Lift a halt; it needs the key of another person than who halted."""
    body = _body(scope, reason)
    reply = call.client.call("POST", "/admin/v1/resume", body, _seen(call, body))
    call.show(reply.document if reply.document is not None else {"resumed": scope})


def _seen(call: Call, body: dict[str, str]) -> dict[str, str]:
    """Name the halt that stands now; the one that somebody sets meanwhile is another one."""
    for halt in call.get("/admin/v1/halts")["data"]:
        named = halt["scope"] if halt["scope"] == "all" else halt["target"]
        if (halt["scope"], named) == (body["scope"], body.get("id", "all")):
            return etag_of(halt)
    return NOTHING_SEEN


def _body(scope: str, reason: str) -> dict[str, str]:
    kind, _, target = scope.partition(":")
    return {"scope": kind, "reason": reason} | ({"id": target} if target else {})
