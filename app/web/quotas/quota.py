"""What callers may ask for in a second: per key, per account, for all, for reads and cancels.

`limits`' sliding window counter over this process's memory or, with `redis_url`, over one Redis
for all API processes. In the worst second a caller gets less than twice its quota: that is the
price of two numbers a caller, where an exact log would keep every instant.

The trap is the store that guards the door and then shuts it. Redis has 50 ms. What it does not
answer, this process decides by its own memory, with the same numbers, and it asks again only
every two seconds: `degraded`. Then each of n processes lets a whole quota pass, n in all; each
has counted its own callers all along, so the change itself is no second quota.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from limits import RateLimitItemPerSecond
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.clock import Clock
from app.ports.control import Allowance, Charge
from app.settings import QuotaSettings
from app.web.quotas.toll import ACCOUNT, CANCELS, GLOBAL, KEY, READS
from app.web.quotas.windows import Entry, Hit, LocalWindows, SharedWindows

ASK_AGAIN_NS: Final = 2_000_000_000
# redis-py's pool refuses a hundred and first connection. One that nobody waits for is soon back:
# at 0.2 ms a turn, sixteen carry more than this process can ask.
CONNECTIONS_MAX: Final = 16
_log: Final = logging.getLogger("openbell.web")


class _PerSecond(RateLimitItemPerSecond):
    """A limit whose key leaves the amount out, so that a new quota goes on with the old counts."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return "/".join(map(str, identifiers))


class _SeveralAtOnce(SlidingWindowCounterRateLimiter):
    """limits' own strategy, and what it lacks: one hit over several limits, all or nothing."""

    def __init__(self, windows: LocalWindows | SharedWindows) -> None:
        super().__init__(windows)
        self._windows = windows

    async def hit_all(self, entries: Sequence[Entry]) -> Hit:
        return await self._windows.acquire_all(entries)


class SlidingQuotas:
    """Counts locally, and in the shared store where there is one and it answers."""

    def __init__(
        self, policies: Mapping[str, int], clock: Clock, shared: SharedWindows | None = None
    ) -> None:
        self.policies = policies
        self.degraded = False
        self._items = {name: _PerSecond(quota) for name, quota in policies.items()}
        self._clock = clock
        self._local = LocalWindows(clock.monotonic_ns)
        self._alone = _SeveralAtOnce(self._local)
        self._shared = shared
        self._together = None if shared is None else _SeveralAtOnce(shared)
        self._connections = asyncio.Semaphore(CONNECTIONS_MAX)
        self._ask_again_ns = 0

    async def take(self, charges: Sequence[Charge]) -> Allowance:
        entries = [self._entry(charge) for charge in charges]
        hit = await self._ask(entries)
        if hit is None:
            hit = await self._alone.hit_all(entries)
        elif hit.granted:
            self._local.note(entries)
        charge = charges[hit.tightest]
        quota = self.policies[charge.policy]
        left = quota - hit.window.used() - (charge.cost if hit.granted else 0)
        fits_in_s = 0.0 if hit.granted else hit.window.fits_in_s(quota, charge.cost)
        return Allowance(hit.granted, charge, quota, max(0, left), fits_in_s)

    async def close(self) -> None:
        if self._shared is not None:
            await self._shared.close()

    def _entry(self, charge: Charge) -> Entry:
        item = self._items[charge.policy]
        return Entry(item.key_for(charge.policy, charge.subject), item.amount, charge.cost)

    async def _ask(self, entries: Sequence[Entry]) -> Hit | None:
        """Ask the shared store; None if there is none, it is away, or it was a moment ago."""
        if self._shared is None or self._together is None:
            return None
        if self.degraded:
            now_ns = self._clock.monotonic_ns()
            if now_ns < self._ask_again_ns:
                return None
            self._ask_again_ns = now_ns + ASK_AGAIN_NS  # this request alone finds out
        try:
            async with asyncio.timeout(self._shared.timeout_s), self._connections:
                hit = await self._together.hit_all(entries)
        except self._shared.failures as e:
            self._ask_again_ns = self._clock.monotonic_ns() + ASK_AGAIN_NS
            self._turn(degraded=True, why=type(e).__name__)
            return None
        self._turn(degraded=False, why="")
        return hit

    def _turn(self, *, degraded: bool, why: str) -> None:
        if degraded is not self.degraded:
            self.degraded = degraded
            _log.warning("quota.degraded" if degraded else "quota.shared", extra={"why": why})


def open_quotas(
    settings: QuotaSettings | None, redis_url: str | None, clock: Clock
) -> SlidingQuotas | None:
    """Build what the settings ask for: nothing, unless they name quotas or a store to share."""
    if settings is None and redis_url is None:
        return None
    asked = settings or QuotaSettings()
    quotas = {
        KEY: asked.key_orders_per_second,
        ACCOUNT: asked.account_orders_per_second,
        GLOBAL: asked.global_orders_per_second,
        READS: asked.key_reads_per_second,
        CANCELS: asked.key_cancels_per_second,
    }
    policies = {name: quota for name, quota in quotas.items() if quota is not None}
    return SlidingQuotas(policies, clock, SharedWindows(redis_url) if redis_url else None)
