"""What stands now, read when somebody scrapes: lanes from memory, backlog by one query.

Names and labels are those of the conventions: never an account, an order or a symbol. Counters
of a lane start at zero with its process, as Prometheus expects.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.domain.records import AlarmCounts, Backlog, LaneStatus
from app.domain.signs import DaysKept
from app.domain.webhooks import WebhookBacklog, WebhookCounts
from app.web.house import House
from app.web.webhooks.gauges import of_backlog, of_counts

CIRCUIT_STATES: Final = ("closed", "open", "half_open")


class Gauges(Collector):
    """Shows the lanes and the backlog of the last `read`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lanes: list[LaneStatus] = []
        self._backlog = Backlog({}, {}, {}, 0)
        self._halts: dict[str, int] = {}
        self._quota_degraded = False
        self._days: DaysKept | None = None
        self._alarms: AlarmCounts | None = None
        self._webhooks: tuple[WebhookBacklog, WebhookCounts | None] | None = None
        registry.register(self)

    async def read(self, house: House) -> None:
        """Look at the house; what is collected next is from this moment."""
        self._lanes = house.floor.lanes()
        self._backlog = await house.control.backlog()
        scopes = [halt.scope for halt in await house.control.halts()]
        self._halts = {scope: scopes.count(scope) for scope in set(scopes)}
        self._days = house.days_kept() if house.days_kept is not None else None
        self._alarms = house.alarms() if house.alarms is not None else None
        told = house.webhooks
        if told is not None:
            counts = None if told.counts is None else told.counts()
            self._webhooks = await told.store.backlog(), counts
        self._quota_degraded = house.quotas is not None and house.quotas.degraded

    def collect(self) -> Iterable[Metric]:
        yield from self._of_lanes()
        yield from self._of_backlog()
        degraded = GaugeMetricFamily(
            "openbell_quota_degraded", "1 while each process counts quotas alone."
        )
        degraded.add_metric([], self._quota_degraded)
        yield degraded
        if self._days is not None:
            yield from self._of_days(self._days)
        if self._alarms is not None:
            yield from self._of_alarms(self._alarms)
        if self._webhooks is not None:
            backlog, told = self._webhooks
            yield from of_backlog(backlog)
            yield from () if told is None else of_counts(told)

    def _of_alarms(self, counts: AlarmCounts) -> Iterable[Metric]:
        messages = CounterMetricFamily(
            "openbell_alarm_messages", "Messages to people, by outcome.", labels=["outcome"]
        )
        messages.add_metric(["told"], counts.told)
        messages.add_metric(["retried"], counts.retried)
        messages.add_metric(["dead_letter"], counts.dead)
        stale = CounterMetricFamily(
            "openbell_alarm_events_stale", "Events that were no longer true when they came."
        )
        stale.add_metric([], counts.stale)
        waiting = GaugeMetricFamily("openbell_alarms_waiting", "Messages that wait to be told.")
        waiting.add_metric([], counts.waiting)
        yield from (messages, stale, waiting)

    def _of_days(self, kept: DaysKept) -> Iterable[Metric]:
        days = GaugeMetricFamily(
            "openbell_partitions", "Trade dates that have their tables.", labels=["which"]
        )
        days.add_metric(["attached"], kept.attached)
        days.add_metric(["ahead"], kept.ahead)
        late = CounterMetricFamily(
            "openbell_partitions_made_late", "Made by an order, because the plan had not."
        )
        late.add_metric([], kept.made_late)
        trouble = GaugeMetricFamily(
            "openbell_partition_job_failing", "1 while the last run of the plan did not end well."
        )
        trouble.add_metric([], kept.trouble is not None)
        yield from (days, late, trouble)

    def _of_lanes(self) -> Iterable[Metric]:
        attempts = CounterMetricFamily(
            "openbell_dispatch_attempts", "Answers to attempts.", labels=["broker", "answer"]
        )
        sent = CounterMetricFamily(
            "openbell_messages_sent", "Permits spent: messages that left.", labels=["broker"]
        )
        rate = GaugeMetricFamily(
            "openbell_rate_limit_permits_per_second",
            "The operator's number, and what is acted on.",
            labels=["broker", "kind"],
        )
        circuit = GaugeMetricFamily(
            "openbell_circuit_state", "1 for the state it is in.", labels=["broker", "state"]
        )
        in_flight = GaugeMetricFamily(
            "openbell_in_flight", "Requests without an answer.", labels=["broker"]
        )
        epoch = GaugeMetricFamily(
            "openbell_broker_owner_epoch", "Rises with each owner.", labels=["broker"]
        )
        for lane in self._lanes:
            broker = lane.broker_id
            for answer, count in lane.answers.items():
                attempts.add_metric([broker, answer], count)
            sent.add_metric([broker], lane.sent_total)
            rate.add_metric([broker, "configured"], lane.tps_configured)
            rate.add_metric([broker, "effective"], lane.tps_effective)
            for state in CIRCUIT_STATES:
                circuit.add_metric([broker, state], lane.circuit == state)
            in_flight.add_metric([broker], lane.in_flight)
            epoch.add_metric([broker], lane.owner_epoch)
        yield from (attempts, sent, rate, circuit, in_flight, epoch)

    def _of_backlog(self) -> Iterable[Metric]:
        reserved = GaugeMetricFamily(
            "openbell_orders_reserved", "Orders that wait for their session."
        )
        reserved.add_metric([], sum(self._backlog.reserved.values()))
        depth = GaugeMetricFamily(
            "openbell_dispatch_queue_depth", "Orders that wait for a permit.", labels=["route"]
        )
        for route, count in self._backlog.ready.items():
            depth.add_metric([route], count)
        doubts = GaugeMetricFamily(
            "openbell_orders_in_doubt", "Sent, and no answer.", labels=["broker"]
        )
        for broker, count in self._backlog.in_doubt.items():
            doubts.add_metric([broker], count)
        outbox = GaugeMetricFamily("openbell_outbox_pending", "Events not yet on the bus.")
        outbox.add_metric([], self._backlog.outbox)
        halts = GaugeMetricFamily("openbell_halts_active", "Halts in force.", labels=["scope_kind"])
        for scope, count in self._halts.items():
            halts.add_metric([scope], count)
        yield from (reserved, depth, doubts, outbox, halts)
