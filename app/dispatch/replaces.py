"""Carries new terms to a broker: claimed on disk, checked, written once, asked about if unanswered.

A replace is risk like an order, so it goes the way of one: the lease, halts, limits and the
submit circuit stand before it, and its permit comes from the orders' share. It is never repeated.
What comes back is an answer or a doubt, and a doubt ends by the broker's report or a look-up.

The trap is to think of a replace as of a cancel, which may be sent again: a second request that
overtakes the first leaves an order with terms that nobody asked for last.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from app import crash
from app.clock import Clock
from app.dispatch.answers import WORDS
from app.dispatch.board import Board
from app.dispatch.contract import held
from app.dispatch.gate import GatedBroker, Lane, Permit
from app.dispatch.last_look import LastLook
from app.dispatch.ownership import Ownership
from app.dispatch.pacer import throttle_pause_ns
from app.dispatch.permits import NAP_S_MAX, Permits
from app.dispatch.reconciler import Reconciler
from app.domain.messages import Answer, NotSent, Rejected, Throttled
from app.domain.records import ClaimedReplace, FenceLost, Settlement
from app.ports.dispatch import Recheck, ReplaceStore

TICK_S: Final = 0.05
SECOND_NS: Final = 1_000_000_000
# Nothing is claimed while the next permit is further off than this.
WAIT_NS_MAX: Final = SECOND_NS // 5
CLAIM_MAX: Final = 20
# These say that the order may have ended before: look, do not guess.
LOOK: Final = frozenset({"too-late", "unknown-order"})


class _Claim(NamedTuple):
    epoch: int  # the lease under which it was made, and under which alone it may leave
    at_ns: int


class Replaces:
    """One broker's lane of replaces."""

    def __init__(  # noqa: PLR0913 - keyword-only: all that a lane stands on
        self,
        *,
        broker: GatedBroker,
        store: ReplaceStore,
        clock: Clock,
        board: Board,
        recheck: Recheck,
        permits: Permits,
        ownership: Ownership,
        reconciler: Reconciler,
    ) -> None:
        self._broker = broker
        self._store = store
        self._clock = clock
        self._last_look = LastLook(broker.name, ownership, clock, board)
        self._recheck = recheck
        self._permits = permits
        self._ownership = ownership
        self._reconciler = reconciler
        self.answers: Counter[str] = Counter()
        # Of the requests that nobody has answered for yet.
        self._claims: dict[str, tuple[ClaimedReplace, _Claim]] = {}

    async def run(self) -> None:
        """Send for ever; a silent one holds up no other."""
        if not self._broker.capabilities.replaces:
            return
        async with asyncio.TaskGroup() as requests:
            while True:
                await self._round(requests)
                await asyncio.sleep(TICK_S)

    async def _round(self, requests: asyncio.TaskGroup) -> None:
        """Claim what waits, if it may leave about now, and put it on the wire."""
        if not self._ownership.is_sure() or self._permits.limit == 0:  # a broker's blackout
            return
        if not await self._store.waits_to_replace(self._broker.name):
            return
        if self._permits.wait_ns() > WAIT_NS_MAX or self._permits.free_slots <= 0:
            return
        permit = self._admitted()
        if permit is None:
            return
        claim = _Claim(self._ownership.epoch, self._clock.monotonic_ns())
        spare: Permit | None = permit
        for batch in await self._claimed(permit):
            await self._permits.slot()
            requests.create_task(self._exchange(batch, claim, spare))
            spare = None

    def _admitted(self) -> Permit | None:
        """Ask the orders' circuit, which its lane pings while it is open.

        Half open it is tried out with a replace as well: where a route has led away there may be
        no order left to try it with, and what works there could never be changed again.
        """
        admitted = self._broker.acquire(Lane.SUBMIT)
        return admitted if isinstance(admitted, Permit) else None

    async def _claimed(self, permit: Permit) -> list[Sequence[ClaimedReplace]]:
        size = max(1, self._broker.capabilities.replace_batch_max)
        limit = 1 if permit.trial else min(CLAIM_MAX, self._permits.free_slots * size)
        try:
            claimed = await self._store.claim_replaces(
                self._ownership.fence(()), limit, self._recheck
            )
        except FenceLost:  # paused, halted or not the owner
            claimed = []
        if not claimed:
            self._broker.record(permit, [])
        crash.point("replace.after_commit")
        return [claimed[start : start + size] for start in range(0, len(claimed), size)]

    async def _exchange(
        self, batch: Sequence[ClaimedReplace], claim: _Claim, permit: Permit | None
    ) -> None:
        """Put a batch on the wire, in as many requests as there are permits; note the answers."""
        settled: list[Settlement] = []
        mine = {each.replacement.broker_order_key: (each, claim) for each in batch}
        self._claims |= mine
        try:
            rest = batch
            while rest:
                granted, stop = await self._cleared(rest, claim)
                admitted = permit or self._admitted()
                permit = None
                if stop is None and admitted is None:
                    stop = "circuit open"
                if stop is not None or admitted is None:
                    if admitted is not None:
                        self._broker.record(admitted, [])
                    settled += _settled(rest, [NotSent(str(stop))] * len(rest), None)
                    break
                sent_ns = self._permits.leaving()
                part, rest = rest[:granted], rest[granted:]
                settled += _settled(part, await self._replaced(part, admitted), sent_ns)
        finally:
            self._permits.answered()
            for key in mine:
                del self._claims[key]
        crash.point("replace.after_reply")
        await self._act(batch, settled)

    async def _cleared(
        self, rest: Sequence[ClaimedReplace], claim: _Claim
    ) -> tuple[int, str | None]:
        """Wait for permits; return how many may leave this instant, or why none may."""
        while True:
            stop = self._last_look.stops(*claim, rest)
            if stop is not None:
                return 0, stop
            able = self._broker.capabilities
            granted, wait = self._permits.take_now(able.cost(len(rest)), able.useful)
            if granted:
                return able.affordable(granted, len(rest)), None
            await asyncio.sleep(min(wait / SECOND_NS, NAP_S_MAX))

    def stops(self, key: str) -> str | None:
        """Check once more, where an adapter held a request back before its write."""
        known = self._claims.get(key)
        return self._last_look.stops(*known[1], [known[0]]) if known else "nobody sends it"

    async def _replaced(self, part: Sequence[ClaimedReplace], permit: Permit) -> Sequence[Answer]:
        crash.point("replace.before_send")
        asked = [claimed.replacement for claimed in part]
        return await held(self._broker.replace(asked, permit=permit), len(part), "another batch")

    async def _act(self, batch: Sequence[ClaimedReplace], settled: Sequence[Settlement]) -> None:
        look = []
        for claimed, settlement in zip(batch, settled, strict=True):
            answer = settlement.answer
            self.answers[WORDS[type(answer)]] += 1
            if isinstance(answer, Throttled):
                pause = throttle_pause_ns(answer.retry_after_s)
                self._permits.pause_until(self._clock.monotonic_ns() + pause)
            if isinstance(answer, Rejected) and answer.code in LOOK:
                look.append(claimed.replacement.original)
        await self._store.settle_replaces(settled)
        size = max(1, self._broker.capabilities.find_batch_max)
        for start in range(0, len(look), size):
            await self._reconciler.ask(look[start : start + size])


def _settled(
    part: Sequence[ClaimedReplace], answers: Sequence[Answer], sent_ns: int | None
) -> list[Settlement]:
    pairs = zip(part, answers, strict=True)
    return [Settlement(c.replacement.broker_order_key, answer, sent_ns) for c, answer in pairs]
