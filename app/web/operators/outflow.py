"""What waits to leave the house: the outbox, and how many letters nobody could apply.

`openbell outbox status` asks here. The trap is a bus that is away: the outbox stands in the
ledger and is told all the same, and of the letters that nobody could be asked, never that there
are none.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from app.bus.topics import RETENTION_DAYS
from app.letters import GROUP, topic_of_letters
from app.ports.bus import Bus
from app.web.house import House
from app.web.operators.outflow_told import OutboxTold
from app.web.shapes import instant
from app.web.spec import Call, Reply, Spec, ok

SEE: Final = "admin:read"
# A person waits for this; a cluster that needs longer is one that he asks about elsewhere.
BUS_S_MAX: Final = 3.0


class Outflow:
    """What is on its way out."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def outbox(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """Show how many events wait for the bus, since when, and how many are parked.

        `parked` is null when the bus could not be asked; each topic has its own dead letters.
        """
        now = self._house.clock.now()
        stands = await self._house.control.outbox()
        age_ms = None if stands.oldest_at is None else max(0, now - stands.oldest_at)
        told = {
            "at": instant(now),
            "waiting": stands.waiting,
            "oldest_event_id": stands.oldest_event_id,
            "oldest_type": stands.oldest_type,
            "oldest_at": instant(stands.oldest_at),
            "oldest_age_s": None if age_ms is None else age_ms / 1000,
            "parked": await parked(self._house.bus),
        }
        return ok(told)


async def parked(bus: Bus) -> dict[str, int] | None:
    """Return how many dead letters wait, by the topic they came from; None: the bus is away."""
    found = {}
    try:
        async with asyncio.timeout(BUS_S_MAX):
            for topic in RETENTION_DAYS:
                letters = topic_of_letters(topic)
                found[topic] = await bus.lag(letters, GROUP + letters)
    except (OSError, TimeoutError):
        return None
    return found


def outflow_specs(house: House) -> Sequence[Spec[Any, Any]]:
    outflow = Outflow(house)
    return (
        Spec(
            method="GET",
            path="/admin/v1/outbox",
            name="get_outbox",
            scope=SEE,
            handler=outflow.outbox,
            answers={200: OutboxTold},
        ),
    )
