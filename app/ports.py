"""Every seam of the house on one page.

A room that needs the outside, or a neighbour, names a Protocol here and is handed one by
`wiring.py`. Each docstring is the contract; `tests/contracts/` holds every implementation to
it. The trap it avoids: a double that drifts from the thing it doubles.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple, Protocol

from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Anomaly, Finding
from app.domain.broker_session import SessionStatus
from app.domain.capabilities import Capabilities
from app.domain.drill import Drill, Drilled, DrillFault
from app.domain.errors import Busy, Code, Refused
from app.domain.failover import Failover, FailoverKind, Leader, Precheck, RoutePolicy
from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    Replacement,
    Submission,
)
from app.domain.order import Order
from app.domain.query import OrderQuery
from app.domain.records import (
    Actor,
    Applied,
    AttemptView,
    Backlog,
    BrokerControl,
    Change,
    Claimed,
    ClaimedReplace,
    Conflict,
    Doubt,
    Fence,
    Halt,
    Health,
    LaneStatus,
    OpenAttempt,
    OrderEvent,
    PendingCancel,
    Route,
    SessionOverride,
    Settlement,
    Taken,
    Taking,
    Vitals,
)
from app.domain.request import OrderRequest
from app.domain.steps import Place, Step
from app.domain.sweep import Begun, Selection, SweepScope, Swept
from app.domain.values import CancelOrigin, Status
from app.domain.working import WorkingPage


class StoreAway(OSError):
    """A store cannot be reached. What was asked for may have happened, or may not."""


class BadCallback(Exception):
    """A callback whose signature, age or shape is wrong: nothing in it may be believed."""


class Broker(Protocol):
    """Places orders at one broker, looks them up and cancels them.

    One answer for each item, in the same order, never an exception (but cancellation of the
    task). Whatever went wrong after the first byte left is `Unknown`; nothing under this
    port ever repeats a request by itself.
    """

    name: str
    capabilities: Capabilities

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send one batch in one request; at most `capabilities.batch_max` items."""

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel; `Accepted`: it is canceled or will be reported so.

        `Rejected` carries the code `too-late`, `unknown-order`, `already-pending` or another.
        """

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        """Ask to change terms, in one step there; `Accepted`: it is replaced or will be reported.

        `Rejected`: these terms will never be in force; codes as of `cancel`. Never a cancel with
        a new order behind it: a broker that has no such step says so by `capabilities.replaces`.
        """

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look orders up by `broker_order_key`, on a connection opened after the call began.

        An order is found by every key of its chain. The key of a replace is `Found` only when
        that replace has taken effect, `Absent` if the broker has refused it or has never heard
        of it, and `Unknown` while it is pending there.
        """

    async def ping(self) -> bool:
        """Return whether a cheap authenticated round trip succeeds; risks no order."""

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        """Verify and read reports that the broker pushed, or raise `BadCallback`."""

    async def close(self) -> None:
        """Close idle connections. What is on the wire stays unknown."""


class LiveBroker(Broker, Protocol):
    """A broker whose orders and reports share one session, run by whoever owns its lane."""

    async def run(self, standing: "Standing") -> None:
        """Hold the session for ever while the lane is ours; log out when cancelled.

        A report is published, and what cannot be read is parked and kept apart, before the
        broker may think that we have it.
        """

    def session(self) -> SessionStatus | None:
        """Return how the session stands; None before `run`."""

    async def log_out(self, reason: str) -> None:
        """End the connection politely; the next one is made as after any loss."""


class TopicBroker(Broker, Protocol):
    """A broker that may write its reports to a topic of its own, on the bus that we use."""

    reports_topic: str | None  # None: it does not

    def read_record(self, payload: bytes) -> list[ExecutionReport]:
        """Verify and read one record of that topic, however old, or raise `BadCallback`."""


