"""Says where a broker's rate should be, to people who have asked to be told and not obeyed.

    anomalies.v1 ─► group `throttle` ─► broker.throttled, broker.ack_latency of a broker in mode
                                        `advise` ─► one row of the audit log, and so on audit.v1

It turns no dial, in no mode. In `adaptive` the lane itself hears the very answers of which an
anomaly is made, half a second old and without a bus between; what comes here comes seconds later,
once, and not at all while Kafka is away. Two hands on one dial cut twice for one cause, and the
second would have to write the operator's row, which only people write. The trap is the repeated
event: its row is written once, whoever reads it again.
"""

import asyncio
from typing import Any, Final, NamedTuple

from app import codec
from app.clock import Clock
from app.consuming import ANYTHING, Consumer
from app.dispatch.adaptive import CUT
from app.domain.records import Actor, Change
from app.domain.tuning import Mode, bounds_of, tuning_of
from app.domain.values import rfc3339
from app.letters import parked
from app.mishaps import Mishaps
from app.ports.bus import Bus, Event, Record
from app.ports.control import ControlStore
from app.ports.dispatch import Floor

TOPIC: Final = "openbell.anomalies.v1"
GROUP: Final = "throttle"
TYPES: Final = frozenset({f"io.openbell.anomaly.{step}.v1" for step in ("opened", "escalated")})
RULES: Final = frozenset({"broker.throttled", "broker.ack_latency"})
BATCH_MAX: Final = 100
# What a stranger's bytes can do to their reader.
_UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class _Told(NamedTuple):
    """What an event says that matters here."""

    anomaly_id: str
    rule_id: str
    broker_id: str
    valid_until: str  # RFC 3339 in UTC: later is greater


class Adviser(Consumer):
    """The consumer of anomalies that would have a rate lowered."""

    def __init__(
        self, bus: Bus, control: ControlStore, floor: Floor, clock: Clock, mishaps: Mishaps
    ) -> None:
        super().__init__(bus, TOPIC, GROUP, BATCH_MAX, ANYTHING)
        self._control = control
        self._floor = floor
        self._clock = clock
        self._mishaps = mishaps
        self.advised = 0

    async def run(self) -> None:
        """Advise for ever, whatever throws."""
        async with asyncio.TaskGroup() as loops:
            loops.create_task(self._mishaps.run())
            await super().run()

    async def _apply(self, records: list[Record]) -> list[Event]:
        letters = []
        for record in records:
            try:
                told = _read(record.event)
            except _UNREADABLE as e:
                letters.append(parked(record, GROUP, f"{type(e).__name__}: {e}"))
                continue
            try:
                if told is not None and told.valid_until > rfc3339(self._clock.now()):
                    await self._advise(told, record.event.event_id)
            except OSError:  # a store that is away: the batch comes again
                raise
            except Exception as e:  # noqa: BLE001 - a bug of ours on one event; orders go on
                self._mishaps.threw(e, "advice")
                letters.append(parked(record, GROUP, f"a fault of ours: {type(e).__name__}: {e}"))
            else:
                self._mishaps.worked("advice")
        return letters

    def _note(self, trouble: Exception | None) -> None:
        super()._note(trouble)
        self._mishaps.of("reading")(trouble)

    async def _advise(self, told: _Told, event_id: str) -> None:
        control = (await self._control.controls()).get(told.broker_id)
        if control is None or tuning_of(control).mode is not Mode.ADVISE:
            return
        lane = next((s for s in self._floor.lanes() if s.broker_id == told.broker_id), None)
        acts = lane.tps_effective if lane else control.tps
        bounds = bounds_of(tuning_of(control), acts)
        # The lane has looked at every answer; without it, what the first cut would be.
        found = lane.tps_advised if lane else None
        advised = found or max(bounds.floor, int(acts * CUT))
        change = Change(
            "throttle.advised",
            f"broker/{told.broker_id}",
            {"tps": acts},
            {"tps": advised, "rule": told.rule_id, "anomaly_id": told.anomaly_id},
        )
        why = f"{told.rule_id}: {advised} a second would do; mode advise turns nothing"
        noted = await self._control.note_once(change, Actor("openbell", why, event_id))
        self.advised += noted is not None


def _read(event: Event) -> _Told | None:
    """Return what is to be advised on; None for what concerns others."""
    if event.type not in TYPES:
        return None
    told: dict[str, Any] = codec.decode(event.payload)
    subject, rule_id = told["subject"], told["rule"]["id"]
    if rule_id not in RULES or subject["kind"] != "broker" or told["drill"]:
        return None
    return _Told(told["anomaly_id"], rule_id, subject["id"], str(told["valid_until"]))
