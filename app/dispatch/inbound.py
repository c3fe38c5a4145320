"""Takes reports from a topic that a broker writes, and publishes them as every report is.

    its topic ─► verify and read ─► openbell.broker-reports.v1 ─► `reports`
                     └─► dead letters: what its adapter does not believe

The broker's topic is one more door, like a callback's: nothing is applied here, and what is read
again is published again, which changes nothing. Several dispatchers share the topic as members of
one group. The letters go to our own topic of them: nobody promised us one beside a stranger's.
"""

from collections.abc import Mapping
from typing import Final, cast

from app.consuming import Consumer
from app.dispatch.reports import TOPIC, event_of
from app.letters import parked, topic_of_letters
from app.ports.brokers import BadCallback, Broker, TopicBroker
from app.ports.bus import Bus, Event, Record

GROUP: Final = "openbell.inbound"
BATCH_MAX: Final = 500


class Inbound(Consumer):
    """The consumer of one broker's own topic."""

    def __init__(self, bus: Bus, broker: TopicBroker, topic: str) -> None:
        super().__init__(bus, topic, GROUP, BATCH_MAX)
        self._broker = broker
        self.taken = 0

    async def _apply(self, records: list[Record]) -> list[Event]:
        events: list[Event] = []
        letters: list[Event] = []
        for record in records:
            try:
                reports = self._broker.read_record(record.event.payload)
            except BadCallback as e:
                letter = parked(record, GROUP, e)
                letters.append(letter._replace(topic=topic_of_letters(TOPIC)))
            else:
                events += [event_of(report) for report in reports]
        if events:
            await self._bus.publish(events)
        self.taken += len(events)
        return letters


def inbound_of(brokers: Mapping[str, Broker], bus: Bus) -> list[Inbound]:
    """Return a consumer for each broker whose adapter is told of a topic."""
    capable = [cast("TopicBroker", b) for b in brokers.values() if hasattr(b, "reports_topic")]
    return [Inbound(bus, b, b.reports_topic) for b in capable if b.reports_topic is not None]
