"""What the doors need of the house: handed over by `wiring.py`, reached for by nobody."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry

from app.clock import Clock
from app.domain.daybook import DayBook
from app.domain.records import AlarmCounts
from app.domain.signs import CommitPace, DaysKept
from app.domain.webhooks import WebhookCounts
from app.effective import Effective
from app.ports.accounts import AccountBook
from app.ports.brokers import Broker
from app.ports.bus import Bus
from app.ports.control import ControlStore, ProposalStore, Quotas
from app.ports.dispatch import Floor
from app.ports.failover import FailoverStore, Helm, Rehearsals
from app.ports.orders import Desk, HoldStore, OrderStore, SweepStore, TicketStore
from app.ports.sessions import SessionStore
from app.ports.trouble import AlertStore, AnomalyStore, Rulebook, RuleStore
from app.ports.webhooks import WebhookStore
from app.reference import Reference
from app.settings import HookSettings
from app.web.access.keys import Keyring, Principal
from app.web.clients.feed import Feed
from app.web.console.paces import Paces
from app.webhooks.guard import Rules
from app.webhooks.signing import Roots


class TroubleStore(AnomalyStore, RuleStore, AlertStore, Protocol):
    """Anomalies, the rules that find them, and what others alarm about."""


class Operators(Protocol):
    """Who vouches for operators that carry a token: see `app/web/access/issuer.py`."""

    trouble: str | None

    def principal(self, authorization: str) -> Principal:
        """Return whose token this header carries, or raise `Refused`."""

    async def prepare(self, authorization: str) -> None:
        """Find what is needed to judge this token, if it is not here yet."""

    async def run(self) -> None:
        """Stay up to date, for ever."""


class Endpoints(NamedTuple):
    """Where customers' systems are told of their orders, and what signs there."""

    store: WebhookStore
    rules: Rules
    roots: Roots
    counts: Callable[[], WebhookCounts] | None = None  # nobody is told by this process


@dataclass(slots=True)
class Health:
    """What the probes say; the wiring writes here, the doors only read."""

    alive: Callable[[], bool] = lambda: True
    # Why a durable accept is not possible now; never a dependency beyond the ledger.
    not_ready: Callable[[], list[str]] = list
    started: bool = False
    draining: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Everything that a request can touch."""

    desk: Desk
    orders: OrderStore
    sweeps: SweepStore
    holds: HoldStore
    tickets: TicketStore
    control: ControlStore
    proposals: ProposalStore
    trouble: TroubleStore
    courses: FailoverStore
    helm: Helm
    floor: Floor
    sessions: SessionStore
    accounts: AccountBook
    bus: Bus
    brokers: Mapping[str, Broker]
    reference: Callable[[], Reference]
    on_override: Callable[[], Awaitable[None]]  # after a session's bells were moved
    rebuild_view: Callable[[], Awaitable[int]]
    verify_view: Callable[[], Awaitable[list[str]]]
    keyring: Keyring
    clock: Clock
    health: Health
    registry: CollectorRegistry
    docs: bool
    days_kept: Callable[[], DaysKept] | None = None  # where this process keeps the days
    effective: Sequence[Effective] = ()  # the settings that act
    daybook: Callable[[], Awaitable[DayBook]] | None = None  # nobody may look at the days
    alarms: Callable[[], AlarmCounts] | None = None  # nobody is told
    commits: Callable[[], CommitPace] | None = None  # nobody takes orders in this process
    quotas: Quotas | None = None  # nobody is counted
    webhooks: Endpoints | None = None  # no customer's system is told
    feed: Feed | None = None  # nobody may follow an account
    paces: Paces | None = None  # the console notes them only while somebody looks
    environment: str = ""  # what this house is called on the console
    operators: Operators | None = None  # nobody carries a token: operators have keys
    drills: Rehearsals | None = None  # no simulated broker is named
    rulebook: Rulebook | None = None  # nothing is watched here
    hooks: Mapping[str, HookSettings] = field(default_factory=dict)  # by who alarms


def trouble_with_keys(house: House) -> str | None:
    """Return why a key that was changed lately may not open, or None."""
    found = [house.keyring.trouble]
    if house.operators is not None:
        found.append(house.operators.trouble)
    return "; ".join(filter(None, found)) or None
