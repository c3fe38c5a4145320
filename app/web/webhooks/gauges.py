"""How telling customers goes, for whoever scrapes: what waits, who takes nothing, what came of it.

The trap is an endpoint as a label: customers would make as many series as they like.
"""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app.domain.webhooks import WebhookBacklog, WebhookCounts


def of_backlog(backlog: WebhookBacklog) -> Iterable[Metric]:
    """Show what every process sees alike."""
    waiting = GaugeMetricFamily("openbell_webhooks_waiting", "Deliveries that wait to be sent.")
    waiting.add_metric([], backlog.waiting)
    endpoints = GaugeMetricFamily(
        "openbell_webhook_endpoints", "Endpoints that take nothing now.", labels=["state"]
    )
    endpoints.add_metric(["failing"], backlog.failing)
    endpoints.add_metric(["disabled"], backlog.disabled)
    yield from (waiting, endpoints)


def of_counts(counts: WebhookCounts) -> Iterable[Metric]:
    """Show what this process has done."""
    queued = CounterMetricFamily("openbell_webhook_deliveries_queued", "Deliveries made of events.")
    queued.add_metric([], counts.queued)
    tries = CounterMetricFamily(
        "openbell_webhook_attempts", "Tries to deliver, by what became of them.", labels=["outcome"]
    )
    for outcome in ("delivered", "retried", "failed"):
        tries.add_metric([outcome], getattr(counts, outcome))
    yield from (queued, tries)
