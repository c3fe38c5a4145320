"""Publishes one batch at a time; what is asked for meanwhile goes together in the next one.

    publish ──┐                     ┌─► done
    publish ──┼─► one batch ─► send ┼─► done      what comes while it is under way: the next batch
    publish ──┘                     └─► done

Whoever comes first carries for all who wait, so no task of its own is needed. A hundred single
events cost a handful of requests, and one that was asked for earlier never goes later.

The trap: a carrier who is cancelled. What he carried for others may have arrived or not, so the
next one carries it again; events may repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app.ports.bus import Event

# As much as a relay carries at once: more would only make the first one wait longer.
EVENTS_MAX: Final = 2_000


class _Call:
    """One request, until it is answered."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.answered = False
        self.failure: OSError | None = None

    def answer(self, failure: OSError | None = None) -> None:
        self.answered, self.failure = True, failure


class Together:
    """Callers of one `send`, which is never called twice at once."""

    def __init__(self, send: Callable[[Sequence[Event]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: list[_Call] = []  # in the order in which they came, as they get their turn
        self._turn = asyncio.Lock()

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when `send` has returned for these, or raise the `OSError` that it raised."""
        call = _Call(events)
        self._waiting.append(call)
        try:
            async with self._turn:
                if not call.answered:
                    await self._carry()
        finally:
            if call in self._waiting:  # cancelled, before or while it was carried
                self._waiting.remove(call)
        if call.failure is not None:
            raise call.failure

    async def _carry(self) -> None:
        """Send what waits; the first of it is the caller's own."""
        calls = self._next()
        try:
            await self._send([event for call in calls for event in call.events])
        except OSError as e:
            # Who has only just come would hear the same, one time-out later.
            for call in (*calls, *self._waiting):
                call.answer(e)
            self._waiting.clear()
        except BaseException:
            self._waiting[:0] = calls
            raise
        else:
            for call in calls:
                call.answer()

    def _next(self) -> list[_Call]:
        count = size = 0
        for call in self._waiting:
            size += len(call.events)
            if count and size > EVENTS_MAX:
                break
            count += 1
        calls, self._waiting = self._waiting[:count], self._waiting[count:]
        return calls
