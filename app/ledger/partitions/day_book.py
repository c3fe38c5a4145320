"""Tells a person which days stand, what is in them, and what the job of partitions does next.

It looks and changes nothing. Of a large day the orders are not counted, for a count reads all of
it: their places in the line say how many there are at most. The trap is to look too closely at
the open: whether an old day has open orders is asked only while no market trades.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, text

from app.domain.daybook import DayBook, DayStands, DayStep
from app.ledger import days
from app.ledger.dialect import part
from app.ledger.partitions.job import TROUBLE, PartitionJob, name_of, said
from app.ledger.partitions.plan import Catalog, Standing
from app.ports.away import StoreAway

COUNTED_MAX: Final = 10_000
# A day takes some 20 ms, a year of them seconds; and a file has one reader, for whom the halts that
# an operator sets wait as well.
DAYS_A_LOOK: Final = 5
Ask = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


async def day_book(job: PartitionJob, ask: Ask, *, scan: bool) -> DayBook:
    """Return the days of this ledger, the latest first; `ask` reads from it."""
    try:
        outlook = await job.outlook(scan=scan)
    except StoreAway:
        raise
    except TROUBLE as e:  # whoever looks here has heard of it, and wants to know what it is
        return DayBook((), (), looked_for_work=False, trouble=said(e))
    catalog = outlook.catalog
    counts: dict[date, tuple[int, bool]] = {}
    every = sorted(catalog.days)
    for start in range(0, len(every), DAYS_A_LOOK):
        counts |= await ask(partial(_counts, some=every[start : start + DAYS_A_LOOK]))
    stands = [
        DayStands(
            trade_date=day,
            state=state_of(catalog, day),
            archived=day in catalog.archived,
            orders=counts[day][0],
            is_rough=counts[day][1],
            stays=outlook.stays.get(day),
        )
        for day in sorted(catalog.days, reverse=True)
    ]
    steps = [DayStep(name_of(a), a.trade_date, a.reason) for a in outlook.actions]
    return DayBook(stands, steps, scan)


def state_of(catalog: Catalog, day: date) -> str:
    """Return how a day's tables stand, in a word."""
    if catalog.is_whole(day):
        return Standing.ATTACHED.value
    found = {standing.value for standing in catalog.days[day].values()}
    return "detached" if found == {Standing.LOOSE.value} else " and ".join(sorted(found))


def _counts(connection: Connection, some: Sequence[date]) -> dict[date, tuple[int, bool]]:
    # Asked anew: a day that was dropped since the look has no table to count in.
    standing = days.standings(connection)
    return {
        day: _count(connection, day) if "orders" in standing.get(day, {}) else (0, False)
        for day in some
    }


def _count(connection: Connection, day: date) -> tuple[int, bool]:
    name = f"orders{part(day)}"
    some = text(f"SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {COUNTED_MAX}) AS few")
    counted = int(connection.execute(some).scalar_one())
    if counted < COUNTED_MAX:
        return counted, False
    line = text(f"SELECT max(accept_sequence) - min(accept_sequence) + 1 FROM {name}")
    return int(connection.execute(line).scalar_one()), True
