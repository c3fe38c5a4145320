"""Gives each broker that lives on a session what it stands on: record, bus, and its lane's lease.

The session is where the lane is: one process owns both, under one epoch. The trap is a session
that outlives its lane, for its reports would be taken by a process that sends nothing, and whoever
gets the lease next would log on beside it. So a lane that closes ends its session first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, cast

from app.consuming import persistently
from app.dispatch.lane import Lane
from app.dispatch.replaces import Replaces
from app.dispatch.reports import TOPIC, event_of
from app.domain.messages import ExecutionReport
from app.domain.values import is_replace_key, order_id_of
from app.ending import ended
from app.letters import unsendable
from app.ports.brokers import Broker, HeedingBroker, LiveBroker, Standing
from app.ports.bus import Bus, Event
from app.ports.sessions import SessionStore, Unread

UNREAD: Final = "io.openbell.broker-report.unread.v1"


def live(brokers: Mapping[str, Broker]) -> dict[str, LiveBroker]:
    """Return the brokers that live on a session: those that can be run."""
    return {n: cast("LiveBroker", b) for n, b in brokers.items() if hasattr(b, "run")}


def sessions_of(
    brokers: Mapping[str, Broker],
    lanes: Sequence[Lane],
    replaces: Mapping[str, Replaces],
    store: SessionStore,
    bus: Bus,
) -> list[Callable[[], Awaitable[None]]]:
    """Return the loop of each session whose lane may be ours."""
    alive = live(brokers)
    held = []
    for lane in lanes:
        if lane.broker_id in alive:
            standing = _standing(lane, replaces[lane.broker_id], store, bus)
            held.append(Held(alive[lane.broker_id], standing))
            lane.before_leaving = held[-1].end
    return [each.run for each in held]


class Held:
    """One broker's session, held until the lane wants to leave."""

    def __init__(self, broker: LiveBroker, standing: Standing) -> None:
        self._broker = broker
        self._standing = standing
        self._over = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    async def run(self) -> None:
        """Hold it; return when it has been ended."""
        self._ended.clear()
        try:
            async with asyncio.TaskGroup() as tasks:
                holding = tasks.create_task(self._broker.run(self._standing))
                try:
                    await self._over.wait()
                finally:
                    await ended(holding)
        finally:
            self._ended.set()

    async def end(self) -> None:
        """Log out, and return when that is done."""
        self._over.set()
        await self._ended.wait()


def _standing(lane: Lane, replaces: Replaces, store: SessionStore, bus: Bus) -> Standing:
    ownership = lane.ownership

    async def publish(reports: Sequence[ExecutionReport]) -> None:
        await persistently(partial(_publish, bus, reports))

    async def keep(unread: Sequence[Unread]) -> None:
        await persistently(partial(park, bus, unread))

    def per_second() -> int | None:
        return lane.permits.limit

    epoch, is_sure = (lambda: ownership.epoch), ownership.is_sure
    return Standing(store, publish, keep, epoch, is_sure, _stops(lane, replaces), per_second)


def let_heed(broker: Broker, lane: Lane, replaces: Replaces) -> None:
    """Let an adapter that may have to wait before its write ask its lane once more."""
    if hasattr(broker, "heed"):
        cast("HeedingBroker", broker).heed(_stops(lane, replaces))


def _stops(lane: Lane, replaces: Replaces) -> Callable[[str], str | None]:
    def stops(key: str) -> str | None:
        known = replaces if is_replace_key(key) else lane
        return known.stops(key) or lane.permits.too_late()

    return stops


async def _publish(bus: Bus, reports: Sequence[ExecutionReport]) -> int:
    await bus.publish([event_of(report) for report in reports])
    return len(reports)


async def park(bus: Bus, unread: Sequence[Unread]) -> int:
    """Keep the bytes with our own dead letters: the broker's session is no topic to return to."""
    await bus.publish(
        [
            unsendable(
                Event(TOPIC, order_id_of(it.about) or it.about or it.name, it.name, UNREAD, it.raw),
                it.cause,
            )
            for it in unread
        ]
    )
    return len(unread)
