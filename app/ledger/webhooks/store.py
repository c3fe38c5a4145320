"""The record of what customers are told: `WebhookStore` of `ports.webhooks`.

It adds the time to `endpoints` and `delivering`. What a courier does may run a second time,
so a server that restarts is a pause; what an owner asks for is done once or is not known.
"""

from collections.abc import Mapping, Sequence

from app.domain.records import Actor
from app.domain.webhooks import Delivery, DeliveryState, Endpoint, Settled, WebhookBacklog
from app.ledger.edge import Edge
from app.ledger.webhooks import delivering, endpoints
from app.ports.webhooks import Claim, Due, Replayed


class WebhookLedger(Edge):
    """Remembers endpoints, and what is on its way to them."""

    async def create_endpoint(self, endpoint: Endpoint, by: Actor) -> None:
        now = self._clock.now()
        await self._write_once(lambda c: endpoints.create(c, endpoint, by, now))

    async def change_endpoint(self, wanted: Endpoint, seen: int, by: Actor) -> Endpoint:
        now = self._clock.now()
        return await self._write_once(lambda c: endpoints.change(c, wanted, seen, by, now))

    async def endpoints(self) -> list[Endpoint]:
        return await self._read(endpoints.endpoints)

    async def endpoint(self, endpoint_id: str) -> Endpoint | None:
        return await self._read(lambda c: endpoints.endpoint(c, endpoint_id))

    async def ever_used(self) -> bool:
        return await self._read(endpoints.ever_used)

    async def enqueue(self, deliveries: Sequence[Delivery], waiting_max: int) -> int:
        now = self._clock.now()
        return await self._write(lambda c: delivering.enqueue(c, deliveries, waiting_max, now))

    async def due(self) -> list[Due]:
        return await self._read(delivering.due)

    async def claim(self, wanted: Mapping[str, int], lease: int) -> list[Claim]:
        now = self._clock.now()
        return await self._write(lambda c: delivering.claim(c, wanted, lease, now))

    async def settle(self, settled: Sequence[Settled]) -> list[Endpoint]:
        now = self._clock.now()
        return await self._write(lambda c: delivering.settle(c, settled, now))

    async def deliveries(
        self, endpoint_id: str, state: DeliveryState | None, before: int | None, limit: int
    ) -> list[Delivery]:
        return await self._read(lambda c: delivering.page(c, endpoint_id, state, before, limit))

    async def delivery(self, endpoint_id: str, delivery_id: str) -> Delivery | None:
        return await self._read(lambda c: delivering.one(c, endpoint_id, delivery_id))

    async def replay(self, endpoint_id: str, delivery_id: str) -> Delivery | None:
        now = self._clock.now()
        return await self._write(lambda c: delivering.replay(c, endpoint_id, delivery_id, now))

    async def replay_since(
        self, endpoint_id: str, after: int, state: DeliveryState | None, limit: int
    ) -> Replayed:
        now = self._clock.now()
        return await self._write(
            lambda c: delivering.replay_since(c, endpoint_id, state, (after, limit), now)
        )

    async def backlog(self) -> WebhookBacklog:
        return await self._read(delivering.backlog)

    async def forget(self, before: int, limit: int) -> int:
        return await self._write(lambda c: delivering.forget(c, before, limit))
