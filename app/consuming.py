"""How a batch goes from the bus to whoever applies it: once more after every failure, never less.

    poll ─► apply (durable) ─► park what is poison ─► commit

What was polled and not committed stays in hand, because a poll moves on. A bus or a store that is
away is nobody's fault: the same batch goes again, after a pause that doubles. Whatever else is
raised is a bug, and goes up; a subscriber without whom orders flow as well goes on instead, and
says so (`mishaps`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from app.ports.bus import Bus, Event, Record

IDLE_S: Final = 1.0
# Soon enough that a blip is not felt, and rare enough that an outage is no load on what is away.
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
Away = tuple[type[Exception], ...]
AWAY: Final[Away] = (OSError,)
ANYTHING: Final[Away] = (Exception,)


def _silently(_trouble: Exception | None) -> None:
    """Tell nobody."""


async def persistently(
    step: Callable[[], Awaitable[int]],
    away: Away = AWAY,
    told: Callable[[Exception | None], None] = _silently,
) -> int:
    """Try a step until nothing is away; `told` hears why it pauses, and None when it goes on."""
    pause_s = RETRY_S_MIN
    while True:
        try:
            done = await step()
        except away as e:
            told(e)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RETRY_S_MAX)
        else:
            told(None)
            return done


class Consumer:
    """One consumer of a topic, as a member of a group. A room says what a batch is applied to."""

    def __init__(self, bus: Bus, topic: str, group: str, batch_max: int, away: Away = AWAY) -> None:
        self._bus = bus
        self._topic = topic
        self._group = group
        self._batch_max = batch_max
        self._away = away
        self._in_hand: list[Record] = []
        self.parked = 0
        self.trouble: str | None = None  # why it pauses, None while all is well

    async def run(self) -> None:
        """Consume for ever."""
        while True:
            await self._rest(await persistently(self._turn, self._away, self._note))

    async def step(self) -> int:
        """Apply one batch and return how many records it had; on an exception it is kept."""
        if not self._in_hand:
            self._in_hand = await self._bus.poll(self._topic, self._group, self._batch_max)
        records = self._in_hand
        if not records:
            return 0
        letters = await self._apply(records)
        await self._bus.publish(letters)
        self._before_commit()
        await self._bus.commit(self._topic, self._group, records)
        self._in_hand = []
        self.parked += len(letters)
        return len(records)

    async def _turn(self) -> int:
        done = await self.step()
        if not done:
            await self._bus.wait(self._topic, self._group, IDLE_S)
        return done

    def _note(self, trouble: Exception | None) -> None:
        self.trouble = None if trouble is None else f"{type(trouble).__name__}: {trouble}"

    async def _apply(self, records: list[Record]) -> list[Event]:
        """Make a batch durable; return the letters of what can never be applied."""
        raise NotImplementedError

    def _before_commit(self) -> None:
        """Stand between the letters and the commit: where a storm may kill."""

    async def _rest(self, done: int) -> None:
        """Let more gather, where a larger batch is a cheaper one."""
