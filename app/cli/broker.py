"""Shows the brokers and moves their three switches: rate, breaker, dispatch.

Each change says which version it saw (`If-Match`), so two operators at the open cannot
overwrite each other; the trap is a retry after a 412, which would do just that.
"""

from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.broker_circuit import circuit_app
from app.cli.broker_rate import BROKERS, BrokerId, change, path_of, rate_app, schedule_app
from app.cli.broker_session import session_app
from app.cli.command import Call, Expires, Reason, seconds_of, verb

app = typer.Typer(no_args_is_help=True, help="Brokers: their rate, breaker and dispatch.")
app.add_typer(rate_app, name="rate")
app.add_typer(schedule_app, name="schedule")
app.add_typer(session_app, name="session")
app.add_typer(circuit_app, name="circuit")

COLUMNS: Final = (
    "broker_id",
    "version",
    "tps",
    "lane.tps_effective",
    "lane.tps_source",
    "contract",
    "dispatch",
    "breaker",
    "lane.circuit",
    "backlog",
    "in_doubt",
    "expires_at",
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


@verb(
    app,
    "breaker",
    role="operator",
    examples=(
        'broker breaker b1 forced_open --reason "their status page says maintenance"',
        'broker breaker b1 auto --reason "they are back"',
    ),
)
def breaker(
    call: Call,
    *,
    broker_id: BrokerId,
    mode: Annotated[BreakerMode, typer.Argument(help="Who decides.")],
    reason: Reason,
    expires: Expires = None,
) -> None:
    """Force a broker's circuit, or leave it to the breaker.

    forced_open stops new sends to it; cancels still pass.
    """
    body = {"mode": mode.value, "ttl_s": seconds_of(expires), "reason": reason}
    change(call, "PUT", broker_id, "breaker", body, confirm=broker_id)


@verb(
    app,
    "pause",
    role="operator",
    examples=(
        'broker pause b1 --reason "waiting for the desk"',
        'broker pause b1 --reason "their release" --expires 15m',
    ),
)
def pause(call: Call, *, broker_id: BrokerId, reason: Reason, expires: Expires = None) -> None:
    """Send a broker nothing new; cancels still pass."""
    body = {"state": "paused", "ttl_s": seconds_of(expires), "reason": reason}
    change(call, "PUT", broker_id, "dispatch", body)


@verb(
    app,
    "resume",
    role="operator",
    examples=(
        'broker resume b1 --reason "the desk says go"',
        'broker resume b1 --reason "their release is over" --json',
    ),
)
def resume(call: Call, *, broker_id: BrokerId, reason: Reason) -> None:
    """Send to a broker again after a pause."""
    change(call, "PUT", broker_id, "dispatch", {"state": "running", "reason": reason})


@verb(
    app,
    "undo",
    role="operator",
    examples=(
        'broker undo b1 1204 --reason "the wrong broker"',
        'broker undo b1 1204 --reason "a slip of the hand" --json',
    ),
)
def undo(
    call: Call,
    *,
    broker_id: BrokerId,
    audit_id: Annotated[int, typer.Argument(min=1, help="The change, as its answer named it.")],
    reason: Reason,
) -> None:
    """Take a change back, if it is still the last one."""
    path = f"{path_of(broker_id)}/undo?audit_id={audit_id}"
    call.show(call.client.call("POST", path, {"reason": reason}).document)
