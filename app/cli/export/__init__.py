"""Carries days away in one file: an account's orders, what they traded, or what operators did.

It asks the doors that everybody may ask, page after page, and waits where the gateway is busy. The
trap is the time: an export at the open costs the orders that leave then, so it takes one page at
a time, and no door is made for it that would read a whole day at once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.client import segment
from app.cli.asking.command import Call, verb
from app.cli.asking.walk import Walk, last_where
from app.cli.export.file import form_for, write_all
from app.cli.order.file import FileForm

app = typer.Typer(no_args_is_help=True, help="Export: days of orders, trades or acts in one file.")

DAYS_MAX: Final = 366
# A clock that was set back made rows that seem older than those before them.
CLOCK_STEP: Final = timedelta(minutes=10)
# What never left has traded nothing, so nobody asks.
NEVER_LEFT: Final = frozenset({"reserved", "held", "denied"})
# Of its order: what a trade alone does not say.
OF_ORDER: Final = ("account_id", "client_order_id", "symbol", "side", "currency")


def _day(text: str | None) -> str | None:
    try:
        return None if text is None else date.fromisoformat(text).isoformat()
    except ValueError as e:
        raise typer.BadParameter(f"expected a date such as 2026-11-23, was {text}") from e


From = Annotated[str, typer.Option("--from", metavar="DATE", callback=_day, help="The first day.")]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", callback=_day, help="The last day; else the first alone."),
]
Accounts = Annotated[list[str], typer.Option(help="Whose (1); repeat it for each.")]
Form = Annotated[
    FileForm | None,
    typer.Option("--format", help="How it is written; else as --out ends, else NDJSON."),
]
Out = Annotated[
    Path | None, typer.Option(help="Write there, whole or not at all, instead of to stdout.")
]


@app.callback()
def _export() -> None:
    """Export: days of orders, trades or acts in one file."""


@verb(
    app,
    "orders",
    role="client",
    examples=(
        "export orders --account A-1 --from 2026-11-23 --out orders.csv",
        "export orders --account A-1 --account A-2 --from 2026-11-23 --to 2026-11-27 > week.ndjson",
    ),
)
def orders(
    call: Call, *, account: Accounts, from_: From, to: To = None, form: Form = None, out: Out = None
) -> None:
    """Write the orders of accounts on trade dates as they stand now, the newest first."""
    rows = _orders(Walk(call.client), account, _days(from_, to))
    write_all(rows, "orders", form_for(form, out), out)


@verb(
    app,
    "executions",
    role="client",
    examples=(
        "export executions --account A-1 --from 2026-11-23 --out trades.csv",
        "export executions --account A-1 --from 2026-11-23 --format csv",
    ),
)
def executions(
    call: Call, *, account: Accounts, from_: From, to: To = None, form: Form = None, out: Out = None
) -> None:
    """Write what orders of these trade dates traded, busts and corrections included.

    It asks once for each order that may have left: a thousand orders take some seconds.
    """
    rows = _executions(Walk(call.client), account, _days(from_, to))
    write_all(rows, "executions", form_for(form, out), out)


@verb(
    app,
    "audit",
    role="operator",
    examples=(
        "export audit --from 2026-11-23 --out audit.csv",
        "export audit --from 2026-11-01 --to 2026-11-30 --out november.csv",
    ),
)
def audit(call: Call, *, from_: From, to: To = None, form: Form = None, out: Out = None) -> None:
    """Write who did what on days of UTC, oldest first; each has the whole session of its date.

    To verify the chain elsewhere take "audit export": it has the rows as they were sealed.
    """
    days = _days(from_, to)
    rows = _acts(Walk(call.client), days[0], days[-1])
    write_all(rows, "rows", form_for(form, out), out)


def _days(first: str, last: str | None) -> list[date]:
    begins, ends = date.fromisoformat(first), date.fromisoformat(last or first)
    count = (ends - begins).days + 1
    if not 1 <= count <= DAYS_MAX:
        raise typer.BadParameter(f"expected 1 to {DAYS_MAX} days, were {count}")
    return [begins + timedelta(days=number) for number in range(count)]


def _orders(walk: Walk, accounts: list[str], days: list[date]) -> Iterator[dict[str, Any]]:
    for day in reversed(days):
        for account in dict.fromkeys(accounts):
            asked = {"account_id": account, "trade_date": day.isoformat()}
            yield from walk.pages("/v1/orders", asked)


def _executions(walk: Walk, accounts: list[str], days: list[date]) -> Iterator[dict[str, Any]]:
    for order in _orders(walk, accounts, days):
        if order["status"] in NEVER_LEFT:
            continue
        of_order = {name: order[name] for name in OF_ORDER}
        path = f"/v1/orders/{segment(order['order_id'])}/executions"
        for row in walk.get(path)["data"]:
            yield of_order | row


def _acts(walk: Walk, first: date, last: date) -> Iterator[dict[str, Any]]:
    begins = datetime(first.year, first.month, first.day, tzinfo=UTC)
    ends = datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(days=1)
    for row in walk.audit(last_where(walk.get, lambda row: _at(row) < begins - CLOCK_STEP)):
        if _at(row) >= ends + CLOCK_STEP:
            return
        if begins <= _at(row) < ends:
            yield row


def _at(row: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(row["at"])
