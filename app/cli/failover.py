"""Failovers: ask what stands in the way, lead a route elsewhere, read what was done by itself.

`run` names the epoch that it reads a moment before: the trap is two people at the open who each
lead the route elsewhere, the second one back to the dead broker.
"""

from typing import Annotated, Any, Final

import typer

from app.cli.client import segment
from app.cli.command import Call, Reason, verb
from app.cli.complete import broker_ids, failover_ids
from app.cli.output import say
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
    body = {"to": to, "expected_epoch": _epoch(call, route_id), "reason": "a dry run"}
    path = f"{path_of(route_id)}/failover?dry_run=true"
    told = call.client.call("POST", path, body).document
    call.show(told["prechecks"], *CHECKS)
    say("it would be done" if told["would_switch"] else "it would be refused")


@verb(
    app,
    "run",
    role="operator",
    examples=(
        'failover run XNYS --to south --reason "north announced an hour of maintenance"',
        'failover run XNYS --to south --force --reason "north is dead, the desk says go"',
    ),
)
def run(call: Call, *, route_id: RouteId, to: To, reason: Reason, force: Force = False) -> None:
    """Lead a route to another broker now; orders in doubt stay where they are."""
    kind = "forced" if force else "planned"
    body = {"to": to, "kind": kind, "expected_epoch": _epoch(call, route_id), "reason": reason}
    _move(call, f"{path_of(route_id)}/failover", body, to)


@verb(
    app,
    "back",
    role="operator",
    examples=(
        'failover back XNYS --reason "north is well since noon"',
        'failover back XNYS --reason "the drill is over" --json',
    ),
)
def back(call: Call, *, route_id: RouteId, reason: Reason) -> None:
    """Lead a route home: to the first of its candidates."""
    body = {"expected_epoch": _epoch(call, route_id), "reason": reason}
    _move(call, f"{path_of(route_id)}/failback", body, route_id)


@verb(
    app,
    "abort",
    role="operator",
    examples=(
        'failover abort fo_01KAPK5R00 --reason "north told us, ten minutes"',
        'failover abort fo_01KAPK5R00 --reason "we wait" --json',
    ),
)
def abort(call: Call, *, failover_id: FailoverId, reason: Reason) -> None:
    """End one that has not moved its route; it is not begun again for this trouble."""
    _say(call, failover_id, "abort", reason)


@verb(
    app,
    "ack",
    role="operator",
    examples=(
        'failover ack fo_01KAPK5R00 --reason "read, north is being called"',
        'failover ack fo_01KAPK5R00 --reason "read it" --json',
    ),
)
def ack(call: Call, *, failover_id: FailoverId, reason: Reason) -> None:
    """Say that you have read it, so that the next one may happen by itself again."""
    _say(call, failover_id, "ack", reason)


def _epoch(call: Call, route_id: str) -> int:
    return int(call.get(path_of(route_id))["epoch"])


def _say(call: Call, failover_id: str, word: str, reason: str) -> None:
    seen = f"{FAILOVERS}/{segment(failover_id)}"
    call.show(call.client.change("POST", f"{seen}/{word}", {"reason": reason}, seen=seen).document)


def _move(call: Call, path: str, body: dict[str, Any], typed: str) -> None:
    """Move a route, confirmed by the name that stands in the command itself."""
    told = call.client.call("POST", path, body, {"X-Confirm": typed}).document
    call.show(told)
    say(f"the route leads to {told['to_broker']}; what is in doubt stays at {told['from_broker']}")
