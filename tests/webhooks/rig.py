"""The room in virtual time, on the embedded stores, with a post that says what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app import codec
from app.bus.log import LogBus
from app.domain.records import Actor
from app.domain.values import rfc3339
from app.domain.webhooks import Answer, Delivery, Endpoint
from app.ending import ended
from app.ledger.schema import create
from app.ledger.trouble.store import AnomalyLedger
from app.ledger.webhooks.store import WebhookLedger
from app.mishaps import Mishaps
from app.ports.bus import Event
from app.sqlite import Database
from app.webhooks.courier import Courier
from app.webhooks.guard import Rules, Target
from app.webhooks.listener import GROUP, TOPIC, Listener
from app.webhooks.signing import Roots, mark_of
from app.webhooks.tidier import Tidier
from app.webhooks.webhooks import Webhooks
from tests.contracts.test_webhook_store import an_endpoint
from tests.virtual import Virtual

ROOT = bytes(range(32))
KIM = Actor("kim", "because")
Says = Callable[[Target], Awaitable[Answer]]


class Sent(NamedTuple):
    """One POST, as a receiver sees it."""

    at: int
    target: Target
    headers: Mapping[str, str]
    body: bytes


class ScriptedPost:
    """Every host answers as it is told to; 200 if it is told nothing."""

    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual
        self.sent: list[Sent] = []
        self.says: dict[str, Says] = {}
        self.out: dict[str, int] = {}
        self.most_out: dict[str, int] = {}

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answer:
        host = target.host
        self.sent.append(Sent(self._virtual.clock.now(), target, headers, body))
        self.out[host] = self.out.get(host, 0) + 1
        self.most_out[host] = max(self.most_out.get(host, 0), self.out[host])
        try:
            says = self.says.get(host)
            return Answer(200) if says is None else await says(target)
        finally:
            self.out[host] -= 1

    async def close(self) -> None:
        return None

    def ids(self, host: str = "customer.com") -> list[str]:
        return [sent.headers["webhook-id"] for sent in self.sent if sent.target.host == host]


class Rig:
    """One room, and everything that it stands on."""

    def __init__(self, virtual: Virtual, folder: Path) -> None:
        self.virtual = virtual
        self.clock = virtual.clock
        self.database = Database(None)
        self.database.write_now(create)
        self._bus_file = Database(None)
        self.bus = LogBus(self._bus_file, self.clock)
        self.store = WebhookLedger(self.database, self.clock)
        self.anomalies = AnomalyLedger(self.database, self.clock)
        self.post = ScriptedPost(virtual)
        pepper = folder / "keys.pepper"
        pepper.write_bytes(ROOT)
        pepper.chmod(0o600)
        self.roots = Roots(pepper)
        self.pepper = pepper
        self.mishaps = Mishaps(self.anomalies, GROUP)
        self.rules = Rules()

    def close(self) -> None:
        self.database.close()
        self._bus_file.close()

    def courier(self) -> Courier:
        return Courier(self.store, self.post, self.clock, self.rules, self.roots, self.mishaps)

    def listener(self, on_queued: Callable[[], None] = lambda: None) -> Listener:
        return Listener(self.bus, self.store, self.clock, self.mishaps, on_queued)

    def room(self, *, alone: bool = True) -> Webhooks:
        courier = self.courier()
        return Webhooks(
            self.listener(courier.wake),
            courier,
            Tidier(self.store, self.anomalies, self.clock),
            self.post,
            self.mishaps,
            used=self.store.ever_used if alone else None,
        )

    async def has(self, number: int = 1, **facts: Any) -> Endpoint:
        now = self.clock.now()
        given = {"root": mark_of(ROOT), "created_at": now, "changed_at": now} | facts
        endpoint = an_endpoint(number, **given)
        await self.store.create_endpoint(endpoint, KIM)
        return endpoint

    async def happens(self, *numbers: int, account_id: str = "ann", **facts: Any) -> None:
        """Publish an order's event for each number, as the relay would."""
        await self.bus.publish([self.event(n, account_id, **facts) for n in numbers])

    def event(self, number: int, account_id: str = "ann", **facts: Any) -> Event:
        at = facts.pop("at", self.clock.now())
        order = {
            "order_id": f"o-{number}",
            "account_id": account_id,
            "client_order_id": f"c-{number}",
            "status": "filled",
            "version": 3,
            "updated_at": rfc3339(at),
        }
        type_ = facts.pop("type", "io.openbell.order.filled.v1")
        payload = codec.encode(order | facts)
        return Event(TOPIC, account_id, f"o-{number}-3", type_, payload)

    async def deliveries(self, endpoint_id: str = "we_1") -> list[Delivery]:
        return await self.store.deliveries(endpoint_id, None, None, 1_000)


@asynccontextmanager
async def running(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run a loop for as long as the block lasts; its end is as sudden as a kill."""
    async with asyncio.TaskGroup() as group:

        async def run() -> None:
            await work()

        task = group.create_task(run())
        try:
            yield
        finally:
            await ended(task)
