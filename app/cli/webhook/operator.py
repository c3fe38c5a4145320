"""Every customer's endpoints, for operators: who has them, and the stop that no owner undoes.

A key that is revoked leaves the endpoint that it made; the trap is to think that the one ends the
other. What an operator has stopped waits, and is told when he lets it go.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.change import Hand, Seen, changes, row
from app.cli.asking.client import segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import ALL_WEBHOOKS, all_webhooks

operator_app = typer.Typer(no_args_is_help=True, help="Every endpoint, as operators see them.")

COLUMNS: Final = (
    *("endpoint_id", "version", "state", "disabled_by", "url", "accounts"),
    *("failing_since", "missed_events"),
)
AN_ID: Final = "we_01KAPK5R00W7D3Q8ZC1VYBX4N9"
EndpointId = Annotated[
    str,
    typer.Argument(help="The endpoint.", metavar="ENDPOINT_ID", autocompletion=all_webhooks),
]
TURNS: Final = {
    "disable": "Stop an endpoint until an operator lets it go; what happens meanwhile waits.",
    "enable": "Let an endpoint go, whoever stopped it; what waits is told.",
}


@verb(
    operator_app,
    "list",
    role="operator",
    examples=("webhook operator list", "webhook operator list --json"),
)
def list_(call: Call) -> None:
    """List the endpoints of all accounts, and who disabled which."""
    call.show(call.get(ALL_WEBHOOKS)["data"], *COLUMNS)


def _declare(door: str, does: str) -> None:
    def run(hand: Hand, *, endpoint_id: EndpointId, reason: Reason) -> None:
        path = f"{ALL_WEBHOOKS}/{segment(endpoint_id)}/{door}"
        seen = _seen(hand.call, endpoint_id)
        hand.turn("POST", path, {"reason": reason}, seen=seen, name=endpoint_id)

    run.__doc__ = does
    examples = (
        f'webhook operator {door} {AN_ID} --reason "the customer asks, OPS-12"',
        f'webhook operator {door} {AN_ID} --reason "OPS-12" --yes',
    )
    changes(operator_app, door, examples=examples)(run)


def _seen(call: Call, endpoint_id: str) -> Seen:
    return row(
        call.client,
        ALL_WEBHOOKS,
        {"endpoint_id": endpoint_id},
        f"no endpoint {endpoint_id}",
        "openbell webhook operator list",
    )


for _door, _does in TURNS.items():
    _declare(_door, _does)
