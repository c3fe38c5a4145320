"""Finds orders for an operator: by id, by account and client id, by account, by symbol and date.

It reads the ledger, so it is current and needs neither the bus nor the account view. What belongs
to an account that the operator's key does not see is not there, in the same words as what nobody
has. The trap is a search that reads a whole day at the open: a symbol's orders are looked for
page by page, each of so many rows, and an empty page says where to look on.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple
from urllib.parse import urlencode

from app.domain.errors import Code
from app.domain.order import Order
from app.domain.query import OrderQuery, SymbolPage
from app.web.console.life import AUDIT, AUDIT_SHOWN, Records, order_page, resources_of
from app.web.console.markup import Piece, Safe, tag
from app.web.console.shapes import ZONES, moment, order_link, order_status
from app.web.console.sight import Viewer
from app.web.console.small import Around, plain_page, zones_of
from app.web.cursors import cursor_at, place_of
from app.web.house import House
from app.web.problems import invalid_at
from app.web.shapes import plain, plain_or_none

SHOWN: Final = 100
NOTHING: Final = "No such order, or it is not yours to see."
SYMBOL: Final = "symbol:"
EVERYBODY: Final = "*"


class Search(NamedTuple):
    """What was typed, and where the last page ended."""

    q: str
    day: str = ""
    cursor: str = ""

    def further(self, place: int, *listing: str) -> Safe:
        """Return the way to the next page of this listing."""
        there = self._replace(cursor=cursor_at(place, listing))
        return tag("a", "Further back →", href=f"/console/orders?{there.asked()}", rel="next")

    def carried(self) -> Safe:
        """Return the way to this very page as a table."""
        href = f"/console/orders.csv?{self.asked()}"
        return tag("a", "These orders as CSV", href=href, download="orders.csv")

    def asked(self) -> str:
        return urlencode({name: value for name, value in self._asdict().items() if value})

    def place(self, *listing: str) -> int | None:
        return place_of(self.cursor, listing) if self.cursor else None


class Found(NamedTuple):
    """What a search has found: one page of it."""

    title: str
    search: Search  # with the trade date that was meant
    orders: Sequence[Order] = ()
    said: tuple[Piece, ...] = ()  # above the orders
    more: Safe | None = None


class Finder:
    """Reads what the pages of orders show."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def found(self, search: Search, viewer: Viewer) -> str:
        """Return the page of what a search finds."""
        page = await self.orders(search, viewer)
        inside: tuple[Piece, ...] = (_more(page.more),)
        if page.orders:
            between = " · " if page.more else None
            inside = _table(page.orders), tag("p", page.more, between, page.search.carried())
        return self._page(page.title, *page.said, *inside, search=page.search)

    async def orders(self, search: Search, viewer: Viewer) -> Found:
        """Return one page of what a search finds."""
        wanted = search.q.strip()
        if not wanted:
            return Found("Find an order", search, said=_HOW)
        if not search.cursor and not search.day:
            one = await self._one(wanted, viewer)
            if one is not None:
                return Found(f"Orders: {wanted}", search, [one])
        symbol = self._symbol(wanted, search)
        if not search.day and not wanted.startswith(SYMBOL):
            page = await self._of_account(wanted, search, viewer)
            if page is not None:
                return page
        if symbol is not None:
            return await self._of_symbol(symbol, search, viewer)
        return Found(f"Orders: {wanted}", search, said=(tag("p", NOTHING), *_HOW))

    async def _one(self, wanted: str, viewer: Viewer) -> Order | None:
        account_id, slash, client_order_id = wanted.partition("/")
        store = self._house.orders
        if slash:
            order = await store.by_client_order_id(account_id, client_order_id)
        else:
            order = await store.get(wanted)
        return order if order is not None and viewer.sees(order.account_id) else None

    async def _of_account(self, account_id: str, search: Search, viewer: Viewer) -> Found | None:
        """Return an account's orders, the latest first; None if there are none to see."""
        listing = ("account", account_id)
        if not viewer.sees(account_id) or "/" in account_id:
            return None
        before = search.place(*listing)
        query = OrderQuery(account_id=account_id, before=before, limit=SHOWN + 1)
        orders = await self._house.orders.page(query)
        if not orders and not search.cursor:
            return None
        shown = orders[:SHOWN]
        more = search.further(shown[-1].accept_sequence, *listing) if orders[SHOWN:] else None
        return Found(f"Orders of {account_id}", search, shown, more=more)

    def _symbol(self, wanted: str, search: Search) -> str | None:
        """Return the symbol that is meant: one that is traded here, or one that was said to be."""
        named = wanted.removeprefix(SYMBOL).strip().upper()
        if wanted.startswith(SYMBOL) or search.day:
            return named
        known = {symbol for _, symbol in self._house.reference().instruments}
        return named if named in known else None

    async def _of_symbol(self, symbol: str, search: Search, viewer: Viewer) -> Found:
        day = self._day(symbol, search.day)
        listing = ("symbol", symbol, day.isoformat())
        whose = None if EVERYBODY in viewer.accounts else sorted(viewer.accounts)
        place = search.place(*listing)
        found = await self._house.orders.of_symbol(symbol, day, place, whose)
        search = search._replace(day=day.isoformat())
        more = None if found.before is None else search.further(found.before, *listing)
        title = f"Orders of {symbol}, trade date {day}"
        return Found(title, search, found.orders, (_said(found, symbol, day),), more)

    def _day(self, symbol: str, typed: str) -> date:
        """Return the trade date that was typed; else of what is open now, or opens next."""
        if typed:
            try:
                return date.fromisoformat(typed)
            except ValueError:
                detail = "expected a date such as 2026-03-03"
                raise invalid_at("day", detail, Code.VALIDATION_FAILED) from None
        reference, now = self._house.reference(), self._house.clock.now()
        calendar = reference.calendar
        markets = [m for m, name in reference.instruments if name == symbol] or calendar.markets
        sessions = [calendar.current(m, now) or calendar.next(m, now) for m in markets]
        days = [one.trade_date for one in sessions if one is not None]
        return min(days, default=date(1970, 1, 1))

    async def order(self, order_id: str, viewer: Viewer) -> str | None:
        """Return the page of one order; None if it is not there for this viewer."""
        store, control = self._house.orders, self._house.control
        order = await store.get(order_id)
        if order is None or not viewer.sees(order.account_id):
            return None
        done = []
        if viewer.may(AUDIT):
            done = await control.audit_about(resources_of(order_id), AUDIT_SHOWN)
        found = Records(
            order=order,
            events=await store.events(order_id),
            attempts=await store.attempts(order_id),
            executions=await store.executions(order_id),
            doubts=[d for d in await control.doubts() if d.order_id == order_id],
            audit=done,
        )
        side = f"{order.side} {plain(order.quantity)} {order.symbol}"
        inside = order_page(found, viewer, self._house.clock.now())
        return self._page(f"Order: {side}", *inside, search=Search(""))

    def nothing(self) -> str:
        """Return the page of an order that is not there."""
        return self._page("Order", tag("p", NOTHING), *_HOW, search=Search(""))

    def _page(self, title: str, *inside: Piece, search: Search) -> str:
        return plain_page(title, *inside, around=around(self._house, search.q, search.day))


