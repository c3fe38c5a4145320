"""What can be seen of every broker at one moment, from lanes, controls, halts and anomalies. Pure.

Whatever we did ourselves is no fault of a broker: one that is paused or halted is not sick, it
only takes nothing now. The trap is a fact that nobody renews: an anomaly counts until its
`valid_until`, whoever forgot to close it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from app.domain.anomaly import Anomaly, Severity
from app.domain.failover import RoutePolicy
from app.domain.halts import Halts
from app.domain.records import BrokerControl, LaneStatus, Route
from app.failover.watch import Sight

COMMON_CAUSE: Final = "common.cause"
EXTERNAL: Final = "external."


class Scene(NamedTuple):
    """Everything that was read, at about the same time."""

    routes: Sequence[Route]
    policies: Mapping[str, RoutePolicy]
    lanes: Sequence[LaneStatus]
    controls: Mapping[str, BrokerControl]
    halts: Halts
    anomalies: Sequence[Anomaly]


def in_force(anomalies: Iterable[Anomaly], now: int) -> list[Anomaly]:
    """Return what may be acted on: no drill, and nothing that has aged."""
    return [a for a in anomalies if not a.drill and a.valid_until >= now]


def has_common_cause(anomalies: Iterable[Anomaly]) -> bool:
    return any(a.rule_id == COMMON_CAUSE for a in anomalies)


def sights(scene: Scene) -> dict[str, Sight]:
    """Return what is seen of each broker that has a lane."""
    leading = {route.active_broker for route in scene.routes}
    told = _told(scene)
    return {
        lane.broker_id: Sight(
            health=lane.health,
            circuit=lane.circuit,
            leads=lane.broker_id in leading,
            told_by_outsiders=lane.broker_id in told,
            why_not=why_not(scene.controls.get(lane.broker_id), scene.halts, lane.broker_id),
        )
        for lane in scene.lanes
    }


def why_not(control: BrokerControl | None, halts: Halts, broker_id: str) -> str | None:
    """Return why a broker may not be sent to, by our own doing."""
    if control is None:
        return "unknown"
    if halts.covers_broker(broker_id):
        return "halted"
    if control.dispatch != "running":
        return control.dispatch
    return "forced open" if control.breaker == "forced_open" else None


def _told(scene: Scene) -> set[str]:
    """Return the active brokers that an alert from outside accuses, where that is trusted."""
    trusting = {
        route.active_broker
        for route in scene.routes
        if scene.policies[route.route_id].trust_external
    }
    accused = {
        a.subject.id
        for a in scene.anomalies
        if a.rule_id.startswith(EXTERNAL)
        and a.severity is Severity.CRITICAL
        and a.subject.kind == "broker"
    }
    return trusting & accused


def incident(anomalies: Iterable[Anomaly], route: Route) -> str | None:
    """Return the episode that this route's trouble belongs to, if somebody has named it."""
    own = {("broker", route.active_broker), ("route", route.route_id)}
    return next((a.incident_id for a in anomalies if (a.subject.kind, a.subject.id) in own), None)
