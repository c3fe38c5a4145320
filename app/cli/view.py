"""The accounts' view: how far behind is it, is it what the ledger says, and if not, make it anew.

The trap is to verify while orders move: a difference that is only a delay goes away when it is
asked for again.
"""

import typer

from app.cli.asking.change import Hand, changes
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.output import Ends, Failure
from app.cli.asking.progress import PATIENCE_S, working

app = typer.Typer(
    no_args_is_help=True,
    help="The accounts' view: how far behind it is, whether it is right; rebuild it.",
)


@verb(app, "lag", role="operator", examples=("view lag", "view lag --context prod --json"))
def lag(call: Call) -> None:
    """Show how many events the view has not seen; exit 1 if a store does not answer."""
    found = call.get("/admin/v1/view/lag")
    call.show(found)
    if found["away"]:
        raise Failure(
            Ends.FAILED_CHECK,
            f"no answer from: {', '.join(found['away'])}",
            why="the gateway asked, and waited two seconds",
            advice="orders are taken meanwhile; look at that store, then ask again",
        )


@changes(
    app,
    "rebuild",
    examples=(
        'view rebuild --reason "the view differs, OPS-12"',
        'view rebuild --reason "restored from a backup" --json',
    ),
    timeout_s=PATIENCE_S,
)
def rebuild(hand: Hand, *, reason: Reason) -> None:
    """Forget the view and make it again from the ledger."""
    body = {"reason": reason}
    hand.sure.agreed("rebuild the view", "view", hand.grade)
    with working("the view is made again"):
        done = hand.call.client.call("POST", "/admin/v1/view/rebuild", body)
    hand.call.show(done.document)


@verb(
    app,
    "verify",
    role="operator",
    examples=("view verify", "view verify --json"),
    timeout_s=PATIENCE_S,
)
def verify(call: Call) -> None:
    """Compare the view with the ledger; exit 1 if an order differs."""
    with working("every order is compared"):
        found = call.get("/admin/v1/view/verify")
    call.show(found)
    differing = found["differences"]
    if differing:
        raise Failure(
            Ends.FAILED_CHECK,
            f"{len(differing)} orders differ from the ledger",
            why="the view is behind, or wrong",
            advice="ask again in a few seconds; what still differs: openbell view rebuild",
        )
