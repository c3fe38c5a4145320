"""Shows the session of a broker that lives on one, and ends or renumbers it.

A reset says which numbering it saw, and is agreed with the broker's people by telephone first:
the trap is a reset of one side alone, after which each refuses the other's numbers.
"""

import typer

from app.cli.broker_rate import BrokerId, path_of
from app.cli.command import Call, Reason, verb

session_app = typer.Typer(no_args_is_help=True, help="The broker's session: state and numbers.")


@verb(
    session_app,
    "get",
    role="operator",
    examples=("broker session get b1", "broker session get b1 --json"),
)
def get(call: Call, *, broker_id: BrokerId) -> None:
    """Show a session: its state, its numbers, its host, when it last heard and said anything."""
    call.show(call.get(f"{path_of(broker_id)}/session"))


@verb(
    session_app,
    "reset",
    role="operator",
    examples=(
        'broker session reset b1 --reason "agreed with their desk, both at 1"',
        'broker session reset b1 --reason "their site moved, OPS-31" --json',
    ),
)
def reset(call: Call, *, broker_id: BrokerId, reason: Reason) -> None:
    """Begin a new numbering at 1 each way; the broker's people do the same."""
    seen = f"{path_of(broker_id)}/session"
    reply = call.client.change("POST", f"{seen}/reset", {"reason": reason}, seen=seen)
    call.show(reply.document)


@verb(
    session_app,
    "logout",
    role="operator",
    examples=(
        'broker session logout b1 --reason "they ask us to come in again"',
        'broker session logout b1 --reason "a drill" --json',
    ),
)
def logout(call: Call, *, broker_id: BrokerId, reason: Reason) -> None:
    """End the connection politely; it comes up again as after any loss."""
    path = f"{path_of(broker_id)}/session/logout"
    call.show(call.client.call("POST", path, {"reason": reason}).document)
