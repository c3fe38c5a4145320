"""The orders of one page of a search as CSV, for a table that people work on.

It holds what the page and the orders' own pages show, and no order more. The trap is a program that
takes `=…` in a cell for a formula: what a customer or a broker wrote is put behind an apostrophe
there, and a number is left alone.
"""

import csv
import re
from collections.abc import Iterable
from io import StringIO
from typing import Final

from app.domain.order import Order
from app.domain.values import rfc3339
from app.web.shapes import plain, plain_or_none

COLUMNS: Final = (
    *("order_id", "status", "account_id", "client_order_id", "symbol", "market", "side"),
    *("quantity", "filled_quantity", "average_price", "limit_price", "currency", "trade_date"),
    *("broker_id", "broker_order_id", "reason_code", "accepted_at", "updated_at"),
)
NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
# With one of these a spreadsheet begins to calculate.
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def sheet(orders: Iterable[Order]) -> bytes:
    """Return a line of names, and a line for each order."""
    written = StringIO(newline="")
    writer = csv.writer(written)
    writer.writerow(COLUMNS)
    for order in orders:
        writer.writerow([_cell(text) for text in _cells(order)])
    return written.getvalue().encode()


def _cells(order: Order) -> Iterable[str | None]:
    return (
        *(order.order_id, order.status, order.account_id, order.client_order_id),
        *(order.symbol, order.market, order.side),
        *(plain(order.quantity), plain(order.filled_quantity)),
        *(plain_or_none(order.average_price), plain_or_none(order.limit_price), order.currency),
        *(order.trade_date.isoformat(), order.broker_id, order.broker_order_id, order.reason_code),
        *(rfc3339(order.accepted_at), rfc3339(order.updated_at)),
    )


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    acts = text.startswith(FORMULA) and not NUMBER.fullmatch(text)
    return f"'{text}" if acts else text
