"""Hears what became of an account's orders, and publishes it: each fill, then each end.

    stream ─► bell ─┐
    silence ────────┼─► look: fills since the last look ─► publish ─► ends whose fills are told
    a new line ─────┘       (and, on a new line and every few minutes, orders that have ended)

The stream may be cut, silent, or say a thing twice; what is published comes from the lists, which
say everything whenever they are asked. Two looks overlap, and what is known is left out. An order
that has ended is told so once the fills that it shows are told, or have been owed for too long.

The trap is a look that fails half way: what it has told is kept, and what is left is read again.
Nothing is noted as told before the bus has it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from app.brokers.alpaca import listing
from app.brokers.alpaca.listing import NoList
from app.brokers.alpaca.shapes import ENDED, Fill, Order, milliseconds
from app.brokers.alpaca.told import Told
from app.brokers.alpaca.words import begun_at, execution_report, status_reports
from app.brokers.exchange import Exchange
from app.clock import Clock
from app.domain.messages import Absent, ExecutionReport

log: Final = logging.getLogger(__name__)

Publish = Callable[[Sequence[ExecutionReport]], Awaitable[None]]
# A fill is listed within moments of its time; two minutes also cover a clock of ours that is wrong.
OVERLAP_MS: Final = 120_000


class Pace(NamedTuple):
    """How often the feed looks, and how far back. In seconds."""

    look_gap_s: float
    silence_s: float
    sweep_every_s: float
    look_back_s: float
    patience_s: float


class _Pending(NamedTuple):
    """An order's latest word that is not told yet, and since when it waits."""

    order: Order
    since: float  # by the loop


