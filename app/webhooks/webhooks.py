"""The room as one thing that runs: who listens, who carries, who tidies up.

Each of them catches its own bugs and says so by one anomaly (`mishaps`): a customer who is not
told is no reason to stop an order.

Where the bus is a log of this process, nothing runs before somebody has made a first endpoint: who
tells nobody pays for nothing. Elsewhere the group keeps its place from the beginning, or a first
endpoint would wait for weeks of a topic to pass. What happened before an endpoint was made is in
neither case told to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from app.consuming import ANYTHING, persistently
from app.domain.webhooks import WebhookCounts
from app.mishaps import Mishaps
from app.webhooks.carrier import Post
from app.webhooks.courier import Courier
from app.webhooks.listener import Listener
from app.webhooks.tidier import Tidier

TIDY_EVERY_S: Final = 60.0
USED_EVERY_S: Final = 2.0


class Webhooks:
    """All of its loops, and how they are let go of."""

    def __init__(
        self,
        listener: Listener,
        courier: Courier,
        tidier: Tidier,
        post: Post,
        mishaps: Mishaps,
        *,
        used: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        """Take the parts; `used`: was there ever an endpoint? None: all runs at once."""
        self._listener = listener
        self._courier = courier
        self._tidier = tidier
        self._post = post
        self._mishaps = mishaps
        self._used = used

    @property
    def counts(self) -> WebhookCounts:
        became = self._courier.counts
        return WebhookCounts(
            self._listener.queued, became["delivered"], became["retried"], became["failed"]
        )

    async def run(self) -> None:
        """Tell customers for ever, whatever throws."""
        if self._used is not None:
            await self._until_used(self._used)
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._mishaps.run())
            loops.create_task(self._listener.run())
            loops.create_task(self._courier.run())
            loops.create_task(self._tidying())

    async def close(self) -> None:
        """Let go of what is open."""
        await self._post.close()

    async def _until_used(self, used: Callable[[], Awaitable[bool]]) -> None:
        while True:
            with suppress(OSError):  # the ledger is away, and then nobody makes an endpoint
                if await used():
                    return
            await asyncio.sleep(USED_EVERY_S)

    async def _tidying(self) -> None:
        while True:
            await persistently(self._tidier.step, ANYTHING, self._mishaps.of("tidying"))
            await asyncio.sleep(TIDY_EVERY_S)
