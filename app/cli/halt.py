"""Stops new sends, and starts them again with another person's key.

A halt does not cancel what is at a broker, and cancels still pass; the trap is a stop button
that leaves somebody in the belief that it did more. `kill` is the button that does more: it
halts, and then cancels whatever is in its scope.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.change import Grade, Hand, Seen, changes, row
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.output import say
from app.cli.order.bulk import through
from app.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Halts: stop new sends, and start them again.")

SCOPES: Final = ("route", "broker", "account", "symbol")
# They stop a market or more of it; an account or a symbol is small, and quickly let go.
LARGE: Final = ("all", "route", "broker")
HALTS: Final = "/admin/v1/halts"
EVERYTHING: Final = "*"  # what a halt of all names
ANY_VERSION: Final = Seen(etag="*")  # nobody is to wait for a read before a halt


def _known(text: str) -> str:
    scope, colon, target = text.partition(":")
    if text != "all" and not (scope in SCOPES and colon and target):
        raise typer.BadParameter("expected all, route:ID, broker:ID, account:ID or symbol:SYMBOL")
    return text


def _killable(text: str) -> str:
    text = "all" if text == "firm" else text
    if text.startswith("route:"):
        raise typer.BadParameter("a route is halted, and its broker is killed: broker:ID")
    return _known(text)


Scope = Annotated[
    str,
    typer.Option(
        metavar="SCOPE",
        callback=_known,
        help="all, route:us, broker:b1, account:A-1 or symbol:AAPL.",
    ),
]
Killed = Annotated[
    str,
    typer.Option(
        metavar="SCOPE", callback=_killable, help="firm, broker:b1, account:A-1 or symbol:AAPL."
    ),
]
RequestId = Annotated[
    str | None,
    typer.Option(help="Of a kill that has begun: it goes on, and touches nothing newer."),
]


@verb(app, "status", role="operator", examples=("halt status", "halt status --json"))
def status(call: Call) -> None:
    """List the halts in force."""
    call.show(call.get(HALTS)["data"])


@changes(
    app,
    "on",
    tries=True,
    examples=(
        'halt on --scope all --reason "orders look wrong, everybody stop"',
        'halt on --scope symbol:AAPL --reason "halted by the exchange"',
    ),
)
def on(hand: Hand, *, scope: Scope, reason: Reason) -> None:
    """Stop new sends within a scope, at once; a route, broker, account, symbol, or all."""
    body = _body(scope, reason)
    asks = hand._replace(grade=Grade.NAME if body["scope"] in LARGE else Grade.YES)
    done = asks.turn("POST", "/admin/v1/halt", body, seen=ANY_VERSION, name=_name(scope))
    if done is not None:
        say("new sends stop; orders at a broker go on, and cancels still pass")
        say(f'it ends by another person\'s word: openbell halt off --scope {scope} --reason "…"')


@changes(
    app,
    "off",
    role="approver",
    tries=True,
    examples=(
        'halt off --scope all --reason "checked with the desk"',
        'halt off --scope symbol:AAPL --reason "the exchange resumed"',
    ),
)
def off(hand: Hand, *, scope: Scope, reason: Reason) -> None:
    """Lift a halt; it needs the key of another person than who halted."""
    kind, _, target = scope.partition(":")
    seen = row(
        hand.call.client,
        HALTS,
        {"scope": kind, "target": target or EVERYTHING},
        f"no halt on {scope}",
        "openbell halt status shows those in force",
    )
    hand.turn("POST", "/admin/v1/resume", _body(scope, reason), seen=seen, name=_name(scope))


@changes(
    app,
    "kill",
    grade=Grade.NAME,
    tries=True,
    examples=(
        'halt kill --scope broker:b1 --reason "they fill at wild prices" --confirm b1',
        'halt kill --scope firm --reason "everything is wrong" --dry-run',
    ),
)
def kill(hand: Hand, *, scope: Killed, reason: Reason, request_id: RequestId = None) -> None:
    """Halt a scope, and cancel every order in it: the firm, a broker, an account or a symbol.

    What never left ends at once; what may be at a broker is asked for, and may still be filled.
    """
    named = request_id or f"kill-{SystemClock().now()}"
    body = _body(scope, reason) | {"request_id": named}
    path = "/admin/v1/kill"
    first = hand.sent("POST", path, body, seen=ANY_VERSION, name=_name(scope))
    if hand.sure.dry_run:
        hand.call.show(first)
        return
    headers = {"If-Match": "*", "X-Confirm": _name(scope)}
    hand.call.show(through(hand.call.client, path, body, first=first, headers=headers))
    say("what has left may still be filled; what was canceled stays so")
    say(f'the halt stands: openbell halt off --scope {scope} --reason "…", by another person')


def _name(scope: str) -> str:
    """Return what a person types: the broker's id, and `all` for the firm."""
    return scope.partition(":")[2] or scope


def _body(scope: str, reason: str) -> dict[str, str]:
    kind, _, target = scope.partition(":")
    return {"scope": kind, "reason": reason} | ({"id": target} if target else {})
