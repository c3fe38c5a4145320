"""What every loop of dispatch must know right now: sessions, halts, rates.

SQL is the truth; this is its copy in memory, so that the check before a write costs nothing.
While the copy is being read again it counts as a halt of everything: for those milliseconds
not sending is the safe mistake.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from app.domain.halts import Halts
from app.domain.records import BrokerControl, Route
from app.ports.control import ControlStore
from app.reference import Reference

# Operators' writes wake the board at once; the tick is for overrides whose time runs out.
TICK_S: Final = 0.25
# Where other processes write too, we look: a halt holds everywhere within a tenth of a second.
SHARED_TICK_S: Final = 0.05


class Board:
    """The copy in memory, and who keeps it fresh."""

    def __init__(self, store: ControlStore, reference: Reference, *, shared: bool = False) -> None:
        self._store = store
        self._shared = shared
        self._changes = 0  # committed, as far as we were told
        self._read = -1  # of these, how many the copy has seen
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._halts = Halts()
        self._overrides: dict[str, tuple[int, int]] = {}
        self._readers: list[Callable[[], None]] = []
        self.reference = reference
        self.controls: dict[str, BrokerControl] = {}
        self.routes: list[Route] = []
        self.paused: frozenset[str] = frozenset()  # sessions of which nothing is released

    @property
    def halts(self) -> Halts:
        """The halts in force; everything, while a change has not been read."""
        return self._halts if self._read == self._changes else Halts(everything=True)

    @property
    def standing(self) -> Halts:
        """The halts as last read: good enough to answer a client by, not to send by."""
        return self._halts

    def has_moved(self, route_id: str, epoch: int) -> bool:
        """Whether a route leads elsewhere since that epoch, as far as the copy knows."""
        return any(r.route_id == route_id and r.epoch > epoch for r in self.routes)

    def changed(self) -> None:
        """Say that a row behind this board was committed: the copy is worth nothing now."""
        self._changes += 1
        self._wake.set()

    def on_refresh(self, reader: Callable[[], None]) -> None:
        """Call `reader` after each refresh."""
        self._readers.append(reader)

    async def refresh(self) -> None:
        """Read everything again; on return every change committed before the call is in force."""
        async with self._reading:
            seen = self._changes
            self._wake.clear()
            controls = await self._store.controls()
            routes = await self._store.routes()
            halts = Halts.of(await self._store.halts())
            pauses = await self._store.pauses()
            overrides = {
                o.trading_session_id: (o.opens_at, o.closes_at)
                for o in await self._store.overrides()
            }
            # From here on nothing waits: a lane that looked between two reads would act on a new
            # number with old halts, before whoever is told of refreshes has heard of it.
            self.controls, self.routes = controls, routes
            self.paused = frozenset(p.trading_session_id for p in pauses if p.paused)
            if overrides != self._overrides:  # laying them over years of sessions takes 8 ms
                calendar = self.reference.calendar.with_overrides(overrides)
                self.reference = self.reference._replace(calendar=calendar)
                self._overrides = overrides
            self._halts, self._read = halts, seen
            for reader in self._readers:
                reader()

    async def run(self) -> None:
        """Keep the copy fresh for ever; end overrides whose time is over."""
        reverted = asyncio.get_running_loop().time()
        while True:
            try:
                async with asyncio.timeout(SHARED_TICK_S if self._shared else TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                changed = self._shared  # who else writes does not wake us
                if asyncio.get_running_loop().time() - reverted >= TICK_S:
                    reverted = asyncio.get_running_loop().time()
                    changed |= bool(await self._store.revert_expired())
                    changed |= bool(await self._store.end_overrides())
                if not changed:
                    continue
            await self.refresh()
