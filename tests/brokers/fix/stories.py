"""A FIX broker of ours at a counterpart, and stories that are played against the two."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from app.brokers.fix.broker import FixBroker
from tests.brokers.fix.counterpart import SENDER, TARGET, Book
from tests.brokers.fix.stage import Stage, staged
from tests.eventually import eventually

SESSION: Final = f"FIX.4.4:{TARGET}->{SENDER}"
Story = Callable[[FixBroker, Stage], Awaitable[None]]


def a_broker(stage: Stage, **options: Any) -> FixBroker:
    given: dict[str, Any] = {"hosts": f"127.0.0.1:{stage.counterpart.port}", "heartbeat_s": 1}
    given |= {"back_off_s_min": 0.02, "back_off_s_max": 0.05, "answer_s": 0.5, "find_s": 0.5}
    given |= {"sender": TARGET, "target": SENDER}
    return FixBroker(name="north", clock=stage.clock, **(given | options))


@asynccontextmanager
async def serving(broker: FixBroker, stage: Stage, *, up: bool = True) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(broker.run(stage.standing))
        if up:
            await eventually(lambda: is_up(broker) or task.done())
        yield
        task.cancel()


def is_up(broker: FixBroker) -> bool:
    status = broker.session()
    return status is not None and status.state == "logged_on"


def play(story: Story, *script: str, book: Book | None = None, **options: Any) -> Stage:
    """Run a story against a counterpart that acts so; return what is left of the stage."""

    async def whole() -> Stage:
        async with staged(book or Book(script=list(script))) as stage:
            broker = a_broker(stage, **options)
            async with serving(broker, stage):
                await story(broker, stage)
            return stage

    return asyncio.run(whole())
