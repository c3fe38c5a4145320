"""Carries cancels to a broker: first in line, and settled by what the broker shows.

A cancel may be repeated where an order may not. Whatever the answer, the order's end comes from
a report or a look-up: "too late" and "unknown order" are where fills hide.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from app import crash
from app.clock import Clock
from app.dispatch.answers import WORDS
from app.dispatch.contract import held
from app.dispatch.gate import GatedBroker, Lane, Permit
from app.dispatch.ownership import Ownership
from app.dispatch.pacer import throttle_pause_ns
from app.dispatch.permits import Permits
from app.dispatch.reconciler import Reconciler
from app.domain.messages import (
    Accepted,
    Answer,
    Cancellation,
    NotSent,
    Rejected,
    Throttled,
)
from app.domain.records import PendingCancel
from app.ports.dispatch import DispatchStore

TICK_S: Final = 0.05
SECOND_NS: Final = 1_000_000_000
# An accepted cancel is reported within a moment; silence is asked about, and then repeated.
REPEAT_NS: Final = 2 * SECOND_NS
LIST_MAX: Final = 1_000
# These say that the order may have ended before the cancel came: look, do not guess.
LOOK: Final = frozenset({"too-late", "unknown-order", "already-pending"})


class Cancels:
    """One broker's cancel lane."""

    def __init__(
        self,
        *,
        broker: GatedBroker,
        store: DispatchStore,
        clock: Clock,
        permits: Permits,
        ownership: Ownership,
        reconciler: Reconciler,
    ) -> None:
        self._broker = broker
        self._store = store
        self._clock = clock
        self._permits = permits
        self._ownership = ownership
        self._reconciler = reconciler
        self._not_before: dict[str, int] = {}
        self._out: set[str] = set()  # in a request, or being looked up
        self._asked: set[str] = set()  # sent, and not looked up since
        self._after = ""  # behind which order the next page begins
        self.answers: Counter[str] = Counter()

    async def run(self) -> None:
        """Send cancels for ever; a silent one holds up no other."""
        async with asyncio.TaskGroup() as requests:
            while True:
                await self._round(requests)
                await asyncio.sleep(TICK_S)

    async def _round(self, requests: asyncio.TaskGroup) -> None:
        """Send every cancel that is due, in batches, ahead of orders."""
        if not self._ownership.is_sure() or self._permits.limit == 0:  # a broker's blackout
            return
        begin = self._after
        standing = await self._next_page()
        now = self._clock.monotonic_ns()
        due = [
            p
            for p in standing
            if p.order_id not in self._out and self._not_before.get(p.order_id, 0) <= now
        ]
        again = [p for p in due if p.order_id in self._asked]
        if again:
            requests.create_task(self._look_again(again))
        first = [p for p in due if p.order_id not in self._asked]
        size = max(1, self._broker.capabilities.cancel_batch_max)
        start = 0
        while start < len(first):
            permit = await self._admitted()
            if permit is None:
                self._after = begin  # the rest of this page is still to be sent
                return
            await self._permits.slot()
            granted = await self._permits.take(len(first[start : start + size]), cancels=True)
            batch = first[start : start + granted]
            start += granted
            self._out.update(p.order_id for p in batch)
            requests.create_task(self._exchange(batch, permit))

    async def _admitted(self) -> Permit | None:
        """Ask the gate first: what it refuses must not cost a permit of the rate."""
        admitted = self._broker.acquire(Lane.CANCEL)
        if isinstance(admitted, Permit):
            return admitted
        if admitted.ping_due:
            await self._broker.probe(Lane.CANCEL)
        return None

    async def _next_page(self) -> Sequence[PendingCancel]:
        """Return the next ones that wait, the first again behind the last; forget what is over.

        A broker may leave thousands of cancels unanswered, at a market that is shut: whoever read
        no further would never come to the others. A page without any of ours is turned at once.
        """
        before, found = self._after, list[PendingCancel]()
        while not found:
            page = await self._store.pending_cancels(self._broker.name, LIST_MAX, self._after)
            found, self._after = list(page.cancels), page.after
            if not self._after:
                break
        standing = {pending.order_id for pending in found}
        over = {
            order_id
            for order_id in self._not_before.keys() - standing
            if order_id > before and (not self._after or order_id <= self._after)
        }
        for order_id in over:
            del self._not_before[order_id]
        self._asked -= over
        return found

    async def _look_again(self, pending: Sequence[PendingCancel]) -> None:
        """Ask what became of cancels that were sent; those that still stand are due again."""
        ids = {p.order_id for p in pending}
        self._out |= ids
        try:
            await self._look([p.broker_order_key for p in pending])
        finally:
            self._out -= ids
        self._asked -= ids

    async def _exchange(self, batch: Sequence[PendingCancel], permit: Permit) -> None:
        """Put one batch on the wire, its permits spent and its slot taken; act on the answers."""
        try:
            crash.point("cancel.before_send")
            answers = await self._canceled(batch, permit)
        finally:
            self._permits.answered()
            self._out -= {p.order_id for p in batch}
        crash.point("cancel.after_reply")
        await self._act(batch, answers)

    async def _canceled(self, batch: Sequence[PendingCancel], permit: Permit) -> Sequence[Answer]:
        if not self._ownership.is_sure():
            self._broker.record(permit, [])
            return [NotSent("the lease is running out")] * len(batch)
        asked = [Cancellation(p.broker_order_key, p.broker_order_id, p.pending_key) for p in batch]
        return await held(self._broker.cancel(asked, permit=permit), len(batch), "another batch")

    async def _act(self, batch: Sequence[PendingCancel], answers: Sequence[Answer]) -> None:
        now = self._clock.monotonic_ns()
        look, refused = [], []
        for pending, answer in zip(batch, answers, strict=True):
            self.answers[WORDS[type(answer)]] += 1
            self._not_before[pending.order_id] = now + REPEAT_NS
            self._asked.add(pending.order_id)
            match answer:
                case Rejected(code) if code in LOOK:
                    look.append(pending.broker_order_key)
                case Rejected():
                    refused.append(pending.order_id)
                case NotSent() | Throttled():
                    if isinstance(answer, Throttled):
                        pause = throttle_pause_ns(answer.retry_after_s)
                        self._permits.pause_until(now + pause)
                    self._asked.discard(pending.order_id)
                    self._not_before[pending.order_id] = now + SECOND_NS // 4
                case Accepted() | _:
                    pass  # its end is reported, or looked for before the cancel is repeated
        if look:
            await self._look(look)
        if refused:
            await self._store.refuse_cancel(refused)

    async def _look(self, keys: list[str]) -> None:
        """Apply what the broker shows of these orders."""
        size = max(1, self._broker.capabilities.find_batch_max)
        for start in range(0, len(keys), size):
            await self._reconciler.ask(keys[start : start + size])
