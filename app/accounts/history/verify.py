"""Verifies that the view holds what the record says: an archive's files, or the ledger itself.

    1  read the record, add up each day, compare a sample        (files: in several processes)
    2  add up the same days in the view
    3  of a day that differs, or that a live event has touched: compare every order

The files are read anew, not taken from what the load has noted: a load that misread a file would
agree with itself. The third step needs no second opinion on what is equal, so a day that is
whole costs one pass.

The trap is to verify while the day still moves. History does not, but a live day does; so verify
before its cut-over (`before`), and of the ledger only days that are closed.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterable, Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import date
from functools import partial
from typing import Final, NamedTuple, TypeVar

from app.accounts.fold import fold
from app.accounts.history.comparison import Comparison
from app.accounts.history.findings import Findings, Seen
from app.accounts.history.making import bound_as_surveyed, made
from app.accounts.history.mapping import BadMapping
from app.accounts.history.plan import LoadPlan
from app.accounts.history.report import DayFinding
from app.accounts.history.source import (
    Broken,
    Fingerprint,
    Slice,
    SourceFile,
    Unreadable,
    files,
    read,
    slices,
)
from app.accounts.history.totals import DayTotals
from app.accounts.history.view import AccountView
from app.accounts.mongo import Client, close_client, make_client

T = TypeVar("T")
# So many ids in one question to the store: a sample needs few, a whole day's comparison all.
ROWS_AT_ONCE: Final = 1_000

Told = Callable[[str, int, int], None]  # the step in words, how many parts of it are done, of all


class _Part(NamedTuple):
    part: Slice
    fingerprint: Fingerprint


class Verified(NamedTuple):
    """What was found: a row for each day, and what belongs to no day."""

    days: list[DayFinding]
    findings: Findings


def processes(workers: int) -> Executor:
    """Return what reads files: Python's own part of it needs an interpreter for each."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


async def verify_source(plan: LoadPlan, pool: Executor, client: Client, told: Told) -> Verified:
    """Compare an archive with the view; raise `StoreAway`."""
    view = AccountView(client, plan.store.database)
    await view.prepare()
    found = await asyncio.to_thread(lambda: list(files(plan.root)))
    parts = [
        _Part(part, file.fingerprint)
        for file in found
        if isinstance(file, SourceFile)
        for part in slices(file)
    ]
    by_part = await _each(
        pool, "reading the source", told, [partial(compare_part, plan, p, None) for p in parts]
    )
    findings = Findings()
    for one in by_part:
        findings.merge(one)
    findings.unreadable += [f"{f.path}: {f.reason}" for f in found if isinstance(f, Broken)]
    days = sorted(findings.days)
    counted = await _each(
        pool, "reading the view", told, [partial(count_day, plan, day) for day in days]
    )
    views = dict(zip(days, counted, strict=True))
    # A day of which a live event has overtaken an order is one of them: the view adds up less.
    suspects = frozenset(d for d in days if not DayFinding(findings.days[d], views[d]).is_equal)
    again = [
        partial(compare_part, plan, part, suspects)
        for part, one in zip(parts, by_part, strict=True)
        if suspects & one.days.keys()
    ]
    closely = await _each(pool, "comparing what differs", told, again)
    _look_closer(findings, closely, suspects)
    return Verified([DayFinding(findings.days[d], views[d]) for d in days], findings)


async def verify_ledger(
    payloads: Callable[[], AsyncIterable[list[bytes]]],
    days: Collection[date],
    view: AccountView,
) -> Verified:
    """Compare closed days of the ledger with the view; raise `StoreAway`.

    `payloads` is asked twice where a day differs. The view must hold the ledger's newest version
    of each order and nothing else on these days.
    """
    await view.prepare()
    findings = await _compared(payloads(), Comparison(view, days=days))
    views = {day: await view.day(day, history_only=False) for day in sorted(days)}
    for day in days:
        findings.days.setdefault(day, Seen(DayTotals(day)))
    suspects = frozenset(d for d in views if not DayFinding(findings.days[d], views[d]).is_equal)
    if suspects:
        closely = await _compared(payloads(), Comparison(view, days=suspects, everything=True))
        _look_closer(findings, [closely], suspects)
    return Verified([DayFinding(findings.days[day], views[day]) for day in views], findings)


def compare_part(plan: LoadPlan, part: _Part, days: frozenset[date] | None) -> Findings:
    """Compare one slice, in a process of its own."""

    async def compare() -> Findings:
        client = make_client(plan.store.url, plan.store.driver)
        try:
            view = AccountView(client, plan.store.database)
            everything = days is not None
            comparison = Comparison(view, days=days, everything=everything, supersedes=True)
            return await _through(plan, part, comparison)
        finally:
            await close_client(client)

    return asyncio.run(compare())


def count_day(plan: LoadPlan, day: date) -> DayTotals:
    """Add up one day of history in the view, in a process of its own."""

    async def count() -> DayTotals:
        client = make_client(plan.store.url, plan.store.driver)
        try:
            return await AccountView(client, plan.store.database).day(day, history_only=True)
        finally:
            await close_client(client)

    return asyncio.run(count())


async def _through(plan: LoadPlan, part: _Part, comparison: Comparison) -> Findings:
    rejected, unreadable = 0, []
    try:
        bound = bound_as_surveyed(plan.root, part.part, plan.mapping, part.fingerprint)
        for batch in read(plan.root, part.part, bound.columns):
            for start in range(0, len(batch.rows), ROWS_AT_ONCE):
                places = range(start, min(start + ROWS_AT_ONCE, len(batch.rows)))
                some = made(batch, bound, plan.before, places)
                rejected += len(some.reasons)
                await comparison.see([document for _, document in some.documents])
    except (Unreadable, BadMapping) as e:
        unreadable.append(f"{part.part.path}: row group {part.part.row_group}: {e}")
    findings = comparison.findings
    findings.rejected += rejected
    findings.unreadable += unreadable
    return findings


async def _compared(payloads: AsyncIterable[list[bytes]], comparison: Comparison) -> Findings:
    async for some in payloads:
        for start in range(0, len(some), ROWS_AT_ONCE):
            await comparison.see([fold(one) for one in some[start : start + ROWS_AT_ONCE]])
    return comparison.findings


async def _each(pool: Executor, step: str, told: Told, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Make all calls in the pool; return the answers in order. The first failure ends them."""
    loop = asyncio.get_running_loop()
    futures = [loop.run_in_executor(pool, call) for call in calls]
    done = 0

    def one_more(_: object) -> None:
        nonlocal done
        done += 1
        told(step, done, len(calls))

    for future in futures:
        future.add_done_callback(one_more)
    try:
        return await asyncio.gather(*futures)
    finally:
        for future in futures:
            future.cancel()


def _look_closer(
    findings: Findings, closely: Iterable[Findings], suspects: Collection[date]
) -> None:
    """Put what the close look has shown in place of what the first one did."""
    close = Findings()
    for one in closely:
        close.merge(one)
    for day in suspects:
        findings.days[day] = close.days.get(day, Seen(DayTotals(day)))
    findings.differences = close.differences
