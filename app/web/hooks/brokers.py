"""What brokers push: verified on the raw bytes, made durable, then answered.

A 200 makes the broker forget the report, so it is given only after the bus has it; anything
else makes the broker send it again, and an execution is applied once however often it comes.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from app.dispatch.reports import event_of
from app.domain.errors import Busy, Code, Refused
from app.ports.brokers import BadCallback
from app.ports.bus import Event
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operators.anomaly_told import TakenTold
from app.web.spec import BATCH_BYTES_MAX, Call, Reader, Reply, Spec, ok


class ReportsSent(BaseModel):
    """What the broker sends, signed as its adapter wants it."""

    model_config = ConfigDict(extra="allow")


class Hooks:
    """The door for brokers."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def reports(self, call: Call[bytes, None]) -> Reply:
        """Take a broker's execution reports; 200 means that they are durable here."""
        broker = self._house.brokers.get(call.part("broker_id"))
        if broker is None:
            raise not_there()
        try:
            reports = broker.read_callback(dict(call.request.headers), call.body)
        except BadCallback:
            # Why it failed is not told: whoever forges signatures would learn from it.
            detail = "the callback's signature, age or shape is wrong"
            raise Refused(Code.UNAUTHENTICATED, detail) from None
        events = [event_of(report) for report in reports]
        if events:
            await self._publish(events)
        return ok({"taken": len(events)})

    async def _publish(self, events: Sequence[Event]) -> None:
        try:
            await self._house.bus.publish(events)
        except Exception as e:  # whatever it was, the broker keeps the report and sends it again
            raise Busy(Code.OVERLOADED, 1.0) from e


def hook_specs(house: House) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="POST",
            path="/hooks/brokers/{broker_id}",
            name="take_broker_reports",
            scope=None,  # the adapter verifies the broker's own signature
            handler=Hooks(house).reports,
            reads=Reader(ReportsSent, lambda raw, _content_type: raw),
            answers={200: TakenTold},
            refuses=(Code.UNAUTHENTICATED, Code.NOT_FOUND, Code.BODY_TOO_LARGE, Code.OVERLOADED),
            body_bytes_max=BATCH_BYTES_MAX,
        ),
    )
