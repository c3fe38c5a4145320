"""Shows the session of a broker that lives on one, and ends or renumbers it.

A reset says which numbering it saw, and is agreed with the broker's people by telephone first:
the trap is a reset of one side alone, after which each refuses the other's numbers.
"""

import typer

from app.cli.asking.change import Grade
from app.cli.asking.command import Call, verb
from app.cli.asking.deed import Deed, declare
from app.cli.broker.rate import THING, BrokerId, path_of

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


declare(
    session_app,
    THING._replace(noun="broker session"),
    Deed(
        "reset",
        "Begin a new numbering at 1 each way; the broker's people do the same.",
        ("agreed with their desk, both at 1", "their site moved, OPS-31"),
        door="session/reset",
        seen="session",
        grade=Grade.NAME,
        after="both sides begin at 1: make sure that the broker's people did the same",
    ),
    Deed(
        "logout",
        "End the connection politely; it comes up again as after any loss.",
        ("they ask us to come in again", "a drill"),
        door="session/logout",
        seen="session",
    ),
)
