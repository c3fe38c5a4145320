"""Copies that brokers have shown of orders that we held to be nowhere: two people settle each.

One proposes what became of the copy, with the evidence; another one settles it by that proposal,
or declines it. The trap is a verdict on what was seen an hour ago: the proposal names the order
as it stands when it is made, and fails for good if a report has come since.
"""

from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from app.cli.client import NOTHING_SEEN, etag_of, segment
from app.cli.command import Call, Reason, verb
from app.cli.complete import offer
from app.cli.output import Ends, Failure, say

app = typer.Typer(
    no_args_is_help=True, help="Stray copies at a broker: two people settle what became of one."
)

STRAYS: Final = "/admin/v1/strays"
PROPOSALS: Final = "/admin/v1/proposals"
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
        autocompletion=offer(PROPOSALS, "proposal_id", role="approver"),
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


@verb(
    app,
    "propose",
    role="operator",
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
    call: Call,
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
    seen = [etag_of(row) for row in call.get(STRAYS)["data"] if row["order_id"] == order_id]
    body = {
        "operation": "settle_stray",
        "parts": {"order_id": order_id},
        "body": {name: value for name, value in word.items() if value is not None},
        "if_match": (seen[0] if seen else NOTHING_SEEN)["If-Match"],
        "reason": reason,
    }
    told = call.client.call("POST", PROPOSALS, body).document
    call.show(told)
    say(f"another person decides: openbell stray settle {told['proposal_id']}, or decline")


@verb(
    app,
    "settle",
    role="approver",
    examples=(
        f'stray settle {A_PROPOSAL} --reason "I have read their statement"',
        f'stray settle {A_PROPOSAL} --reason "asked them as well" --json',
    ),
)
def settle(call: Call, *, proposal_id: ProposalId, reason: Reason) -> None:
    """Settle a copy as another person has proposed it."""
    call.show(_decided(call, proposal_id, "approve", reason))


@verb(
    app,
    "decline",
    role="approver",
    examples=(
        f'stray decline {A_PROPOSAL} --reason "that is another order"',
        f'stray decline {A_PROPOSAL} --reason "they say otherwise" --json',
    ),
)
def decline(call: Call, *, proposal_id: ProposalId, reason: Reason) -> None:
    """Say no to a proposal; nothing of it happens."""
    call.show(_decided(call, proposal_id, "decline", reason))


def _decided(call: Call, proposal_id: str, word: str, reason: str) -> Any:
    seen = f"{PROPOSALS}/{segment(proposal_id)}"
    operation = call.get(seen)["operation"]
    if operation != "settle_stray":
        raise Failure(
            Ends.USAGE,
            f"the proposal is of {operation}, and not of a stray copy",
            advice=f"openbell api POST {seen}/{word} --as approver",
        )
    return call.client.change("POST", f"{seen}/{word}", {"reason": reason}, seen=seen).document
