"""Orders by symbol, for a person who looks for one: a trade date read backwards, page by page.

An index over symbols would be written with every order at the open, for a question that an
operator asks some times a night. So there is none, and no read here looks at more than a page
of rows: one that finds nothing says where the next begins.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.query import SymbolPage
from app.ledger import days, rows
from app.ledger.dialect import Dialect, Statement
from app.ledger.dispatch.queues import in_place

# Rows looked at for one page: some tens of milliseconds in either database.
ROWS_A_PAGE: Final = 20_000
FOUND_MAX: Final = 100
NO_BOUND: Final = 2**63 - 1
_SPAN: Final = Statement(
    lambda _: (
        "SELECT count(*), min(p.accept_sequence) FROM (SELECT o.accept_sequence"
        " FROM orders@day AS o WHERE o.accept_sequence < :before AND o.trade_date = @day"
        " ORDER BY o.accept_sequence DESC LIMIT :rows) AS p"
    )
)


def _of_symbol(whose: Callable[[Dialect], str]) -> Statement:
    return Statement(
        lambda d: rows.select(
            d,
            "orders@day AS o WHERE o.accept_sequence < :before AND o.accept_sequence >= :first"
            f" AND o.trade_date = @day AND o.symbol = {d.given('symbol', 'text')}{whose(d)}",
            order_by="o.accept_sequence DESC",
            limit=":limit",
        )
    )


_EVERYBODYS: Final = _of_symbol(lambda _: "")
_OF_SOME: Final = _of_symbol(lambda d: f" AND o.account_id {d.among('accounts')}")


def page(
    connection: Connection,
    symbol: str,
    day: date,
    before: int | None,
    accounts: Sequence[str] | None,
) -> SymbolPage:
    """Return the next orders of a symbol, the latest first; of every account with None."""
    if not days.is_attached(connection, day):
        return SymbolPage([], None)
    upto = NO_BOUND if before is None else before
    looked, first = tuple(in_place(connection, _SPAN, day, before=upto, rows=ROWS_A_PAGE).one())
    if not looked:
        return SymbolPage([], None)
    values = {"before": upto, "first": first, "symbol": symbol, "limit": FOUND_MAX}
    if accounts is None:
        listed = in_place(connection, _EVERYBODYS, day, **values)
    else:
        listed = in_place(connection, _OF_SOME, day, **values, accounts=codec.text(list(accounts)))
    found = codec.decode_orders(listed.scalar_one())
    if len(found) == FOUND_MAX:
        return SymbolPage(found, found[-1].accept_sequence)
    return SymbolPage(found, int(first) if looked == ROWS_A_PAGE else None)
