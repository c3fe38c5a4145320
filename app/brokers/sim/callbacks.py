"""Tells the client what happened: signed, in batches, until it says 2xx.

At least once, in the order in which things happened. What was told is written to the record,
so that a restart tells the rest, marked as a possible duplicate; a crash in between tells
some of it twice, as brokers do.
"""

import asyncio
import hashlib
import hmac
from collections import deque
from collections.abc import Iterable
from typing import Final

import aiohttp
import msgspec

from app.brokers.sim.audit import Audit
from app.brokers.sim.messages import AuditLine, Execution, encode
from app.brokers.sim.world import World

BATCH_MAX: Final = 500
# A client that restarts is back within a second; one that is down is not hammered.
BACK_OFF_FIRST_S: Final = 0.05
BACK_OFF_MAX_S: Final = 2.0
TIMEOUT_S: Final = 10.0


class Push(msgspec.Struct):
    """The body of a callback."""

    broker: str
    reports: list[Execution]


def signature(secret: str, seconds: int, body: bytes) -> str:
    """Return the `X-Signature` of a body."""
    digest = hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256)
    return f"t={seconds},v1={digest.hexdigest()}"


class Teller:
    """One queue and one sender, so that order is kept without a thought."""

    def __init__(
        self, broker: str, url: str | None, secret: str, world: World, audit: Audit
    ) -> None:
        self._broker = broker
        self._url = url
        self._secret = secret
        self._world = world
        self._audit = audit
        self._queue: deque[Execution] = deque()
        self._out = 0
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.sent = 0
        self.failed = 0

    @property
    def pending(self) -> int:
        return len(self._queue) + self._out

    def tell(self, executions: Iterable[Execution]) -> None:
        if self._url is None:
            return
        self._queue.extend(executions)
        if self._queue:
            self._idle.clear()
            self._work.set()

    async def drain(self, timeout_s: float) -> None:
        """Wait until all of it is told, but not longer than this."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Tell, for ever."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                await self._work.wait()
                batch = [self._queue.popleft() for _ in range(min(BATCH_MAX, len(self._queue)))]
                if not batch:
                    self._work.clear()
                    self._idle.set()
                    continue
                self._out = len(batch)
                await self._deliver(session, batch)
                self._out = 0

    async def _deliver(self, session: aiohttp.ClientSession, batch: list[Execution]) -> None:
        body = encode(Push(self._broker, batch))
        callback_id = f"{batch[0].execution_id}+{len(batch)}"
        pause_s = BACK_OFF_FIRST_S
        while not await self._post(session, callback_id, body):
            self.failed += 1
            await asyncio.sleep(pause_s * (0.5 + self._world.die("back-off").random()))
            pause_s = min(BACK_OFF_MAX_S, pause_s * 2)
        self.sent += 1
        told = [execution.execution_id for execution in batch]
        await self._audit.commit([AuditLine(ns=self._world.ns(), kind="TOLD", told=told)])

    async def _post(self, session: aiohttp.ClientSession, callback_id: str, body: bytes) -> bool:
        assert self._url is not None
        headers = {
            "Content-Type": "application/json",
            "X-Callback-Id": callback_id,
            "X-Signature": signature(self._secret, self._world.now_ms() // 1000, body),
        }
        try:
            async with session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as reply:
                return reply.status // 100 == 2  # noqa: PLR2004 - every 2xx is a yes
        except (aiohttp.ClientError, OSError):
            return False
