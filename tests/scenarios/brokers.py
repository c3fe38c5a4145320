"""A broker as a test writes it: what becomes of each request, and a record of all it received.

    the gateway ─ leaves ─► the wire ─ there ─► judged ─ back ─► the gateway
                                                  └─► executions, reported later, at least once

The broker belongs to the world: a request goes on when its caller has given up or died. Its
record shares nothing with the gateway's, so the two can be compared.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Absent,
    Accepted,
    Answer,
    Cancellation,
    ExecutionReport,
    ExecutionType,
    Found,
    Lookup,
    Rejected,
    Replacement,
    Submission,
    Unknown,
)
from app.domain.values import Status, order_id_of, trade_date_of
from tests.scenarios.fates import ENDED, PLAIN, Fate, Fates, Placed, Received, Sent
from tests.scenarios.world import World


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
        self.renamed: dict[str, Placed] = {}  # by the keys of replaces in effect
        self.refused: set[str] = set()  # keys of replaces that never will be
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
        whole = placed.filled >= placed.quantity
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

    def report(self, placed: Placed, kind: ExecutionType, **facts: Any) -> ExecutionReport:
        self._numbers += 1
        return ExecutionReport(
            broker_id=self.name,
            broker_order_key=facts.pop("key", placed.key),
            broker_order_id=placed.broker_order_id,
            execution_id=f"{self.name}-{self._numbers}",
            execution_type=kind,
            trade_date=_trade_date(placed.submission.broker_order_key),
            at=0,
            **facts,
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
        placed = Placed(
            submission,
            f"{self.name}-order-{len(self.orders) + 1}",
            seen_from,
            key,
            submission.quantity,
            submission.limit_price,
            acknowledged=[submission.quantity],
        )
        self.orders[key] = placed
        self.on_accepted(placed)
        return Accepted(placed.broker_order_id)

    def cancel(self, wanted: Cancellation, verdict: Answer | None) -> Answer:
        key = wanted.broker_order_key
        placed = self.called(key)
        if verdict is not None:
            self._note("cancel", key, type(verdict).__name__.lower(), None)
            return verdict
        if placed is None or placed.status in ENDED:
            code = "unknown-order" if placed is None else "too-late"
            self._note("cancel", key, code, None)
            return Rejected(code)
        self._note("cancel", key, "accepted", None)
        self.ends(placed.submission.broker_order_key, ExecutionType.CANCELED)
        return Accepted(placed.broker_order_id)

    def replace(self, wanted: Replacement, fate: Fate) -> Answer:
        """Judge new terms that have arrived; decide on them now or in a while."""
        key = wanted.broker_order_key
        if fate.verdict is not None:
            self._note("replace", key, type(fate.verdict).__name__.lower(), None)
            return fate.verdict
        placed = self.called(wanted.original)
        code = self._obstacle(placed, wanted)
        self._note("replace", key, code or "accepted", None)
        if code == "duplicate" or placed is None:
            return Unknown("the broker has this id already") if placed else Rejected(str(code))
        if code is not None:
            self.refused.add(key)
            return Rejected(code)
        placed.pending = wanted
        if fate.decided_s:
            self.world.does(self._decides_later(placed, fate.decided_s))
        else:
            self.decides(placed)
        return Accepted(placed.broker_order_id)

    def _obstacle(self, placed: Placed | None, wanted: Replacement) -> str | None:
        key = wanted.broker_order_key
        if self.called(key) or key in self.refused:
            return "duplicate"
        if placed is None or placed.key != wanted.original:
            return "unknown-order"
        if placed.pending is not None:
            return "duplicate" if placed.pending.broker_order_key == key else "already-pending"
        return "too-late" if placed.status in ENDED else None

    async def _decides_later(self, placed: Placed, after_s: float) -> None:
        await asyncio.sleep(after_s)
        self.decides(placed)

    def decides(self, placed: Placed) -> None:
        """Let the pending terms stand, amended to what has traded; too late after the end."""
        wanted, placed.pending = placed.pending, None
        assert wanted is not None
        key = wanted.broker_order_key
        if placed.status in ENDED:
            self.refused.add(key)
            self.push(self.report(placed, ExecutionType.REPLACE_REJECTED, key=key))
            return
        placed.key, placed.limit_price = key, wanted.limit_price
        placed.quantity = max(wanted.quantity, placed.filled)
        placed.acknowledged.append(placed.quantity)
        if placed.filled:
            whole = placed.filled == placed.quantity
            placed.status = Status.FILLED if whole else Status.PARTIALLY_FILLED
        self.renamed[key] = placed
        terms = {"quantity": placed.quantity, "limit_price": placed.limit_price}
        self.push(self.report(placed, ExecutionType.REPLACED, **terms))

    def called(self, key: str) -> Placed | None:
        """Return the order that is, or was, called so."""
        return self.orders.get(key) or self.renamed.get(key)

    def look(self, key: str) -> Lookup:
        if any(p.pending and p.pending.broker_order_key == key for p in self.orders.values()):
            self._note("query", key, "pending", None)
            return Unknown("pending there")
        placed = self.called(key)
        shown = placed is not None and placed.seen_from_ns <= self.world.now_ns
        self._note("query", key, "found" if shown else "absent", None)
        if placed is None or not shown:
            return Absent()
        terms = (placed.quantity, placed.limit_price)
        executions = tuple(placed.executions)
        return Found(placed.broker_order_id, placed.status, executions, None, *terms)

    def _note(self, verb: str, key: str, decision: str, submission: Submission | None) -> None:
        self.received.append(Received(verb, key, self.world.now_ns, decision, submission))


def _trade_date(key: str) -> date:
    order_id = order_id_of(key)
    assert order_id is not None
    found = trade_date_of(order_id)
    assert found is not None
    return found
