"""Proposals: what one person wants done, for another one to look at and approve.

Whoever approves sends the version that was shown: a proposal cannot be changed, but it can be
decided, expire, or fail meanwhile. The trap is a yes by its name alone, so an approval shows the
whole call first: what would be done, to what, and who wants it.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.asking.complete import PROPOSALS, open_proposals
from app.cli.asking.deed import Deed, Thing, declare

app = typer.Typer(
    no_args_is_help=True,
    help="Proposals: what another person wants done; approve or decline it.",
)

A_PROPOSAL: Final = "00c0ffee00c0ffee00c0"
COLUMNS: Final = (
    *("proposal_id", "state", "operation", "call.parts", "call.body"),
    *("proposed_by", "reason", "expires_at", "decided_by"),
)
ProposalId = Annotated[
    str,
    typer.Argument(
        help="As proposal list shows it.", metavar="PROPOSAL_ID", autocompletion=open_proposals
    ),
]


def _path(proposal_id: str) -> str:
    return f"{PROPOSALS}/{segment(proposal_id)}"


@verb(
    app,
    "list",
    role="operator",
    examples=("proposal list", "proposal list --all --limit 500 --json"),
)
def list_(
    call: Call,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Of so many of the latest.")] = 100,
) -> None:
    """List the proposals that wait for somebody's word."""
    found = call.get(PROPOSALS, limit=limit)["data"]
    call.show([one for one in found if everything or one["state"] == "open"], *COLUMNS)


@verb(
    app,
    "get",
    role="operator",
    examples=(f"proposal get {A_PROPOSAL}", f"proposal get {A_PROPOSAL} --json"),
)
def get(call: Call, *, proposal_id: ProposalId) -> None:
    """Show one: the whole call, who wants it and why, and what became of it."""
    call.show(call.get(_path(proposal_id)))


THING: Final = Thing("proposal", "proposal_id", ProposalId, lambda _, name: _path(name), A_PROPOSAL)
declare(
    app,
    THING,
    Deed(
        "approve",
        "Do what another person has proposed; it answers what the call itself answers.",
        ("looked at it with the desk", "agreed, OPS-12"),
        role="approver",
    ),
    Deed(
        "decline",
        "Say no to a proposal; nothing of it happens.",
        ("not before the close", "the wrong broker"),
        role="approver",
    ),
)
