"""How a task is ended that waits for somebody else's code: it is canceled until it has ended.

The trap is one cancellation, for it may be lost on its way. Python 3.11's `asyncio.wait_for` drops
it when what it waited for is done in the same instant, and pymongo's asynchronous client writes
each message through one; aiohttp takes it for its own time-out where both come at once, and the
losers of its race between a host's addresses swallow it. So a worker of the migration beat for
ever, its load long whole, and a broker's feed went on after its lane was gone.
"""

import asyncio
from typing import Any, Final

# Longer than whatever a canceled task still does of its own accord: it gives a chunk back in two.
AGAIN_S: Final = 5.0


async def ended(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel these until all have ended; what one of them raises, its group hears.

    Whoever ends them may be ended so himself, every few seconds: he hears it when they have ended.
    A group that he left them to would say it to them once alone.
    """
    heard: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=AGAIN_S)
        except asyncio.CancelledError as e:
            heard = e
    if heard is not None:
        raise heard
