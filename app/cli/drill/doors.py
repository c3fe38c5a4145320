"""Drills on a running gateway: start one, end it early, read what it came to.

The gateway refuses them on any broker that is not simulated; `drill failover` needs no gateway.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.change import Grade, Hand, changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, seconds_of, verb
from app.cli.asking.complete import offer, route_ids
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.asking.output import say
from app.domain.drill import DrillFault

DRILLS: Final = "/admin/v1/drills"
COLUMNS: Final = (
    *("drill_id", "route_id", "broker_id", "fault", "state", "started_at"),
    *("started_by", "reason"),
)
DrillId = Annotated[
    str,
    typer.Argument(
        help="As drill list shows it.",
        metavar="DRILL_ID",
        autocompletion=offer(DRILLS, "drill_id"),
    ),
]


def list_(
    call: Call, *, hours: Annotated[int, typer.Option(min=1, help="How far back.")] = 24
) -> None:
    """List the drills of a gateway, the latest first."""
    call.show(call.get(DRILLS, hours=hours)["data"], *COLUMNS)


def get(call: Call, *, drill_id: DrillId) -> None:
    """Show one: how far it came, and each step in seconds from the first failing answer."""
    call.show(call.get(f"{DRILLS}/{segment(drill_id)}"))


def start(  # noqa: PLR0913 - what a drill is
    hand: Hand,
    *,
    route: Annotated[
        str,
        typer.Argument(
            help="Its active broker falls ill.", metavar="ROUTE_ID", autocompletion=route_ids
        ),
    ],
    reason: Reason,
    fault: Annotated[DrillFault, typer.Option(help="What the broker does.")] = DrillFault.DIES,
    fraction: Annotated[
        float, typer.Option(min=0.01, max=1, help="The share of requests that meet it.")
    ] = 1.0,
    lasts: Annotated[
        str, typer.Option("--for", metavar="30s", help="Then the broker is well by itself.")
    ] = "30s",
    allow_live: Annotated[
        bool, typer.Option("--allow-live", help="Also while the route's market is open.")
    ] = False,
) -> None:
    """Make a route's simulated broker ill; the gateway is to lead the route away by itself."""
    body = {
        "route": route,
        "fault": fault.value,
        "fraction": fraction,
        "duration_s": seconds_of(lasts),
        "allow_live": allow_live,
        "reason": reason,
    }
    seen = f"/admin/v1/routes/{segment(route)}"
    begun = hand.turn("POST", DRILLS, body, seen=seen, name=route)
    say(f"it goes on: openbell drill get {begun['drill_id']}")


def declare_doors(app: typer.Typer) -> None:
    """Add these verbs to the noun."""
    one = "01KAPK5R00W7D3Q8ZC1VYBX4N9"
    verb(app, "list", role="operator", examples=("drill list", "drill list --hours 720 --json"))(
        list_
    )
    verb(app, "get", role="operator", examples=(f"drill get {one}", f"drill get {one} --json"))(get)
    changes(
        app,
        "start",
        grade=Grade.NAME,
        examples=(
            'drill start XNYS --reason "the friday drill"',
            'drill start XNYS --fault hangs --for 60s --reason "OPS-40" --json',
        ),
    )(start)
    declare(
        app,
        Thing("drill", "drill_id", DrillId, lambda _, name: f"{DRILLS}/{segment(name)}", one),
        Deed(
            "end",
            "Let the broker be well at once.",
            ("we have seen enough", "OPS-40"),
            door=".",
            method="DELETE",
        ),
    )
