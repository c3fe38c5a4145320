"""Which orders a listing shows: within one account, and by what stands on them."""

from datetime import date
from typing import NamedTuple

from app.domain.order import Order
from app.domain.values import Status


class OrderQuery(NamedTuple):
    """A listing within one account, newest first; `before` is the last accept_sequence shown.

    Instants are milliseconds: updated after, accepted from (inclusive), accepted before.
    """

    account_id: str
    status: Status | None = None
    symbol: str | None = None
    list_id: str | None = None
    trade_date: date | None = None
    before: int | None = None
    limit: int = 100
    market: str | None = None
    broker_id: str | None = None
    client_order_id: str | None = None
    updated_after: int | None = None
    accepted_from: int | None = None
    accepted_before: int | None = None


class SymbolPage(NamedTuple):
    """Some orders of a symbol on one trade date, the latest first; it may be empty, and not last.

    `before` is the accept_sequence before which to go on; None: that was the last page.
    """

    orders: list[Order]
    before: int | None
