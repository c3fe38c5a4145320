"""A client's endpoints: where its orders are told, whether they arrive, and what is told again.

A secret is printed once, when it is made. The trap is an endpoint that answers 410 for an hour and
is never heard of again: `list` says who disabled each, and `replay` tells what was missed.
"""

from typing import Annotated, Any, Final

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, seconds_of, verb
from app.cli.asking.complete import offer
from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.progress import working
from app.cli.webhook.operator import operator_app

app = typer.Typer(no_args_is_help=True, help="Webhooks: endpoints, secrets and deliveries.")
app.add_typer(operator_app, name="operator")

WEBHOOKS: Final = "/v1/webhooks"
COLUMNS: Final = (
    *("endpoint_id", "state", "disabled_by", "url", "accounts", "types"),
    *("failing_since", "missed_events"),
)
DELIVERIES: Final = (
    *("delivery_id", "type", "state", "attempts", "last_status", "last_error"),
    *("next_attempt_at", "created_at"),
)
PAGE_MAX: Final = 500
# Each call tells some of what was missed again; more calls than this would be a circle.
CALLS_MAX: Final = 10_000
AN_ID: Final = "we_01KAPK5R00W7D3Q8ZC1VYBX4N9"
A_DELIVERY: Final = "msg_0123456789abcdef0123456789"
EndpointId = Annotated[
    str,
    typer.Argument(
        help="The endpoint.",
        metavar="ENDPOINT_ID",
        autocompletion=offer(WEBHOOKS, "endpoint_id", role="client"),
    ),
]
# `--url` is where the gateway is.
Address = Annotated[str, typer.Argument(help="Where to: https, a public host.", metavar="ADDRESS")]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", help="Whose orders; repeat. Else all of the key.")
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Such as order.filled; repeat. Else each event of an order."),
]
Description = Annotated[str | None, typer.Option(help="For people.")]


def _path(endpoint_id: str, *more: str) -> str:
    return "/".join((WEBHOOKS, segment(endpoint_id), *map(segment, more)))


@verb(
    app,
    "add",
    role="client",
    examples=(
        "webhook add https://hooks.customer.com/openbell --type order.filled",
        "webhook add https://hooks.customer.com/openbell --account A-1 --json",
    ),
)
def add(
    call: Call,
    *,
    address: Address,
    account: Accounts = None,
    type_: Types = None,
    description: Description = None,
) -> None:
    """Add an endpoint; its secret is shown this once."""
    body = {"url": address} | _given(account, type_, description)
    call.show(call.client.call("POST", WEBHOOKS, body).document)
    say("the secret is shown this once: keep it where the endpoint verifies signatures")


@verb(app, "list", role="client", examples=("webhook list", "webhook list --json"))
def list_(call: Call) -> None:
    """List the endpoints, and who disabled which."""
    call.show(call.get(WEBHOOKS)["data"], *COLUMNS)


@verb(app, "get", role="client", examples=(f"webhook get {AN_ID}", f"webhook get {AN_ID} --json"))
def get(call: Call, *, endpoint_id: EndpointId) -> None:
    """Show one endpoint; its secret is not in it."""
    call.show(call.get(_path(endpoint_id)))


@verb(
    app,
    "change",
    role="client",
    examples=(
        f"webhook change {AN_ID} --disable",
        f"webhook change {AN_ID} --address https://hooks.customer.com/v2 --enable",
    ),
)
def change(  # noqa: PLR0913 - what there is to change
    call: Call,
    *,
    endpoint_id: EndpointId,
    address: Annotated[str | None, typer.Option(help="Where to: https, a public host.")] = None,
    account: Accounts = None,
    type_: Types = None,
    description: Description = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether anything is sent.")
    ] = None,
) -> None:
    """Change an endpoint on the version that stands there; what is not named stays."""
    body = ({} if address is None else {"url": address}) | _given(account, type_, description)
    body |= {} if enabled is None else {"enabled": enabled}
    if not body:
        raise Failure(Ends.USAGE, "name what to change", advice="see --help")
    seen = _path(endpoint_id)
    call.show(call.client.change("PATCH", seen, body, seen=seen).document)


