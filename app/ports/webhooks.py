"""Customers' endpoints, and what is on its way to them.

The trap it avoids: a delivery that is known to have left and not to whom, or the other way round.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from app.domain.records import Actor
from app.domain.webhooks import Delivery, DeliveryState, Endpoint, Settled, WebhookBacklog


class Due(NamedTuple):
    """An endpoint for which something waits, and since when it may go, or will."""

    endpoint: Endpoint
    due_at: int


class Claim(NamedTuple):
    """A delivery that is ours to send until the lease is over, and where to."""

    delivery: Delivery
    endpoint: Endpoint
    lease: int


class Replayed(NamedTuple):
    """How many deliveries wait again, and the rank of the last one."""

    deliveries: int
    last: int


class WebhookStore(Protocol):
    """Remembers endpoints and deliveries. Every return is durable."""

    async def create_endpoint(self, endpoint: Endpoint, by: Actor) -> None:
        """Keep a new one, audited; or raise `Refused`: an account has as many as it may have."""

    async def change_endpoint(self, wanted: Endpoint, seen: int, by: Actor) -> Endpoint:
        """Keep the next version of what its owner sets, audited; return it as it stands.

        Raises `Refused`: `NOT_FOUND` for what is not there or is deleted, `STALE_VERSION`.
        """

    async def endpoints(self) -> list[Endpoint]:
        """Return all but the deleted, the oldest first."""

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return it, or None where it is not there or is deleted."""

    async def ever_used(self) -> bool:
        """Return whether there was ever an endpoint."""

    async def enqueue(self, deliveries: Sequence[Delivery], waiting_max: int) -> int:
        """Keep what is new of these, the oldest first; return how many.

        An id that is there stays as it is. Where so many wait for an endpoint, the rest of its
        deliveries find no room: they are counted on the endpoint, and not kept.
        """

    async def due(self) -> list[Due]:
        """Return the enabled endpoints for which something waits."""

    async def claim(self, wanted: Mapping[str, int], lease: int) -> list[Claim]:
        """Claim at most so many of what is due for each of these, the longest due first.

        What is claimed is due again at `lease`, so whoever dies with it leaves it to be sent
        again. An endpoint that is disabled, or rests, gives nothing.
        """

    async def settle(self, settled: Sequence[Settled]) -> list[Endpoint]:
        """Note how tries ended; return the endpoints that were disabled by that, audited.

        What was delivered is delivered; a failure counts only under the lease it was claimed by.
        """

    async def deliveries(
        self, endpoint_id: str, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        """Return what was made for it, the newest first, before a rank."""

    async def delivery(self, endpoint_id: str, delivery_id: str) -> Delivery | None: ...

    async def replay(self, endpoint_id: str, delivery_id: str) -> Delivery | None:
        """Let one wait again, as if it had never been tried, under its own id."""

    async def replay_since(
        self, endpoint_id: str, after: int, state: DeliveryState | None, limit: int
    ) -> Replayed:
        """Let what was delivered or failed behind a rank wait again, the oldest first."""

    async def backlog(self) -> WebhookBacklog: ...

    async def forget(self, before: int, limit: int) -> int:
        """Drop deliveries made before that instant, and those of the deleted; return how many."""
