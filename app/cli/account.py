"""One account as its view tells it: orders and sums, without costing the ledger anything.

The view follows the ledger within seconds; `openbell order list` asks the ledger itself.
"""

from typing import Annotated, Final

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.order import COLUMNS

app = typer.Typer(no_args_is_help=True, help="Accounts: what their view says of them.")

ACCOUNTS: Final = "/v1/accounts"
PAGE_MAX: Final = 500
AccountId = Annotated[str, typer.Argument(help="The account (1).", metavar="ACCOUNT_ID")]


@verb(
    app,
    "summary",
    role="client",
    examples=("account summary A-1", "account summary A-1 --json"),
)
def summary(call: Call, *, account_id: AccountId) -> None:
    """Count an account's orders by status, and what traded by currency."""
    call.show(call.get(f"{ACCOUNTS}/{segment(account_id)}/summary"))


@verb(
    app,
    "orders",
    role="client",
    examples=("account orders A-1", "account orders A-1 --status filled --limit 5000 --json"),
)
def orders(
    call: Call,
    *,
    account_id: AccountId,
    status: Annotated[str | None, typer.Option(help="Only with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 100,
) -> None:
    """List an account's orders from its view; seconds behind at most."""
    path = f"{ACCOUNTS}/{segment(account_id)}/orders"
    call.show(list(call.client.pages(path, limit, PAGE_MAX, status=status)), *COLUMNS)
