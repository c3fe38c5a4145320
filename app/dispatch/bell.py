"""Rings the bell: reserved orders queue when their session opens, and end when it is over.

Sessions are wall time, and wall time can step. Against the monotonic clock a step shows, and
then nothing is released until the clock has been steady: a million orders leave on the
exchange's time or not at all.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from app import crash
from app.clock import Clock
from app.dispatch.board import Board
from app.ports.control import ControlStore
from app.ports.dispatch import DispatchStore, Recheck

# One transaction of the release: long enough to amortise a commit, short enough (about 20 ms)
# that a claim or a client beside it does not wait long.
RELEASE_MAX: Final = 500
TICK_S: Final = 0.05
SWEEP_S: Final = 5.0
STEP_MS: Final = 500
STEADY_S: Final = 10.0
NS_PER_MS: Final = 1_000_000


class Bell:
    """The loop that watches the calendar."""

    def __init__(
        self,
        *,
        store: DispatchStore,
        control: ControlStore,
        board: Board,
        clock: Clock,
        recheck: Recheck,
        on_released: Callable[[], None],
    ) -> None:
        self._store = store
        self._control = control
        self._board = board
        self._clock = clock
        self._recheck = recheck
        self._on_released = on_released
        self._offset_ms = self._offset()
        self._distrust_until_ns = 0
        self.steps_seen = 0

    def _offset(self) -> int:
        return self._clock.now() - self._clock.monotonic_ns() // NS_PER_MS

    def steady(self) -> bool:
        """Whether the wall clock may be believed: no step within the last seconds."""
        offset, now = self._offset(), self._clock.monotonic_ns()
        if abs(offset - self._offset_ms) > STEP_MS:
            self.steps_seen += 1
            self._distrust_until_ns = now + round(STEADY_S * 1_000_000_000)
        self._offset_ms = offset
        return now >= self._distrust_until_ns

    async def run(self) -> None:
        """Release and expire for ever."""
        swept = -SWEEP_S
        loop = asyncio.get_running_loop()
        while True:
            released = await self.step()
            if loop.time() - swept >= SWEEP_S and self.steady():
                await self.sweep()
                swept = loop.time()
            await asyncio.sleep(0 if released else TICK_S)

    async def step(self) -> int:
        """Release one batch of each open session; return how many orders moved."""
        moved = 0
        if self._board.halts.everything or not self.steady():
            return moved
        for session in self._board.reference.calendar.open_now(self._clock.now()):
            if session.trading_session_id in self._board.paused:
                continue
            queued, denied = await self._store.release(
                session.trading_session_id, RELEASE_MAX, self._recheck
            )
            if queued:
                crash.point("release.after_commit")
                self._on_released()
            moved += queued + denied
        return moved

    async def sweep(self) -> None:
        """End the unsent orders of every session that is over."""
        now = self._clock.now()
        waiting = await self._control.waiting_sessions()
        for name in waiting:
            session = self._board.reference.calendar.session(name)
            if session is None or session.closes_at > now:
                continue
            while await self._store.expire(name, RELEASE_MAX):
                pass