class Standing(NamedTuple):
    """What a broker's session stands on: its record, the bus, and the lane's lease."""

    sessions: "SessionStore"
    publish: Callable[[Sequence[ExecutionReport]], Awaitable[None]]  # durable on return
    park: Callable[[Sequence["Unread"]], Awaitable[None]]  # among the dead letters, durably
    epoch: Callable[[], int]  # 0 while another process owns the broker
    is_sure: Callable[[], bool]  # whether what is written now is written by the owner
    # Why this order may not leave after all, asked right before its write; None: it may.
    stops: Callable[[str], str | None] = lambda _key: None


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


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, newest first, and where the next one starts."""

    documents: list[bytes]  # JSON, one each
    next_cursor: str | None


class BookUnfit(ValueError):
    """The account store is there, and cannot be used as it stands; the message says why."""


class Unstorable(Exception):
    """These documents can never be stored as they are; all the others of the call are.

    `causes` says why, by order id, and `stored` counts the others that were new.
    """

    def __init__(self, causes: Mapping[str, str], stored: int) -> None:
        super().__init__("; ".join(f"{order_id}: {cause}" for order_id, cause in causes.items()))
        self.causes = dict(causes)
        self.stored = stored


class Span(NamedTuple):
    """Order ids from `first` up to, and without, `end`; ids sort by trade date."""

    first: str
    end: str

    def __contains__(self, order_id: object) -> bool:
        return isinstance(order_id, str) and self.first <= order_id < self.end


EVERYTHING: Final = Span("", "~")  # above every letter of an id


class AccountBook(Protocol):
    """The customers' view: one document an order, found by account.

    A store that cannot be reached, or cannot keep a promise now, is `StoreAway`: the same call
    may be made again, and again, until it is back.
    """

    async def upsert(self, documents: Sequence["AccountDocument"]) -> int:
        """Store each document unless the same or a newer version is there; return how many were.

        Durable on return. Stale and repeated documents change nothing. Raises `Unstorable` for
        what can never be stored, when the rest is.
        """

    async def page(
        self, account_id: str, *, status: str | None, cursor: str | None, limit: int
    ) -> Page:
        """Return an account's orders, newest first. A foreign cursor shows nothing foreign."""

    async def summary(self, account_id: str) -> "AccountSummary":
        """Return an account's orders counted by status, and what traded."""

    async def clear(self, span: Span = EVERYTHING) -> None:
        """Forget what the ledger can tell again, for a rebuild.

        Version 0 is history, loaded from elsewhere: it stays.
        """


class AccountDocument(NamedTuple):
    """One order as its account sees it; `version` guards against older news."""

    order_id: str
    account_id: str
    accept_sequence: int
    version: int
    status: str
    symbol: str
    filled_quantity: str
    filled_value: str
    currency: str
    document: bytes


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account in one look. Values are exact decimals as strings, by currency."""

    account_id: str
    by_status: dict[str, int]
    filled_value: dict[str, str]


class Desk(Protocol):
    """Takes checked orders durably; what it returns as `Taken` survives a power cut."""

    async def place(self, request: OrderRequest) -> Taken:
        """Check and take one order, or raise `Refused` or `Busy` (then no order exists)."""

    async def place_all(
        self, requests: Sequence[OrderRequest | Refused]
    ) -> list[Taken | Refused | Busy]:
        """Check and take each by itself; one result each, in input order, no exception."""

    async def amend(
        self, order: Order, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        """Check the new terms; edit an unsent order, or ask for them at its broker.

        Raises `Refused`.
        """


class Floor(Protocol):
    """What operators may see of the running lanes, one a broker."""

    def lanes(self) -> list[LaneStatus]: ...

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        """Return whether the lane acts on this control version before the time is over."""

    async def probe(self, broker_order_key: str) -> str:
        """Ask the broker about one doubt now; return in words what it proved."""

    async def log_out(self, broker_id: str, reason: str) -> str:
        """End a broker's connection politely; return in words what became of it."""

    def halts_changed(self) -> None:
        """Stop sends in scope now; the row is committed."""


