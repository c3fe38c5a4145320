"""Ends many orders at once, or says how far a list of them is.

A mass cancel works for seconds and says whether it is through; it is sent again under the same
`request_id` until it is, and touches nothing that was placed after the first. The trap is "all",
said of a list that nobody has seen: an operator's sweep names how many orders a dry run showed,
and does nothing if there are more by now.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

import typer

from app.cli.asking.change import Grade, Hand, changes
from app.cli.asking.client import Client, segment
from app.cli.asking.command import Call, Reason, verb
from app.cli.asking.complete import broker_ids, session_ids
from app.cli.asking.difference import would_lines
from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.progress import working

# A million orders in calls of some seconds each; more of them would be a circle.
CALLS_MAX: Final = 1_000
# How many orders each call was about, in the words of the door that counts them.
COUNTED: Final = ("canceled", "cancel_requested", "moved", "left")
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
Everything = Annotated[bool, typer.Option("--everything", help="Names nothing, on purpose.")]
Expect = Annotated[
    int | None,
    typer.Option(
        min=0, help="As many as the dry run showed: without it, and without a yes, this is one."
    ),
]
# A yes is soon said; whoever types a number has read it.
GLANCE: Final = 1_000
MAY_FILL: Final = "the brokers are asked: what has left may still be filled"
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
    done = through(call.client, "/v1/orders/mass-cancel", scope | {"request_id": request_id})
    _tell(call, done)


def sweep(  # noqa: PLR0913 - each option narrows the scope
    hand: Hand,
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
    everything: Everything = False,
    expect: Expect = None,
) -> None:
    """Cancel every order of a scope as an operator; first it is said how many they are.

    It halts nothing: halt first, or new orders go on leaving.
    """
    scope = _scope(account, symbol, session, list_id)
    scope |= {} if broker is None else {"broker_id": broker}
    scope |= {"everything": True} if everything else {}
    body = scope | {"request_id": request_id, "reason": reason}
    done = of_many(hand, "/admin/v1/orders/mass-cancel", body, expect)
    if done and done["cancel_requested"]:
        say(MAY_FILL)


def some(door: str) -> Callable[..., None]:
    """Return the verb that holds back, or lets go, every order of a scope."""

    def run(  # noqa: PLR0913 - each option narrows the scope
        hand: Hand,
        *,
        request_id: RequestId,
        reason: Reason,
        account: Account = None,
        symbol: Symbol = None,
        session: Session = None,
        list_id: ListId = None,
        everything: Everything = False,
        expect: Expect = None,
    ) -> None:
        scope = _scope(account, symbol, session, list_id)
        scope |= {"everything": True} if everything else {}
        body = scope | {"request_id": request_id, "reason": reason}
        of_many(hand, f"/admin/v1/orders/{door}", body, expect)

    return run


def of_many(
    hand: Hand, path: str, body: dict[str, Any], expect: int | None
) -> dict[str, Any] | None:
    """Show how many orders it is about, and do it to just these, if somebody says so.

    At a terminal that is a yes; for many it is their number, typed. Elsewhere it is `--expect`.
    """
    client = hand.call.client
    seen = client.call("POST", f"{path}?dry_run=true", body).document
    count = int(seen["orders_affected"])
    unseen = expect is None and (hand.sure.ask is None or hand.sure.yes)
    if hand.sure.dry_run or unseen:
        hand.call.show(seen)
        again = hand.call.again("--expect", str(count))
        if unseen and not hand.sure.dry_run:
            # A script that goes on as if it were done is worse than one that stops here.
            why = "nobody has said how many orders it may be"
            raise Failure(Ends.FAILED_CHECK, "nothing is changed", why=why, advice=again)
        say(f"nothing is changed: --expect {count} does it to just these")
        return None
    if hand.asks:
        hand.tell(would_lines({}, {}, seen))
    grade = Grade.NAME if count > GLANCE else Grade.YES
    hand.sure.agreed(f"{hand.said}, {count} orders", str(count), grade)
    chosen = {"expected_count": count if expect is None else expect}
    chosen |= {"selection_id": seen["selection_id"]}
    done = through(client, path, body | chosen)
    hand.call.show(done)
    return done


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


def through(
    client: Client,
    path: str,
    body: Mapping[str, Any],
    *,
    first: dict[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Send it until the gateway is through; return what all calls did together."""
    sums = dict.fromkeys(COUNTED, 0)
    with working("orders") as advance:
        for _ in range(CALLS_MAX):
            told = first or client.call("POST", path, body, headers).document
            first = None
            counted = {name: told[name] for name in COUNTED if name in told}
            sums = {name: sum_ + counted.get(name, 0) for name, sum_ in sums.items()}
            advance(sum(counted.values()))
            if told["done"]:
                return told | {name: sums[name] for name in counted}
    raise Failure(
        Ends.TRY_AGAIN,
        "it is not through",
        why=", ".join(f"{name} {sum_}" for name, sum_ in sums.items() if sum_),
        advice=f"run it again with --request-id {body['request_id']}: it goes on",
    )


def _tell(call: Call, done: dict[str, Any]) -> None:
    call.show(done)
    if done["cancel_requested"]:
        say(MAY_FILL)


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
    changes(
        app,
        "sweep",
        tries=True,
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
