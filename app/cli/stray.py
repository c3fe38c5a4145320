"""Copies that brokers have shown of orders that we held to be nowhere: two people settle each.

One proposes what became of the copy, with the evidence; another one settles it by that proposal,
or declines it. The trap is a verdict on what was seen an hour ago: the proposal names the order
as it stands when it is made, and fails for good if a report has come since.
"""

from enum import StrEnum
from typing import Annotated, Final

import typer

from app.cli.asking.change import Hand, changes, row
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import PROPOSALS, offer
from app.cli.asking.deed import Deed, Thing, declare
from app.cli.asking.output import Ends, Failure, say

app = typer.Typer(
    no_args_is_help=True, help="Stray copies at a broker: two people settle what became of one."
)

STRAYS: Final = "/admin/v1/strays"
SETTLES: Final = "settle_stray"
COLUMNS: Final = (
    *("order_id", "account_id", "symbol", "side", "quantity", "filled_quantity"),
    *("pending_request", "attempts", "updated_at"),
)
OrderId = Annotated[
    str,
    typer.Argument(
        help="The order that is held for a copy.",
        metavar="ORDER_ID",
        autocompletion=offer(STRAYS, "order_id"),
    ),
]
ProposalId = Annotated[
    str,
    typer.Argument(
        help="As stray propose has shown it.",
        metavar="PROPOSAL_ID",
        autocompletion=offer(
            PROPOSALS, "proposal_id", role="approver", state="open", operation=SETTLES
        ),
    ),
]
A_PROPOSAL: Final = "00c0ffee00c0ffee00c0"


class Verdict(StrEnum):
    """What the evidence says became of the copy."""

    CANCELED = "canceled"
    EXPIRED = "expired"
    FILLED = "filled"
    NOT_RECEIVED = "not_received"


@verb(app, "list", role="operator", examples=("stray list", "stray list --json"))
def list_(call: Call) -> None:
    """List the orders that are held because a broker has shown a copy, the oldest first."""
    call.show(call.get(STRAYS)["data"], *COLUMNS)


@changes(
    app,
    "propose",
    examples=(
        (
            "stray propose 01KAPK5R00W7D3Q8ZC1VYBX4N9 --attempt 01KAPK5R00W7D3Q8ZC1VYBX4N901"
            ' --verdict canceled --evidence "their desk, ticket 7" --reason "asked by phone"'
        ),
        (
            "stray propose 01KAPK5R00W7D3Q8ZC1VYBX4N9 --attempt 01KAPK5R00W7D3Q8ZC1VYBX4N901"
            " --verdict filled --price 185.49"
            ' --evidence "their statement, line 12" --reason "statement of the day"'
        ),
    ),
)
def propose(  # noqa: PLR0913 - a verdict needs all of it
    hand: Hand,
    *,
    order_id: OrderId,
    attempt: Annotated[str, typer.Option(help="The attempt of the copy, as stray list shows it.")],
    verdict: Annotated[Verdict, typer.Option(help="What became of the copy.")],
    evidence: Annotated[str, typer.Option(help="What proves it: who said so, where it stands.")],
    reason: Reason,
    price: Annotated[str | None, typer.Option(help="Of what was left; with filled.")] = None,
    broker_order_id: Annotated[str | None, typer.Option(help="The broker's id (198).")] = None,
) -> None:
    """Propose what became of a copy; nothing happens before another person settles it."""
    if (verdict is Verdict.FILLED) != (price is not None):
        raise Failure(
            Ends.USAGE, "--price belongs to --verdict filled, and only to it", advice="see --help"
        )
    word = {
        "attempt_id": attempt,
        "verdict": verdict.value,
        "price": price,
        "broker_order_id": broker_order_id,
        "evidence": evidence,
    }
    seen = row(
        hand.call.client,
        STRAYS,
        {"order_id": order_id},
        f"order {order_id} is not held for a copy",
        "openbell stray list shows those that are",
    )
    body = {
        "operation": SETTLES,
        "parts": {"order_id": order_id},
        "body": {name: value for name, value in word.items() if value is not None},
        "if_match": seen.etag,
        "reason": reason,
    }
    told = hand.turn("POST", PROPOSALS, body, seen=seen, name=order_id)
    say(f"another person decides: openbell stray settle {told['proposal_id']}, or decline")


def _proposal(call: Call, proposal_id: str) -> str:
    """Return the path of a proposal, provided that it is of a copy."""
    path = f"{PROPOSALS}/{segment(proposal_id)}"
    operation = call.get(path)["operation"]
    if operation != SETTLES:
        raise Failure(
            Ends.USAGE,
            f"the proposal is of {operation}, and not of a stray copy",
            advice=f"openbell proposal get {proposal_id}",
        )
    return path


declare(
    app,
    Thing("stray", "proposal_id", ProposalId, _proposal, A_PROPOSAL),
    Deed(
        "settle",
        "Settle a copy as another person has proposed it.",
        ("I have read their statement", "asked them as well"),
        door="approve",
        role="approver",
    ),
    Deed(
        "decline",
        "Say no to a proposal; nothing of it happens.",
        ("that is another order", "they say otherwise"),
        role="approver",
    ),
)