class Witness(Protocol):
    """Hears what lanes send and what comes back. It never raises, waits or decides."""

    def sending(self, broker_id: str) -> None:
        """One request is about to leave; `answered` follows, whatever becomes of it."""

    def answered(self, broker_id: str, answers: Sequence[Answer], took_ns: int) -> None:
        """One request came back so long after its first byte; all `NotSent`: it never left.

        No answers: nobody waits for them any more, which says nothing of the broker.
        """

    def reported(self, reports: Sequence[ExecutionReport]) -> None:
        """Hear what a broker said of its own accord."""

    def pinged(self, broker_id: str, *, alive: bool) -> None: ...

    def health(self, broker_id: str) -> Health | None:
        """Return how the broker does; None before anything is known."""


class AnomalyStore(Protocol):
    """Remembers trouble. Each change and the event that tells it are one commit."""

    async def note(self, findings: Sequence[Finding]) -> list[Anomaly]:
        """Open, escalate, update or resolve the anomaly of each (rule, subject); return changes.

        A finding without severity resolves; one that says the same again is an update, told at
        most every ten seconds and returned only then. Findings of one episode share an incident.
        """

    async def open_anomalies(self) -> list[Anomaly]:
        """Return what goes on, the oldest first."""

    async def anomalies(self, before: int | None, limit: int) -> list[Anomaly]:
        """Return the latest ones, opened before that instant, the newest first.

        A few more than `limit` where several opened in one millisecond: a page never parts them.
        """

    async def anomaly(self, anomaly_id: str) -> Anomaly | None: ...

    async def acknowledge(self, anomaly_id: str, by: Actor) -> Anomaly:
        """Note that somebody has seen it, audited; or raise `Refused(NOT_FOUND)`.

        The first one stands.
        """

    async def silence(self, anomaly_id: str, until: int, by: Actor) -> Anomaly:
        """Let nobody be told of it before then, audited."""


class FailoverStore(Protocol):
    """Remembers who leads each route. Each change and the event that tells it are one commit.

    Whoever writes by himself names his lease, and one who has lost it writes nothing: `FenceLost`.
    A person's word needs none, and is audited.
    """

    async def policies(self) -> dict[str, RoutePolicy]:
        """Return the policy of each route, also of one for which none was ever set."""

    async def set_policy(
        self, wanted: RoutePolicy, expected_version: int, by: Actor
    ) -> RoutePolicy:
        """Store `wanted` as the next version, or raise `Refused` (not found, stale)."""

    async def failovers(self, since: int) -> list[Failover]:
        """Return what began since then, and whatever goes on, the latest first."""

    async def failover(self, failover_id: str) -> Failover | None: ...

    async def note_failover(self, failover: Failover, authority: Leader | Actor) -> None:
        """Store the next number of a failover, if it is the next: else `Refused` (stale, running).

        One goes on at a time on a route.
        """

    async def fence(
        self, failover: Failover, expected_epoch: int, authority: Leader | Actor
    ) -> Failover:
        """Lead the route to `to_broker` under the next epoch, noting the failover in the same step.

        Raises `Refused(STALE_EPOCH)` if the route is elsewhere by now. No claim under the old
        epoch commits after this.
        """

    async def acknowledge_failover(self, failover_id: str, by: Actor) -> Failover:
        """Note that somebody has read it, audited; or raise `Refused(NOT_FOUND)`."""

    async def misfits(self, route_id: str, able: Capabilities) -> dict[str, int]:
        """Count the waiting orders of a route that such a broker cannot take, by what it lacks."""

    async def left_behind(self, route_id: str, broker_id: str) -> tuple[int, int]:
        """Return how many of a route's attempts at a broker are unanswered, how many in doubt."""


class DrillStore(Protocol):
    """Remembers what was rehearsed. What a drill causes is marked by whoever notes it."""

    async def start_drill(self, drill: Drill, by: Actor) -> None:
        """Put it down, audited; or raise `Refused(DRILL_RUNNING)`: one a route, one a broker."""

    async def end_drill(self, drill_id: str, by: Actor) -> Drill:
        """Note that it ends now, audited; one that is over stays as it is."""

    async def drills(self, since: int) -> list[Drill]:
        """Return those that began since then, the latest first."""

    async def drill(self, drill_id: str) -> Drill | None: ...

    async def drilled(self, drill: Drill) -> Drilled:
        """Return what the record shows of it: its failover, and the instants that are timed."""


