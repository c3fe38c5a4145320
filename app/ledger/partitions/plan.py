"""Decides which trade dates the ledger has parts for, and which leave: a plan, a reason a line.

A day is made ahead of its first order, kept for a trading year, and then leaves in steps: it is
detached, archived, compared with its archive, and dropped. The trap is a day that only looks
old: an order that was rolled, or an attempt that is in doubt, keeps its day however long ago it
began. Where an earlier run was cut off half way, the plan goes on from what stands.

Nothing here looks at a database: `days` reads the catalog, `job` does what is planned.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from app.domain.session import Calendar, TradingSession


class Standing(StrEnum):
    """How a table of a day stands to its parent."""

    ATTACHED = "attached"
    DETACHING = "detaching"  # a detach was cut off: readers miss it, and no other detach may start
    LOOSE = "loose"  # detached, or never attached


class DefaultPartition(Exception):
    """Somebody has made a partition for what fits nowhere."""


class Policy(NamedTuple):
    """How far ahead days are made, and how long they stay."""

    sessions_ahead: int = 10
    # A trading year. With 1,000 partitions a page over all dates took 18 ms instead of 0.8.
    keep_attached: int = 260


USUAL: Final = Policy()
NOTHING: Final[Mapping[date, str]] = MappingProxyType({})


class Catalog(NamedTuple):
    """What stands. `busy` and `gated` say why a day may not leave, or not for ever."""

    days: Mapping[date, Mapping[str, Standing]]
    tables: Sequence[str]
    busy: Mapping[date, str] = NOTHING
    archived: frozenset[date] = frozenset()
    gated: Mapping[date, str] = NOTHING
    defaults: Sequence[str] = ()
    detaches: bool = True  # else a day stays where it is until it is dropped (SQLite)

    def has(self, day: date, standing: Standing) -> bool:
        """Whether a table of the day stands so."""
        return standing in self.days.get(day, {}).values()

    def is_whole(self, day: date) -> bool:
        """Whether the day has all its tables, and a statement finds them."""
        found = self.days.get(day, {})
        return all(found.get(name) is Standing.ATTACHED for name in self.tables)


class Finalize(NamedTuple):
    """End a detach that was cut off."""

    trade_date: date
    reason: str


class Create(NamedTuple):
    """Make the tables of a day."""

    trade_date: date
    reason: str


class Attach(NamedTuple):
    """Let the ledger see again what stands beside it; make what is missing."""

    trade_date: date
    reason: str


class Detach(NamedTuple):
    """Take a day out of the ledger; its tables stay."""

    trade_date: date
    reason: str


class Archive(NamedTuple):
    """Copy a day into files, and read them back."""

    trade_date: date
    reason: str


class Drop(NamedTuple):
    """Drop the tables of a day, if the archive is what they say at that moment."""

    trade_date: date
    reason: str


Action = Finalize | Create | Attach | Detach | Archive | Drop


def ahead(calendar: Calendar, now: int, sessions: int) -> list[date]:
    """Return the trade dates of what is open, and of each market's next sessions."""
    found = {session.trade_date for session in calendar.open_now(now)}
    for market in calendar.markets:
        after: TradingSession | None = None
        for _ in range(sessions):
            after = calendar.next(market, after.opens_at if after else now)
            if after is None:
                break
            found.add(after.trade_date)
    return sorted(found)


def leaving(days: Iterable[date], today: date, policy: Policy) -> list[date]:
    """Return the days that have been kept long enough, the earliest first.

    One always stays: a parent without a child has no statistics, and refuses every row.
    """
    past = sorted(day for day in days if day < today)
    return past[: -max(1, policy.keep_attached)]


def to_examine(catalog: Catalog, today: date, policy: Policy) -> list[date]:
    """Return the days for which the plan depends on whether they are busy: asking is a scan."""
    return [
        day
        for day in leaving(catalog.days, today, policy)
        if not (_is_out(catalog, day) and day in catalog.archived and day in catalog.gated)
    ]


def stays(catalog: Catalog, today: date, policy: Policy) -> dict[date, str]:
    """Return why days that are old enough do not leave."""
    reasons = {**catalog.gated, **catalog.busy}
    old = leaving(catalog.days, today, policy)
    return {day: reasons[day] for day in old if day in reasons}


def plan(
    catalog: Catalog, dates_ahead: Sequence[date], today: date, policy: Policy
) -> list[Action]:
    """Return what to do, in this order; nothing, once it has been done."""
    if catalog.defaults:
        raise DefaultPartition(
            f"{', '.join(catalog.defaults)}: a DEFAULT partition stops every concurrent detach, and"
            " each new day would scan it under an exclusive lock. Move its rows to the days they"
            " belong to, and drop it"
        )
    old = [day for day in leaving(catalog.days, today, policy) if day not in catalog.busy]
    kept = sorted({*dates_ahead, *catalog.days}.difference(old))
    # One cut-off detach stops the next ones of its parent, so it goes first.
    actions: list[Action] = [
        Finalize(day, "its detach was cut off")
        for day in sorted(catalog.days)
        if catalog.has(day, Standing.DETACHING)
    ]
    for day in kept:
        actions += _keep(catalog, day)
    for day in old:
        actions += _leave(catalog, day, policy)
    return actions


def _keep(catalog: Catalog, day: date) -> list[Action]:
    if catalog.is_whole(day):
        return []
    if day not in catalog.days:
        return [Create(day, "a session to come needs it")]
    why = catalog.busy.get(day, "it is one of the days that are kept")
    return [Attach(day, f"not all of it is attached, and {why}")]


def _leave(catalog: Catalog, day: date, policy: Policy) -> list[Action]:
    actions: list[Action] = []
    if catalog.detaches and catalog.has(day, Standing.ATTACHED):
        actions.append(Detach(day, f"{policy.keep_attached} later days are kept; nothing is open"))
    if day not in catalog.archived:
        actions.append(Archive(day, "it has no archive"))
    if day not in catalog.gated:
        actions.append(Drop(day, "nothing keeps it once its archive is verified"))
    return actions


def _is_out(catalog: Catalog, day: date) -> bool:
    out = {Standing.LOOSE} if catalog.detaches else {Standing.LOOSE, Standing.ATTACHED}
    return out.issuperset(catalog.days[day].values())
