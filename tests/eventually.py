"""Waiting for the world, in tests with real processes and servers: ask often, give up once.

A sleep of a guessed length is either too short, on a busy machine, or too long, on every
other. So ask until it is true; the time-out only says when to stop hoping.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Often enough that nobody notices the wait, and seldom enough that asking costs nothing.
ASK_EVERY_S = 0.01


async def eventually(condition: Callable[[], T], timeout_s: float = 30.0) -> T:
    """Return the condition's first true answer; fail when there is none within `timeout_s`."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + timeout_s
    while not (answer := condition()):
        if loop.time() >= give_up_at:
            name = getattr(condition, "__qualname__", condition)
            raise AssertionError(f"{name} was still {answer!r} after {timeout_s} s")
        await asyncio.sleep(ASK_EVERY_S)
    return answer
