"""Speaks the REST API of Acme, a broker that answers each request with {our key: its word}."""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from app.brokers.callback import Key, verify
from app.brokers.exchange import OK, Exchange, Reply
from app.clock import Clock
from app.domain import messages as m
from app.domain.capabilities import Capabilities
from app.domain.values import Status
from app.ports.brokers import BadCallback

ABLE = Capabilities(batch_max=20, cancel_batch_max=20, find_batch_max=20, visibility_window_s=1)
BAD = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class AcmeBroker:
    def __init__(self, *, name: str, clock: Clock, url: str, secret: str, **waits: Any) -> None:
        self.name, self.capabilities, self._clock = name, ABLE, clock
        self._key = Key(name, secret.encode(), tolerance_s=300)
        self._wire = Exchange(url, {"Authorization": f"Bearer {secret}"}, **waits)

    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        said = await self._asked("/orders", {o.broker_order_key: order_of(o) for o in batch})
        return [answer_of(said(o.broker_order_key)) for o in batch]

    async def cancel(self, batch: Sequence[m.Cancellation]) -> list[m.Answer]:
        said = await self._asked("/cancels", {o.broker_order_key: None for o in batch})
        return [answer_of(said(o.broker_order_key)) for o in batch]

    async def replace(self, batch: Sequence[m.Replacement]) -> list[m.Answer]:
        return [m.NotSent("Acme has no such step")] * len(batch)

    async def find(self, keys: Sequence[str]) -> list[m.Lookup]:
        said = await self._asked("/lookups", dict.fromkeys(keys), fresh=True)
        return [shown_of(self.name, said(key)) for key in keys]

    async def ping(self) -> bool:
        said = await self._asked("/ping", {"ping": None}, fresh=True)
        return bool(said("ping") == "pong")

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[m.ExecutionReport]:
        verify(self._key, headers, body, self._clock.now())
        try:
            return [report_of(self.name, event) for event in json.loads(body)]
        except BAD as e:
            raise BadCallback(f"unreadable: {e}") from e

    async def close(self) -> None:
        await self._wire.close()

    async def _asked(self, path: str, what: Mapping[str, Any], *, fresh: bool = False) -> Any:
        """Ask once; return what Acme said of each key, or what its silence proves of all."""
        if not what:
            return None
        once = self._wire.ask if fresh else self._wire.send
        reply = await once(path, json.dumps(what).encode())
        if not isinstance(reply, Reply) or reply.status not in OK:
            return lambda _: reply.proves() if isinstance(reply, Reply) else reply
        try:
            return dict(json.loads(reply.body)).get
        except BAD:
            return lambda _: m.Unknown("an unreadable reply")


def order_of(o: m.Submission) -> dict[str, str | None]:
    price = None if o.limit_price is None else f"{o.limit_price:f}"
    terms = {"account": o.account_id, "symbol": o.symbol, "side": o.side, "type": o.order_type}
    return {**terms, "quantity": f"{o.quantity:f}", "price": price}


def answer_of(said: Any) -> m.Answer:
    match said:
        case {"ok": str(ref)} if ref:
            return m.Accepted(ref)
        case {"no": str(code)} if code and code != "duplicate":  # which is proof of receipt
            return m.Rejected(code)
        case m.NotSent() | m.Throttled() | m.Unknown() as failure:
            return failure
        case other:
            return m.Unknown(f"Acme said {other!r}"[:200])


def shown_of(name: str, said: Any) -> m.Lookup:
    try:
        match said:
            case {"state": "never heard of it"}:
                return m.Absent()
            case {"state": state, "ref": str(ref), "events": [*events]} if ref:
                return m.Found(ref, Status(state), tuple(report_of(name, e) for e in events))
    except BAD as e:
        return m.Unknown(f"unreadable: {e}")
    return m.Unknown(f"Acme said {said!r}"[:200])


def report_of(name: str, event: Mapping[str, Any]) -> m.ExecutionReport:
    return m.ExecutionReport(
        broker_id=name,
        broker_order_key=event["key"],
        broker_order_id=event["ref"],
        execution_id=event["id"],
        execution_type=m.ExecutionType(event["what"]),
        trade_date=date.fromisoformat(event["day"]),
        at=int(event["at"]),
        last_quantity=Decimal(event["quantity"]),
        last_price=None if event["price"] is None else Decimal(event["price"]),
    )
