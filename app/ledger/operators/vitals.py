"""What the ledger alone can say of how we do, in a few cheap looks.

Counts of small tables and of what is in flight; never a pass over a day's orders. The trap is a
watch that asks more than a sick server can answer, and becomes its illness.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.records import Vitals
from app.ledger.dialect import Statement
from app.ledger.operators.control import routes

_NOW: Final = Statement(lambda d: f"SELECT {d.now('now')}")
_READY: Final = text("SELECT route_id, count(*) FROM dispatch_ready GROUP BY 1")
_OWNED: Final = Statement(
    lambda d: f"SELECT broker_id FROM broker_leases WHERE expires_at > {d.now('now')}"
)
_OUTBOX: Final = text("SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM outbox")
# A replace of which nothing is known is a doubt as well: somebody must hear if it grows old.
_REPLACES: Final = text(
    "SELECT broker_id, count(*), min(asked_at) FROM replace_requests"
    " WHERE state = 'unknown' GROUP BY 1"
)
_DAYS: Final = text("SELECT DISTINCT trade_date FROM dispatch_inflight")
# Each attempt that is open belongs to an order that may be out: the two are one commit.
_IN_FLIGHT: Final = Statement(
    lambda _: (
        "SELECT i.broker_id, sum(CASE WHEN i.outcome = 'unknown' THEN 1 ELSE 0 END) AS doubts,"
        " min(CASE WHEN i.outcome = 'unknown' THEN o.updated_at END) AS since,"
        " sum(CASE WHEN o.status IN ('sending', 'in_doubt') THEN 0 ELSE 1 END) AS wrong"
        " FROM dispatch_inflight AS i LEFT JOIN orders@day AS o ON o.order_id = i.order_id"
        " AND o.trade_date = i.trade_date WHERE i.trade_date = @day GROUP BY i.broker_id"
    )
)
# Nearly always it is empty, and then nobody asks on.
_QUARANTINED: Final = text("SELECT count(*) FROM quarantine")
_SINCE: Final = text("SELECT count(*) FROM quarantine WHERE at > :seen")
# Two, because the latest may be open still; what was acknowledged before it stays so.
_TOLD: Final = text(
    "SELECT document FROM anomalies WHERE rule_id = 'report.quarantined'"
    " ORDER BY opened_at DESC LIMIT 2"
)


def vitals(connection: Connection, now: int) -> Vitals:
    at = int(_NOW.run(connection, now=now).scalar_one())
    first, last = connection.execute(_OUTBOX).one()
    doubts: dict[str, tuple[int, int]] = {}
    unbalanced = 0
    for day in connection.execute(_DAYS).scalars().all():
        for row in _IN_FLIGHT.run(connection, date.fromisoformat(str(day))):
            unbalanced += int(row.wrong)
            if row.doubts:
                doubts[row.broker_id] = _joined(doubts, row.broker_id, row.doubts, row.since)
    for broker, count, since in connection.execute(_REPLACES):
        doubts[broker] = _joined(doubts, broker, count, since)
    return Vitals(
        at=at,
        ready={row[0]: row[1] for row in connection.execute(_READY)},
        routes=routes(connection),
        owned=frozenset(_OWNED.run(connection, now=now).scalars()),
        doubts=doubts,
        outbox_first=first,
        outbox_last=last,
        unbalanced=unbalanced,
        quarantined=_quarantined(connection),
    )


def _quarantined(connection: Connection) -> int:
    """Count what nobody has acknowledged, by the record: no crash and no restart hides it."""
    if not connection.execute(_QUARANTINED).scalar_one():
        return 0
    told = [codec.decode_kept(document)[1] for document in connection.execute(_TOLD).scalars()]
    seen = max((anomaly.acknowledged_at or 0 for anomaly in told), default=0)
    return int(connection.execute(_SINCE, {"seen": seen}).scalar_one())


def _joined(
    doubts: Mapping[str, tuple[int, int]], broker: str, count: int, since: int
) -> tuple[int, int]:
    """Return a broker's doubts of this day and of those before it."""
    before, oldest = doubts.get(broker, (0, since))
    return before + count, min(oldest, since)
