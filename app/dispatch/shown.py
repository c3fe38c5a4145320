"""Lanes that run in another process: seen, and asked, through the ledger.

Dispatchers show their lanes in a row each and answer questions about doubts; the doors of other
processes read and ask. Nothing here decides anything: rates, halts and verdicts are rows of their
own, and a claim is checked against them whoever looks at this.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from app.clock import Clock
from app.dispatch.floor import DispatchFloor
from app.domain.records import LaneStatus
from app.ports.control import ControlStore

SHOW_EVERY_S: Final = 0.25
# A lane that nobody has shown for so long has nobody who runs it.
SILENT_MS: Final = 10_000
PROBE_TIMEOUT_S: Final = 10.0
ASK_EVERY_S: Final = 0.1
# A question that is none on a doubt, but a wish: that the broker's session ends. Behind the broker
# stands until when: whoever asked has gone by then, and who holds the session later must not obey.
LOG_OUT: Final = "log-out/"


class Showing:
    """A dispatcher's end: shows the lanes that it owns, answers what is asked about them."""

    def __init__(self, floor: DispatchFloor, control: ControlStore, clock: Clock) -> None:
        self._floor = floor
        self._control = control
        self._clock = clock

    async def run(self) -> None:
        """Show and answer for ever; a broker that answers late keeps no lane from being seen."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(_repeated(self._show))
            loops.create_task(_repeated(self._answer))

    async def step(self) -> None:
        """Show and answer once."""
        await self._show()
        await self._answer()

    async def _show(self) -> None:
        await self._control.show_lanes(self._floor.owned())

    async def _answer(self) -> None:
        for key in await self._control.questions():
            wish = key.removeprefix(LOG_OUT)
            if wish != key:
                broker_id, _, until = wish.rpartition("@")
                if self._floor.holds(broker_id) and self._clock.now() < int(until):
                    words = await self._floor.log_out(broker_id, "an operator ends the session")
                    await self._control.answer(key, words)
            elif self._floor.follows(key):
                await self._control.answer(key, await self._floor.probe(key))


async def _repeated(step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await step()
        await asyncio.sleep(SHOW_EVERY_S)


class ShownFloor:
    """The doors' end: `Floor` of `ports.dispatch`, as the dispatchers have last shown it."""

    def __init__(self, control: ControlStore, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._lanes: list[LaneStatus] = []

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(SHOW_EVERY_S)

    async def look(self) -> None:
        now = self._clock.now()
        shown = await self._control.shown_lanes()
        self._lanes = [
            lane if now - at < SILENT_MS else lane._replace(running=False, why_not="no dispatcher")
            for lane, at in shown
        ]

    def lanes(self) -> list[LaneStatus]:
        return self._lanes

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    await self.look()
                    if any(
                        lane.broker_id == broker_id and lane.applied_version >= version
                        for lane in self._lanes
                    ):
                        return True
                    await asyncio.sleep(ASK_EVERY_S)
        except TimeoutError:
            return False

    async def probe(self, broker_order_key: str) -> str:
        nobody = "still in doubt: no dispatcher has answered"
        return await self._answer_to(broker_order_key) or nobody

    async def log_out(self, broker_id: str, reason: str) -> str:  # noqa: ARG002 - audited by whoever asks
        until = self._clock.now() + round(PROBE_TIMEOUT_S * 1_000)
        wish = f"{LOG_OUT}{broker_id}@{until}"
        return await self._answer_to(wish) or "no dispatcher has answered"

    async def _answer_to(self, broker_order_key: str) -> str | None:
        await self._control.ask(broker_order_key)
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                while True:
                    answer = await self._control.answered(broker_order_key)
                    if answer is not None:
                        return answer
                    await asyncio.sleep(ASK_EVERY_S)
        except TimeoutError:
            return None

    def halts_changed(self) -> None:
        """Do nothing: dispatchers look at the rows themselves."""