def around(house: House, query: str = "", day: str = "") -> Around:
    """Return what stands around a page that is drawn now."""
    calendar, now = house.reference().calendar, house.clock.now()
    near = [calendar.current(m, now) or calendar.next(m, now) for m in calendar.markets]
    nights = sorted((one.opens_at, one.market) for one in near if one is not None)
    clocks = {market: ZONES.get(market, "UTC") for market in calendar.markets}
    zones = zones_of(clocks, [market for _, market in nights])
    return Around(house.environment, now, zones, query, day)


_HOW: Final = (
    tag(
        "dl",
        [
            tag("div", tag("dt", name), tag("dd", what))
            for name, what in (
                ("An order's id", "one order"),
                ("account/client id", "the order that a client calls so"),
                ("An account", "its orders, the latest first"),
                ("A symbol", "its orders of one trade date, the latest first"),
            )
        ],
        class_="how",
    ),
)
_COLUMNS: Final = (
    *("Order", "Status", "Symbol", "Side", "Quantity", "Filled", "Price"),
    *("Account", "Client id", "Trade date", "Taken"),
)


NUMBERS: Final = frozenset({"Quantity", "Filled", "Price"})


def _head(column: str) -> Safe:
    return tag("th", column, scope="col", class_="number" if column in NUMBERS else None)


def _said(found: SymbolPage, symbol: str, day: date) -> Safe:
    if found.orders:
        return tag("p", f"{len(found.orders):,} here, the latest first.", class_="small")
    if found.before is not None:
        return tag("p", f"None of {symbol} among these orders of {day}; there are older ones.")
    return tag("p", f"No order of {symbol} on {day} that is yours to see.")


def _more(link: Safe | None) -> Safe | None:
    return None if link is None else tag("p", link)


def _table(orders: Iterable[Order]) -> Safe:
    rows = [_row(order) for order in orders]
    head = tag("thead", tag("tr", [_head(column) for column in _COLUMNS]))
    table = tag("table", head, tag("tbody", rows), class_="orders")
    return tag("section", tag("div", table, class_="wide"), class_="panel", aria_label="Orders")


def _row(order: Order) -> Safe:
    cells = (
        order_link(order.order_id),
        order_status(order.status),
        order.symbol,
        str(order.side),
        plain(order.quantity),
        plain(order.filled_quantity),
        plain_or_none(order.limit_price) or "market",
        order.account_id,
        order.client_order_id,
        order.trade_date.isoformat(),
        moment(order.accepted_at),
    )
    return tag(
        "tr",
        [
            tag("td", cell, class_="number" if column in NUMBERS else None)
            for column, cell in zip(_COLUMNS, cells, strict=True)
        ],
    )
