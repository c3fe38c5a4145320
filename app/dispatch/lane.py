"""One broker's dispatcher: claim, check, pace, write, note the answer.

The attempt is on disk before a byte leaves, and what happens after that is an answer or a
doubt. Between the claim and the write stand only checks that can say "not after all", which is
`NotSent` and true: the lease, a halt, the gate, the age of the claim. The trap is everything
that looks harmless here: a retry, a time-out that "fails" an order, a permit taken early.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from app import crash
from app.clock import Clock
from app.dispatch.answers import Answers
from app.dispatch.board import Board
from app.dispatch.contract import held
from app.dispatch.gate import GatedBroker, Override, Permit, Refusal
from app.dispatch.gate import Lane as Circuit
from app.dispatch.last_look import LastLook
from app.dispatch.ownership import Ownership
from app.dispatch.pace import Pace
from app.dispatch.permits import NAP_S_MAX
from app.dispatch.plan import batches, claim_size, submission
from app.dispatch.since_bell import SinceBell
from app.domain.messages import Answer, NotSent, Submission
from app.domain.records import BrokerControl, Claimed, FenceLost
from app.domain.tuning import circuit_of, tuning_of
from app.ports.dispatch import DispatchStore, Recheck

SECOND_NS: Final = 1_000_000_000
IDLE_S: Final = 0.05
STANDING_BY: Final = "another process owns this broker"


async def _nothing() -> None:
    """Be what a lane without a session does before it leaves."""


class _Claim(NamedTuple):
    orders: dict[str, Claimed]
    at_ns: int
    epoch: int  # the lease under which it was made, and under which alone it may leave


class Lane:
    """Owns one broker: its lease, its permits, its gate."""

    def __init__(  # noqa: PLR0913 - keyword-only: all that a lane stands on
        self,
        *,
        broker: GatedBroker,
        store: DispatchStore,
        clock: Clock,
        board: Board,
        recheck: Recheck,
        holder: str,
        unlimited: bool = False,
        stands_by: bool = False,
    ) -> None:
        self.broker = broker
        self.broker_id = broker.name
        self._store = store
        self._clock = clock
        self._board = board
        self._recheck = recheck
        self.pace = Pace(broker, board, clock, unlimited=unlimited)
        self.permits = self.pace.permits
        self.ownership = Ownership(store, clock, self.broker_id, holder, stands_by=stands_by)
        self.since_bell = SinceBell(lambda: board.reference.calendar, clock)
        self._last_look = LastLook(self.broker_id, self.ownership, clock, board)
        self.applied_version = 0
        self.why_not: str | None = "starting"
        self._answers = Answers(store)
        self._claims: dict[str, _Claim] = {}  # of the orders that nobody has answered for yet
        self._wake = asyncio.Event()
        self._stopping = False
        self.before_leaving: Callable[[], Awaitable[None]] = _nothing  # under our lease still
        board.on_refresh(self._retune)

    # --- control ------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The lease's: what a claim is fenced by."""
        return self.ownership.epoch

    @property
    def answers(self) -> Counter[str]:
        """What the broker answered, counted by word."""
        return self._answers.counts

    @property
    def control(self) -> BrokerControl | None:
        return self._board.controls.get(self.broker_id)

    def _retune(self) -> None:
        self.pace.turn()
        control = self.control
        if control is None or control.version == self.applied_version:
            return
        self.broker.override(Override(control.breaker))
        tuning = tuning_of(control)
        self.broker.configure(circuit_of(tuning))
        if tuning.reset_version > self.applied_version:  # asked once, so it is done once
            self.broker.begin_again(tuning.reset_to)
        self.applied_version = control.version
        self.wake()

    def wake(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    def stop(self) -> None:
        """Claim nothing more; `run` returns when every answer is on disk."""
        self._stopping = True
        self.wake()

    # --- loops --------------------------------------------------------------------------

    async def open(self) -> int:
        """Become the owner and put what a former owner left open in doubt; return how many.

        While another process owns the broker, stand by: `run` goes on asking.
        """
        self._retune()
        try:
            return await self.ownership.take()
        except FenceLost:
            self.why_not = STANDING_BY
            return 0

    async def run(self) -> None:
        """Send for ever, or until stopped and drained."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self.ownership.keep())
            pacing = loops.create_task(self.pace.run())
            settling = loops.create_task(self._answers.run())
            async with asyncio.TaskGroup() as sends:
                while not self._stopping:
                    await self._round(sends)
            self._answers.end()
            await settling
            pacing.cancel()
            await self.before_leaving()
            self.ownership.leave()
        await self.ownership.drop()

    async def _round(self, sends: asyncio.TaskGroup) -> None:
        """Claim once and put what was claimed on the wire."""
        if not self.ownership.epoch:
            self.why_not, self.pace.fresh = STANDING_BY, True
            await asyncio.sleep(IDLE_S)
            return
        permit = await self._admitted()
        if permit is None:
            return
        epoch = self.ownership.epoch
        claimed = await self._claim(permit)
        crash.point("claim.after_commit")
        if not claimed:
            self.broker.record(permit, [])
            await self._idle()
            return
        orders = {c.broker_order_key: c for c in claimed}
        claim = _Claim(orders, self._clock.monotonic_ns(), epoch)
        self._claims |= dict.fromkeys(orders, claim)
        spare: Permit | None = permit
        for batch in batches([submission(c) for c in claimed], self.broker.capabilities):
            rest: Sequence[Submission] = batch
            while rest:
                await self.permits.slot()
                left: asyncio.Future[int] = asyncio.get_running_loop().create_future()
                sends.create_task(self._exchange(rest, claim, spare, left))
                rest, spare = rest[await left :], None
                if rest:
                    crash.point("send.mid_batch")

    async def _admitted(self) -> Permit | None:
        """Wait for what a claim needs; None after a nap, when something forbids it."""
        wait_ns = self.permits.wait_ns()
        if wait_ns or not self.permits.free_slots:
            self.why_not = self.pace.why_waiting if wait_ns else "too many unanswered"
            await asyncio.sleep(min(max(wait_ns / SECOND_NS, 0.001), IDLE_S))
            return None
        admitted = self.broker.acquire(Circuit.SUBMIT)
        self.pace.admitted(admitted)
        if isinstance(admitted, Permit):
            return admitted
        self.why_not = admitted.reason
        if admitted.ping_due:
            await self.broker.probe(Circuit.SUBMIT)
        else:
            await asyncio.sleep(min(admitted.retry_after_s, IDLE_S))
        return None

    async def _claim(self, permit: Permit) -> list[Claimed]:
        self._wake.clear()  # before looking: what is queued from here on wakes us again
        sessions = self._board.reference.calendar.open_now(self._clock.now())
        fence = self.ownership.fence(s.trading_session_id for s in sessions)
        size = claim_size(
            per_second=self.permits.per_second,
            window_room=self.permits.room,
            free_slots=1 if permit.trial else self.permits.free_slots,
            capabilities=self.broker.capabilities,
        )
        if not sessions or not size or self._stopping:
            self.why_not = "no session is open" if not sessions else None
            self.pace.fresh &= bool(sessions)
            return []
        try:
            claimed = await self._store.claim(fence, size, self._recheck)
        except FenceLost:
            self.why_not = "paused, halted or not the owner"
            return []
        self.why_not = None
        self.pace.claimed(claimed)
        return claimed

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _exchange(
        self,
        batch: Sequence[Submission],
        claim: _Claim,
        permit: Permit | None,
        left: asyncio.Future[int],
    ) -> None:
        """Put as much of a batch on the wire as may leave now, and note what came back.

        A task of its own with one slot. `left` learns how many it took over. Nothing is awaited
        between the last check and the write; an adapter that has to wait asks `stops`.
        """
        try:
            admitted = permit or self.broker.acquire(Circuit.SUBMIT)
            if isinstance(admitted, Refusal):
                self._give_back(batch, f"circuit open: {admitted.reason}", left)
                return
            granted, stop = await self._cleared(batch, claim)
            if stop is not None:
                self.broker.record(admitted, [])
                self._give_back(batch, stop, left)
                return
            left.set_result(granted)
            batch = batch[:granted]
            self.since_bell.left(claim.orders[s.broker_order_key].order for s in batch)
            sent_ns = self.permits.leaving()
            crash.point("send.before_write")
            sent = self.broker.submit(batch, permit=admitted)
            answers = await held(sent, len(batch), "another batch")
        finally:
            self.permits.answered()
        crash.point("send.after_reply")
        self._note(batch, answers, sent_ns)

    def _give_back(self, batch: Sequence[Submission], why: str, left: asyncio.Future[int]) -> None:
        self._note(batch, [NotSent(why)] * len(batch), None)
        left.set_result(len(batch))

    async def _cleared(self, batch: Sequence[Submission], claim: _Claim) -> tuple[int, str | None]:
        """Wait for permits; return how many may leave this instant, or why none may."""
        orders = [claim.orders[s.broker_order_key] for s in batch]
        while True:
            stop = self._forbidden(orders, claim)
            if stop is not None:
                return 0, stop
            crash.point("send.after_check")
            able = self.broker.capabilities
            granted, wait = self.permits.take_now(able.cost(len(batch)), able.useful)
            if granted:
                return able.affordable(granted, len(batch)), None
            await asyncio.sleep(min(wait / SECOND_NS, NAP_S_MAX))

    def stops(self, key: str) -> str | None:
        """Check once more, where an adapter held an order back before its write."""
        claim = self._claims.get(key)
        return self._forbidden([claim.orders[key]], claim) if claim else "nobody sends it"

    def _forbidden(self, rest: Sequence[Claimed], claim: _Claim) -> str | None:
        stop = self._last_look.stops(claim.epoch, claim.at_ns, rest)
        if stop is not None:
            return stop
        if any(self._board.has_moved(c.route_id, c.route_epoch) for c in rest):
            return "the route has moved"
        return None

    def _note(
        self, batch: Sequence[Submission], answers: Sequence[Answer], sent_ns: int | None
    ) -> None:
        for each in batch:
            self._claims.pop(each.broker_order_key, None)
        self._answers.note(batch, answers, sent_ns)
        if sent_ns is not None:
            self.pace.heard(answers, sent_ns)
