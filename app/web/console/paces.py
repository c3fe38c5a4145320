"""How fast it went: what left in each second and what might have, for the last fifteen minutes.

It is noted once a second whether or not anybody looks, so that whoever opens the console two
minutes after the bell sees those two minutes. It is memory: after a restart the line begins
anew, and says since when. A second that nobody noted is a gap and never a straight line over it.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from app.clock import Clock
from app.domain.records import LaneStatus
from app.ports.dispatch import Floor

TICK_MS: Final = 1_000
# Fifteen minutes: what an operator wants to see of an open.
KEPT: Final = 900
# A beat may come late on a busy machine; beyond this, something was not seen.
GAP_MS: Final = 3_500


def may_leave(lane: LaneStatus) -> int:
    """Return how many messages a second may leave by a lane as it stands."""
    return 0 if lane.circuit == "open" else lane.tps_effective


class Second(NamedTuple):
    """One second of all lanes: what left, and what might have."""

    at: int
    sent: Mapping[str, int]
    limit: Mapping[str, int]
    late_ms: float | None = None  # how late this second came: the loop's own lag; None: unknown

    @property
    def all_sent(self) -> int:
        return sum(self.sent.values())

    @property
    def all_limit(self) -> int:
        return sum(self.limit.values())


class Paces:
    """Notes the lanes of this floor."""

    def __init__(self, floor: Floor, clock: Clock) -> None:
        self._floor = floor
        self._clock = clock
        self._kept: deque[Second] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Note every second until the house ends."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            late_ms = (loop.time() - due) * 1_000
            self._keep(self._floor.lanes(), late_ms)
            due = loop.time() + TICK_MS / 1_000
            await asyncio.sleep(TICK_MS / 1_000)

    def note(self, lanes: Iterable[LaneStatus]) -> None:
        """Note this second, if it is not noted yet."""
        if not self._kept or not 0 <= self._clock.now() - self._kept[-1].at < TICK_MS:
            self._keep(lanes)

    def _keep(self, lanes: Iterable[LaneStatus], late_ms: float | None = None) -> None:
        now = self._clock.now()
        known = tuple(lanes)
        sent = {lane.broker_id: lane.sent_last_second for lane in known}
        limit = {lane.broker_id: may_leave(lane) for lane in known}
        self._kept.append(Second(now, sent, limit, late_ms))

    def seen(self) -> tuple[Second, ...]:
        """Return what was noted, the latest last."""
        return tuple(self._kept)
