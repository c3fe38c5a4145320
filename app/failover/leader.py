"""Who decides: one process at a time, by a lease whose epoch every write of it names.

The row in SQL is the truth; here it is only known, from the moment at which it was asked for, so
that nobody sets out on what he could not finish. The trap is the leader who slept: he would wake
between two lines and go on. His lease has run out by then, and the row says so.
"""

import asyncio
from contextlib import suppress
from typing import Final

from app.clock import Clock
from app.domain.failover import LEADER, Leader
from app.domain.records import FenceLost
from app.ports.away import StoreAway
from app.ports.dispatch import DispatchStore

MS_NS: Final = 1_000_000
LEASE_TTL_MS: Final = 10_000
RENEW_S: Final = 3.0
STAND_BY_S: Final = 1.0
# What is begun in the last seconds of a lease would only be refused.
MARGIN_MS: Final = 2_000
# A stop does not wait for a ledger that is away: the lease runs out by itself.
LEAVE_S_MAX: Final = 1.0


class Leadership:
    """The lease of this process, or another's."""

    def __init__(self, leases: DispatchStore, clock: Clock, *, stands_by: bool) -> None:
        self._leases = leases
        self._clock = clock
        self._holder = f"{clock.random_bits(64):016x}"
        # On a ledger of its own a process that lost its lease has been replaced, and stays so.
        self._stands_by = stands_by
        self._epoch: int | None = None
        self._lost = False
        self._until_ms = 0

    @property
    def leader(self) -> Leader | None:
        """Return under what this process may decide; None while it may not."""
        if self._epoch is None or self._clock.monotonic_ns() // MS_NS > self._until_ms - MARGIN_MS:
            return None
        return Leader(self._holder, self._epoch)

    async def keep(self) -> None:
        """Lead, or stand by, for ever."""
        while True:
            await self.ask()
            await asyncio.sleep(STAND_BY_S if self._epoch is None else RENEW_S)

    async def ask(self) -> None:
        """Prolong the lease, or take it if nobody has it."""
        asked = self._clock.monotonic_ns() // MS_NS
        if self._lost and not self._stands_by:
            return
        if self._epoch is None:
            with suppress(FenceLost):
                self._epoch = await self._leases.take_lease(LEADER, self._holder, LEASE_TTL_MS)
        elif not await self._leases.renew_lease(LEADER, self._holder, self._epoch, LEASE_TTL_MS):
            self._epoch, self._lost = None, True
        self._until_ms = asked + LEASE_TTL_MS

    async def leave(self) -> None:
        """Let the next one lead at once, if the ledger can be told; else he waits for the lease."""
        if self._epoch is not None:
            with suppress(TimeoutError, StoreAway):
                async with asyncio.timeout(LEAVE_S_MAX):
                    await self._leases.drop_lease(LEADER, self._holder, self._epoch)
        self._epoch = None
