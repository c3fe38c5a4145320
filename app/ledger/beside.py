"""Runs what takes long on a thread, and never leaves it running behind a task that has gone.

A cancelled task does not stop its thread. Whoever closes a database, or clears a directory away,
while a thread still works there, finds half a file under a good name: so we wait for it.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def beside(work: Callable[[], T], on_cancel: Callable[[], None] = lambda: None) -> T:
    """Return what `work` returns; when cancelled, `on_cancel` hurries it and it is waited for."""
    running = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        on_cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # nobody is left to be told
        raise