class FaultLine(Protocol):
    """Makes one simulated broker ill. `OSError`: it is not there, or it is no simulator."""

    async def infect(self, fault: DrillFault, fraction: float, for_s: float) -> None:
        """Let it misbehave; it gets well after `for_s` by itself, whatever becomes of us."""

    async def heal(self) -> None:
        """Let it be well now."""


class Rehearsals(Protocol):
    """Drills in a person's hand. Every call is checked, audited, and refused by `Refused`."""

    async def start(self, wanted: Drill, by: Actor, *, allow_live: bool) -> Drill:
        """Make the route's active broker ill; `wanted` names no id, broker or time yet."""

    async def end(self, drill_id: str, by: Actor) -> Drill:
        """Let the broker be well before the time."""

    async def drills(self, since: int) -> list[Drill]: ...

    async def report(self, drill_id: str) -> tuple[Drill, Drilled]:
        """Return a drill and what it came to, or raise `Refused(NOT_FOUND)`."""


class RuleKept(NamedTuple):
    """An operator's version of a rule; its document was checked before it was kept."""

    rule_id: str
    version: int
    document: Mapping[str, object]  # JSON values, `rule_id` and `version` among them
    changed_by: str
    changed_at: int
    reason: str


class RuleStore(Protocol):
    """Keeps the rules that operators have changed."""

    async def rules(self) -> list[RuleKept]: ...

    async def put_rule(
        self, rule_id: str, document: Mapping[str, object], seen: int, by: Actor
    ) -> RuleKept:
        """Keep it as version `seen` + 1, audited; or raise `Refused(STALE_VERSION)`.

        A rule that nobody has changed yet has the version that it was shipped with.
        """


class Rehearsed(NamedTuple):
    """What a rule would have raised in the time that is remembered; JSON values, oldest first."""

    seconds: float
    firings: list[Mapping[str, object]]


class Rulebook(Protocol):
    """What makes a document a rule. It decides from memory: nothing here waits."""

    def shipped(self) -> Mapping[str, Mapping[str, object]]:
        """Return the rules as they were shipped, as documents, by id."""

    def checked(self, document: Mapping[str, object]) -> Mapping[str, object]:
        """Return the whole rule, or raise `Refused(VALIDATION_FAILED)` naming every fault."""

    def rehearsed(self, document: Mapping[str, object]) -> Rehearsed | None:
        """Try a checked rule on the last minutes; None where nobody remembers them."""


class AlertStore(Protocol):
    """Hears what other systems alarm about."""

    async def hear(self, alerts: Sequence[OutsideAlert]) -> int:
        """Keep what is new and note it as findings, in one commit; return how many were new.

        What is known changes nothing, whenever it is told again. `StoreAway`: tell it again.
        """


class Helm(Protocol):
    """The course in a person's hand. Every call is checked, audited, and refused by `Refused`."""

    async def prechecks(self, route_id: str, to: str | None, kind: FailoverKind) -> list[Precheck]:
        """Say what would stand in the way; without `to`, of the way home."""

    async def switch(
        self, route_id: str, to: str | None, kind: FailoverKind, expected_epoch: int, by: Actor
    ) -> Failover:
        """Lead a route elsewhere now. A forced one skips every doubt, never the fence."""

    async def abort(self, failover_id: str, by: Actor) -> Failover:
        """End one that has not led the route elsewhere; it is not begun again for this trouble."""


