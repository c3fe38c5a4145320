"""Sends orders, looks them up and cancels them.

The client's id is never made up here: whoever repeats a command must repeat the id, or one
order becomes two. That is the trap of every handy default.
"""

from pathlib import Path
from typing import Annotated, Final

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.asking.output import Ends, Failure, Output, print_out, say
from app.cli.order.bulk import declare_bulk
from app.cli.order.file import Row, encoded
from app.cli.order.hold import declare_holds
from app.cli.order.watch import declare_watch
from app.cli.session import next_session

app = typer.Typer(no_args_is_help=True, help="Orders: send, look up, cancel.")

OrderId = Annotated[str, typer.Argument(help="The gateway's id (37).", metavar="ORDER_ID")]
MaybeId = Annotated[str | None, typer.Argument(help="The gateway's id (37).", metavar="[ORDER_ID]")]
ItsAccount = Annotated[str | None, typer.Option("--account", help="Or: its account (1),")]
YourId = Annotated[str | None, typer.Option("--client-order-id", help="and your id (11).")]
COLUMNS: Final = (
    "order_id",
    "client_order_id",
    "status",
    "side",
    "symbol",
    "quantity",
    "filled_quantity",
    "limit_price",
    "trading_session_id",
    "reason_code",
)


@verb(
    app,
    "batch",
    role="client",
    examples=(
        "order batch orders.csv --session next --rejects rejects.ndjson",
        "order batch - --list-id open-2026-11-23 < orders.ndjson",
    ),
)
def batch(
    call: Call,
    *,
    file: Annotated[Path, typer.Argument(help="A .csv or .ndjson file, or - for stdin.")],
    list_id: Annotated[str | None, typer.Option(help="Name of the list (66).")] = None,
    session: Annotated[
        str | None,
        typer.Option(metavar="next|ID", help="Session of the rows that name none (336)."),
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Write what was rejected there, one JSON line each.")
    ] = None,
) -> None:
    """Send a file of orders, a thousand at a time.

    Each order stands for itself. A batch that got no answer, 429 or 503 is sent again under the
    same client_order_ids; so may you send the whole file again. With "--session next" do so
    before that session opens; afterwards name the session. Exit 1: some were rejected; 6, 8 or
    75: not all were answered, run it again.
    """
    from app.cli.order.upload import upload

    upload(call, file, list_id=list_id, session=session, rejects=rejects)


@verb(
    app,
    "create",
    role="client",
    examples=(
        (
            "order create --account A-1 --client-order-id a-1 --symbol AAPL --market XNAS"
            " --side buy --quantity 10 --limit-price 268.50 --session next"
        ),
        (
            "order create --account A-1 --client-order-id a-2 --symbol 005930 --market XKRX"
            " --side sell --type market --quantity 3 --currency KRW --session XKRX-2026-11-24-REG"
        ),
    ),
)
def create(  # noqa: PLR0913 - each option is a field of the order
    call: Call,
    *,
    account: Annotated[str, typer.Option(help="Account (1).")],
    client_order_id: Annotated[
        str, typer.Option(help="Yours (11), unique for ever; repeat it when you repeat this.")
    ],
    symbol: Annotated[str, typer.Option(help="Symbol (55).")],
    market: Annotated[str, typer.Option(help="Market as a MIC (207).")],
    side: Annotated[str, typer.Option(help="buy or sell (54).")],
    quantity: Annotated[str, typer.Option(help="Quantity (38).")],
    limit_price: Annotated[str | None, typer.Option(help="Price of a limit order (44).")] = None,
    order_type: Annotated[str, typer.Option("--type", help="limit or market (40).")] = "limit",
    currency: Annotated[str, typer.Option(help="Currency (15).")] = "USD",
    time_in_force: Annotated[str, typer.Option("--tif", help="day, opg or ioc (59).")] = "day",
    session: Annotated[
        str | None, typer.Option(metavar="next|ID", help="Session to reserve for (336).")
    ] = None,
    list_id: Annotated[str | None, typer.Option(help="Name of a list (66).")] = None,
    text: Annotated[str | None, typer.Option(help="A note (58).")] = None,
) -> None:
    """Send one order; it is on disk when the command returns.

    Without an answer, 429 and 503 it is sent again under the same client_order_id.
    """
    if session == "next":
        session = next_session(call.client, market)
    fields = {
        "account_id": account,
        "client_order_id": client_order_id,
        "symbol": symbol,
        "market": market,
        "side": side,
        "order_type": order_type,
        "quantity": quantity,
        "limit_price": limit_price,
        "currency": currency,
        "time_in_force": time_in_force,
        "trading_session_id": session,
        "list_id": list_id,
        "text": text,
    }
    row: Row = encoded(1, {name: value for name, value in fields.items() if value is not None})
    reply = call.client.insist("/v1/orders", row.body)
    if reply.headers.get("idempotent-replayed") == "true":
        say("it was taken before: this is the same order")
    call.show(reply.document)


