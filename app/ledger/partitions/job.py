"""Keeps the days of the ledger: some ahead, a year behind, the rest archived and gone.

It runs in the program itself, so that no installation forgets it, and by hand as `openbell
partitions`. It looks, plans and does one thing after another; what cannot be done is told and
tried again an hour later, for no retention is worth an order. The trap is a job that fails in
silence until the day when no table is left to take an order: `is_short` is true from the moment
when fewer than two sessions to come have theirs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sqlalchemy.exc import SQLAlchemyError

from app.clock import Clock
from app.domain.session import Calendar
from app.domain.values import DAY_MS, EPOCH, rfc3339
from app.ledger.partitions.archive import Archive, Broken
from app.ledger.partitions.catalog import Gate, NotDone
from app.ledger.partitions.file import FileDays
from app.ledger.partitions.plan import (
    USUAL,
    Action,
    Attach,
    Catalog,
    Create,
    DefaultPartition,
    Detach,
    Drop,
    Finalize,
    Policy,
    ahead,
    plan,
    stays,
)
from app.ledger.partitions.plan import Archive as ToArchive
from app.ledger.partitions.server import ServerDays
from app.postgres import PostgresDatabase
from app.sqlite import Database

# Far more often than a day passes, so that one run may fail, and ten.
EVERY_S: Final = 3_600.0
AHEAD_MIN: Final = 2
OPEN: Final = Gate()
# To archive a day of a million orders takes minutes, and in SQLite its drop holds the writer up.
QUIET_MS: Final = 3_600_000
# What a day meets on its way out; anything else is our own mistake and ends the process.
TROUBLE: Final = (DefaultPartition, NotDone, Broken, SQLAlchemyError, OSError)


class Keeper(Protocol):
    """Takes a day through its steps in one kind of database; each raises when it is not done."""

    async def look(self, today: date, policy: Policy, *, scan: bool) -> Catalog: ...

    async def make(self, day: date) -> None: ...

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """Keep other jobs out while this is open; false if one is at work."""

    async def finalize(self, day: date) -> None: ...

    async def detach(self, day: date) -> None: ...

    async def archive(self, day: date, at: str) -> None: ...

    async def drop(self, day: date) -> None: ...

    async def settle(self) -> None:
        """Tidy up when something was done."""


class Ran(NamedTuple):
    """What one run did, and what it could not."""

    done: Sequence[Action] = ()
    failed: Sequence[tuple[Action, str]] = ()
    untidy: str | None = None  # why statistics were not taken
    elsewhere: bool = False  # another process is at it, so we left it to that one


class Outlook(NamedTuple):
    """What stands, what is to be done about it, and why old days stay."""

    catalog: Catalog
    actions: Sequence[Action]
    stays: Mapping[date, str]


OnStep = Callable[[Action], None]


def _unseen(_: Action) -> None: ...


class PartitionJob:
    """The loop, and what is to be seen of it."""

    def __init__(
        self,
        database: PostgresDatabase | Database,
        calendar: Callable[[], Calendar],
        clock: Clock,
        archive_dir: Path,
        *,
        policy: Policy = USUAL,
        gate: Gate = OPEN,
    ) -> None:
        archive = Archive(archive_dir)
        self._keeper: Keeper = (
            ServerDays(database, archive, gate)
            if isinstance(database, PostgresDatabase)
            else FileDays(database, archive, gate)
        )
        self._calendar = calendar
        self._clock = clock
        self._policy = policy
        self.attached = 0
        self.days_ahead = 0
        self.last_run_at: int | None = None  # when a run last ended without trouble
        self.last_error: str | None = None  # why the last one did not
        self._untidy = False  # something was done since the last `settle`

    @property
    def is_short(self) -> bool:
        """Whether so few days are ahead that somebody must look: an anomaly."""
        return self.days_ahead < AHEAD_MIN

    async def prepare(self) -> None:
        """Make the days ahead, before the doors open; what fails is told, and tried again."""
        await self._guarded(self._make_days)

    async def _make_days(self) -> Ran:
        run = _Run(self._keeper, self._clock)
        await run.do(a for a in (await self.outlook(scan=False)).actions if isinstance(a, Create))
        self._untidy |= bool(run.done)
        await self.outlook(scan=False)
        return Ran(run.done, run.failed)

    async def run(self) -> None:
        """Look every hour, for ever; let days leave while no market is open."""
        while True:
            leave = _is_quiet(self._calendar(), self._clock.now())
            await self._guarded(partial(self.apply, leave=leave))
            await asyncio.sleep(EVERY_S)

    async def _guarded(self, step: Callable[[], Awaitable[Ran]]) -> None:
        try:
            ran = await step()
        except TROUBLE as e:
            self.last_error = said(e)
            return
        troubles = [f"{name_of(action)} {action.trade_date}: {why}" for action, why in ran.failed]
        troubles += [ran.untidy] if ran.untidy else []
        self.last_error = "; ".join(troubles) or None
        if not troubles:
            self.last_run_at = self._clock.now()

    async def outlook(self, *, scan: bool = True) -> Outlook:
        """Return what stands and what `apply` would do, or raise `DefaultPartition`."""
        now = self._clock.now()
        dates = ahead(self._calendar(), now, self._policy.sessions_ahead)
        today = dates[0] if dates else EPOCH + timedelta(days=now // DAY_MS)
        catalog = await self._keeper.look(today, self._policy, scan=scan)
        self.attached = sum(map(catalog.is_whole, catalog.days))
        self.days_ahead = sum(day > today and catalog.is_whole(day) for day in dates)
        actions = plan(catalog, dates, today, self._policy)
        return Outlook(catalog, actions, stays(catalog, today, self._policy))

    async def apply(self, *, leave: bool = True, on_step: OnStep = _unseen) -> Ran:
        """Do what is planned; without `leave` only what makes days whole, and nothing long."""
        run = _Run(self._keeper, self._clock, on_step)
        first = (await self.outlook(scan=leave)).actions
        await run.do(action for action in first if isinstance(action, Create))
        self._untidy |= bool(run.done)
        untidy: str | None = None
        is_alone = True
        if (leave and self._untidy) or any(_is_due(action, leave=leave) for action in first):
            async with self._keeper.alone() as is_alone:
                if is_alone:
                    # What another process has done until now is done.
                    again = (await self.outlook(scan=leave)).actions
                    await run.do(action for action in again if _is_due(action, leave=leave))
                    self._untidy |= bool(run.done)
                    untidy = await self._tidy() if leave else None
        await self.outlook(scan=False)
        return Ran(run.done, run.failed, untidy, elsewhere=not is_alone)

    async def _tidy(self) -> str | None:
        if not self._untidy:
            return None
        try:
            await self._keeper.settle()
        except TROUBLE as e:
            return f"statistics were not taken: {said(e)}"
        self._untidy = False
        return None


class _Run:
    """One run at work."""

    def __init__(self, keeper: Keeper, clock: Clock, on_step: OnStep = _unseen) -> None:
        self._keeper = keeper
        self._clock = clock
        self._on_step = on_step
        self.done: list[Action] = []
        self.failed: list[tuple[Action, str]] = []

    async def do(self, actions: Iterable[Action]) -> None:
        """Take one step after another; where one fails, the later ones of its day wait."""
        for action in actions:
            if any(failed.trade_date == action.trade_date for failed, _ in self.failed):
                continue
            try:
                await self._take(action)
            except TROUBLE as e:
                self.failed.append((action, said(e)))
            else:
                self.done.append(action)
            self._on_step(action)

    async def _take(self, action: Action) -> None:
        day = action.trade_date
        match action:
            case Create() | Attach():
                await self._keeper.make(day)
            case Finalize():
                await self._keeper.finalize(day)
            case Detach():
                await self._keeper.detach(day)
            case ToArchive():
                await self._keeper.archive(day, rfc3339(self._clock.now()))
            case Drop():
                await self._keeper.drop(day)


def name_of(action: Action) -> str:
    """Return the step's name as people read it."""
    return type(action).__name__.lower()


def said(e: Exception) -> str:
    """Return what went wrong, without the statement that it went wrong in."""
    return str(getattr(e, "orig", None) or e).strip()


def _is_due(action: Action, *, leave: bool) -> bool:
    return not isinstance(action, Create) and (leave or isinstance(action, Finalize | Attach))


def _is_quiet(calendar: Calendar, now: int) -> bool:
    """Whether no market is open, or opens before what we begin is over."""
    coming = [calendar.next(market, now) for market in calendar.markets]
    soon = any(session and session.opens_at < now + QUIET_MS for session in coming)
    return not soon and not calendar.open_now(now)
