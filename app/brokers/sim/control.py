"""The control plane: what a test or a drill does to this broker while it runs."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final, Literal

import msgspec
from aiohttp import web

from app.brokers.sim import replies
from app.brokers.sim.api import Api, shown
from app.brokers.sim.book import TERMINAL
from app.brokers.sim.callbacks import Teller
from app.brokers.sim.desk import Desk
from app.brokers.sim.faults import REFUSE, read_switches
from app.brokers.sim.messages import AuditLine, Execution, Order, encode
from app.brokers.sim.timeline import CHUNK_MAX, Timeline

Amount = str | None


class Force(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /sim/fill."""

    client_order_id: str
    type: Literal[
        "trade", "canceled", "expired", "done_for_day", "trade_cancel", "trade_correct"
    ] = "trade"
    last_quantity: Amount = None  # none: all that is open
    last_price: Amount = None  # none: the limit
    referenced_execution_id: str | None = None


class Tps(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /sim/tps."""

    tps: int | None


class Flush(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /sim/flush."""

    timeout_s: float = 10.0


read_force: Final = msgspec.json.Decoder(Force).decode
read_tps: Final = msgspec.json.Decoder(Tps).decode
read_flush: Final = msgspec.json.Decoder(Flush).decode


class Control:
    """The handlers of /sim."""

    def __init__(
        self,
        desk: Desk,
        api: Api,
        teller: Teller,
        timeline: Timeline,
        refuse: Callable[[float], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._api = api
        self._teller = teller
        self._timeline = timeline
        self._refuse = refuse

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/sim/stats", self.stats),
            web.post("/sim/faults", self.faults),
            web.post("/sim/tps", self.tps),
            web.post("/sim/fill", self.fill),
            web.post("/sim/flush", self.flush),
            web.post("/sim/session-end", self.session_end),
        ]

    async def stats(self, _: web.Request) -> web.Response:
        return replies.answer(encode(self._stats()))

    async def faults(self, request: web.Request) -> web.Response:
        switches = read_switches(await request.read())
        refusing = switches.pop(REFUSE, None)
        self._desk.faults.set(switches)
        if refusing is not None:
            self._desk.faults.fired[REFUSE] += 1
            await self._refuse(refusing.for_s or refusing.d)
        return replies.answer(encode({"on": self._desk.faults.names()}))

    async def tps(self, request: web.Request) -> web.Response:
        self._desk.enforcer.tps = read_tps(await request.read()).tps
        return replies.answer(encode({"tps": self._desk.enforcer.tps}))

    async def fill(self, request: web.Request) -> web.Response:
        force = read_force(await request.read())
        order = self._desk.book.find(force.client_order_id)
        if order is None:
            return replies.refusal(404, "unknown-order")
        line = self._forced(order, force)
        if line is None:
            return replies.refusal(409, "nothing-to-do", detail=order.status)
        await self._timeline.tell([line])
        return replies.answer(encode(shown(force.client_order_id, order)))

    async def flush(self, request: web.Request) -> web.Response:
        timeout_s = read_flush(await request.read() or b"{}").timeout_s
        await self._timeline.hurry()
        await self._teller.drain(timeout_s)
        return replies.answer(encode(self._stats()))

    async def session_end(self, _: web.Request) -> web.Response:
        """Expire what is open, a chunk at a time, so that a million orders stall nobody."""
        held = list(self._desk.book.orders.values())
        still_open = [order for order in held if order.status not in TERMINAL]
        for start in range(0, len(still_open), CHUNK_MAX):
            chunk = still_open[start : start + CHUNK_MAX]
            ended = (self._desk.end(order, "expired", "session-end") for order in chunk)
            await self._timeline.tell([line for line in ended if line is not None])
        return replies.answer(encode({"expired": len(still_open)}))

    def _forced(self, order: Order, force: Force) -> AuditLine | None:
        quantity = None if force.last_quantity is None else Decimal(force.last_quantity)
        if force.type == "trade":
            return self._desk.trade(order, quantity, force.last_price)
        if force.type in {"canceled", "expired", "done_for_day"}:
            return self._desk.end(order, force.type, "unsolicited")
        trade = _referenced(order, force.referenced_execution_id)
        if trade is None:
            return None
        if force.type == "trade_cancel":
            return self._desk.bust(order, trade)
        corrected = force.last_quantity or trade.last_quantity or "0"
        return self._desk.correct(order, trade, corrected, force.last_price)

    def _stats(self) -> dict[str, object]:
        book, enforcer = self._desk.book, self._desk.enforcer
        return {
            "name": self._desk.name,
            "accepted": book.decisions["accepted"],
            "rejected": book.decisions["rejected"],
            "throttled": book.decisions["throttled"],
            "duplicates": book.decisions["duplicate"],
            "copies": sum(map(len, book.copies.values())),
            "orders": len(book.orders),
            "executions": book.last_execution,
            "requests": self._api.requests,
            "tps": enforcer.tps,
            "worst_second": enforcer.arrived.worst,
            "worst_second_passed": enforcer.passed.worst,
            "fills_pending": self._timeline.pending,
            "callbacks_pending": self._teller.pending,
            "callbacks_sent": self._teller.sent,
            "callbacks_failed": self._teller.failed,
            "faults_on": self._desk.faults.names(),
            "faults_fired": dict(self._desk.faults.fired),
        }


def _referenced(order: Order, execution_id: str | None) -> Execution | None:
    """Return the trade that a bust or a correction names, or the latest."""
    trades = [execution for execution in order.executions if execution.type == "trade"]
    if execution_id is not None:
        trades = [trade for trade in trades if trade.execution_id == execution_id]
    return trades[-1] if trades else None
