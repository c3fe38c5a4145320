"""Failovers: ask what stands in the way, lead a route elsewhere, read what was done by itself.

`run` names the epoch that it reads a moment before: the trap is two people at the open who each
lead the route elsewhere, the second one back to the dead broker.
"""

from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Grade, Hand, Seen, changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import broker_ids, failover_ids
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.asking.output import say
from app.cli.route import RouteId, path_of

app = typer.Typer(no_args_is_help=True, help="Failovers: plan, run, end and read them.")

FAILOVERS: Final = "/admin/v1/failovers"
COLUMNS: Final = (
    "failover_id",
    "route_id",
    "kind",
    "state",
    "from_broker",
    "to_broker",
    "held_by",
    "moved",
    "pinned",
    "acknowledged_by",
    "at",
)
CHECKS: Final = ("name", "passed", "required", "detail")
FailoverId = Annotated[
    str,
    typer.Argument(help="As failover list shows it.", metavar="ID", autocompletion=failover_ids),
]
To = Annotated[str, typer.Option(help="The broker that is to have it.", autocompletion=broker_ids)]
Force = Annotated[bool, typer.Option("--force", help="In spite of every check but the epoch.")]


@verb(app, "list", role="operator", examples=("failover list", "failover list --hours 168 --json"))
def list_(
    call: Call, *, hours: Annotated[int, typer.Option(min=1, help="How far back.")] = 24
) -> None:
    """List failovers, the latest first, and whatever goes on."""
    call.show(call.get(FAILOVERS, hours=hours)["data"], *COLUMNS)


@verb(
    app,
    "get",
    role="operator",
    examples=("failover get fo_01KAPK5R00", "failover get fo_01KAPK5R00 --json"),
)
def get(call: Call, *, failover_id: FailoverId) -> None:
    """Show one failover: its steps, its reason, what moved and what stayed."""
    call.show(call.get(f"{FAILOVERS}/{segment(failover_id)}"))


@verb(
    app,
    "plan",
    role="operator",
    examples=("failover plan XNYS --to south", "failover plan XNYS --to south --json"),
)
def plan(call: Call, *, route_id: RouteId, to: To) -> None:
    """Say what would stand in the way of a failover; move nothing."""
    epoch = int(call.get(path_of(route_id))["epoch"])
    body = {"to": to, "expected_epoch": epoch, "reason": "a dry run"}
    path = f"{path_of(route_id)}/failover?dry_run=true"
    told = call.client.call("POST", path, body).document
    call.show(told["prechecks"], *CHECKS)
    say("it would be done" if told["would_switch"] else "it would be refused")


@changes(
    app,
    "run",
    grade=Grade.NAME,
    tries=True,
    examples=(
        'failover run XNYS --to south --reason "north announced an hour of maintenance"',
        'failover run XNYS --to south --force --reason "north is dead, the desk says go"',
    ),
)
def run(hand: Hand, *, route_id: RouteId, to: To, reason: Reason, force: Force = False) -> None:
    """Lead a route to another broker now; orders in doubt stay where they are."""
    _lead(hand, route_id, "failover", {"to": to, "kind": "forced" if force else "planned"}, reason)


@changes(
    app,
    "back",
    grade=Grade.NAME,
    tries=True,
    examples=(
        'failover back XNYS --reason "north is well since noon"',
        'failover back XNYS --reason "the drill is over" --json',
    ),
)
def back(hand: Hand, *, route_id: RouteId, reason: Reason) -> None:
    """Lead a route home: to the first of its candidates."""
    _lead(hand, route_id, "failback", {}, reason)


def _lead(hand: Hand, route_id: str, door: str, where: dict[str, Any], reason: str) -> None:
    path = path_of(route_id)
    route = hand.call.client.call("GET", path)
    seen = Seen(route.document, route.headers.get("etag"))
    body = where | {"expected_epoch": route.document["epoch"], "reason": reason}
    name = where.get("to", route_id)
    asks = hand._replace(word=f"{door} of {route_id} to") if where else hand
    told = asks.turn("POST", f"{path}/{door}", body, seen=seen, name=name)
    if told is not None:
        say(f"the route leads to {told['to_broker']}")
        say(f"what is in doubt stays at {told['from_broker']}: openbell doubt list")


FAILOVER: Final = Thing(
    "failover",
    "failover_id",
    FailoverId,
    lambda _, name: f"{FAILOVERS}/{segment(name)}",
    "fo_01KAPK5R00",
)
declare(
    app,
    FAILOVER,
    Deed(
        "abort",
        "End one that has not moved its route; it is not begun again for this trouble.",
        ("north told us, ten minutes", "we wait"),
    ),
    Deed(
        "ack",
        "Say that you have read it, so that the next one may happen by itself again.",
        ("read, north is being called", "read it"),
        grade=Grade.NOTHING,
    ),
)
