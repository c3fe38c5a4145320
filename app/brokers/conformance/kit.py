"""What a case works with: adapters built as settings name them, orders, and the line.

Nothing is placed that nobody allowed: without `live`, `submit` refuses unless the line keeps
every byte of it from the broker. What may have reached the broker is remembered, so that the end
of the run can cancel it and say so. The trap is an adapter that breaks the kit instead of its
case: here an exception or a wait without end is what was seen, and is told as such.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeVar

from app.brokers.conformance.case import Failed, NotApplicable
from app.brokers.conformance.line import LINE, Fault, Line
from app.brokers.conformance.listener import Listener, Pushed
from app.brokers.registry import build, factory
from app.clock import Clock
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    Found,
    Lookup,
    Submission,
)
from app.domain.values import OrderType, Side, TimeInForce, broker_order_key, ulid
from app.ports.brokers import Broker

T = TypeVar("T")
ASK_EVERY_S: Final = 0.05
HOLD = Callable[[Broker], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the cases may do, and with which order."""

    live: bool = False
    money: bool = False
    account_id: str = "CHECK"
    symbol: str = "TEST"
    market: str = "XNAS"
    currency: str = "USD"
    side: Side = Side.BUY
    quantity: Decimal = Decimal(1)
    limit_price: Decimal = Decimal(1)
    orders_max: int = 50  # of one case
    patience_s: float = 30.0  # above every adapter's own time-out
    secret_option: str = "secret"  # noqa: S105 - its name
    callbacks: str | None = None  # host:port that the broker pushes to
    hold: HOLD | None = None  # runs an adapter that lives on a session of its own


class Subject(NamedTuple):
    """An adapter as settings name it."""

    name: str
    adapter: str
    options: Mapping[str, object]


class ShiftedClock:
    """The run's clock, and for one case a clock that is far ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead_ms = 0

    def now(self) -> int:
        return self._clock.now() + self.ahead_ms

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    def random_bits(self, bits: int) -> int:
        return self._clock.random_bits(bits)


@dataclass
class Run:
    """What the cases of one run share."""

    subject: Subject
    terms: Terms
    clock: Clock
    listener: Listener | None = None
    placed: list[Submission] = field(default_factory=list)
    placed_at: float = 0.0  # the last one, by the loop's clock
    pushed: Pushed | None = None  # a genuine callback of an order of ours
    pushing: asyncio.Lock = field(default_factory=asyncio.Lock)
    make: Callable[..., object] = field(init=False)

    def __post_init__(self) -> None:
        self.make = factory(self.subject.adapter)


class Kit:
    """One case's own tools."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.terms = run.terms
        self.clock = ShiftedClock(run.clock)
        self.line = Line()
        self._opened = AsyncExitStack()

    async def close(self) -> None:
        """Let go of every adapter and of the line."""
        LINE.set(None)
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
        self._opened.push_async_callback(self._let_go, broker)
        if self.terms.hold is not None:
            await self._opened.enter_async_context(self.terms.hold(broker))
        elif hasattr(broker, "run"):
            raise NotApplicable("it lives on a session that only a gateway runs")
        return broker

    async def on_the_line(self) -> Broker:
        """Build the adapter on a line that is whole, and see that its connections pass there."""
        await self.line.close()
        self.line = Line()
        await self.line.open()
        LINE.set(self.line)
        broker = await self.broker()
        await self.seen(broker.ping())
        if not self.line.tried:
            raise NotApplicable("its connections do not pass asyncio: the line cannot break them")
        return broker

    async def broken(self, fault: Fault, says: bytes = b"") -> Broker:
        """Build the adapter on a line on which this goes wrong from now on."""
        broker = await self.on_the_line()
        self.line.arm(fault, says)
        return broker

    async def spoken(self, says: bytes) -> Broker:
        """Build the adapter on a line where this is the answer to whatever it asks."""
        broker = await self.broken(Fault.SPOKEN, says)
        if self.line.is_sealed:
            raise NotApplicable("TLS: nobody but the broker can answer")
        if not any(passage.is_http for passage in self.line.passages):
            raise NotApplicable("not HTTP: nobody but the broker can answer")
        return broker

    async def _let_go(self, broker: Broker) -> None:
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
        return order._replace(**changes)

    async def submit(self, broker: Broker, *batch: Submission) -> list[Answer]:
        """Send a batch, if it may be sent."""
        if not self.line.fault.keeps:
            if not self.terms.live:
                raise NotApplicable("it places orders: --live")
            self.run.placed += batch
        try:
            return await self.seen(broker.submit(batch))
        finally:
            self.run.placed_at = asyncio.get_running_loop().time()

    async def accepted(self, broker: Broker) -> tuple[Submission, str]:
        """Place one order; return it and the broker's id of it."""
        order = self.order()
        answers = await self.submit(broker, order)
        if not answers or not isinstance(answers[0], Accepted):
            raise NotApplicable(f"no order was accepted: {answers} (see B-103)")
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
                raise NotApplicable(f"nothing was pushed to {self.terms.callbacks}")
            return run.pushed


def only(answers: Sequence[T]) -> T:
    """Return the one answer to one item."""
    if len(answers) != 1:
        raise Failed("one answer to one item", answers)
    return answers[0]
