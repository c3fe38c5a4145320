"""Alerts of other systems: kept once each, and noted as findings in the same commit.

    (source, fingerprint, starts_at)   absent ─► firing ─► resolved, for ever

Whoever sends them repeats them, in any order, until we say that we have them. So what is known
changes nothing, an end is final, and of one fingerprint only the latest firing counts. Several
alerts may have one name and one subject: it is over when none of them fires.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.alerts import OutsideAlert, finding_of
from app.domain.anomaly import Severity, Subject
from app.ledger.trouble import anomalies
from app.ledger.trouble.anomalies import Drawn

_STANDS: Final = text(
    "SELECT status FROM outside_alerts"
    " WHERE source = :source AND fingerprint = :fingerprint AND starts_at = :starts_at"
)
_PUT: Final = text(
    "INSERT INTO outside_alerts (source, fingerprint, starts_at, status, document, seen_at)"
    " VALUES (:source, :fingerprint, :starts_at, :status, :document, :seen_at)"
    " ON CONFLICT (source, fingerprint, starts_at) DO UPDATE SET status = excluded.status,"
    " document = excluded.document, seen_at = excluded.seen_at"
)
# Of one fingerprint, all but the latest are over, in whichever order they came.
_ENDED: Final = text(
    "UPDATE outside_alerts SET status = 'resolved' WHERE source = :source"
    " AND fingerprint = :fingerprint AND status = 'firing' AND starts_at < (SELECT max(starts_at)"
    " FROM outside_alerts WHERE source = :source AND fingerprint = :fingerprint)"
)
_FIRING: Final = text("SELECT document FROM outside_alerts WHERE status = 'firing'")
_FORGET: Final = text("DELETE FROM outside_alerts WHERE status = 'resolved' AND seen_at < :before")
# Nobody repeats an alert that ended so long ago.
KEPT_MS: Final = 30 * 86_400_000
FIRING, RESOLVED = "firing", "resolved"


def hear(connection: Connection, alerts: Sequence[OutsideAlert], drawn: Drawn) -> int:
    """Keep what is new and note what it means; return how many were new."""
    anomalies.one_by_one(connection)
    connection.execute(_FORGET, {"before": drawn.now - KEPT_MS})
    news = [alert for alert in alerts if _keep(connection, alert, drawn.now)]
    if not news:
        return 0
    firing = [_read(codec.decode(row)) for row in connection.execute(_FIRING).scalars()]
    about = dict.fromkeys((alert.rule_id, alert.subject) for alert in news)
    findings = [
        finding_of(rule, subject, [a for a in firing if (a.rule_id, a.subject) == (rule, subject)])
        for rule, subject in about
    ]
    anomalies.note(connection, findings, drawn)
    return len(news)


def _keep(connection: Connection, alert: OutsideAlert, now: int) -> bool:
    """Put it down, and return whether it was news."""
    key = {
        "source": alert.source,
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at,
    }
    status = FIRING if alert.firing else RESOLVED
    standing = connection.execute(_STANDS, key).scalar()
    if standing in {status, RESOLVED}:
        return False
    row = {"status": status, "document": codec.text(alert), "seen_at": now}
    connection.execute(_PUT, key | row)
    connection.execute(_ENDED, {"source": alert.source, "fingerprint": alert.fingerprint})
    return True


def _read(cells: list[Any]) -> OutsideAlert:
    alert = OutsideAlert(*cells)
    return alert._replace(subject=Subject(*alert.subject), severity=Severity(alert.severity))
