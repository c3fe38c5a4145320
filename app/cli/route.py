"""Routes: which broker each order book goes to, who may move it, and who forbids it.

A change names the version that it saw, so that nobody overwrites a lock which was set a second
ago. A lock has an end: the trap is one that everybody forgot, in the night in which it matters.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Hand, changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, seconds_of, verb
from app.cli.asking.complete import route_ids
from app.cli.asking.deed import Deed, Thing, declare, undo_of

app = typer.Typer(no_args_is_help=True, help="Routes: where they lead, who may move them.")

ROUTES: Final = "/admin/v1/routes"
COLUMNS: Final = (
    "route_id",
    "active_broker",
    "epoch",
    "policy.automation",
    "policy.candidates",
    "lock.until",
    "failover.state",
)
RouteId = Annotated[
    str,
    typer.Argument(help="The route, such as XNYS.", metavar="ROUTE_ID", autocompletion=route_ids),
]


class Automation(StrEnum):
    """How much openbell may do by itself."""

    OFF = "off"
    ADVISE = "advise"
    AUTO = "auto"


class Failback(StrEnum):
    """Whether it goes home by itself."""

    MANUAL = "manual"
    AUTO = "auto"


def path_of(route_id: str) -> str:
    return f"{ROUTES}/{segment(route_id)}"


@verb(app, "list", role="operator", examples=("route list", "route list --json"))
def list_(call: Call) -> None:
    """List the routes with their brokers."""
    call.show(call.get(ROUTES)["data"], *COLUMNS)


@verb(app, "get", role="operator", examples=("route get XNYS", "route get XNYS --json"))
def get(call: Call, *, route_id: RouteId) -> None:
    """Show one route: where it leads, its policy, its lock, what goes on."""
    call.show(call.get(path_of(route_id)))


@changes(
    app,
    "policy",
    tries=True,
    examples=(
        'route policy XNYS --candidates north,south --reason "both have all our accounts"',
        'route policy XNYS --automation advise --failback manual --reason "a person decides"',
    ),
)
def policy(  # noqa: PLR0913 - each is a knob of its own
    hand: Hand,
    *,
    route_id: RouteId,
    reason: Reason,
    automation: Annotated[
        Automation | None, typer.Option(help="How much openbell may do by itself.")
    ] = None,
    candidates: Annotated[
        str | None, typer.Option(help="Who may take its orders, by comma; the first is its home.")
    ] = None,
    confirm_s: Annotated[
        int | None, typer.Option(help="Seconds of trouble before it acts.")
    ] = None,
    cooldown_s: Annotated[int | None, typer.Option(help="Seconds between two switches.")] = None,
    failback: Annotated[Failback | None, typer.Option(help="Whether it goes home alone.")] = None,
) -> None:
    """Say what may be done to a route by itself; what is not given stays."""
    wanted: dict[str, Any] = {
        "automation": automation.value if automation else None,
        "candidates": candidates.split(",") if candidates is not None else None,
        "confirm_s": confirm_s,
        "cooldown_s": cooldown_s,
        "failback": failback.value if failback else None,
    }
    given = {name: value for name, value in wanted.items() if value is not None}
    _turn(hand, "PATCH", route_id, "policy", given | {"reason": reason})


@changes(
    app,
    "lock",
    tries=True,
    examples=(
        'route lock XNYS --for 30m --reason "south moves its data centre"',
        'route lock XNAS --for 2h --reason "we test the other one"',
    ),
)
def lock(
    hand: Hand,
    *,
    route_id: RouteId,
    for_: Annotated[str, typer.Option("--for", metavar="30m", help="How long: 90s, 30m, 2h.")],
    reason: Reason,
) -> None:
    """Let nothing but a forced failover move a route, for a while."""
    _turn(hand, "PUT", route_id, "lock", {"ttl_s": seconds_of(for_), "reason": reason})


def _turn(hand: Hand, method: str, route_id: str, part: str, body: dict[str, Any]) -> None:
    seen = path_of(route_id)
    hand.turn(method, f"{seen}/{part}", body, seen=seen, name=route_id)


THING: Final = Thing("route", "route_id", RouteId, lambda _, name: path_of(name), "XNYS")
declare(
    app,
    THING,
    Deed(
        "unlock",
        "Lift a route's lock before its time.",
        ("south is done", "the test is over"),
        door="lock",
        method="DELETE",
        tries=True,
    ),
    undo_of("a route's policy or lock"),
)
