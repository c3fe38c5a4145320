"""What must be asked for elsewhere: the ledger, the bus, the lanes of other processes.

A loop of its own, so that a ledger that hangs hides no sick broker: whoever uses these facts
looks at their age. It asks each second at most, and less often where asking is expensive: the
trap is a count of a million waiting orders, each second, beside the lane that is to send them.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from app.clock import Clock
from app.domain.records import Backlog, LaneStatus, Vitals
from app.domain.signs import skew_ms

SECOND_NS: Final = 1_000_000_000
ASK_EVERY_S: Final = 1.0
# Asking takes a twentieth of the time at most: a million waiting orders are counted in 150 ms.
REST: Final = 20
ASK_EVERY_S_MAX: Final = 4.0  # what is older than five seconds is not believed
ASK_S_MAX: Final = 5.0
# An hour of looks: no lag is told to be longer.
LOOKS_MAX: Final = 3_600
# A busy projector is never through: one batch behind is what "caught up" looks like.
BEHIND_MIN: Final = 5_000
# Counting a whole book is for once in a while, and the bell that it waits for is an hour away.
BOOK_EVERY_NS: Final = 30 * SECOND_NS


class Asked(NamedTuple):
    """Who is asked; None: there is nobody."""

    vitals: Callable[[], Awaitable[Vitals]]
    shown: Callable[[], Awaitable[list[tuple[LaneStatus, int]]]] | None = None
    behind: Callable[[], Awaitable[int]] | None = None  # how many events the view has not seen
    carried: bool = True  # whether anybody carries the outbox away
    # What waits for a bell that is near; None while none is.
    book: Callable[[], Awaitable[Backlog | None]] | None = None


class Distance:
    """The last answers from afar, and when they came."""

    def __init__(self, asked: Asked, clock: Clock) -> None:
        self._asked = asked
        self._clock = clock
        self._published: deque[tuple[int, int]] = deque(maxlen=LOOKS_MAX)
        self._caught_up_ns = self.seen_ns = clock.monotonic_ns()
        self.vitals: Vitals | None = None
        self.book: Backlog | None = None
        self._book_due_ns = self.seen_ns
        self.shown: list[tuple[LaneStatus, int]] = []
        self.skew_ms = 0.0
        self.outbox_lag_s: float | None = None
        self.projector_lag_s: float | None = None
        self.trouble: str | None = None  # why there is no answer, None while there is

    @property
    def age_s(self) -> float:
        """How old the answers are."""
        return (self._clock.monotonic_ns() - self.seen_ns) / SECOND_NS

    async def run(self) -> None:
        """Ask for ever."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self.step()
            took = loop.time() - began
            await asyncio.sleep(min(max(ASK_EVERY_S, REST * took), ASK_EVERY_S_MAX))

    async def step(self) -> None:
        """Ask once; who does not answer has answered before, or never."""
        try:
            async with asyncio.timeout(ASK_S_MAX):
                await self._ask()
            self.trouble = None
        except OSError as e:  # also a time-out
            self.trouble = f"{type(e).__name__}: {e}"

    async def _ask(self) -> None:
        began_ns, began = self._clock.monotonic_ns(), self._clock.now()
        vitals = await self._asked.vitals()
        now = self._clock.monotonic_ns()
        self.skew_ms = skew_ms(began, (now - began_ns) / 1_000_000, vitals.at)
        if self._asked.carried:
            self.outbox_lag_s = self._outbox_lag_s(vitals, now)
        self.vitals, self.seen_ns = vitals, now
        if self._asked.shown is not None:
            self.shown = await self._asked.shown()
        if self._asked.behind is not None:
            if await self._asked.behind() <= BEHIND_MIN:
                self._caught_up_ns = now
            self.projector_lag_s = (now - self._caught_up_ns) / SECOND_NS
        if self._asked.book is not None and now >= self._book_due_ns:
            self.book = await self._asked.book()
            self._book_due_ns = now + BOOK_EVERY_NS

    def _outbox_lag_s(self, vitals: Vitals, now: int) -> float:
        """Return how long the oldest event has waited: since a look that saw its id, or a later."""
        if not vitals.outbox_first:
            self._published.clear()
            return 0.0
        self._published.append((now, vitals.outbox_last))
        while self._published[0][1] < vitals.outbox_first:
            self._published.popleft()
        return (now - self._published[0][0]) / SECOND_NS
