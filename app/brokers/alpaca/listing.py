"""Reads Alpaca's lists page by page: the fills of an account, and its orders that have ended.

A list is read to its end, or the reading fails and says so. The trap is a cursor that is taken for
a place: fills of one millisecond are listed in no order, and one may be listed late, behind the
last one that was read. So a cursor only leads through one reading, and the next one overlaps it.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import quote, urlencode

from app.brokers.alpaca.shapes import Fill, Order, Unreadable, fills_in, orders_in, rfc3339
from app.brokers.alpaca.words import begun_at, is_absent, order_in, refusal
from app.brokers.exchange import OK, Exchange, Reply
from app.domain.messages import Absent, Throttled, Unknown

# The most that a page holds, by the documentation.
FILLS_A_PAGE: Final = 100
ORDERS_A_PAGE: Final = 500
# Two pages a second are 120 requests a minute, and the account has 200 for everything.
PAGE_GAP_S: Final = 0.5


# Each link is a request; who changes his price more often is asked about by a person.
CHAIN_MAX: Final = 20


class NoList(Exception):
    """A page did not come, or could not be read: the list is not known."""

    def __init__(self, cause: str, retry_after_s: float | None = None) -> None:
        super().__init__(cause)
        self.retry_after_s = retry_after_s


async def fills(
    exchange: Exchange, now: int, since: int, until: int | None = None
) -> AsyncIterator[list[Fill]]:
    """Yield the fills of a span, the oldest page first."""
    asked = {"after": rfc3339(since), "direction": "asc", "page_size": str(FILLS_A_PAGE)}
    if until is not None:
        asked["until"] = rfc3339(until)
    while True:
        body = await _page(exchange, f"/v2/account/activities/FILL?{urlencode(asked)}", now)
        try:
            page = fills_in(body)
        except Unreadable as e:
            raise NoList(f"unreadable activities: {e}") from e
        if page and page[-1].id == asked.get("page_token"):
            raise NoList("a page of activities that leads to itself")
        yield page
        if len(page) < FILLS_A_PAGE:
            return
        asked["page_token"] = page[-1].id
        await asyncio.sleep(PAGE_GAP_S)


async def ended_orders(exchange: Exchange, now: int, since: int) -> AsyncIterator[list[Order]]:
    """Yield the orders that were sent since then and have ended, the oldest page first."""
    seen: set[str] = set()
    while True:
        # Only the time of sending can be asked for, and several orders may share one: so each
        # page begins a millisecond before the end of the last one.
        asked = {"status": "closed", "limit": str(ORDERS_A_PAGE), "direction": "asc"}
        asked["after"] = rfc3339(since)
        body = await _page(exchange, f"/v2/orders?{urlencode(asked)}", now)
        try:
            page = orders_in(body)
        except Unreadable as e:
            raise NoList(f"unreadable orders: {e}") from e
        fresh = [order for order in page if order.id not in seen]
        yield fresh
        last = begun_at(page[-1]) if page else None
        if len(page) < ORDERS_A_PAGE or last is None or not fresh:
            return
        seen = {order.id for order in page}
        since = max(since, last - 1)
        await asyncio.sleep(PAGE_GAP_S)


async def one_order(exchange: Exchange, order_id: str) -> Order | Absent:
    """Return an order by Alpaca's own id."""
    reply = await exchange.ask(f"/v2/orders/{quote(order_id, safe='')}")
    if not isinstance(reply, Reply):
        raise NoList(reply.cause)
    if is_absent(reply):
        return Absent()
    order = order_in(reply.body) if reply.status in OK else Unknown(f"HTTP {reply.status}")
    if isinstance(order, Unknown) or order.id != order_id:
        raise NoList(f"order {order_id} cannot be shown")
    return order


async def chain_of(exchange: Exchange, order: Order) -> list[Order]:
    """Return an order under all of its ids, as far as each replace is in force, the first first.

    A replace that is not in force yet stands alone: the order that it wants to replace goes on.
    """
    chain = [order]
    while (earlier := chain[0].replaces) is not None and len(chain) < CHAIN_MAX:
        before = await one_order(exchange, earlier)
        if isinstance(before, Absent):
            raise NoList(f"order {earlier} was replaced, and is not there")
        if before.status != "replaced" or before.replaced_by != chain[0].id:
            break
        chain.insert(0, before)
    while chain[-1].status == "replaced" and chain[-1].replaced_by and len(chain) < CHAIN_MAX:
        after = await one_order(exchange, chain[-1].replaced_by)
        if isinstance(after, Absent):
            raise NoList(f"order {chain[-1].id} goes on, and is not there")
        chain.append(after)
    return chain


async def _page(exchange: Exchange, path: str, now: int) -> bytes:
    reply = await exchange.ask(path)
    if not isinstance(reply, Reply):
        raise NoList(reply.cause)
    if reply.status not in OK:
        answer = refusal(reply, now)
        wait_s = answer.retry_after_s if isinstance(answer, Throttled) else None
        raise NoList(f"HTTP {reply.status}", wait_s)
    return reply.body