class Charge(NamedTuple):
    """What one request costs under one policy; `subject` is who pays."""

    policy: str
    subject: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request may pass, and the charge that has the least room left."""

    allowed: bool
    charge: Charge
    quota: int  # a second
    remaining: int
    fits_in_s: float  # when this charge may pass if it may not now; 0 if it did


class Quotas(Protocol):
    """Counts what callers ask for in a second; as one, where processes share a store.

    `policies` are the quotas in force, by name. `degraded` says that the shared store is away
    and each process counts alone. No store's trouble ever becomes an exception or a long wait.
    """

    policies: Mapping[str, int]
    degraded: bool

    async def take(self, charges: Sequence[Charge]) -> Allowance:
        """Take all charges or none of them; each policy is in force, none is named twice alike."""

    async def close(self) -> None: ...


class OrderStore(Protocol):
    """The record, as intake and the client API see it. Every return is durable."""

    async def take(self, entries: Sequence[Taking]) -> list[Taken | Conflict]:
        """Commit all of them at once; one result each, in input order.

        Twins, within the batch or from any time before, meet one key: one is created.
        """

    async def get(self, order_id: str) -> Order | None: ...

    async def by_client_order_id(self, account_id: str, client_order_id: str) -> Order | None: ...

    async def standing(
        self, account_id: str, client_order_id: str, request_hash: str
    ) -> Taken | Conflict | None:
        """Return what `take` would answer to a request that is not new; None if it is."""

    async def page(self, query: OrderQuery) -> list[Order]: ...

    async def list_status(self, account_id: str, list_id: str) -> dict[Status, int]:
        """Count the orders of one list by status; empty if there is no such list."""

    async def amend(
        self, order_id: str, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        """Edit an unsent order; of one that works at a broker, note the wish to replace it.

        Raises `Refused` (not found, stale, not editable, ended).
        """

    async def cancel(self, order_id: str, version: int | None, origin: CancelOrigin) -> Order:
        """Cancel at once if it never left, else note the wish; or raise `Refused`."""

    async def events(self, order_id: str) -> list[OrderEvent]: ...

    async def steps(self, accounts: Sequence[str], after: Place, limit: int) -> list[Step]:
        """Return the steps of these accounts' orders behind a place, the oldest first.

        A step may yet appear behind a place that was read: its instant is older than its commit.
        """

    async def executions(self, order_id: str) -> list[ExecutionReport]: ...

    async def attempts(self, order_id: str) -> list[AttemptView]: ...


class SweepStore(Protocol):
    """Cancels many orders, chunk by chunk. Nothing in it waits for a broker."""

    async def select(self, scope: SweepScope, upto: int | None = None) -> Selection:
        """Count what a sweep would find now, up to an order or up to the last one."""

    async def begin_sweep(self, scope: SweepScope, wanted: Selection, by: Actor) -> Begun:
        """Fix where it ends, audited under `by.request_id`; asked again, it ends there still.

        Raises `Refused` if that request began a sweep of another scope.
        """

    async def sweep(
        self, scope: SweepScope, place: tuple[int, int, int], origin: CancelOrigin
    ) -> Swept:
        """End what never left, ask for the rest; `place` is (after, upto, at most so many)."""


Recheck = Callable[[Order], Code | None]


class DispatchStore(Protocol):
    """The record, as dispatch sees it. Every return is durable."""

    async def take_lease(self, broker_id: str, holder: str, ttl_ms: int) -> int:
        """Become the broker's only owner and return the new epoch, or raise `FenceLost`."""

    async def renew_lease(self, broker_id: str, holder: str, epoch: int, ttl_ms: int) -> bool:
        """Return whether the lease was still ours and is prolonged."""

    async def drop_lease(self, broker_id: str, holder: str, epoch: int) -> None: ...

    async def recover(self, broker_id: str, epoch: int) -> int:
        """Put every attempt and every replace that was left open in doubt; return how many.

        Only under the lease of this epoch, else `FenceLost`: what the next owner has just put
        down is none of ours.
        """

    async def release(self, session: str, limit: int, recheck: Recheck) -> tuple[int, int]:
        """Queue reserved orders of an open session; return (queued, denied)."""

    async def expire(self, session: str, limit: int) -> int:
        """End unsent orders of a session that is over; return how many."""

    async def claim(self, fence: Fence, limit: int, recheck: Recheck) -> list[Claimed]:
        """Commit an attempt for each of the next orders in fair order, or raise `FenceLost`."""

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Note answers; a closed attempt is not moved by a late one."""

    async def apply(self, reports: Sequence[ExecutionReport], by: str) -> Applied:
        """Fold reports, each execution once; what does not fit goes to quarantine."""

    async def in_doubt(self, broker_id: str) -> list[OpenAttempt]:
        """Return the attempts in doubt, and the replaces of which nothing is known yet."""

    async def never_received(self, keys: Sequence[str], by: str) -> int:
        """Close doubts on proof of absence (`domain` decides what is proof).

        An order may go again; of a replace that took no effect the old terms stand.
        """

    async def pending_cancels(self, broker_id: str, limit: int) -> list[PendingCancel]: ...

    async def standing_days(self) -> list[date]:
        """Return the trade dates of which orders stand in the record, the latest first."""

    async def working(self, broker_id: str, day: date, after: int, limit: int) -> WorkingPage:
        """Return the next orders of a day that work at a broker.

        It looks at so many orders and no more: a page may be empty, and not the last.
        """

    async def orders_of(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these attempts."""

    async def refuse_cancel(self, order_ids: Sequence[str]) -> None:
        """Note that the broker will not cancel these: they go on as they were."""


