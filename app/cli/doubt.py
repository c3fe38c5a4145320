"""Orders in doubt: sent, and no answer. Asks their broker, or settles them by evidence.

The attempt is named, not only the order: the trap is a verdict on an attempt that was settled
meanwhile, and that lands on the next one.
"""

from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.asking.change import Grade, Hand, changes, row
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import doubts
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.asking.output import Ends, Failure

app = typer.Typer(
    no_args_is_help=True, help="Orders in doubt: ask the broker, or settle by evidence."
)

DOUBTS: Final = "/admin/v1/in-doubt"
AN_ORDER: Final = "01KAPK5R00W7D3Q8ZC1VYBX4N9"
OrderId = Annotated[
    str,
    typer.Argument(help="The order in doubt.", metavar="ORDER_ID", autocompletion=doubts),
]


class Verdict(StrEnum):
    """What the evidence says became of the attempt."""

    NOT_RECEIVED = "not_received"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    CANCELED = "canceled"
    FILLED = "filled"


@verb(app, "list", role="operator", examples=("doubt list", "doubt list --json"))
def list_(call: Call) -> None:
    """List the orders in doubt, the oldest first."""
    call.show(call.get(DOUBTS)["data"])


declare(
    app,
    Thing("doubt", "order_id", OrderId, lambda _, name: f"{DOUBTS}/{segment(name)}", AN_ORDER),
    Deed(
        "probe",
        "Ask the broker about an order now, and say what its answer proves.",
        ("the customer asks", "they are back"),
        seen="",
        grade=Grade.NOTHING,
    ),
)


@verb(
    app,
    "attempts",
    role="operator",
    examples=(
        "doubt attempts 01KAPK5R00W7D3Q8ZC1VYBX4N9",
        "doubt attempts 01KAPK5R00W7D3Q8ZC1VYBX4N9 --json",
    ),
)
def attempts(call: Call, *, order_id: OrderId) -> None:
    """List every time that an order was sent, and what became of each."""
    call.show(call.get(f"/admin/v1/orders/{segment(order_id)}/attempts")["data"])


@changes(
    app,
    "resolve",
    grade=Grade.NAME,
    examples=(
        (
            "doubt resolve 01KAPK5R00W7D3Q8ZC1VYBX4N9 --attempt 01KAPK5R00W7D3Q8ZC1VYBX4N901"
            ' --verdict not_received --evidence "their desk, ticket 7" --reason "asked by phone"'
        ),
        (
            "doubt resolve 01KAPK5R00W7D3Q8ZC1VYBX4N9 --attempt 01KAPK5R00W7D3Q8ZC1VYBX4N901"
            " --verdict filled --price 185.49 --broker-order-id 77"
            ' --evidence "their statement, line 12" --reason "statement of the day"'
        ),
    ),
)
def resolve(  # noqa: PLR0913 - a verdict needs all of it
    hand: Hand,
    *,
    order_id: OrderId,
    attempt: Annotated[str, typer.Option(help="The attempt, as doubt list shows it.")],
    verdict: Annotated[Verdict, typer.Option(help="What became of it.")],
    evidence: Annotated[str, typer.Option(help="What proves it: who said so, where it stands.")],
    reason: Reason,
    price: Annotated[str | None, typer.Option(help="Price of the fill; with filled.")] = None,
    broker_order_id: Annotated[str | None, typer.Option(help="The broker's id (198).")] = None,
    approver_key: Annotated[
        str | None,
        typer.Option(
            envvar="OPENBELL_APPROVER_KEY",
            help="Key of the second person. Without one, that of the gateway's first start.",
        ),
    ] = None,
) -> None:
    """Settle a doubt by evidence; two people must stand behind it."""
    if (verdict is Verdict.FILLED) != (price is not None):
        raise Failure(
            Ends.USAGE, "--price belongs to --verdict filled, and only to it", advice="see --help"
        )
    body = {
        "attempt_id": attempt,
        "verdict": verdict.value,
        "price": price,
        "broker_order_id": broker_order_id,
        "evidence": evidence,
        "reason": reason,
    }
    given = {name: value for name, value in body.items() if value is not None}
    seen = row(
        hand.call.client,
        DOUBTS,
        {"order_id": order_id},
        f"order {order_id} is not in doubt",
        f"openbell doubt attempts {order_id} shows what became of it",
    )
    headers = {"X-Approver-Key": approver_key or hand.call.target.first_key("approver")}
    path = f"{DOUBTS}/{segment(order_id)}/resolve"
    hand.call.show(hand.sent("POST", path, given, seen=seen, name=order_id, headers=headers))