@verb(
    app,
    "rotate",
    role="client",
    examples=(f"webhook rotate {AN_ID}", f"webhook rotate {AN_ID} --overlap 0"),
)
def rotate(
    call: Call,
    *,
    endpoint_id: EndpointId,
    overlap: Annotated[
        str, typer.Option(metavar="24h", help="Both secrets sign so long; 0: the old one leaked.")
    ] = "24h",
) -> None:
    """Make a new secret; it is shown this once."""
    body = {"overlap_s": 0 if overlap == "0" else seconds_of(overlap)}
    seen = _path(endpoint_id)
    reply = call.client.change("POST", _path(endpoint_id, "rotate-secret"), body, seen=seen)
    call.show(reply.document)


@verb(
    app, "test", role="client", examples=(f"webhook test {AN_ID}", f"webhook test {AN_ID} --json")
)
def try_(call: Call, *, endpoint_id: EndpointId) -> None:
    """Send a test event; deliveries says what became of it."""
    call.show(call.client.call("POST", _path(endpoint_id, "test")).document)


@verb(
    app,
    "deliveries",
    role="client",
    examples=(f"webhook deliveries {AN_ID}", f"webhook deliveries {AN_ID} --state failed --json"),
)
def deliveries(
    call: Call,
    *,
    endpoint_id: EndpointId,
    state: Annotated[
        str | None, typer.Option(help="Only waiting, delivered or failed ones.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
) -> None:
    """List what was or will be sent to an endpoint, and what it answered."""
    path = _path(endpoint_id, "deliveries")
    call.show(list(call.client.pages(path, limit, PAGE_MAX, state=state)), *DELIVERIES)


@verb(
    app,
    "delivery",
    role="client",
    examples=(
        f"webhook delivery {AN_ID} {A_DELIVERY}",
        f"webhook delivery {AN_ID} {A_DELIVERY} --json",
    ),
)
def delivery(
    call: Call,
    *,
    endpoint_id: EndpointId,
    delivery_id: Annotated[str, typer.Argument(help="As deliveries shows it.", metavar="ID")],
) -> None:
    """Show one delivery with the body that is sent."""
    call.show(call.get(_path(endpoint_id, "deliveries", delivery_id)))


@verb(
    app,
    "replay",
    role="client",
    examples=(
        f"webhook replay {AN_ID} --since 2026-11-23T14:30:00.000Z --state failed",
        f"webhook replay {AN_ID} --delivery {A_DELIVERY}",
    ),
)
def replay(
    call: Call,
    *,
    endpoint_id: EndpointId,
    delivery_id: Annotated[str | None, typer.Option("--delivery", help="This one;")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="or those made from then on.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Of those, only delivered or failed ones.")
    ] = None,
) -> None:
    """Tell again what was delivered, or was not."""
    if (delivery_id is None) == (since is None):
        raise Failure(Ends.USAGE, "expected either --delivery or --since")
    if delivery_id is not None:
        path = _path(endpoint_id, "deliveries", delivery_id, "replay")
        call.show(call.client.call("POST", path).document)
        return
    call.show(_replayed(call, _path(endpoint_id, "replay"), since, state))


@verb(
    app,
    "remove",
    role="client",
    examples=(f"webhook remove {AN_ID}", f"webhook remove {AN_ID} --json"),
)
def remove(call: Call, *, endpoint_id: EndpointId) -> None:
    """Remove an endpoint; what waited for it is not sent."""
    seen = _path(endpoint_id)
    call.show(call.client.change("DELETE", seen, {}, seen=seen).document)


def _given(
    account: list[str] | None, types: list[str] | None, description: str | None
) -> dict[str, Any]:
    named = {"accounts": account or None, "types": types or None, "description": description}
    return {name: value for name, value in named.items() if value is not None}


def _replayed(call: Call, path: str, since: str | None, state: str | None) -> dict[str, Any]:
    """Ask until all of it waits again; return how many there were."""
    count = 0
    with working("deliveries") as advance:
        for _ in range(CALLS_MAX):
            body = {"since": since} | ({} if state is None else {"state": state})
            told: dict[str, Any] = call.client.call("POST", path, body).document
            count += told["replayed"]
            advance(told["replayed"])
            if told["done"]:
                return told | {"replayed": count}
            since = told["next_since"]
    raise Failure(
        Ends.TRY_AGAIN, "not all is told again", why=f"{count} are", advice=f"--since {since}"
    )
