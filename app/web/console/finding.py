"""Finds an order for an operator and shows its life: every step, attempt and fill.

A search is an order's id, an account, or `account/client_order_id`. It reads the ledger, so it
is current and needs neither the bus nor the account view. What belongs to an account that the
operator's key does not see is not there, in the same words as what nobody has.
"""

from typing import Final

from app.domain.order import Order
from app.domain.query import OrderQuery
from app.web.console.acts import button, doubt_acts
from app.web.console.markup import Safe, join, tag
from app.web.console.page import plain_page
from app.web.console.shapes import moment, order_link
from app.web.console.sight import Viewer
from app.web.house import House
from app.web.shapes import plain, plain_or_none

SHOWN: Final = 100
NOTHING: Final = "No such order, or it is not yours to see."


class Finder:
    """Reads what the pages of orders show."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def found(self, query: str, viewer: Viewer) -> str:
        """Return the page of what a search finds."""
        wanted = query.strip()
        orders = [order for order in await self._orders(wanted) if viewer.sees(order.account_id)]
        if not orders:
            return plain_page(f"Orders: {wanted}", tag("p", NOTHING))
        rows = [_row(order) for order in orders[:SHOWN]]
        more = tag("p", f"The latest {SHOWN} are shown.") if len(orders) > SHOWN else None
        return plain_page(f"Orders: {wanted}", _table(_COLUMNS, rows), more)

    async def _orders(self, wanted: str) -> list[Order]:
        account_id, slash, client_order_id = wanted.partition("/")
        if slash:
            order = await self._house.orders.by_client_order_id(account_id, client_order_id)
            return [] if order is None else [order]
        order = await self._house.orders.get(wanted) if wanted else None
        if order is not None:
            return [order]
        return await self._house.orders.page(OrderQuery(account_id=wanted, limit=SHOWN + 1))

    async def order(self, order_id: str, viewer: Viewer) -> str | None:
        """Return the page of one order; None if it is not there for this viewer."""
        store = self._house.orders
        order = await store.get(order_id)
        if order is None or not viewer.sees(order.account_id):
            return None
        events = [
            _cells(moment(e.at), e.type, e.actor, e.cause) for e in await store.events(order_id)
        ]
        attempts = [
            _cells(
                a.broker_order_key,
                a.broker_id,
                moment(a.claimed_at),
                a.outcome,
                a.settled_by or "",
                moment(a.settled_at) if a.settled_at is not None else "",
            )
            for a in await store.attempts(order_id)
        ]
        fills = [
            _cells(
                moment(x.at),
                x.execution_type,
                plain(x.last_quantity),
                plain_or_none(x.last_price) or "",
                x.broker_id,
                x.execution_id,
            )
            for x in await store.executions(order_id)
        ]
        doubts = [d for d in await self._house.control.doubts() if d.order_id == order_id]
        acts = [button(act, viewer, "admin:settle") for d in doubts for act in doubt_acts(d)]
        return plain_page(
            f"Order {order.order_id}",
            _facts(order),
            tag("div", acts, class_="acts") if acts else None,
            _part("Life", ("When", "Step", "By", "Cause"), events),
            _part("Attempts", _ATTEMPTS, attempts),
            _part("Executions", _FILLS, fills),
        )


_COLUMNS: Final = ("Order", "Account", "Client id", "Symbol", "Side", "Quantity", "Status", "At")
_ATTEMPTS: Final = ("Attempt", "Broker", "Claimed", "Outcome", "Settled by", "Settled")
_FILLS: Final = ("When", "Type", "Quantity", "Price", "Broker", "Execution")


def _row(order: Order) -> Safe:
    return _cells(
        order_link(order.order_id),
        order.account_id,
        order.client_order_id,
        order.symbol,
        str(order.side),
        plain(order.quantity),
        str(order.status).replace("_", " "),
        moment(order.accepted_at),
    )


def _facts(order: Order) -> Safe:
    shown = (
        ("Status", str(order.status).replace("_", " ")),
        ("Account", order.account_id),
        ("Client id", order.client_order_id),
        ("Symbol", f"{order.symbol} ({order.market})"),
        ("Side", str(order.side)),
        ("Quantity", plain(order.quantity)),
        ("Limit", plain_or_none(order.limit_price) or "market"),
        ("Filled", plain(order.filled_quantity)),
        ("Session", order.trading_session_id),
        ("Version", str(order.version)),
    )
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in shown])


def _part(title: str, columns: tuple[str, ...], rows: list[Safe]) -> Safe:
    inside = _table(columns, rows) if rows else tag("p", "None.")
    return tag("section", tag("h2", title), inside, class_="panel")


def _cells(*values: str) -> Safe:
    return tag("tr", [tag("td", value) for value in values])


def _table(columns: tuple[str, ...], rows: list[Safe]) -> Safe:
    head = tag("thead", tag("tr", [tag("th", column, scope="col") for column in columns]))
    return tag("div", join(tag("table", head, tag("tbody", rows))), class_="wide")
