"""Shows the brokers and moves their three switches: rate, breaker, dispatch.

Each change says which version it saw (`If-Match`), so two operators at the open cannot
overwrite each other; the trap is a retry after a 412, which would do just that.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Grade, Hand, changes
from app.cli.asking.command import Call, Expires, Reason, seconds_of, verb
from app.cli.asking.deed import Deed, declare, undo_of
from app.cli.broker.circuit import circuit_app
from app.cli.broker.rate import BROKERS, THING, BrokerId, path_of, rate_app, schedule_app, turn
from app.cli.broker.session import session_app

app = typer.Typer(no_args_is_help=True, help="Brokers: their rate, breaker and dispatch.")
app.add_typer(rate_app, name="rate")
app.add_typer(schedule_app, name="schedule")
app.add_typer(session_app, name="session")
app.add_typer(circuit_app, name="circuit")

COLUMNS: Final = (
    "broker_id",
    "tps",
    "lane.tps_effective",
    "lane.tps_source",
    "lane.circuit",
    "dispatch",
    "backlog",
    "in_doubt",
    "expires_at",
    "contract",
    "breaker",
    "version",
)


class BreakerMode(StrEnum):
    """Who decides whether the circuit is open."""

    AUTO = "auto"
    FORCED_OPEN = "forced_open"
    FORCED_CLOSED = "forced_closed"
    METRICS_ONLY = "metrics_only"


@verb(app, "list", role="operator", examples=("broker list", "broker list --json"))
def list_(call: Call) -> None:
    """List the brokers with their rate and circuit."""
    call.show(call.get(BROKERS)["data"], *COLUMNS)


@verb(app, "get", role="operator", examples=("broker get b1", "broker get b1 --json"))
def get(call: Call, *, broker_id: BrokerId) -> None:
    """Show one broker: what is set, what is in force, what waits."""
    call.show(call.get(path_of(broker_id)))


@verb(
    app,
    "contract",
    role="operator",
    examples=("broker contract b1", "broker contract b1 --json"),
)
def contract(call: Call, *, broker_id: BrokerId) -> None:
    """Show what a broker can do, how much of it, and when."""
    call.show(call.get(f"{path_of(broker_id)}/contract"))


@changes(
    app,
    "breaker",
    tries=True,
    examples=(
        'broker breaker b1 forced_open --reason "their status page says maintenance"',
        'broker breaker b1 auto --reason "they are back"',
    ),
)
def breaker(
    hand: Hand,
    *,
    broker_id: BrokerId,
    mode: Annotated[BreakerMode, typer.Argument(help="Who decides.")],
    reason: Reason,
    expires: Expires = None,
) -> None:
    """Force a broker's circuit, or leave it to the breaker.

    forced_open stops new sends to it; cancels still pass. forced_closed sends into whatever goes
    on there, so its name is asked for.
    """
    body: dict[str, Any] = {"mode": mode.value, "reason": reason}
    body |= {} if expires is None else {"ttl_s": seconds_of(expires)}
    grade = Grade.NAME if mode is BreakerMode.FORCED_CLOSED else Grade.YES
    turn(hand._replace(grade=grade), "PUT", broker_id, "breaker", body)


declare(
    app,
    THING,
    Deed(
        "pause",
        "Send a broker nothing new; cancels still pass.",
        ("their release", "waiting for the desk"),
        door="dispatch",
        method="PUT",
        fixed={"state": "paused"},
        tries=True,
        expires=True,
    ),
    Deed(
        "resume",
        "Send to a broker again after a pause.",
        ("the desk says go", "their release is over"),
        door="dispatch",
        method="PUT",
        fixed={"state": "running"},
        tries=True,
    ),
    undo_of("a broker: its rate, schedule, breaker or dispatch"),
)
