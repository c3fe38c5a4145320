"""Orders in doubt: sent, and no answer. Asks their broker, or settles them by evidence.

The attempt is named, not only the order: the trap is a verdict on an attempt that was settled
meanwhile, and that lands on the next one.
"""

from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.client import NOTHING_SEEN, etag_of, segment
from app.cli.command import Call, Reason, verb
from app.cli.complete import doubts
from app.cli.output import Ends, Failure

app = typer.Typer(
    no_args_is_help=True, help="Orders in doubt: ask the broker, or settle by evidence."
)

DOUBTS: Final = "/admin/v1/in-doubt"
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


@verb(
    app,
    "probe",
    role="operator",
    examples=(
        'doubt probe 01KAPK5R00W7D3Q8ZC1VYBX4N9 --reason "the customer asks"',
        'doubt probe 01KAPK5R00W7D3Q8ZC1VYBX4N9 --reason "they are back" --json',
    ),
)
def probe(call: Call, *, order_id: OrderId, reason: Reason) -> None:
    """Ask the broker about an order now, and say what its answer proves."""
    path = f"{DOUBTS}/{segment(order_id)}/probe"
    call.show(call.client.call("POST", path, {"reason": reason}).document)


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


@verb(
    app,
    "resolve",
    role="operator",
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
    call: Call,
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
    headers = {"X-Approver-Key": approver_key or call.target.first_key("approver")}
    doubts = call.get(DOUBTS)["data"]
    seen = [etag_of(doubt) for doubt in doubts if doubt["order_id"] == order_id]
    headers |= seen[0] if seen else NOTHING_SEEN
    path = f"{DOUBTS}/{segment(order_id)}/resolve"
    call.show(call.client.call("POST", path, given, headers).document)
