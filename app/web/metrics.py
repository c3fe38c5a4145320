"""What the doors count. Labels are words of ours, never of a client; children are bound once."""

from prometheus_client import CollectorRegistry, Counter

from app.domain.errors import Code
from app.domain.order import Order
from app.web.problems import RETRYABLE


class Meters:
    """The counters of intake."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._accepted = Counter(
            "openbell_orders_accepted_total",
            "Orders taken durably, replays not counted.",
            ["market", "order_type"],
            registry=registry,
        )
        # A market is a label only once an order was taken there, so the set is ours and small.
        self._by_kind: dict[tuple[str, str], Counter] = {}
        refused = Counter(
            "openbell_orders_refused_total",
            "Orders refused, by code.",
            ["code"],
            registry=registry,
        )
        self._refused = {code: refused.labels(code.code) for code in Code if code.status}
        shed = Counter(
            "openbell_requests_shed_total",
            "Requests turned away because of us, by reason.",
            ["reason"],
            registry=registry,
        )
        self._shed = {code: shed.labels(code.code) for code in RETRYABLE}

    def accepted(self, order: Order) -> None:
        """Count an order that was created just now."""
        kind = (order.market, order.order_type)
        counter = self._by_kind.get(kind)
        if counter is None:
            counter = self._by_kind[kind] = self._accepted.labels(*kind)
        counter.inc()

    def refused(self, code: Code, orders: int = 1) -> None:
        """Count what was not taken: so many orders, one request."""
        self._refused[code].inc(orders)
        if code in self._shed:
            self._shed[code].inc()