@verb(
    app,
    "get",
    role="client",
    examples=(
        "order get 01KAPK5R00W7D3Q8ZC1VYBX4N9",
        "order get --account A-1 --client-order-id a-1 --json",
    ),
)
def get(
    call: Call,
    *,
    order_id: MaybeId = None,
    account: ItsAccount = None,
    client_order_id: YourId = None,
) -> None:
    """Show one order, by the gateway's id or by yours."""
    call.show(call.get(_path(order_id, account, client_order_id)))


def _path(order_id: str | None, account: str | None, client_order_id: str | None) -> str:
    if order_id is not None and account is None and client_order_id is None:
        return f"/v1/orders/{segment(order_id)}"
    if order_id is None and account is not None and client_order_id is not None:
        return (
            f"/v1/accounts/{segment(account)}/orders/by-client-order-id/{segment(client_order_id)}"
        )
    raise Failure(Ends.USAGE, "expected an ORDER_ID, or --account and --client-order-id")


@verb(
    app,
    "history",
    role="client",
    examples=(
        "order history 01KAPK5R00W7D3Q8ZC1VYBX4N9",
        "order history 01KAPK5R00W7D3Q8ZC1VYBX4N9 --json",
    ),
)
def history(call: Call, *, order_id: OrderId) -> None:
    """Show every step of an order's life with its cause, then what traded."""
    path = f"/v1/orders/{segment(order_id)}"
    events = call.get(f"{path}/events")["data"]
    executions = call.get(f"{path}/executions")["data"]
    if call.screen.output is Output.JSON:
        call.show({"events": events, "executions": executions})
        return
    call.show(events)
    print_out("")
    call.show(executions)


@verb(
    app,
    "list",
    role="client",
    examples=(
        "order list --account A-1 --status in_doubt",
        "order list --account A-1 --list-id open-2026-11-23 --limit 5000 --json",
    ),
)
def list_(  # noqa: PLR0913 - each option is a filter of the listing
    call: Call,
    *,
    account: Annotated[str, typer.Option(help="Account (1).")],
    status: Annotated[str | None, typer.Option(help="Only with this status.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only of this symbol.")] = None,
    list_id: Annotated[str | None, typer.Option(help="Only of this list.")] = None,
    trade_date: Annotated[str | None, typer.Option(help="Only of this trade date.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
) -> None:
    """List an account's orders, newest first."""
    rows = call.client.pages(
        "/v1/orders",
        limit,
        account_id=account,
        status=status,
        symbol=symbol,
        list_id=list_id,
        trade_date=trade_date,
    )
    call.show(list(rows), *COLUMNS)


@verb(
    app,
    "cancel",
    role="client",
    examples=(
        "order cancel 01KAPK5R00W7D3Q8ZC1VYBX4N9",
        "order cancel --account A-1 --client-order-id a-1 --json",
    ),
)
def cancel(
    call: Call,
    *,
    order_id: MaybeId = None,
    account: ItsAccount = None,
    client_order_id: YourId = None,
) -> None:
    """Cancel one order, by the gateway's id or by yours, or ask its broker to."""
    path = _path(order_id, account, client_order_id)
    order_id = order_id or str(call.get(path)["order_id"])
    reply = call.client.call("DELETE", f"/v1/orders/{segment(order_id)}")
    if reply.status == 202:  # noqa: PLR2004 - accepted: the broker decides
        say("the broker is asked: the order may have left, and may still be filled")
    call.show(reply.document)


@verb(
    app,
    "amend",
    role="client",
    examples=(
        "order amend 01KAPK5R00W7D3Q8ZC1VYBX4N9 --quantity 5",
        "order amend 01KAPK5R00W7D3Q8ZC1VYBX4N9 --limit-price 184.90 --json",
    ),
)
def amend(
    call: Call,
    *,
    order_id: OrderId,
    quantity: Annotated[
        str | None, typer.Option(help="Quantity (38): the whole of it, what traded included.")
    ] = None,
    limit_price: Annotated[str | None, typer.Option(help="Price of a limit order (44).")] = None,
) -> None:
    """Change an order at once if it has not left, else ask its broker to."""
    terms = {"quantity": quantity, "limit_price": limit_price}
    given = {name: value for name, value in terms.items() if value is not None}
    if not given:
        raise Failure(Ends.USAGE, "expected --quantity or --limit-price")
    path = f"/v1/orders/{segment(order_id)}"
    reply = call.client.change("PATCH", path, given, seen=path)
    if reply.status == 202:  # noqa: PLR2004 - accepted: the broker decides
        say("the broker is asked: the old terms stand until it accepts the new ones")
    call.show(reply.document)


declare_bulk(app)
declare_holds(app)
declare_watch(app)
