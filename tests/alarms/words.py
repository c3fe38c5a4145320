"""Events as the rooms beside us send them: valid by default, name only what matters."""

from typing import Any

from app import codec
from app.alarms.news import ANOMALIES, AUDIT
from app.domain.anomaly import (
    Anomaly,
    AnomalyState,
    Observed,
    Recommended,
    Severity,
    Subject,
    Threshold,
    told,
)
from app.domain.values import rfc3339
from app.ports.bus import Event
from tests.virtual import BEFORE_THE_BELL

NOW = BEFORE_THE_BELL


def an_anomaly(number: int = 1, **fields: Any) -> Anomaly:
    """Return an open anomaly of broker b1 in incident `in-1`."""
    anomaly = Anomaly(
        anomaly_id=f"an-{number}",
        incident_id="in-1",
        rule_id="broker.error_rate",
        rule_version=3,
        state=AnomalyState.OPEN,
        severity=Severity.WARNING,
        subject=Subject("broker", "b1"),
        route_id="us",
        trading_session_id="XNYS-2026-03-02-REG",
        phase="opening",
        observed=Observed("error_ratio", 0.71, "ratio", 10.0, 412),
        threshold=Threshold(">=", 0.2, 0.02, 0.0),
        recommended=Recommended("failover", "b2", 0.9),
        evidence={"witnesses": ["submit", "ping"], "backlog": 1204, "eta_s": 90},
        opened_at=NOW,
        updated_at=NOW,
        resolved_at=None,
        valid_until=NOW + 30_000,
        occurrences=1,
        route_epoch=17,
        drill=False,
    )
    return anomaly._replace(**fields)


def anomaly_event(step: str = "opened", sequence: int = 1, **fields: Any) -> Event:
    """Return what `step` says of an anomaly; `resolved` and `escalated` as one would expect."""
    if step == "resolved":
        fields = {"state": AnomalyState.RESOLVED, "resolved_at": NOW, **fields}
    if step == "escalated":
        fields = {"severity": Severity.CRITICAL, **fields}
    anomaly = an_anomaly(**fields)
    return Event(
        topic=ANOMALIES,
        key=str(anomaly.subject),
        event_id=f"{anomaly.anomaly_id}-{sequence}",
        type=f"io.openbell.anomaly.{step}.v1",
        payload=codec.encode(told(anomaly) | {"automation": None}),
    )


def failover_event(state: str, sequence: int = 1, **fields: Any) -> Event:
    """Return what is said of a failover of route us from b1 to b2."""
    body: dict[str, Any] = {
        "failover_id": "fo-1",
        "incident_id": "in-1",
        "route_id": "us",
        "kind": "auto",
        "state": state,
        "from_broker": "b1",
        "to_broker": "b2",
        "epoch": 18,
        "reason": "broker.error_rate",
        "held_by": [],
        "witnesses": ["submit", "ping"],
        "steps": [{"state": state, "at": rfc3339(NOW)}],
        "moved": 0,
        "pinned": 0,
        "drill": False,
        "at": rfc3339(NOW + sequence),
    } | fields
    return Event(
        topic=ANOMALIES,
        key=f"route/{body['route_id']}",
        event_id=f"{body['failover_id']}-{sequence}",
        type=f"io.openbell.failover.{state}.v1",
        payload=codec.encode(body),
    )


def audit_event(action: str, sequence: int = 1, **fields: Any) -> Event:
    """Return an audit row as the ledger publishes it."""
    row: dict[str, Any] = {
        "sequence": sequence,
        "at": NOW,
        "actor": "mina",
        "action": action,
        "resource": "halt/symbol:TSLA",
        "before": "null",
        "after": "null",
        "reason": "news pending",
        "request_id": "r-1",
        "previous_hash": "0",
        "hash": "1",
    } | fields
    return Event(
        topic=AUDIT,
        key=row["resource"],
        event_id=f"audit-{sequence}",
        type="io.openbell.audit.recorded.v1",
        payload=codec.encode(row),
    )


def control_event(sequence: int = 1, *, before: dict[str, Any], after: dict[str, Any]) -> Event:
    """Return what setting a broker's control row leaves behind."""
    row = {"tps": 800, "dispatch": "running", "breaker": "auto", "expires_at": None}
    return audit_event(
        "broker.control",
        sequence,
        resource="broker/b1",
        before=codec.text(row | before),
        after=codec.text(row | after),
    )
