"""Ends many orders at once, or says how far a list of them is.

A mass cancel works for seconds and says whether it is through; it is sent again under the same
`request_id` until it is, and touches nothing that was placed after the first. The trap is "all",
said of a list that nobody has seen: an operator's sweep names how many orders a dry run showed,
and does nothing if there are more by now.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from app.cli.client import Client, segment
from app.cli.command import Call, Reason, verb
from app.cli.complete import broker_ids, session_ids
from app.cli.output import Ends, Failure, say
from app.cli.progress import working

# A million orders in calls of some seconds each; more of them would be a circle.
CALLS_MAX: Final = 1_000
RequestId = Annotated[
    str,
    typer.Option(help="Yours (11): repeat it when you repeat this; it touches nothing newer."),
]
Account = Annotated[str | None, typer.Option(help="Only of this account (1).")]
Symbol = Annotated[str | None, typer.Option(help="Only of this symbol (55).")]
Session = Annotated[
    str | None,
    typer.Option(help="Only of this session (336).", autocompletion=session_ids),
]
ListId = Annotated[str | None, typer.Option(help="Only of this list (66).")]


def mass_cancel(
    call: Call,
    *,
    request_id: RequestId,
    account: Account = None,
    symbol: Symbol = None,
    session: Session = None,
    list_id: ListId = None,
) -> None:
    """Cancel every order of a scope: at once what never left, by request what may have."""
    scope = _scope(account, symbol, session, list_id)
    if not scope:
        raise Failure(
            Ends.USAGE, "expected at least one of --account, --symbol, --session and --list-id"
        )
    done = _through(call.client, "/v1/orders/mass-cancel", scope | {"request_id": request_id})
    _tell(call, done)


def sweep(  # noqa: PLR0913 - each option narrows the scope
    call: Call,
    *,
    request_id: RequestId,
    reason: Reason,
    account: Account = None,
    symbol: Symbol = None,
    session: Session = None,
    list_id: ListId = None,
    broker: Annotated[
        str | None, typer.Option(help="Only what is at it.", autocompletion=broker_ids)
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Names nothing, on purpose.")
    ] = False,
    expect: Annotated[
        int | None,
        typer.Option(min=0, help="As many as the dry run showed: without it this is one."),
    ] = None,
) -> None:
    """Cancel every order of a scope as an operator; without --expect say how many they are.

    It halts nothing: halt first, or new orders go on leaving.
    """
    scope = _scope(account, symbol, session, list_id)
    scope |= {} if broker is None else {"broker_id": broker}
    scope |= {"everything": True} if everything else {}
    body = scope | {"request_id": request_id, "reason": reason}
    path = "/admin/v1/orders/mass-cancel"
    seen = call.client.call("POST", f"{path}?dry_run=true", body).document
    if expect is None:
        call.show(seen)
        say(f"nothing is canceled: run it again with --expect {seen['orders_affected']}")
        return
    chosen = {"expected_count": expect, "selection_id": seen["selection_id"]}
    _tell(call, _through(call.client, path, body | chosen))


def list_status(
    call: Call,
    *,
    list_id: Annotated[str, typer.Argument(help="The list (66).", metavar="LIST_ID")],
    account: Annotated[str, typer.Option(help="Whose list: its account (1).")],
) -> None:
    """Say how far a list is: its orders counted by status."""
    call.show(call.get(f"/v1/lists/{segment(list_id)}", account_id=account))


def _scope(
    account: str | None, symbol: str | None, session: str | None, list_id: str | None
) -> dict[str, Any]:
    named = {
        "account_id": account,
        "symbol": symbol,
        "trading_session_id": session,
        "list_id": list_id,
    }
    return {name: value for name, value in named.items() if value is not None}


def _through(client: Client, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Send it until the gateway is through; return what all calls did together."""
    canceled = requested = 0
    with working("orders") as advance:
        for _ in range(CALLS_MAX):
            told: dict[str, Any] = client.call("POST", path, body).document
            canceled += told["canceled"]
            requested += told["cancel_requested"]
            advance(told["canceled"] + told["cancel_requested"])
            if told["done"]:
                return told | {"canceled": canceled, "cancel_requested": requested}
    raise Failure(
        Ends.TRY_AGAIN,
        "the mass cancel is not through",
        why=f"{canceled} are canceled, {requested} are asked for",
        advice="run it again with the same --request-id: it goes on",
    )


def _tell(call: Call, done: dict[str, Any]) -> None:
    call.show(done)
    if done["cancel_requested"]:
        say("the brokers are asked: what has left may still be filled")


def declare_bulk(app: typer.Typer) -> None:
    """Add these verbs to the noun."""
    verb(
        app,
        "mass-cancel",
        role="client",
        examples=(
            "order mass-cancel --request-id out-1 --account A-1",
            "order mass-cancel --request-id out-2 --account A-1 --symbol AAPL --json",
        ),
    )(mass_cancel)
    verb(
        app,
        "sweep",
        role="operator",
        examples=(
            'order sweep --request-id out-3 --broker north --reason "north is dead, OPS-12"',
            'order sweep --request-id out-3 --broker north --reason "OPS-12" --expect 312',
        ),
    )(sweep)
    verb(
        app,
        "list-status",
        role="client",
        examples=(
            "order list-status open-2026-11-23 --account A-1",
            "order list-status open-2026-11-23 --account A-1 --json",
        ),
    )(list_status)
