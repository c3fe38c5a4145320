"""A task that somebody's library keeps alive is ended all the same."""

import asyncio

from app.ending import AGAIN_S, ended
from tests.virtual import Virtual


async def deaf(times: int) -> None:
    """Lose so many cancellations, as `wait_for` does when what it waits for is just done."""
    for _ in range(times):
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            continue
    await asyncio.sleep(3_600)


def test_a_lost_cancellation_is_repeated(virtual: Virtual) -> None:
    async def story() -> tuple[bool, float]:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            quick, slow = tasks.create_task(deaf(0)), tasks.create_task(deaf(2))
            await asyncio.sleep(1)
            began = loop.time()
            await ended(quick, slow)
        return quick.cancelled() and slow.cancelled(), loop.time() - began

    assert virtual.run(story()) == (True, 2 * AGAIN_S)


def test_who_is_ended_himself_goes_on_ending(virtual: Virtual) -> None:
    ends = []

    async def part() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                inner = tasks.create_task(deaf(3))
                try:
                    await asyncio.sleep(3_600)
                finally:
                    await ended(inner)
        finally:
            ends.append(asyncio.get_running_loop().time())

    async def story() -> bool:
        async with asyncio.timeout(4 * AGAIN_S), asyncio.TaskGroup() as tasks:
            outer = tasks.create_task(part())
            await asyncio.sleep(1)
            await ended(outer)
        return outer.cancelled()

    assert virtual.run(story())
    assert ends == [1 + 3 * AGAIN_S]


def test_what_has_ended_is_not_waited_for(virtual: Virtual) -> None:
    async def story() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as tasks:
            one = tasks.create_task(asyncio.sleep(0))
            await asyncio.sleep(0.5)
            await ended(one)
        return loop.time() - began

    assert virtual.run(story()) == 0.5
