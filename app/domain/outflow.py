"""What leaves the house, as a person looks at it: what waits for the bus, and since when. Pure."""

from typing import NamedTuple


class OutboxStands(NamedTuple):
    """What waits for the relay, and since when its oldest event does."""

    waiting: int  # beyond 10,000 roughly
    oldest_event_id: str | None
    oldest_type: str | None
    oldest_at: int | None  # as the event itself says; None: it does not
