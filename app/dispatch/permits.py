"""Permission to put messages on one broker's wire, spent at the write and nowhere earlier.

Three locks on one door: the pacer spaces, the window caps any second, the slots cap what is
unanswered. A permit taken before a slow commit would leave with the next ones in one burst, so
callers come here with the bytes in hand, and an adapter that still has to wait, for a connection,
comes back when it writes. Cancels go first: an order waits while one does.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

from app.clock import Clock
from app.dispatch.pacer import Pacer
from app.dispatch.plan import CLAIM_MS
from app.dispatch.window import Window

SECOND_NS: Final = 1_000_000_000
# The longest nap: a retune, a halt or a cancel is noticed within it.
NAP_S_MAX: Final = 0.02
# A request whose connection is there leaves well within it, with a hundred orders to ask about too.
LATE_NS: Final = 1_000_000


class _Left(NamedTuple):
    at_ns: int
    permits: int


# Of the request that this task makes: its adapter asks in the same task, and knows no permits.
_LEFT: ContextVar[_Left | None] = ContextVar("left", default=None)


class Permits:
    """One broker's pacer, window and slots. `per_second` None means no limit (a bench)."""

    def __init__(self, clock: Clock, per_second: int | None, max_in_flight: int) -> None:
        now = clock.monotonic_ns()
        self._clock = clock
        self._pacer = Pacer(per_second, now)
        self.limit = per_second  # of any second; the pacer may be set below it
        limits = None if per_second is None else [f"{max(1, per_second)}/second"]
        self._window = Window(limits, clock.monotonic_ns)
        self._window.retune(per_second)
        self._slots = asyncio.Semaphore(max_in_flight)
        self._cancels_waiting = self._granted = 0
        self._recent: deque[tuple[int, int]] = deque()
        self.max_in_flight = max_in_flight
        self.in_flight = 0
        self.sent_total = 0

    @property
    def per_second(self) -> int | None:
        return self._pacer.per_second

    @property
    def room(self) -> int:
        """How many the window lets out while a claim leaves: what is free, and what frees itself.

        At a steady pace the window is nearly full at any instant. A claim of only what is free
        is gone before the next one has committed, and the lane falls behind its rate.
        """
        room = self._window.room()
        return room if self.per_second is None else room + self.per_second * CLAIM_MS // 1_000

    @property
    def free_slots(self) -> int:
        return self.max_in_flight - self.in_flight

    def retune(self, limit: int | None, pace: int | None = None) -> None:
        """Act on another number from the next message on; `pace`, if given, is a lower speed.

        The limit is what a broker is promised, so it alone moves the window. A pace that is
        found, or climbed to, spaces the sends below it.
        """
        pace = limit if pace is None else pace
        if pace != self._pacer.per_second:
            self._pacer.retune(pace, self._clock.monotonic_ns())
        if limit != self.limit:
            self._window.retune(limit)
            self.limit = limit

    def pause_until(self, until_ns: int) -> None:
        """Stop until then: the broker said that we were too fast."""
        self._pacer.pause_until(until_ns)

    def wait_ns(self) -> int:
        """Return how long no order may leave, as things stand."""
        ready = self._pacer.ready(self._clock.monotonic_ns())
        # `take(0)` spends nothing and says when the next permit comes.
        pacer = 0 if ready is None or ready else self._pacer.take(0, self._clock.monotonic_ns())[1]
        return max(pacer, self._window.wait_ns())

    def _ready(self, now: int) -> int:
        ready = self._pacer.ready(now)
        return self.max_in_flight * SECOND_NS if ready is None else ready

    def _worthwhile(self) -> int:
        """Return how many permits make a request: half of what the pacer holds.

        A request for each single permit costs fifty times a batch's; the other half still
        repays timers that fire late.
        """
        return max(1, (self._pacer.burst or 1) // 2)

    def take_now(
        self, want: int, useful: Callable[[int], int] = int, *, cancels: bool = False
    ) -> tuple[int, int]:
        """Spend up to `want` permits on what is written next; return (granted, wait in ns).

        `useful` says how many of so many can be spent at once, where a batch costs more than
        its orders: the rest stays for the next one.
        """
        if self._cancels_waiting and not cancels:
            return 0, 1_000_000
        now = self._clock.monotonic_ns()
        room = self._window.room(cancels=cancels)
        if room <= 0:
            return 0, self._window.wait_ns(cancels=cancels)
        short = 0 if cancels else min(want, room, self._worthwhile()) - self._ready(now)
        if short > 0:
            return 0, short * SECOND_NS // max(1, self.per_second or 1)
        spendable = min(want, room, max(0, self._ready(now)))
        granted, wait = self._pacer.take(useful(spendable), now)
        if granted:
            taken = self._window.take(granted, cancels=cancels)
            assert taken == granted, f"the window gave {taken} of {granted}"
            self._note(granted, now)
            self._granted = granted
        return granted, wait

    def leaving(self) -> int:
        """Return the instant at which what was just granted is written, in monotonic ns.

        The window counts from it: a process that was put aside between the permit and the write
        would else let one more follow within a second of the bytes.
        """
        now = self._clock.monotonic_ns()
        self._window.delay(now)
        _LEFT.set(_Left(now, self._granted))
        return now

    def too_late(self) -> str | None:
        """Count this task's request from now on, right before its write; or why it must not leave.

        Whatever waits for connections goes when they come, all at once, and beside it those whose
        permits are of this moment. Within a second its permit counts still; after that it needs
        room like any other.
        """
        left = _LEFT.get()
        if left is None or self._clock.monotonic_ns() - left.at_ns < LATE_NS:
            return None
        at_ns = self._window.move(*left)
        if at_ns is None:
            return "its permit is too old"
        _LEFT.set(left._replace(at_ns=at_ns))
        return None

    async def take(self, want: int, *, cancels: bool = False) -> int:
        """Wait for at least one permit; return how many were spent."""
        with self._waiting(cancels=cancels):
            while True:
                granted, wait = self.take_now(want, cancels=cancels)
                if granted:
                    return granted
                await asyncio.sleep(min(wait / SECOND_NS, NAP_S_MAX))

    @contextmanager
    def _waiting(self, *, cancels: bool) -> Iterator[None]:
        self._cancels_waiting += cancels
        try:
            yield
        finally:
            self._cancels_waiting -= cancels

    async def slot(self) -> None:
        """Wait until one more request may be unanswered; give it back with `answered`."""
        await self._slots.acquire()
        self.in_flight += 1

    def answered(self) -> None:
        self.in_flight -= 1
        self._slots.release()

    def sent_last_second(self) -> int:
        horizon = self._clock.monotonic_ns() - SECOND_NS
        while self._recent and self._recent[0][0] <= horizon:
            self._recent.popleft()
        return sum(n for _, n in self._recent)

    def _note(self, granted: int, now: int) -> None:
        self.sent_total += granted
        self._recent.append((now, granted))
        if len(self._recent) > 2 * self.max_in_flight:
            self.sent_last_second()
