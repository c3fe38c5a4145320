"""One broker has one owner: the lease, and how sure of it this process may be.

The row in SQL is the truth and a claim is checked against it. Between a claim and a write there
is no time to ask, so the lease is also known here, by the monotonic clock and from the moment
at which its prolongation was *asked for*. The trap is a process that was stopped for a minute:
it wakes between two lines and goes on as if nothing had happened. So each write asks `is_sure`.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from app import crash
from app.clock import Clock
from app.domain.records import Fence, FenceLost
from app.ports.dispatch import DispatchStore

SECOND_NS: Final = 1_000_000_000
LEASE_TTL_MS: Final = 10_000
LEASE_TTL_NS: Final = LEASE_TTL_MS * 1_000_000
LEASE_RENEW_S: Final = 3.0
# The lease must outlive the write by more than any pause between this check and the write.
LEASE_MARGIN_NS: Final = 2 * SECOND_NS
# How often one who stands by asks whether the owner has gone.
STAND_BY_S: Final = 1.0
NOBODY: Final = 0  # the epoch of one who does not own


class Ownership:
    """The lease that this process has of one broker."""

    def __init__(
        self,
        store: DispatchStore,
        clock: Clock,
        broker_id: str,
        holder: str,
        *,
        stands_by: bool = False,
    ) -> None:
        self._store = store
        self._stands_by = stands_by
        self._clock = clock
        self._broker_id = broker_id
        self._holder = holder
        self._until_ns = 0
        self._leaving = asyncio.Event()
        self.epoch = NOBODY

    def is_sure(self) -> bool:
        """Whether what is written now is written by the owner."""
        return self._clock.monotonic_ns() <= self._until_ns - LEASE_MARGIN_NS

    def fence(self, sessions: Iterable[str]) -> Fence:
        """Return what a claim for these sessions is checked against."""
        return Fence(self._broker_id, self._holder, self.epoch, frozenset(sessions))

    async def take(self) -> int:
        """Become the owner and put what a former one left open in doubt; return how many.

        Raises `FenceLost` while another one's lease stands.
        """
        asked = self._clock.monotonic_ns()
        epoch = await self._store.take_lease(self._broker_id, self._holder, LEASE_TTL_MS)
        left = await self._store.recover(self._broker_id, epoch)
        crash.point("recover.after_commit")
        # Only now: what is claimed before the recovery would be put in doubt with the rest.
        self._until_ns, self.epoch = asked + LEASE_TTL_NS, epoch
        return left

    async def keep(self) -> None:
        """Prolong the lease until `leave`; stand by while another one has it.

        On a ledger of its own a process that lost its lease has been replaced, and stays so.
        """
        while not await self._leaves_within(LEASE_RENEW_S if self.epoch else STAND_BY_S):
            if not self.epoch:
                with suppress(FenceLost):
                    if self._stands_by:
                        await self.take()
                continue
            asked = self._clock.monotonic_ns()
            if await self._store.renew_lease(
                self._broker_id, self._holder, self.epoch, LEASE_TTL_MS
            ):
                self._until_ns = asked + LEASE_TTL_NS
            else:  # it ran out, and another one has it: what was claimed under it stays here
                self._until_ns, self.epoch = 0, NOBODY

    def leave(self) -> None:
        """Let `keep` return, once nothing that it has asked for is under way.

        Cut off instead, what it asked for would still be done, in a thread or at a server: after
        the drop, and the next owner would wait for a lease that nobody has.
        """
        self._leaving.set()

    async def _leaves_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                return await self._leaving.wait()
        except TimeoutError:
            return False

    async def drop(self) -> None:
        """Give the lease back, so that the next owner need not wait; write nothing from here."""
        self._until_ns = 0
        if self.epoch:
            await self._store.drop_lease(self._broker_id, self._holder, self.epoch)
