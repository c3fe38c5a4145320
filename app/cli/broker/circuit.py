"""Shows the numbers of a broker's breaker, turns them, and lets the broker be asked again.

`broker breaker` says who rules the circuit; here is when it opens by itself. The trap is a reset
to end an alarm: a broker that is still sick opens it again, and each reset costs a few orders
their place in the line.
"""

from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.asking.change import Grade, Hand, changes
from app.cli.asking.command import Call, Expires, Reason, seconds_of, verb
from app.cli.broker.rate import NONE, BrokerId, path_of, turn
from app.domain.breaking import BOUNDS

circuit_app = typer.Typer(no_args_is_help=True, help="The breaker's numbers, and its reset.")


class ResetTo(StrEnum):
    """How a broker is asked again."""

    HALF_OPEN = "half_open"
    CLOSED = "closed"


@verb(
    circuit_app,
    "get",
    role="operator",
    examples=("broker circuit get b1", "broker circuit get b1 --json"),
)
def get(call: Call, *, broker_id: BrokerId) -> None:
    """Show the numbers in force, those that people have turned, and the usual ones."""
    call.show(call.get(f"{path_of(broker_id)}/breaker/config"))


@changes(
    circuit_app,
    "set",
    tries=True,
    examples=(
        'broker circuit set b1 failures_max=10 open_s=10 --reason "they are slow to come back"',
        'broker circuit set b1 open_s=none --reason "as it was" --dry-run',
    ),
)
def set_(
    hand: Hand,
    *,
    broker_id: BrokerId,
    numbers: Annotated[list[str], typer.Argument(help="Such as open_s=10; none: the usual.")],
    reason: Reason,
    expires: Expires = None,
) -> None:
    """Turn some of the breaker's numbers; the others stay."""
    body: dict[str, Any] = dict(_number(text) for text in numbers)
    body |= {} if expires is None else {"ttl_s": seconds_of(expires)}
    turn(hand, "PATCH", broker_id, "breaker/config", body | {"reason": reason})


@changes(
    circuit_app,
    "reset",
    tries=True,
    examples=(
        'broker circuit reset b1 --reason "they say they are back"',
        'broker circuit reset b1 --to closed --confirm b1 --reason "proven by telephone"',
    ),
)
def reset(
    hand: Hand,
    *,
    broker_id: BrokerId,
    to: Annotated[ResetTo, typer.Option(help="A ping and trials, or at once.")] = ResetTo.HALF_OPEN,
    reason: Reason,
) -> None:
    """Ask a broker again now, instead of when the circuit's wait is over.

    closed asks it at its full rate at once, so its name is asked for.
    """
    grade = Grade.NAME if to is ResetTo.CLOSED else Grade.YES
    body = {"to": to.value, "reason": reason}
    turn(hand._replace(grade=grade), "POST", broker_id, "breaker/reset", body)


def _number(text: str) -> tuple[str, float | None]:
    name, _, number = text.partition("=")
    if name not in BOUNDS:
        raise typer.BadParameter(f"expected one of {', '.join(BOUNDS)}, was {name}")
    try:
        return name, None if number == NONE else _read(number)
    except ValueError:
        raise typer.BadParameter(f"expected {name}=NUMBER or {name}={NONE}, was {text}") from None


def _read(number: str) -> float:
    return int(number) if number.isdigit() else float(number)
