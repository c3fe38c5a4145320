"""What it means that the cluster is away: one error, always in bounded time.

aiokafka retries inside, silently and for ever: an idempotent batch never expires, a commit
looks for its coordinator until there is one. That is right for a client and wrong for us, who
want to say that the bus is away and to go on with what does not need it. So whatever asks the
cluster does it within `bounded`.

The trap it avoids: a library's error that nobody catches, because it is a `RuntimeError` there.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.errors import KafkaError  # type: ignore[import-untyped]

from app.ports.away import StoreAway

# What matters of it comes back as an error. Without this line, a program that has not set up
# logging prints ten lines a second during an outage; one that has gets them as before.
logging.getLogger("aiokafka").addHandler(logging.NullHandler())


class BusAway(StoreAway):
    """The cluster did not do it, or did not say so in time. Ask again later."""


@asynccontextmanager
async def bounded(doing: str, seconds: float) -> AsyncIterator[None]:
    """Raise `BusAway` for whatever goes wrong in the block, and when it takes too long."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as e:
        raise BusAway(f"{doing}: no answer from Kafka within {seconds:g} s") from e
    except BusAway:
        raise
    except KafkaError as e:  # its text begins with its name
        raise BusAway(f"{doing}: {e}") from e
    except OSError as e:
        raise BusAway(f"{doing}: {type(e).__name__}: {e}") from e