class SessionOwner(NamedTuple):
    """One FIX session in the hands of whoever owns its broker's lane."""

    session_id: str
    broker_id: str
    epoch: int  # the lease under which its numbers are written


class Numbers(NamedTuple):
    """The next number each way; every reset begins a new `numbering`."""

    numbering: int
    next_out: int
    next_in: int


class Outgoing(NamedTuple):
    """A message that is to be numbered; `broker_order_key` names the order that it would place."""

    type: str
    broker_order_key: str | None
    body: str


class Unread(NamedTuple):
    """What a broker said on its session and nobody here can read; it may have been a fill."""

    name: str  # of this one message: said again, it has the same name
    about: str  # the broker_order_key in it, as it stands there, perhaps empty or nobody's
    cause: str
    raw: bytes


class Placed(NamedTuple):
    """Under which number an order left, if it left.

    `lacked`: the broker asked for that number first thing after a logon, or its numbering was
    ended. Once a logon has stood its test after that, the number can never come to it.
    """

    numbering: int
    number: int
    lacked: bool
    body: str = "[]"  # what it said: pairs of tag and value, as JSON


class SessionStore(Protocol):
    """Keeps a session's numbers, and what was numbered, before a byte of it leaves.

    Every change is durable on return and may be asked for again. It names the lease and the
    numbers that it was made on: who has lost either changes nothing, and raises `FenceLost`.
    """

    async def open(self, session: SessionOwner) -> Numbers:
        """Return where the session stands; a new one begins at 1 each way."""

    async def append(
        self, session: SessionOwner, at: Numbers, messages: Sequence[Outgoing]
    ) -> Numbers:
        """Give the messages the numbers from `at.next_out` on, in one commit."""

    async def advance(self, session: SessionOwner, at: Numbers, next_in: int) -> Numbers:
        """Note that everything before `next_in` is dealt with, durably; it never goes back."""

    async def keep_apart(self, session: SessionOwner, unread: Sequence[Unread]) -> None:
        """Put what could not be read into quarantine, each once: there it is seen."""

    async def lack(self, session: SessionOwner, numbering: int, begin: int, end: int) -> int:
        """Note that the broker asked for these, of older connections; return how many are new.

        To be called before they are filled: whoever dies in between is not asked again.
        """

    async def reset(self, session: SessionOwner, at: Numbers, to: Numbers, reason: str) -> Numbers:
        """Begin the next numbering at these numbers, as both sides have agreed."""

    async def reset_by(self, session_id: str, seen: int, by: Actor) -> Numbers:
        """Begin the next numbering at 1 each way by a person's word, audited.

        `seen` is the numbering that the person saw. Raises `Refused` (not found, stale). Whoever
        has the session loses it, and opens it anew.
        """

    async def numbers(self, session_id: str) -> Numbers | None:
        """Return where a session stands; None if it was never opened."""

    async def placed(self, session_id: str, keys: Sequence[str]) -> dict[str, Placed]:
        """Return where these orders were numbered last; one that never was has no entry.

        Of what left on another session nothing is lacked: this one can prove nothing about it.
        Nor of an attempt older than all that this one remembers: it has a place of number 0.
        """

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these attempts: what a question or a cancel has to name."""

    async def forget(self, session_id: str, before: int, limit: int) -> int:
        """Drop what was numbered before that instant and is in no doubt; return how many."""


class ReplaceStore(Protocol):
    """The record, as the lane of replaces sees it. Every return is durable."""

    async def waits_to_replace(self, broker_id: str) -> bool:
        """Return whether new terms wait to leave for this broker."""

    async def claim_replaces(
        self, fence: Fence, limit: int, recheck: Recheck
    ) -> list[ClaimedReplace]:
        """Commit the next requests as out, or raise `FenceLost`; one an order at a time.

        New terms that break a limit now are denied, those under a halt go on waiting.
        """

    async def settle_replaces(self, settlements: Sequence[Settlement]) -> None:
        """Note answers: refused, not sent (then it waits again), or to be asked about."""


class ControlStore(Protocol):
    """The record, as operators see it. Every change is compare-and-set and audited with it."""

    async def controls(self) -> dict[str, BrokerControl]: ...

    async def set_control(
        self, wanted: BrokerControl, expected_version: int, by: Actor
    ) -> BrokerControl:
        """Store `wanted` as the next version, or raise `Refused(STALE_VERSION)`."""

    async def revert_expired(self) -> list[BrokerControl]:
        """Bring back what an override with a time to live replaced; return what changed."""

    async def halts(self) -> list[Halt]: ...

    async def halt(self, scope: str, target: str, by: Actor) -> Halt: ...

    async def resume(self, scope: str, target: str, by: Actor) -> None:
        """Lift a halt; raise `Refused` if there is none or `by` is who halted."""

    async def routes(self) -> list[Route]: ...

    async def overrides(self) -> list[SessionOverride]: ...

    async def override_session(
        self, trading_session_id: str, opens_at: int, closes_at: int, by: Actor
    ) -> SessionOverride: ...

    async def audit(self, after: int, limit: int) -> list[dict[str, object]]: ...

    async def audit_broken_at(self) -> int | None:
        """Return the sequence of the first row that breaks the chain, or None."""

    async def note(self, change: Change, by: Actor) -> int:
        """Write an audit row for an action that changed no row of its own (a denied one)."""

    async def note_once(self, change: Change, by: Actor) -> int | None:
        """As `note`, unless `by.request_id` has noted this action before: None then."""

    async def resolve_doubt(
        self, broker_order_key: str, verdict: str, terms: Mapping[str, str], by: Actor
    ) -> Order:
        """Settle a doubt by a person's word: not_received, accepted, rejected, canceled, filled.

        `terms` carries `price` for `filled` and `broker_order_id` where known. Raises
        `Refused(DOUBT_SETTLED)` if evidence came first.
        """

    async def show_lanes(self, lanes: Sequence[LaneStatus]) -> None:
        """Show how lanes stand to the doors of other processes."""

    async def shown_lanes(self) -> list[tuple[LaneStatus, int]]:
        """Return every lane as it was last shown, and when."""

    async def ask(self, broker_order_key: str) -> None:
        """Ask whoever follows this doubt to look it up now."""

    async def questions(self) -> list[str]:
        """Return the doubts about which somebody has asked."""

    async def answer(self, broker_order_key: str, words: str) -> None: ...

    async def answered(self, broker_order_key: str) -> str | None:
        """Return the answer; None while there is none."""

    async def waiting_sessions(self) -> list[str]:
        """Return the sessions for which an unsent order waits."""

    async def doubts(self) -> list[Doubt]: ...

    async def backlog(self) -> Backlog: ...

    async def by_status(self, trading_session_id: str, trade_date: date) -> dict[str, int]:
        """Count the orders of one session, which is of that date."""

    async def vitals(self) -> Vitals:
        """Return what the watch looks at each second; raise `StoreAway` at once, do not wait."""
