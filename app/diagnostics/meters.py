"""What the watch counts, read when somebody scrapes.

Labels are words of ours: a rule, a severity, a broker. The trap is a gauge that keeps its last
number when nobody measures any more: what is not known now is not shown.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.diagnostics.health import HealthWitness
from app.diagnostics.watch import Watch

BROKER: Final = ["broker"]


class WatchMeters(Collector):
    """Shows the watch of this process."""

    def __init__(self, watch: Watch, witness: HealthWitness) -> None:
        self._watch = watch
        self._witness = witness

    def collect(self) -> Iterable[Metric]:
        yield from self._of_watch()
        yield from self._of_brokers()
        yield from self._of_distance()

    def _of_watch(self) -> Iterable[Metric]:
        watch = self._watch
        raised = GaugeMetricFamily(
            "openbell_rules_raised",
            "Subjects on which a rule is raised.",
            labels=["rule", "severity"],
        )
        standing = watch.tripwires.raised
        found = Counter((rule, severity.value) for (rule, _), severity in standing.items())
        for labels, count in found.items():
            raised.add_metric(labels, count)
        yield raised
        yield _gauge("openbell_rules_failing", "Rules that throw.", len(watch.tripwires.failing))
        yield _gauge("openbell_rules_refused", "Operators' rules that are none.", watch.refused)
        yield _gauge(
            "openbell_findings_untold", "Findings the store has not taken.", watch.teller.pending
        )
        yield _gauge("openbell_watch_look_seconds", "How long the last look took.", watch.look_s)
        yield _gauge("openbell_event_loop_lag_seconds", "How late the last look was.", watch.late_s)
        yield _counter("openbell_watch_looks", "Looks at everything.", watch.looks)
        yield _counter("openbell_watch_looks_failed", "Looks that threw.", watch.looks_failed)
        yield _counter("openbell_findings_told", "Findings the store has taken.", watch.teller.told)

    def _of_brokers(self) -> Iterable[Metric]:
        up = GaugeMetricFamily(
            "openbell_broker_ping", "1: it answered the last one.", labels=BROKER
        )
        bad = GaugeMetricFamily(
            "openbell_broker_bad", "1 while both witnesses say so.", labels=BROKER
        )
        errors = GaugeMetricFamily(
            "openbell_broker_error_ratio", "Of the last ten seconds' answers.", labels=BROKER
        )
        p95 = GaugeMetricFamily(
            "openbell_broker_ack_p95_seconds", "Of the last ten seconds.", labels=BROKER
        )
        for broker_id in self._watch.owned():
            health = self._witness.health(broker_id)
            if health is None:
                continue
            if health.ping is not None:
                up.add_metric([broker_id], health.ping)
            bad.add_metric([broker_id], health.bad_since is not None)
            if health.sent:
                errors.add_metric([broker_id], health.error_ratio)
            if health.p95_ms is not None:
                p95.add_metric([broker_id], health.p95_ms / 1_000)
        yield from (up, bad, errors, p95)

    def _of_distance(self) -> Iterable[Metric]:
        distance = self._watch.distance
        yield _gauge(
            "openbell_vitals_age_seconds", "Since the ledger last answered.", distance.age_s
        )
        if distance.vitals is None:
            return
        oldest = GaugeMetricFamily(
            "openbell_in_doubt_oldest_age_seconds", "Of the doubts that stand.", labels=BROKER
        )
        for broker_id, (_, since) in distance.vitals.doubts.items():
            oldest.add_metric([broker_id], max(0, distance.vitals.at - since) / 1_000)
        yield oldest
        if distance.outbox_lag_s is not None:
            yield _gauge(
                "openbell_outbox_oldest_age_seconds",
                "How long the oldest event has waited.",
                distance.outbox_lag_s,
            )
        yield _gauge(
            "openbell_clock_skew_seconds", "Against the ledger's.", distance.skew_ms / 1_000
        )
        if distance.projector_lag_s is not None:
            yield _gauge(
                "openbell_projector_lag_seconds",
                "Since the account view last caught up.",
                distance.projector_lag_s,
            )


def _gauge(name: str, words: str, value: float) -> Metric:
    found = GaugeMetricFamily(name, words)
    found.add_metric([], value)
    return found


def _counter(name: str, words: str, value: int) -> Metric:
    found = CounterMetricFamily(name, words)
    found.add_metric([], value)
    return found
