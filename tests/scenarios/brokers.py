"""A broker as a test writes it: what becomes of each request, and a record of all it received.

    the gateway ─ leaves ─► the wire ─ there ─► judged ─ back ─► the gateway
                                                  └─► executions, reported later, at least once

The broker belongs to the world: a request goes on when its caller has given up or died. Its
record shares nothing with the gateway's, so the two can be compared.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    Capabilities,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    Rejected,
    Submission,
    Unknown,
)
from app.domain.values import Status, order_id_of, trade_date_of
from tests.scenarios.world import World

ENDED: Final = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED})
PLAIN: Final = Capabilities(
    batch_max=1,
    cancel_batch_max=1,
    find_batch_max=10,
    visibility_window_s=6.0,
    unknown_answers_required=2,
    max_in_flight=16,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one request."""

    leaves_s: float = 0.0  # until its bytes are out: a slow connect
    there_s: float = 0.005
    back_s: float = 0.005
    broken: bool = False  # the adapter itself raises
    refused: bool = False  # no connection, so nothing leaves
    arrives: bool = True
    verdict: Answer | None = None  # the broker's word on all of it, unseen
    told: int | None = None  # it answers for so many items only
    replies: bool = True


Fates = Callable[[str], Fate]


class Received(NamedTuple):
    """One line of the broker's own record."""

    verb: str  # new, cancel, query
    key: str
    at_ns: int
    decision: str
    submission: Submission | None


class Sent(NamedTuple):
    """Bytes that left some process, whether or not they arrived."""

    verb: str
    key: str
    at_ns: int


@dataclass(slots=True)
class Placed:
    """An order as the broker has it."""

    submission: Submission
    broker_order_id: str
    seen_from_ns: int
    status: Status = Status.NEW
    executions: list[ExecutionReport] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        return sum((e.last_quantity for e in self.executions), Decimal(0))


class BrokerWorld:
    """One broker, whatever processes come and go."""

    def __init__(self, name: str, world: World, capabilities: Capabilities = PLAIN) -> None:
        self.name = name
        self.world = world
        self.capabilities = capabilities
        self.fates: Fates = lambda _verb: Fate()
        self.hidden_s = 0.0  # look-ups read a copy that is so old
        self.pushes_s: Callable[[], Sequence[float]] = lambda: [0.005]  # a delay for each copy
        self.on_accepted: Callable[[Placed], None] = lambda _placed: None
        self.deliver: Callable[[ExecutionReport], None] = lambda _report: None
        self.pings = True
        self.orders: dict[str, Placed] = {}
        self.received: list[Received] = []
        self.sent: list[Sent] = []
        self._numbers = 0

    # --- what a test says ---------------------------------------------------------------

    def answers(self) -> None:
        """Behave."""
        self.fates = lambda _verb: Fate()

    def does(self, verb: str, **fate: object) -> None:
        """Treat each request of this verb so from now on."""
        before, given = self.fates, replace(Fate(), **fate)  # type: ignore[arg-type]
        self.fates = lambda asked: given if asked == verb else before(asked)

    def goes_silent_after_receiving(self) -> None:
        self.does("new", replies=False)

    def loses_orders(self) -> None:
        self.does("new", arrives=False)

    def fills(self, key: str, quantity: int, price: str = "185.50") -> ExecutionReport:
        """Trade some of an order, and report it."""
        placed = self.orders[key]
        report = self.report(
            placed,
            ExecutionType.TRADE,
            last_quantity=Decimal(quantity),
            last_price=Decimal(price),
        )
        placed.executions.append(report)
        whole = placed.filled >= placed.submission.quantity
        placed.status = Status.FILLED if whole else Status.PARTIALLY_FILLED
        self.push(report)
        return report

    def ends(self, key: str, how: ExecutionType) -> None:
        placed = self.orders[key]
        placed.status = Status(how.value)
        self.push(self.report(placed, how))

    def news(self) -> list[str]:
        """Return the keys of the orders that arrived, in order."""
        return [r.key for r in self.received if r.verb == "new"]

    # --- reports ------------------------------------------------------------------------

    def report(self, placed: Placed, kind: ExecutionType, **facts: Decimal) -> ExecutionReport:
        self._numbers += 1
        return ExecutionReport(
            broker_id=self.name,
            broker_order_key=placed.submission.broker_order_key,
            broker_order_id=placed.broker_order_id,
            execution_id=f"{self.name}-{self._numbers}",
            execution_type=kind,
            trade_date=_trade_date(placed.submission.broker_order_key),
            at=0,
            **facts,  # type: ignore[arg-type]
        )

    def push(self, report: ExecutionReport) -> None:
        """Report it, perhaps more than once, each copy after a delay of its own."""
        for after_s in self.pushes_s():
            self.world.does(self._push(report, after_s))

    async def _push(self, report: ExecutionReport, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.deliver(report)

    # --- the wire -----------------------------------------------------------------------

    def leave(self, verb: str, keys: Sequence[str]) -> None:
        if verb != "query":
            self.sent += [Sent(verb, key, self.world.now_ns) for key in keys]

    def place(self, submission: Submission, verdict: Answer | None) -> Answer:
        """Judge one order that has arrived; the same key twice is refused as such."""
        key = submission.broker_order_key
        if verdict is not None:
            self._note("new", key, type(verdict).__name__.lower(), submission)
            return verdict
        if key in self.orders:
            self._note("new", key, "duplicate", submission)
            return Unknown("the broker has this id already")
        self._note("new", key, "accepted", submission)
        seen_from = self.world.now_ns + round(self.hidden_s * 1e9)
        placed = Placed(submission, f"{self.name}-order-{len(self.orders) + 1}", seen_from)
        self.orders[key] = placed
        self.on_accepted(placed)
        return Accepted(placed.broker_order_id)

    def cancel(self, wanted: Cancellation, verdict: Answer | None) -> Answer:
        key = wanted.broker_order_key
        placed = self.orders.get(key)
        if verdict is not None:
            self._note("cancel", key, type(verdict).__name__.lower(), None)
            return verdict
        if placed is None or placed.status in ENDED:
            code = "unknown-order" if placed is None else "too-late"
            self._note("cancel", key, code, None)
            return Rejected(code)
        self._note("cancel", key, "accepted", None)
        self.ends(key, ExecutionType.CANCELED)
        return Accepted(placed.broker_order_id)

    def look(self, key: str) -> Lookup:
        placed = self.orders.get(key)
        shown = placed is not None and placed.seen_from_ns <= self.world.now_ns
        self._note("query", key, "found" if shown else "absent", None)
        if placed is None or not shown:
            return Absent()
        return Found(placed.broker_order_id, placed.status, tuple(placed.executions))

    def _note(self, verb: str, key: str, decision: str, submission: Submission | None) -> None:
        self.received.append(Received(verb, key, self.world.now_ns, decision, submission))


def _trade_date(key: str) -> date:
    order_id = order_id_of(key)
    assert order_id is not None
    found = trade_date_of(order_id)
    assert found is not None
    return found
