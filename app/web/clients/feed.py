"""Tells whoever follows an account each step of its orders, out of the ledger, soon after it.

    ledger ─ one question for all followed accounts, every 0.25 s ─► feed ─► follower, follower …

Why the ledger and not the bus: it stands in every role and on every store, it knows the steps
that a client missed while he was away, and it goes on while the bus is down. The question enters
by the followed accounts, so it costs nothing where nobody follows, and at most a twentieth of one
reading thread where somebody does: the longer it takes, the longer the feed pauses (2 s at most).

The trap is a step that commits behind what was read already, because its instant is older than
its commit. So each question looks back a little, now and then a lot, and what was told is known
by its place. A follower who does not read is cut off, and what he missed is not lost: he comes
again with the last id that he has, and the ledger tells him.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from app.clock import Clock
from app.domain.errors import Busy, Code
from app.domain.steps import Place, Step
from app.ports.orders import OrderStore

TICK_S: Final = 0.25
# The question may take a twentieth of its thread's time, and no more.
SHARE: Final = 0.05
# One slow answer, on a busy machine, is no reason to be silent for long.
PAUSE_S_MAX: Final = 2.0
AWAY_S: Final = 1.0
PAGE: Final = 1_000
# A commit takes milliseconds; one of a busy second may take a few of them.
LOOK_BACK_MS: Final = 3_000
# The ledger asks its server for a minute before it gives up (`ledger/edge.py`), and then some.
LATE_MS: Final = 70_000
LOOK_FAR_EVERY_MS: Final = 10_000
# Some seconds of a busy account, about 1 MB; who is further behind does not read.
HELD_MAX: Final = 1_000
# A stream is a socket and a buffer: a thousand buffers are a gigabyte.
FOLLOWERS_MAX: Final = 1_000
BEGIN: Final = 0


class Follower:
    """One reader of one account, and what waits for him."""

    def __init__(self, account_id: str, since: int, held_max: int) -> None:
        self.account_id = account_id
        self.since = since  # before this instant nothing is told unasked
        self.is_cut = False  # he was too slow: nothing more comes
        self.has_ended = False
        self._held: deque[tuple[Place, bytes]] = deque()
        self._held_max = held_max
        self._news = asyncio.Event()

    def tell(self, place: Place, frame: bytes) -> None:
        """Put it into his buffer, or cut him off if that is full."""
        if self.is_cut:
            return
        self._held.append((place, frame))
        if len(self._held) > self._held_max:
            self.is_cut = True
            self._held.clear()
        self._news.set()

    def end(self) -> None:
        self.has_ended = True
        self._news.set()

    async def take(self, timeout_s: float) -> list[tuple[Place, bytes]]:
        """Return all that waits; nothing when the time is over, or no more comes."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return []
        self._news.clear()
        taken = list(self._held)
        self._held.clear()
        if self.is_cut or self.has_ended:
            self._news.set()  # whoever asks again learns it at once
        return taken


class Feed:
    """The followers of this process, and the one loop that reads for all of them."""

    def __init__(
        self,
        orders: OrderStore,
        clock: Clock,
        frame_of: Callable[[Step], bytes],
        held_max: int = HELD_MAX,
    ) -> None:
        self._orders = orders
        self._clock = clock
        self._frame_of = frame_of
        self._held_max = held_max
        self._followers: dict[str, set[Follower]] = {}
        self._told: dict[Place, None] = {}  # what was told lately
        self._read_at = BEGIN  # when the last question was asked that was answered
        self._looked_far_at = BEGIN
        self._reading = asyncio.Lock()
        self.has_ended = False

    @property
    def followers(self) -> int:
        return sum(len(each) for each in self._followers.values())

    async def run(self) -> None:
        """Read and tell until the end; where nobody follows, only wake and sleep."""
        loop = asyncio.get_running_loop()
        while not self.has_ended:
            began = loop.time()
            try:
                await self.step()
            except OSError:  # the ledger is away: everything is told when it is back
                await asyncio.sleep(AWAY_S)
            took = loop.time() - began
            await asyncio.sleep(min(max(TICK_S, took * (1 - SHARE) / SHARE), PAUSE_S_MAX))

    def end(self) -> None:
        """Tell every follower that nothing more comes from here."""
        self.has_ended = True
        for each in self._followers.values():
            for follower in each:
                follower.end()

    async def follow(self, account_id: str) -> Follower:
        """Begin to follow: what commits after this is told. Raise `Busy` if it cannot be."""
        if self.has_ended:
            raise Busy(Code.DRAINING, 1.0)
        if self.followers >= FOLLOWERS_MAX:
            raise Busy(Code.OVERLOADED, 5.0)
        now = self._clock.now()
        async with self._reading:
            if not self._followers:
                self._read_at = self._looked_far_at = now
                self._told = {}
            if account_id not in self._followers:
                # What stands already is no news, and what is not yet to be seen is.
                async for steps in self._pages([account_id], Place(now - LATE_MS)):
                    self._told |= dict.fromkeys(step.place for step in steps)
            follower = Follower(account_id, now - LATE_MS, self._held_max)
            self._followers.setdefault(account_id, set()).add(follower)
        return follower

    def leave(self, follower: Follower) -> None:
        """Forget a follower."""
        others = self._followers.get(follower.account_id, set())
        others.discard(follower)
        if not others:
            self._followers.pop(follower.account_id, None)

    async def missed(self, account_id: str, last: Place) -> AsyncIterator[list[Step]]:
        """Read what came after the last place that somebody has, in pages.

        It begins a while before, for what was committed late: some of it he may know.
        """
        async for steps in self._pages([account_id], Place(last.at - LATE_MS)):
            yield [step for step in steps if step.place != last]

    async def step(self) -> None:
        """Read once, and tell what is new."""
        if not self._followers:
            return
        async with self._reading:
            now = self._clock.now()
            looks_far = now - self._looked_far_at >= LOOK_FAR_EVERY_MS
            since = self._read_at - (LATE_MS if looks_far else LOOK_BACK_MS)
            async for steps in self._pages(list(self._followers), Place(since)):
                for step in steps:
                    self._tell(step)
            self._read_at = now
            if looks_far:
                self._looked_far_at = now
                keep = now - 2 * LATE_MS
                self._told = {place: None for place in self._told if place.at >= keep}

    def _tell(self, step: Step) -> None:
        place = step.place
        if place in self._told:
            return
        self._told[place] = None
        followers = self._followers.get(step.order.account_id)
        if followers:
            frame = self._frame_of(step)
            for follower in followers:
                follower.tell(place, frame)

    async def _pages(self, accounts: Sequence[str], place: Place) -> AsyncIterator[list[Step]]:
        while steps := await self._orders.steps(accounts, place, PAGE):
            yield steps
            if len(steps) < PAGE:
                return
            place = steps[-1].place