class Feed:
    """The reports of one account."""

    def __init__(self, name: str, exchange: Exchange, clock: Clock, told: Told, pace: Pace) -> None:
        self._name = name
        self._exchange = exchange
        self._clock = clock
        self._told = told
        self._pace = pace
        self._pending: dict[str, _Pending] = {}
        self._successors: set[str] = set()  # ids under which replaced orders go on
        self._bell = asyncio.Event()
        self._sweep_due = True
        self._read_to = 0  # fills before this instant were published
        self.trouble: str | None = None  # why the last look failed

    def hear(self, order: Order | None) -> None:
        """Note what the stream says of an order, and look soon; None: it cannot be read."""
        if order is not None:
            self._note(order)
        self._bell.set()

    def line_is_new(self) -> None:
        """Look at everything: nobody knows what was said while nobody listened."""
        self._sweep_due = True
        self._bell.set()

    async def run(self, publish: Publish) -> None:
        """Look for ever: when rung, and when it was silent for too long."""
        loop, pace = asyncio.get_running_loop(), self._pace
        swept_at, failures = loop.time(), 0
        while True:
            sweep = self._sweep_due or loop.time() - swept_at >= pace.sweep_every_s
            self._bell.clear()
            self._sweep_due = False
            try:
                await self.look(publish, sweep=sweep)
            except (NoList, OSError) as e:
                self._sweep_due |= sweep
                self.trouble = f"{type(e).__name__}: {e}"
                wait_s = e.retry_after_s if isinstance(e, NoList) else None
                back_off_s = min(pace.look_gap_s * 2**failures, pace.silence_s)
                failures = min(failures + 1, 10)
                await asyncio.sleep(max(back_off_s, wait_s or 0.0))
                continue
            self.trouble, failures = None, 0
            if sweep:
                swept_at = loop.time()
            await asyncio.sleep(pace.look_gap_s)
            await self._rung(pace.silence_s)

    async def look(self, publish: Publish, *, sweep: bool) -> None:
        """Publish every fill since the last look, and every end that is due."""
        now = self._clock.now()
        horizon = now - round(self._pace.look_back_s * 1_000)
        if sweep:
            async for page in listing.ended_orders(self._exchange, now, horizon):
                for order in page:
                    self._note(order)
        await self._hear_successors()
        async for fills in listing.fills(self._exchange, now, self._since(horizon)):
            await self._publish_fills(fills, publish)
            if fills:  # a long list that breaks off is gone on with from here
                read_to = min(now, milliseconds(fills[-1].transaction_time))
                self._read_to = max(self._read_to, read_to)
        self._read_to = max(self._read_to, now)
        await self._publish_ends(publish)

    def _since(self, horizon: int) -> int:
        """Return from when on to read: the last look, or the first order whose fills are owed."""
        owed = [begun_at(p.order) for p in self._pending.values() if self._told.owes(p.order)]
        starts = [at - OVERLAP_MS for at in (self._read_to, *owed) if at is not None]
        return max(horizon, min(starts))

    async def _publish_fills(self, fills: Sequence[Fill], publish: Publish) -> None:
        fresh = [fill for fill in fills if not self._told.has_fill(fill)]
        if fresh:
            reports = [
                execution_report(self._name, fill, await self._key(fill.order_id)) for fill in fresh
            ]
            await publish(reports)
        for fill in fresh:
            self._told.note_fill(fill)

    async def _publish_ends(self, publish: Publish) -> None:
        now = asyncio.get_running_loop().time()
        due = []
        for order, since in self._pending.values():
            owes = self._told.owes(order)
            if not owes or now - since >= self._pace.patience_s:
                due.append(order)
                if owes:
                    log.warning("%s: order %s shows more than its fills", self._name, order.id)
        if due:
            now_ms = self._clock.now()
            reports = [status_reports(self._name, o, self._told.before(o.id), now_ms) for o in due]
            await publish([report for each in reports for report in each])
        for order in due:
            self._told.note_status(order)
            if self._pending[order.id].order is order:  # nothing newer came meanwhile
                del self._pending[order.id]

    def _note(self, order: Order) -> None:
        """Remember what is to be told of an order; a late word never hides its end."""
        self._told.learn(order)
        told = self._told.status_of(order.id)
        if order.status == "replaced" and order.replaced_by is not None:
            self._told.note_successor(order)
            if self._told.status_of(order.replaced_by) is None:
                self._successors.add(order.replaced_by)
        in_force = order.replaces is None or self._told.before(order.id) is not None
        if not in_force and order.status != "rejected":
            return  # until the old one is shown as replaced, the new one may come to nothing
        news = order.status != told and told not in ENDED and (told is None or _is_final(order))
        if not news and not self._told.owes(order):
            return
        known = self._pending.get(order.id)
        if known is not None and known.order.status in ENDED and order.status not in ENDED:
            return
        since = known.since if known is not None else asyncio.get_running_loop().time()
        self._pending[order.id] = _Pending(order, since)

    async def _hear_successors(self) -> None:
        """Ask for the orders that have taken others' places: no list tells of one that works."""
        for order_id in sorted(self._successors):
            order = await listing.one_order(self._exchange, order_id)
            if isinstance(order, Order):
                self._note(order)
            self._successors.discard(order_id)

    async def _key(self, order_id: str) -> str:
        """Return whose order this is. One that Alpaca itself does not know keeps its own id.

        A key that is none of ours is no obstacle: the ledger keeps such reports apart.
        """
        known = self._told.key_of(order_id)
        if known is not None:
            return known
        order = await listing.one_order(self._exchange, order_id)
        if isinstance(order, Absent):
            return order_id
        self._told.learn(order)
        return order.client_order_id

    async def _rung(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return


def _is_final(order: Order) -> bool:
    return order.status in ENDED or order.status == "done_for_day"


def span(order: Order, now: int) -> tuple[int, int]:
    """Return in which time an order's fills lie, with room at both ends."""
    ended = order.status in ENDED and order.updated_at is not None
    until = milliseconds(order.updated_at) if ended and order.updated_at is not None else now
    return (begun_at(order) or now) - OVERLAP_MS, until + OVERLAP_MS
