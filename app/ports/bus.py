"""The stream of what happened: events that leave, and records that are read.

The trap it avoids: a reader that commits its place before its work is durable.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Event(NamedTuple):
    """One thing to publish: `event_id` is derived from its cause, so a replay repeats it."""

    topic: str
    key: str  # events of one key keep their order
    event_id: str
    type: str
    payload: bytes  # JSON


class Record(NamedTuple):
    """One event as a consumer sees it. Its place belongs to the bus that gave it."""

    partition: int
    offset: int
    event: Event


class Bus(Protocol):
    """Carries events at least once, in order per key."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when all of them are durable; on an exception any part may be."""

    async def poll(self, topic: str, group: str, limit: int) -> list[Record]:
        """Return the next records after the last poll; empty when there are none yet.

        A new process starts after the group's last committed place, so what was polled and
        not committed comes again: to this consumer, or to another that took its partition over.
        """

    async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
        """Note that these records, and all before them in their partitions, are done, durably.

        It never moves back. A partition that has gone to another consumer meanwhile is passed
        over in silence: its new owner sees the records again, and applying is idempotent.
        """

    async def wait(self, topic: str, group: str, timeout_s: float) -> None:
        """Return when there may be something to poll, or the time is over."""

    async def lag(self, topic: str, group: str) -> int:
        """Return how many records the group has not committed."""
