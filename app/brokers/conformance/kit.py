"""What a case works with: adapters built as settings name them, orders, and the line.

Nothing is placed that nobody allowed: without `live`, `submit` refuses unless the line keeps
every byte of it from the broker. What may have reached the broker is remembered, so that the end
of the run can cancel it and say so. The trap is an adapter that breaks the kit instead of its
case: here an exception or a wait without end is what was seen, and is told as such.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any, Final, TypeVar, cast

from app.brokers.conformance.held import ANSWERED, UP, Ears, Held, running, until
from app.brokers.conformance.journal import Run, ShiftedClock
from app.brokers.conformance.line import LINE, Fault, Line
from app.brokers.conformance.listener import Pushed
from app.brokers.conformance.verdict import Failed, NotApplicable, NotJudged
from app.brokers.registry import build
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    Found,
    Lookup,
    Rejected,
    Submission,
)
from app.domain.values import OrderType, TimeInForce, broker_order_key, ulid
from app.ports.brokers import Broker, LiveBroker

T = TypeVar("T")
ASK_EVERY_S: Final = 0.05
# A session that is up says so soon; one that is not yet is judged as it stands.
UP_S: Final = 10.0


class Kit:
    """One case's own tools."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.terms = run.terms
        self.clock = ShiftedClock(run.clock)
        self.line = Line()
        self.ears = Ears()
        self.held: Held | None = None
        self.died: str | None = None  # how a session ended that should have lived on
        self._held = AsyncExitStack()
        self._opened = AsyncExitStack()

    async def close(self) -> None:
        """Let go of every adapter and of the line."""
        LINE.set(None)
        self.ears.open.set()
        await self.let_go()
        await self._opened.aclose()
        await self.line.close()

    # --- adapters -----------------------------------------------------------------------

    def bare(self, **changes: object) -> Broker:
        """Build the adapter, with these options changed, and let it lie."""
        subject = self.run.subject
        given = {"name": subject.name, "clock": self.clock, **subject.options, **changes}
        return build(subject.adapter, self.run.make, given)

    async def broker(self, **changes: object) -> Broker:
        """Build the adapter, with these options changed, and run it if it has to be run."""
        broker = self.bare(**changes)
        self._opened.push_async_callback(self._put_away, broker)
        if hasattr(broker, "run"):
            await self._hold(cast("LiveBroker", broker), owns=True)
        return broker

    async def session(self, *, owns: bool = True) -> Held:
        """Build an adapter that lives on a session, on a line that is whole; it is logged on."""
        if not hasattr(self.bare(), "run"):
            raise NotApplicable("it has no session: its orders and reports go by requests")
        if not owns:
            await self._new_line()
            broker = cast("LiveBroker", self.bare())
            self._opened.push_async_callback(self._put_away, broker)
            return await self._hold(broker, owns=False)
        await self.on_the_line()
        assert self.held is not None
        await self.up()
        return self.held

    async def again(self) -> Held:
        """Build it once more, as a new process does, on the record of the one before."""
        await self.broker()
        assert self.held is not None
        return self.held

    async def down(self, since: int) -> None:
        """Wait until the adapter has seen that its connection of then is lost."""
        held = self.held
        if held is not None and not await until(
            lambda: held.state != UP or held.since != since, self.terms.patience_s
        ):
            raise Failed("a session that is lost to be told as lost", held.state)

    async def up(self) -> None:
        """Let the line be whole, and wait until the session stands on it again."""
        self.line.arm(Fault.NONE)
        held = self.held
        assert held is not None
        if not await until(lambda: held.state == UP, self.terms.patience_s):
            raise NotJudged(f"its session does not come up: {held.why}")

    async def let_go(self) -> None:
        """End the session as a gateway does that stops."""
        if self.held is not None and self.held.died is not None:
            self.died = self.held.why
        self.held = None
        opened, self._held = self._held, AsyncExitStack()
        await opened.aclose()

    async def _hold(self, broker: LiveBroker, *, owns: bool) -> Held:
        if self.terms.hold is None:
            raise NotJudged("it lives on a session, and nobody gave it a ground (hold)")
        await self.let_go()
        ground = await self._held.enter_async_context(self.terms.hold(broker, self.run.orders))
        held = self.held = Held(broker, ground, self.ears, owns=owns)
        await self._held.enter_async_context(running(held))
        if owns:
            await until(
                lambda: held.state in ANSWERED or held.died is not None,
                min(UP_S, self.terms.patience_s),
            )
        return held

    async def on_the_line(self) -> Broker:
        """Build the adapter on a line that is whole, and see that its connections pass there."""
        await self._new_line()
        broker = await self.broker()
        await self.seen(broker.ping())
        if not self.line.tried:
            raise NotJudged("its connections do not pass asyncio: the line cannot break them")
        return broker

    async def broken(self, fault: Fault, says: bytes = b"") -> Broker:
        """Build the adapter on a line on which this goes wrong from now on."""
        broker = await self.on_the_line()
        since = 0 if self.held is None else self.held.since
        self.line.arm(fault, says)
        if fault.cuts:
            await self.down(since)
        return broker

    async def spoken(self, says: bytes) -> Broker:
        """Build the adapter on a line where this is the answer to whatever it asks."""
        broker = await self.on_the_line()
        if self.line.is_sealed:
            raise NotJudged("TLS: nobody but the broker can answer")
        if not any(passage.is_http for passage in self.line.passages):
            raise NotApplicable("not HTTP: nobody but the broker can answer")
        self.line.arm(Fault.SPOKEN, says)
        return broker

    async def _new_line(self) -> None:
        await self.let_go()
        await self.line.close()
        self.line = Line()
        await self.line.open()
        LINE.set(self.line)

    async def _put_away(self, broker: Broker) -> None:
        with suppress(Exception):
            async with asyncio.timeout(self.terms.patience_s):
                await broker.close()

    # --- orders -------------------------------------------------------------------------

    def key(self) -> str:
        """Return a key that no order ever had."""
        return broker_order_key(ulid(self.run.clock.now(), self.run.clock.random_bits(80)), 1)

    def order(self, **changes: Any) -> Submission:
        """Return an order far from the market, as the user wanted it."""
        terms = self.terms
        order = Submission(
            self.key(),
            terms.account_id,
            terms.symbol,
            terms.market,
            terms.side,
            OrderType.LIMIT,
            terms.quantity,
            terms.limit_price,
            terms.currency,
            TimeInForce.DAY,
        )
        order = order._replace(**changes)
        self.run.orders[order.broker_order_key] = order
        return order

    async def submit(self, broker: Broker, *batch: Submission) -> list[Answer]:
        """Send a batch, if it may be sent."""
        if not self.line.fault.keeps:
            if not self.terms.live:
                raise NotJudged("it places orders: --live")
            self.run.placed += batch
        try:
            answers = await self.seen(broker.submit(batch))
        finally:
            self.run.placed_at = asyncio.get_running_loop().time()
        refused = zip(batch, answers, strict=False)
        self.run.gone |= {o.broker_order_key for o, a in refused if isinstance(a, Rejected)}
        return answers

    async def accepted(self, broker: Broker) -> tuple[Submission, str]:
        """Place one order; return it and the broker's id of it."""
        order = self.order()
        answers = await self.submit(broker, order)
        if not answers or not isinstance(answers[0], Accepted):
            raise NotJudged(f"no order was accepted: {answers} (see B-103)")
        return order, answers[0].broker_order_id

    async def shown(self, broker: Broker, key: str) -> Lookup:
        """Look one order up until it is shown, as long as the declared window says."""
        loop = asyncio.get_running_loop()
        until = loop.time() + broker.capabilities.visibility_window_s
        while True:
            found = await self.seen(broker.find([key]))
            if found and not isinstance(found[0], Absent):
                return found[0]
            if loop.time() >= until:
                return Absent()
            await asyncio.sleep(ASK_EVERY_S)

    async def becomes(self, broker: Broker, key: str, *ends: str) -> Found | None:
        """Look one order up until it has come to one of these; None if it does not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.terms.patience_s):
                while True:
                    found = await self.shown(broker, key)
                    if isinstance(found, Found) and found.status in ends:
                        return found
                    await asyncio.sleep(ASK_EVERY_S)
        return None

    async def cancel(self, broker: Broker, order: Submission, known: str | None) -> list[Answer]:
        return await self.seen(broker.cancel([Cancellation(order.broker_order_key, known)]))

    # --- what is seen -------------------------------------------------------------------

    async def seen(self, work: Awaitable[T]) -> T:
        """Wait for an adapter's answer; to raise, or to wait for ever, is to break the port."""
        patience_s = self.terms.patience_s
        try:
            async with asyncio.timeout(patience_s) as patience:
                return await work
        except Exception as e:
            if patience.expired():
                raise Failed(f"an answer within {patience_s:g} s", "none") from e
            raise Failed("an answer, never an exception", f"{type(e).__name__}: {e}") from e

    async def attempted(self, broker: Broker, *batch: Submission) -> None:
        """Send where another case judges the answer."""
        with suppress(Failed):
            await self.submit(broker, *batch)

    async def genuine(self) -> Pushed:
        """Return what the broker pushed of an order of ours; placed and canceled once a run."""
        run = self.run
        assert run.listener is not None
        async with run.pushing:
            if run.pushed is None:
                broker = await self.broker()
                order, known = await self.accepted(broker)
                await self.cancel(broker, order, known)
                named = order.broker_order_key.encode(), known.encode()
                run.pushed = await run.listener.heard(named, self.terms.patience_s)
            if run.pushed is None:
                raise NotJudged(f"nothing was pushed to {self.terms.callbacks}")
            return run.pushed


def only(answers: Sequence[T]) -> T:
    """Return the one answer to one item."""
    if len(answers) != 1:
        raise Failed("one answer to one item", answers)
    return answers[0]
