"""Turns a broker's rate: the number, the bounds within which the gateway finds it, the schedule.

What is not named on the command line stays as it is; `none` takes a fact back. The trap is a
command that sends what it believes to stand there: it would undo what a colleague has just set.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Hand, changes
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Expires, Reason, seconds_of, verb
from app.cli.asking.complete import broker_ids
from app.cli.asking.deed import Deed, Thing, declare

rate_app = typer.Typer(no_args_is_help=True, help="The broker's rate, in messages a second.")
schedule_app = typer.Typer(no_args_is_help=True, help="The rate by session phase.")

BROKERS: Final = "/admin/v1/brokers"
NONE: Final = "none"
BrokerId = Annotated[
    str,
    typer.Argument(help="The broker.", metavar="BROKER_ID", autocompletion=broker_ids),
]


class RateMode(StrEnum):
    """Whether the gateway turns the rate below the number."""

    MANUAL = "manual"
    ADVISE = "advise"
    ADAPTIVE = "adaptive"


def _rate(text: str | None) -> str | None:
    if text is not None and text != NONE and not (text.isascii() and text.isdigit() and int(text)):
        raise typer.BadParameter(f"expected a whole number from 1, or {NONE}, was {text}")
    return text


Tps = Annotated[
    str | None,
    typer.Argument(callback=_rate, help="Messages a second, cluster-wide; none: the schedule's."),
]
Floor = Annotated[str | None, typer.Option(callback=_rate, help="It finds no lower rate.")]
Ceiling = Annotated[str | None, typer.Option(callback=_rate, help="It finds no higher rate.")]
Target = Annotated[int | None, typer.Option(min=10, help="A later answer is a sign of trouble.")]
Ramp = Annotated[str | None, typer.Option(metavar="10s", help="Climb to higher numbers so long.")]


@verb(
    rate_app,
    "get",
    role="operator",
    examples=("broker rate get b1", "broker rate get b1 --json"),
)
def get_rate(call: Call, *, broker_id: BrokerId) -> None:
    """Show the number, what acts, whose word that is, and the bounds."""
    found = call.get(path_of(broker_id))
    lane = found["lane"] or {}
    acts = ("tps_in_force", "tps_effective", "tps_source", "tps_advised", "throttle_wish_s")
    shown = {name: found[name] for name in ("broker_id", "version", "tps", "contract")}
    call.show(shown | {name: lane.get(name) for name in acts} | found["tuning"])


@changes(
    rate_app,
    "set",
    tries=True,
    examples=(
        'broker rate set b1 800 --ramp 10s --reason "the desk asked, OPS-12"',
        'broker rate set b1 --mode adaptive --floor 50 --reason "slow answers" --expires 15m',
    ),
)
def set_rate(  # noqa: PLR0913 - each is an option
    hand: Hand,
    *,
    broker_id: BrokerId,
    tps: Tps = None,
    mode: Annotated[RateMode | None, typer.Option(help="Who turns it down.")] = None,
    floor: Floor = None,
    ceiling: Ceiling = None,
    target_ms: Target = None,
    ramp: Ramp = None,
    reason: Reason,
    expires: Expires = None,
    revert_to: Annotated[int | None, typer.Option(min=1, help="The number after that.")] = None,
) -> None:
    """Set how many messages a second may leave for a broker, and who may turn that down.

    In adaptive mode the gateway finds the rate between floor and ceiling, never above the number.
    More than twice the number wants the broker's name: it is asked for, or --confirm says it.
    """
    asked = {"tps": tps, "floor": floor, "ceiling": ceiling}
    body: dict[str, Any] = {
        name: None if text == NONE else int(text) for name, text in asked.items() if text
    }
    body |= {} if mode is None else {"mode": mode.value}
    body |= {} if target_ms is None else {"target_ms": target_ms}
    body |= {} if ramp is None else {"ramp_s": 0 if ramp == "0" else seconds_of(ramp)}
    body |= {} if expires is None else {"ttl_s": seconds_of(expires)}
    body |= {} if revert_to is None else {"revert_to": revert_to}
    if not body.keys() - {"ttl_s", "revert_to"}:
        raise typer.BadParameter("name a rate, or an option that changes one")
    turn(hand, "PATCH", broker_id, "rate", body | {"reason": reason})


@verb(
    schedule_app,
    "get",
    role="operator",
    examples=("broker schedule get b1", "broker schedule get b1 --json"),
)
def get_schedule(call: Call, *, broker_id: BrokerId) -> None:
    """Show the schedule, the number in force and the next change."""
    call.show(call.get(f"{path_of(broker_id)}/rate/schedule"))


@changes(
    schedule_app,
    "set",
    tries=True,
    examples=(
        'broker schedule set b1 open-60m=6 open=3 open+10m=6 --reason "their rule at the open"',
        'broker schedule set b1 open=300 open+10m=800 --reason "OPS-12" --json',
    ),
)
def set_schedule(
    hand: Hand,
    *,
    broker_id: BrokerId,
    edges: Annotated[list[str], typer.Argument(help="From when on: open+10m=6, close-5m=2.")],
    reason: Reason,
) -> None:
    """Let a broker's number follow the clock of each session."""
    body = {"schedule": [_edge(text) for text in edges], "reason": reason}
    turn(hand, "PUT", broker_id, "rate/schedule", body)


def turn(hand: Hand, method: str, broker_id: str, what: str, body: dict[str, Any]) -> None:
    """Change one thing of a broker on the version that stands there."""
    seen = path_of(broker_id)
    hand.turn(method, f"{seen}/{what}", body, seen=seen, name=broker_id)


def path_of(broker_id: str) -> str:
    return f"{BROKERS}/{segment(broker_id)}"


def _edge(text: str) -> dict[str, Any]:
    at, _, tps = text.partition("=")
    if not (at and tps.isascii() and tps.isdigit()):
        raise typer.BadParameter(f"expected an edge such as open+10m=6, was {text}")
    return {"at": at, "tps": int(tps)}


THING: Final = Thing("broker", "broker_id", BrokerId, lambda _, name: path_of(name), "b1")
declare(
    schedule_app,
    THING._replace(noun="broker schedule"),
    Deed(
        "clear",
        "Let the operator's number alone be in force.",
        ("they lifted it", "OPS-12 is closed"),
        door="rate/schedule",
        method="DELETE",
        tries=True,
    ),
)
