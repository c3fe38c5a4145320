"""Tells of trouble: an event on `openbell.anomalies.v1`, in the transaction that causes it.

Each subject's events are numbered, over anomalies and failovers alike, and the number is part of
the event's id: a reader drops what it has seen, and sees what it has missed. The row that counts
is locked until the commit, so that the numbers of one subject stand in the outbox in their order.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from app import codec

_COUNT: Final = text(
    "INSERT INTO anomaly_subjects (subject, last) VALUES (:subject, 1)"
    " ON CONFLICT (subject) DO UPDATE SET last = anomaly_subjects.last + 1 RETURNING last"
)
_PUBLISH: Final = text(
    "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
    " VALUES (:event_id, :topic, :key, :type, :payload)"
)


def tell(
    connection: Connection, subject: str, about: str, happening: str, document: Mapping[str, object]
) -> str:
    """Publish what happened to `about`; return the event's id, `<about>-<number>`.

    `happening` is the end of the type, such as `anomaly.opened` or `failover.fencing`.
    """
    number = connection.execute(_COUNT, {"subject": subject}).scalar_one()
    event_id = f"{about}-{number}"
    _publish(connection, "anomalies", subject, event_id, happening, document)
    return event_id


def show(
    connection: Connection, anomaly_id: str, event_id: str, document: Mapping[str, object]
) -> None:
    """Let the compacted topic stand where that event has brought the anomaly."""
    _publish(connection, "anomaly-state", anomaly_id, event_id, "anomaly.state", document)


def _publish(
    connection: Connection,
    topic: str,
    key: str,
    event_id: str,
    happening: str,
    document: Mapping[str, object],
) -> None:
    connection.execute(
        _PUBLISH,
        {
            "event_id": event_id,
            "topic": topic,
            "key": key,
            "type": f"io.openbell.{happening}.v1",
            "payload": codec.text(document),
        },
    )
