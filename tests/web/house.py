"""A whole house around the doors: the real ledger and account book in memory, and stand-ins.

The stand-ins are the rooms that decide or wait: a desk that takes at once, a floor whose lanes
are told what to say, a bus that can be down, a broker that believes one signature.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from app import codec
from app.accounts.sqlite import SqliteAccountBook
from app.domain.anomaly import Anomaly
from app.domain.capabilities import Capabilities
from app.domain.instruments import Instrument
from app.domain.messages import Unknown
from app.domain.records import Fence, Settlement
from app.domain.session import Calendar
from app.failover.drills import SimulatedDrills
from app.failover.helm import FailoverHelm
from app.failover.switch import Grounds
from app.ledger.schema import create
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.ledger.webhooks.store import WebhookLedger
from app.reference import Reference
from app.settings import HookSettings
from app.sqlite import Database
from app.web.access.keyfile import SCOPES, Grant, create_key
from app.web.access.keys import Keyring
from app.web.app import create_app
from app.web.clients.feed import Feed
from app.web.clients.stream import framed
from app.web.house import Endpoints, Health, House
from app.webhooks.guard import Rules
from app.webhooks.signing import Roots
from tests.web.stand_ins import (
    DirectDesk,
    ShortBus,
    SignedBroker,
    SmallRulebook,
    SteadyClock,
    StillFloor,
)

T = TypeVar("T")

SESSION = "XNYS-2026-03-02-REG"
OWNER = "gw-1:0f3a9c1d2e4b5a67"
DAY_MS = 86_400_000
NEXT_SESSION = "XNYS-2026-03-03-REG"


def at(text: str) -> int:
    """Return an instant of UTC in milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


OPENS_AT = at("2026-03-02T14:30")
CLOSES_AT = at("2026-03-02T21:00")
CALENDAR = Calendar(
    {
        "XNYS": [
            (date(2026, 3, 2), OPENS_AT, CLOSES_AT),
            (date(2026, 3, 3), at("2026-03-03T14:30"), at("2026-03-03T21:00")),
        ]
    }
)
AA = Instrument("AA", "XNYS", "USD", reference_price=Decimal("38.90"))
TOKEN = "a-token-of-sixteen"
HMAC_SECRET = "a-secret-of-sixteen"
HOOKS = {
    "alertmanager": HookSettings(token=SecretStr(TOKEN)),
    "grafana": HookSettings(hmac_secret=SecretStr(HMAC_SECRET)),
    "generic": HookSettings(
        hmac_secret=SecretStr(HMAC_SECRET), hmac_timestamp_header="X-Timestamp"
    ),
}
CLIENT_SCOPES = frozenset({"orders:read", "orders:write"})
READER = frozenset({"orders:read"})


@dataclass
class Gateway:
    """The application and everything that a test may look at or break."""

    client: TestClient
    house: House
    ledger: Ledger
    clock: SteadyClock
    desk: DirectDesk
    floor: StillFloor
    bus: ShortBus
    key_file: Path
    overridden: list[int] = field(default_factory=list)
    moved: list[int] = field(default_factory=list)

    def key(
        self,
        name: str = "mina",
        scopes: frozenset[str] = SCOPES,
        accounts: tuple[str, ...] = ("*",),
    ) -> dict[str, str]:
        """Make a key and return the header that carries it."""
        token = create_key(self.key_file, Grant(name, scopes, accounts), self.clock)
        self.clock.at += 1000  # the keyring looks at its file once a second
        return {"Authorization": f"Bearer {token}"}

    def orders(self, account_id: str = "A-1") -> int:
        """Return how many orders of an account are on disk."""
        return sum(1 for event in self.events() if event == account_id)

    def events(self) -> list[str]:
        async def accounts() -> list[str]:
            return [
                codec.decode(payload)["account_id"]
                async for batch in self.ledger.payloads()
                for payload in batch
            ]

        return run(accounts())


def run(work: Coroutine[Any, Any, T]) -> T:
    """Do one thing behind the doors' back."""
    return asyncio.run(work)


async def nothing() -> list[Anomaly]:
    return []


async def rebuilt() -> int:
    return 3


async def verified() -> list[str]:
    return []


