"""Lets things happen to orders when their time has come: fills, ends, busts, late news.

One heap and one loop, whatever the number of orders. Each event is on disk before it is
told.
"""

import asyncio
import heapq
from collections.abc import Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from app.brokers.sim import fills
from app.brokers.sim.audit import Audit
from app.brokers.sim.book import ENDS, execution_of
from app.brokers.sim.callbacks import Teller
from app.brokers.sim.desk import Desk
from app.brokers.sim.messages import AuditLine, Execution, Order
from app.brokers.sim.world import SECOND_NS

CHUNK_MAX: Final = 500
# The loop sleeps in naps, so that something planned meanwhile for an earlier time is on time.
NAP_S: Final = 0.005
CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
What = Literal["trade", "late trade", "end", "replace", "bust", "tell"]


class Due(NamedTuple):
    """Something planned. `serial` keeps two of the same instant in the order of planning."""

    due_ns: int
    serial: int
    what: What
    order: Order | None
    quantity: Decimal | None = None
    execution: Execution | None = None


class Timeline:
    """What will happen here, and the loop that makes it happen."""

    def __init__(self, desk: Desk, audit: Audit, teller: Teller, plan: fills.Plan) -> None:
        self._desk = desk
        self._audit = audit
        self._teller = teller
        self._plan = plan
        self._heap: list[Due] = []
        self._serial = 0
        self._work = asyncio.Event()
        self._turn = asyncio.Lock()  # one chunk at a time, so that news keep their order

    @property
    def pending(self) -> int:
        return len(self._heap)

    def plan_fills(self, orders: Sequence[Order]) -> None:
        """Plan what is left of each order's fills, from now on."""
        if self._plan.mode == "none":
            return
        for order in orders:
            traded = sum(execution.type == "trade" for execution in order.executions)
            parts = fills.parts(self._plan, order, self._desk.world)
            for place, part in enumerate(parts[traded:], start=traded + 1):
                # Parts of other terms than it had at first: the last one takes what is open.
                is_rest = bool(order.live) and place == len(parts)
                quantity = None if is_rest else part.quantity
                self.at(part.delay_ms / 1000, "trade", order, quantity)

    def at(
        self,
        delay_s: float,
        what: What,
        order: Order | None,
        quantity: Decimal | None = None,
        execution: Execution | None = None,
    ) -> None:
        """Plan one thing, so many seconds from now."""
        self._serial += 1
        due_ns = self._desk.world.ns() + round(delay_s * SECOND_NS)
        due = Due(due_ns, self._serial, what, order, quantity, execution)
        heapq.heappush(self._heap, due)
        self._work.set()

    async def run(self) -> None:
        """Make things happen, for ever."""
        while True:
            if not self._heap:
                self._work.clear()
                await self._work.wait()
                continue  # somebody in a hurry may have taken it meanwhile
            wait_s = (self._heap[0].due_ns - self._desk.world.ns()) / SECOND_NS
            if wait_s > 0:
                await asyncio.sleep(min(wait_s, NAP_S))
                continue
            async with self._turn:
                await self._happen(self._pop(self._desk.world.ns()))

    async def hurry(self) -> None:
        """Let everything planned happen now; what is happening already is waited for."""
        while True:
            async with self._turn:
                if not self._heap:
                    return
                await self._happen(self._pop(None))

    async def tell(self, lines: Sequence[AuditLine]) -> None:
        """Put events on disk, then tell them, with the faults that belong to telling."""
        await self._audit.commit(lines)
        news: list[Execution] = []
        for execution in map(execution_of, lines):
            late = self._desk.faults.draw("disorder")
            if late is not None:
                delay_s = late.d * self._desk.world.die("disorder delay").random()
                self.at(delay_s, "tell", None, execution=execution)
                continue
            news.append(execution)
            if execution.type == "trade":
                news.extend(await self._trade_faults(execution))
        self._teller.tell(news)

    def _pop(self, until_ns: int | None) -> list[Due]:
        dues: list[Due] = []
        while self._heap and len(dues) < CHUNK_MAX:
            if until_ns is not None and self._heap[0].due_ns > until_ns:
                break
            dues.append(heapq.heappop(self._heap))
        return dues

    async def _happen(self, dues: Sequence[Due]) -> None:
        lines = [line for due in dues for line in self._lines(due) if line is not None]
        if lines:
            await self.tell(lines)
        self._teller.tell(due.execution for due in dues if due.what == "tell" and due.execution)

    def _lines(self, due: Due) -> list[AuditLine | None]:
        if due.what != "replace" or due.order is None:
            return [self._line(due)]
        passing = self._desk.faults.draw("fill_before_replace")
        trade = self._desk.trade(due.order, Decimal(passing.k), None) if passing else None
        before = Decimal(due.order.quantity)
        change = self._desk.change(due.order)
        self._plan_more(due.order, Decimal(due.order.quantity) - before)
        return [trade, change]

    def _plan_more(self, order: Order, quantity: Decimal) -> None:
        """Plan the fill of what new terms have added, where orders fill."""
        parts = fills.parts(self._plan, order, self._desk.world)
        if quantity > 0 and parts:
            self.at(parts[-1].delay_ms / 1000, "trade", order, quantity)

    def _line(self, due: Due) -> AuditLine | None:
        order, desk = due.order, self._desk
        if order is None:
            return None
        match due.what:
            case "trade":
                return None if order.status in ENDS else desk.trade(order, due.quantity, None)
            case "late trade":
                return desk.trade(order, due.quantity, None)
            case "end":
                return self._canceled(order)
            case "bust":
                assert due.execution is not None
                return desk.bust(order, due.execution)
            case "tell" | "replace":
                return None

    def _canceled(self, order: Order) -> AuditLine | None:
        line = self._desk.end(order, "canceled")
        late = self._desk.faults.draw("fill_after_cancel") if line else None
        if late is not None:
            self.at(late.d, "late trade", order)
        return line

    async def _trade_faults(self, trade: Execution) -> list[Execution]:
        desk, extra = self._desk, list[Execution]()
        if desk.faults.draw("duplicate_fill"):
            extra.append(trade)
        order = desk.book.by_order_id(trade.client_order_id, trade.order_id)
        bust = desk.faults.draw("bust")
        if bust is not None and order is not None:
            self.at(bust.d, "bust", order, execution=trade)
        if desk.faults.draw("unknown_order_fill"):
            extra.append(await self._ghost(trade))
        return extra

    async def _ghost(self, trade: Execution) -> Execution:
        """Invent a fill of an order that nobody sent, under a key that looks like one."""
        desk = self._desk
        desk.book.last_execution += 1
        die = desk.world.die("ghost")
        key = "01" + "".join(die.choice(CROCKFORD) for _ in range(24)) + "01"
        line = AuditLine(
            ns=desk.world.ns(), kind="FAULT", fault="unknown_order_fill", client_order_ids=[key]
        )
        await self._audit.commit([line])
        return Execution(
            client_order_id=key,
            order_id=f"{desk.name}-ghost-{desk.book.last_execution}",
            execution_id=f"{desk.name}-E{desk.book.last_execution}",
            type="trade",
            trade_date=trade.trade_date,
            at_ms=trade.at_ms,
            last_quantity=trade.last_quantity,
            last_price=trade.last_price,
        )
