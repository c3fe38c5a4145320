"""Runs an adapter that lives on a session, in the part of the gateway that owns its lane.

    hold ─► Ground: numbers, lease ──┐
    case: owner? sure? may leave? ───┼─► Standing ─► adapter.run ─► reports ─► Ears
    Ears: is the bus there? ─────────┘

The case decides what a gateway's neighbours decide: whether the lane is ours, whether an order may
still leave, and when a report is on the bus. The trap is a session with two holders: they would
take each other's numbers. So the kit lets go of one adapter before it holds the next.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from app.brokers.conformance.subject import Ground
from app.domain.broker_session import SessionStatus
from app.domain.messages import ExecutionReport, ExecutionType
from app.ending import ended
from app.ports.brokers import LiveBroker, Standing
from app.ports.sessions import Unread

LOOK_EVERY_S: Final = 0.02
UP: Final = "logged_on"
# What a session comes to by itself: it is up, or the broker has said why not.
ANSWERED: Final = frozenset({UP, "refused"})


class Ears:
    """What the adapters of one case have published. Closed, they take nothing, and nobody dies."""

    def __init__(self) -> None:
        self.reports: list[ExecutionReport] = []
        self.unread: list[Unread] = []
        self.open = asyncio.Event()
        self.open.set()
        self.knocked = False  # somebody has something to publish, since they were closed

    async def publish(self, reports: Sequence[ExecutionReport]) -> None:
        self.knocked = True
        await self.open.wait()
        self.reports += reports

    async def park(self, unread: Sequence[Unread]) -> None:
        self.unread += unread

    def close(self) -> None:
        self.knocked = False
        self.open.clear()

    def of(self, key: str) -> list[ExecutionReport]:
        """Return what was told of one order."""
        return [report for report in self.reports if report.broker_order_key == key]

    def trades(self, key: str) -> dict[object, ExecutionReport]:
        """Return its trades by what makes an execution one: told again it is the same."""
        trades = [r for r in self.of(key) if r.execution_type is ExecutionType.TRADE]
        return {(trade.trade_date, trade.execution_id): trade for trade in trades}


class Held:
    """One adapter on its session."""

    def __init__(self, broker: LiveBroker, ground: Ground, ears: Ears, *, owns: bool) -> None:
        self.broker = broker
        self.ground = ground
        self.owns = owns  # whether the lane is ours
        self.sure = True  # whether it is still ours for certain
        self.stops: dict[str, str] = {}  # why an order may not leave, by its key
        self.died: Exception | None = None
        self.standing = Standing(
            ground.sessions,
            ears.publish,
            ears.park,
            lambda: ground.epoch if self.owns else 0,
            lambda: self.sure,
            self.stops.get,
        )

    @property
    def status(self) -> SessionStatus | None:
        return self.broker.session()

    @property
    def state(self) -> str:
        return "unknown" if self.status is None else self.status.state

    @property
    def since(self) -> int:
        """Return when it came to its state: a logon that was made anew has another one."""
        return 0 if self.status is None else self.status.since

    @property
    def why(self) -> str:
        """Return in words how it stands."""
        if self.died is not None:
            return f"it ended with {type(self.died).__name__}: {self.died}"
        return "it says nothing of its session" if self.status is None else str(self.status[1:3])

    async def run(self) -> None:
        """Run the adapter; that it raises is the case's to find, and ends no other."""
        try:
            await self.broker.run(self.standing)
        except Exception as e:  # noqa: BLE001 - a stranger's adapter: anything
            self.died = _first(e)


def _first(e: Exception) -> Exception:
    """Return what went wrong, out of the groups around it."""
    while isinstance(e, ExceptionGroup):
        e = e.exceptions[0]
    return e


async def until(test: Callable[[], bool], patience_s: float) -> bool:
    """Wait for a fact; False if it does not come in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not test():  # noqa: ASYNC110 - adapters ring no bell
                await asyncio.sleep(LOOK_EVERY_S)
            return True
    return False


@asynccontextmanager
async def running(held: Held) -> AsyncIterator[Held]:
    """Run the adapter meanwhile; at the end it is cancelled, as a gateway does that stops."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(held.run())
        try:
            yield held
        finally:
            await ended(task)
