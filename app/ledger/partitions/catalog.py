"""Reads what the plan of partitions is made from: what stands, what is archived, what is open.

The scan for open orders is asked for few days: those that would leave. The trap is an order
that moves although it had ended, by a late fill or a bust: whoever detaches or drops a day asks
once more right before, and a day that has left with an open order comes back by the next plan.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import date
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from app import codec
from app.domain.order import TERMINAL
from app.ledger import days, rows
from app.ledger.dialect import Statement, of, part
from app.ledger.partitions.plan import Catalog, Policy, leaving, to_examine
from app.ledger.tables import PARTED

# Why a day may not leave for ever, or None; asked of each old day at each look, so it is cheap.
MayDrop = Callable[[date], str | None]
# All orders of a day as the bus would carry them; each call begins anew.
Orders = Callable[[], AsyncIterator[list[bytes]]]
# Why a day may not leave, by what stands in it; asked once, right before the drop.
Compare = Callable[[date, Orders], Awaitable[str | None]]

# Each row of these is work to be done on an order of the day.
QUEUES: Final = {
    "dispatch_inflight": "an attempt of it is open",
    "dispatch_ready": "an order of it waits for a permit",
    "reserved_book": "an order of it waits for its bell",
    "cancel_requests": "a cancel of it is unanswered",
    "replace_requests": "a replace of it is unanswered",
}
_WAITING: Final = {
    queue: Statement(
        lambda d, queue=queue: (  # type: ignore[misc]
            f"SELECT DISTINCT {d.words('trade_date')} FROM {queue}"
            f" WHERE trade_date IN (SELECT value FROM {d.values('days', 'date')} AS i)"
        )
    )
    for queue in QUEUES
}
PAGE_ORDERS: Final = 2_000
_ENDED: Final = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


def nobody_minds(_day: date) -> str | None:
    return None


async def agreed(_day: date, _orders: Orders) -> str | None:
    return None


class Gate(NamedTuple):
    """What must agree, beyond the archive, before a day is dropped."""

    may_drop: MayDrop = nobody_minds
    compare: Compare = agreed


class NotDone(Exception):
    """A step that was not taken, and why; the next run plans anew."""


def look(
    connection: Connection,
    archived: frozenset[date],
    may_drop: MayDrop,
    today: date,
    policy: Policy,
    *,
    scan: bool,
) -> Catalog:
    """Return what stands in this ledger, and why what is old may not leave."""
    catalog = Catalog(
        days=days.standings(connection),
        tables=PARTED,
        archived=archived,
        defaults=days.defaults(connection),
        detaches=not of(connection).names_parts,
    )
    old = leaving(catalog.days, today, policy)
    gated = {day: why for day in old if (why := may_drop(day)) is not None}
    catalog = catalog._replace(gated=gated)
    if not scan:
        return catalog
    return catalog._replace(busy=busy(connection, to_examine(catalog, today, policy)))


def busy(connection: Connection, examined: Iterable[date]) -> dict[date, str]:
    """Return why these days may not leave the ledger now; a day that may has no entry."""
    examined = list(examined)
    found: dict[date, str] = {}
    if not examined:
        return found
    asked = codec.text(examined)
    for queue, why in QUEUES.items():
        waiting = _WAITING[queue].run(connection, days=asked).scalars()
        found |= dict.fromkeys(map(date.fromisoformat, waiting), why)
    for day in examined:
        status = None if day in found else _open_status(connection, day)
        if status is not None:
            found[day] = f"an order of it is {status}"
    return found


def quiet(connection: Connection, day: date) -> None:
    """Raise `NotDone` unless nothing of the day is open."""
    why = busy(connection, [day]).get(day)
    if why is not None:
        raise NotDone(f"{day} stays: {why}")


def _open_status(connection: Connection, day: date) -> str | None:
    """Return the status of an order that has not ended, by the table's own name: it may be loose.

    A day of which only the other tables are left has no orders to ask for.
    """
    name = f"orders{part(day)}"
    if "orders" not in days.standings(connection).get(day, {}):
        return None
    found = text(f"SELECT status FROM {name} WHERE status NOT IN ({_ENDED}) LIMIT 1")
    status = connection.execute(found).scalar()
    return None if status is None else str(status)


def orders_after(connection: Connection, day: date, after: int) -> list[tuple[int, bytes]]:
    """Return the next orders of a day, each with its place, though it be attached no more."""
    d = of(connection)
    page = (
        f"(SELECT {d.array('o.accept_sequence', rows.as_event(d))} AS p"
        f" FROM orders{part(day)} AS o WHERE o.accept_sequence > :after"
        f" ORDER BY o.accept_sequence LIMIT {PAGE_ORDERS}) AS found"
    )
    found = connection.execute(text(d.listed(d.json("p"), page)), {"after": after})
    return codec.split(found.scalar_one())


async def orders_of(
    ask: Callable[[Callable[[Connection], list[tuple[int, bytes]]]], Awaitable[Any]], day: date
) -> AsyncIterator[list[bytes]]:
    """Yield all orders of a day, page by page; `ask` runs each question where it may run."""
    after = 0
    while found := await ask(partial(orders_after, day=day, after=after)):
        after = found[-1][0]
        yield [payload for _, payload in found]