async def noted(instants: list[int], clock: SteadyClock) -> None:
    instants.append(clock.now())


def endpoints(database: Database, clock: SteadyClock, key_file: Path) -> Endpoints:
    roots = Roots(key_file.with_suffix(".pepper"))
    return Endpoints(WebhookLedger(database, clock), Rules(), roots)


def grounds(
    ledger: Ledger,
    floor: StillFloor,
    clock: SteadyClock,
    moved: list[int],
    able: Mapping[str, Capabilities],
) -> Grounds:
    return Grounds(
        record=ledger,
        anomalies=nothing,
        floor=floor,
        clock=clock,
        calendar=lambda: CALENDAR,
        on_moved=lambda: moved.append(clock.now()),
        able=able,
        stands_by=False,
    )


def a_gateway(
    folder: Path,
    *,
    now: int = OPENS_AT - 60_000,
    docs: bool = True,
    drills: bool = True,
    able: Mapping[str, Capabilities] = {},
    held_max: int = 1_000,
) -> Gateway:
    """Build the house one minute before the bell, and open its doors."""
    clock = SteadyClock(now)
    database = Database(None)
    database.write_now(create)
    ledger = Ledger(database, clock)
    ledger.declare({"nova": 500, "sol": 200}, {"XNYS": "nova"})
    reference = Reference(CALENDAR, {("XNYS", "AA"): AA})
    desk, floor, bus = DirectDesk(ledger, clock, reference), StillFloor(), ShortBus()
    key_file, overridden, moved = folder / "keys.json", list[int](), list[int]()
    house = House(
        webhooks=endpoints(database, clock, key_file),
        feed=Feed(ledger, clock, framed(lambda: reference), held_max),
        desk=desk,
        orders=ledger,
        sweeps=ledger,
        holds=ledger,
        tickets=ledger,
        control=ledger,
        proposals=ledger,
        trouble=AnomalyLedger(database, clock, lambda: reference.calendar),
        courses=ledger,
        helm=FailoverHelm(grounds(ledger, floor, clock, moved, able)),
        drills=SimulatedDrills(ledger, {}, clock, lambda: CALENDAR) if drills else None,
        floor=floor,
        sessions=SessionLedger(database, clock),
        accounts=SqliteAccountBook(Database(None)),
        bus=bus,
        brokers={"nova": SignedBroker()},
        reference=lambda: reference,
        on_override=partial(noted, overridden, clock),
        rebuild_view=rebuilt,
        verify_view=verified,
        keyring=Keyring(key_file, clock),
        clock=clock,
        health=Health(started=True),
        registry=CollectorRegistry(),
        docs=docs,
        rulebook=SmallRulebook(),
        hooks=dict(HOOKS),
    )
    doors = TestClient(create_app(house))
    return Gateway(doors, house, ledger, clock, desk, floor, bus, key_file, overridden, moved)


def an_order(**changes: object) -> dict[str, object]:
    """Return a sound order for the coming session; None takes a field away."""
    sound: dict[str, object] = {
        "account_id": "A-1",
        "client_order_id": "c-1",
        "symbol": "AA",
        "market": "XNYS",
        "side": "buy",
        "order_type": "limit",
        "quantity": "10",
        "limit_price": "38.50",
        "currency": "USD",
        "trading_session_id": SESSION,
    }
    return {name: value for name, value in (sound | changes).items() if value is not None}


async def owned(ledger: Ledger, *broker_ids: str) -> None:
    """Give brokers an owner, as a dispatcher that has started would."""
    for broker_id in broker_ids:
        await ledger.take_lease(broker_id, OWNER, DAY_MS)


async def put_in_doubt(ledger: Ledger, broker_id: str = "nova") -> str:
    """Lead every reserved order into doubt, and return the first attempt's key."""
    await ledger.release(SESSION, 100, lambda _order: None)
    epoch = await ledger.take_lease(broker_id, OWNER, DAY_MS)
    fence = Fence(broker_id, OWNER, epoch, frozenset({SESSION}))
    claimed = await ledger.claim(fence, 100, lambda _order: None)
    await ledger.settle([Settlement(c.broker_order_key, Unknown("timeout"), 1) for c in claimed])
    return claimed[0].broker_order_key
