"""What the rooms hand each other about orders and control. Frozen values, nothing else.

They stand apart from `app/ports/`, so that its pages hold nothing but seams.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.broker_session import SessionStatus
from app.domain.messages import Answer, Replacement
from app.domain.order import Order
from app.domain.proposal import Approval
from app.domain.request import OrderRequest
from app.domain.session import TradingSession
from app.domain.signs import Heard, Probe
from app.domain.values import Status, Via


class Actor(NamedTuple):
    """Who acts, why, under which request, from where: what the audit log keeps of every change."""

    name: str
    reason: str
    request_id: str = ""
    approval: Approval | None = None  # of another person, where two are to stand behind it
    via: Via = Via.AUTO
    ip: str = ""


class Change(NamedTuple):
    """One operator action, before and after, as plain JSON values."""

    action: str
    resource: str
    before: object
    after: object


class Anchor(NamedTuple):
    """An audit row's place and hash, once seen: from there back nothing may have changed."""

    sequence: int
    hash: str


class Taking(NamedTuple):
    """One checked request on its way to disk."""

    request: OrderRequest
    request_hash: str
    session: TradingSession
    reserved: bool
    route_id: str


class Taken(NamedTuple):
    """The durable order: created just now, or (`created` false) by the same request before."""

    order: Order
    created: bool


class Conflict(NamedTuple):
    """The client_order_id belongs to another order, for ever."""

    existing_order_id: str
    status: Status


class OrderEvent(NamedTuple):
    """One line of an order's history."""

    sequence: int
    type: str
    at: int
    actor: str
    cause: str


class AttemptView(NamedTuple):
    """One attempt as operators see it."""

    broker_order_key: str
    attempt_number: int
    broker_id: str
    claimed_at: int
    outcome: str
    settled_by: str | None
    settled_at: int | None


class Fence(NamedTuple):
    """Who claims, under which ownership, for which open sessions."""

    broker_id: str
    holder: str
    owner_epoch: int
    sessions: frozenset[str]


class FenceLost(Exception):
    """Not now, not from here: no lease, no route, paused or halted."""


class Claimed(NamedTuple):
    """An order with its attempt on disk: bytes may leave under `broker_order_key`."""

    order: Order
    broker_order_key: str
    route_id: str
    route_epoch: int
    rank: int


class Settlement(NamedTuple):
    """What a broker answered to one attempt, and when (monotonic) its bytes began to leave."""

    broker_order_key: str
    answer: Answer
    sent_ns: int | None


class OpenAttempt(NamedTuple):
    """An attempt in doubt, or a request to replace of which nothing is known yet."""

    broker_order_key: str
    order_id: str
    broker_id: str
    sent_ns: int | None


class Applied(NamedTuple):
    """What became of a batch of reports."""

    applied: int
    known: int
    quarantined: int
    strays: tuple[str, ...] = ()  # whose words changed an order by a settled attempt, one each


class PendingCancel(NamedTuple):
    """A working order whose owner wants it canceled."""

    order_id: str
    broker_order_key: str  # under which the broker knows it, as far as we have heard
    broker_order_id: str | None
    pending_key: str | None = None  # of a replace that is out and unanswered


class ClaimedReplace(NamedTuple):
    """A request to replace that is on disk as out: its bytes may leave."""

    order: Order
    replacement: Replacement
    route_id: str


class BrokerControl(NamedTuple):
    """What operators set for one broker. `version` is its ETag."""

    broker_id: str
    version: int
    tps: int  # messages a second, cluster-wide; at most the contract
    dispatch: str  # running, paused
    breaker: str  # auto, forced_open, forced_closed, metrics_only
    changed_by: str
    changed_at: int
    reason: str
    expires_at: int | None
    reverts_to: str | None  # JSON of what `expires_at` brings back, name by name
    tuning: str | None = None  # JSON: how the rate is found, as `app/domain/tuning.py` reads it


class Halt(NamedTuple):
    """Stops new sends within its scope: all, route, broker, account or symbol."""

    scope: str
    target: str
    halted_by: str
    halted_at: int
    reason: str


class Route(NamedTuple):
    """Where an order book goes."""

    route_id: str
    active_broker: str
    epoch: int


class SessionOverride(NamedTuple):
    """An operator's word on when a session opens and closes."""

    trading_session_id: str
    version: int
    opens_at: int
    closes_at: int
    changed_by: str
    reason: str
    expires_at: int | None = None
    reverts_to: str | None = None  # JSON of the bells that `expires_at` brings back, or null
    lifted_at: int | None = None  # it is no override any more; its version goes on


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: reserved and held by session, ready by route, in doubt by broker, the outbox."""

    reserved: dict[str, int]
    ready: dict[str, int]
    in_doubt: dict[str, int]
    outbox: int
    held: dict[str, int] = field(default_factory=dict)


class Vitals(NamedTuple):
    """What the ledger alone can say of how we do, at one moment."""

    at: int  # by the ledger's clock, which is its server's where it has one
    ready: dict[str, int]  # orders that wait for a permit, by route
    routes: list[Route]
    owned: frozenset[str]  # brokers whose lease stands
    doubts: dict[str, tuple[int, int]]  # by broker: how many, and since when the oldest
    outbox_first: int  # ids that only rise; 0: nothing waits
    outbox_last: int
    unbalanced: int  # open attempts whose order is not out
    quarantined: int  # reports that fit no order, since somebody last acknowledged some


class AlarmCounts(NamedTuple):
    """What became of the messages to people, in this process."""

    told: int
    dead: int  # nobody could be told: the events are parked
    stale: int  # events that were no longer true when they came
    retried: int
    waiting: int


class Doubt(NamedTuple):
    """One order in doubt, as operators see it."""

    order_id: str
    account_id: str
    symbol: str
    broker_order_key: str
    broker_id: str
    since: int
    version: int  # the order's


class Health(NamedTuple):
    """How a broker does, as its owner measures it over the last ten seconds.

    Two witnesses: what its orders were answered (`error_ratio`), and a ping that risks none.
    """

    broker_id: str
    at: int
    sent: int  # answers that say something of the broker
    error_ratio: float  # of these: silence, failures, a session that is down
    p95_ms: float | None  # from the write to the answer
    silent: bool  # orders went out and nothing at all came back
    session_up: bool
    ping: bool | None  # the last one; None: not yet
    bad_since: int | None  # both witnesses say so without a break since then
    good_since: int | None  # neither complains since then


class LaneStatus(NamedTuple):
    """One broker's lane at this moment."""

    broker_id: str
    owner_epoch: int
    running: bool
    why_not: str | None
    tps_configured: int
    tps_effective: int
    applied_version: int
    in_flight: int
    sent_total: int
    sent_last_second: int
    answers: dict[str, int]
    circuit: str
    circuit_reason: str
    next_trial_s: float | None
    tps_contract: int
    health: Health | None = None
    tps_in_force: int = 0  # the operator's number or the schedule's; `tps_effective` is what acts
    tps_source: str = "operator"  # of what acts: or schedule, ramp, adaptive, slow start
    tps_advised: int | None = None  # where the gateway would turn it, if it may only say so
    throttle_wish_s: float | None = None  # the broker asked for a longer pause than it was given
    session: SessionStatus | None = None  # of a broker that lives on one
    open_to_send_p50_ms: int | None = None  # of the latest bell's orders; None: none has left
    open_to_send_p99_ms: int | None = None
    probes: tuple[Probe, ...] = ()  # the last one about each of its oldest doubts
    heard: Heard | None = None  # beyond its health; None: nobody listens
