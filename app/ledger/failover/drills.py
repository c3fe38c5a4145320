"""What is rehearsed: its row, what it marks, and what the record shows of it afterwards.

A drill is one row from its start on, and every process that notes trouble sees it in the same
transaction, so that what it causes is marked wherever it is found. The times of a switch are read
from what the ledger wrote meanwhile, never measured by whoever asked for it: a gateway that was
restarted in mid-drill has the same report.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.anomaly import Finding
from app.domain.drill import OURS, Drill, Drilled, DrillFault
from app.domain.errors import Code, Refused
from app.domain.failover import Failover, FailoverKind
from app.domain.records import Actor, Change
from app.ledger import days
from app.ledger.dialect import Statement
from app.ledger.operators import audit, control

_PUT: Final = text(
    "INSERT INTO drills (drill_id, route_id, document, started_at, marks_until)"
    " VALUES (:drill_id, :route_id, :document, :started_at, :marks_until)"
    " ON CONFLICT (drill_id) DO UPDATE SET document = excluded.document,"
    " marks_until = excluded.marks_until"
)
_MARKING: Final = text("SELECT document FROM drills WHERE marks_until >= :now ORDER BY started_at")
_SINCE: Final = text("SELECT document FROM drills WHERE started_at >= :since ORDER BY started_at")
_ONE: Final = text("SELECT document FROM drills WHERE drill_id = :drill_id")
_OF_ROUTE: Final = text(
    "SELECT failover_id FROM failovers WHERE route_id = :route AND started_at >= :since"
    " AND started_at <= :until ORDER BY started_at"
)
_NOT_OURS: Final = " AND ".join(f"e.cause NOT LIKE 'not sent: {ours}%'" for ours in OURS)
_FAILED: Final = Statement(
    lambda _: (
        "SELECT min(e.at) FROM order_events@day AS e WHERE e.at >= :since AND e.at <= :until"
        " AND e.trade_date = @day AND (e.type = 'order.in_doubt' OR (e.type = 'order.queued'"
        f" AND e.cause LIKE 'not sent: %' AND {_NOT_OURS})) AND EXISTS (SELECT 1"
        " FROM attempts@day AS a WHERE a.broker_order_key BETWEEN e.order_id || '00'"
        " AND e.order_id || '99' AND a.broker_id = :broker AND a.trade_date = @day)"
    )
)
_ACCEPTED: Final = Statement(
    lambda _: (
        "SELECT min(a.settled_at) FROM attempts@day AS a WHERE a.broker_id = :broker"
        " AND a.route_id = :route AND a.outcome = 'accepted' AND a.settled_at >= :since"
        " AND a.trade_date = @day"
    )
)
# What a session reserves lies within some days; a ledger may have a year of them.
DAYS_MAX: Final = timedelta(days=7)


def start(connection: Connection, drill: Drill, by: Actor, now: int) -> None:
    """Put a drill down, if no other one of its route or broker goes on."""
    control.one_by_one(connection)
    for other in marking(connection, now):
        same = other.route_id == drill.route_id or other.broker_id == drill.broker_id
        if other.until >= now and same:
            raise Refused(Code.DRILL_RUNNING, f"{other.drill_id} goes on", drill_id=other.drill_id)
    _put(connection, drill)
    change = Change("drill.start", f"route/{drill.route_id}", None, drill._asdict())
    audit.append(connection, by, change, now)


def end(connection: Connection, drill_id: str, by: Actor, now: int, seen: int | None) -> Drill:
    """Note that somebody ended it; the first to say so stands, and what is over stays so."""
    control.one_by_one(connection)
    before = one(connection, drill_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, f"no drill {drill_id}")
    if seen not in {None, before.version}:
        detail = f"somebody has ended {drill_id}"
        raise Refused(Code.STALE_VERSION, detail, current=before._asdict())
    if before.until <= now:
        return before
    after = before._replace(interrupted_at=now)
    _put(connection, after)
    change = Change("drill.end", f"route/{after.route_id}", before._asdict(), after._asdict())
    audit.append(connection, by, change, now)
    return after


def _put(connection: Connection, drill: Drill) -> None:
    names = ("drill_id", "route_id", "started_at", "marks_until")
    row = {name: getattr(drill, name) for name in names}
    connection.execute(_PUT, row | {"document": codec.text(drill._asdict())})


def since(connection: Connection, instant: int) -> list[Drill]:
    return _read(connection.execute(_SINCE, {"since": instant}).scalars())[::-1]


def one(connection: Connection, drill_id: str) -> Drill | None:
    found = _read(connection.execute(_ONE, {"drill_id": drill_id}).scalars())
    return found[0] if found else None


def marking(connection: Connection, now: int) -> list[Drill]:
    """Return those of which what they cause may still be found."""
    return _read(connection.execute(_MARKING, {"now": now}).scalars())


def _read(documents: Iterable[str]) -> list[Drill]:
    found = []
    for document in documents:
        known = codec.decode(document)
        fields = {name: value for name, value in known.items() if name in Drill._fields}
        found.append(Drill(**fields)._replace(fault=DrillFault(fields["fault"])))
    return found


# --- what it marks ----------------------------------------------------------------------


def mark_finding(drills: Sequence[Drill], finding: Finding) -> tuple[Finding, Drill | None]:
    """Return trouble as a drill's, if it is of what is drilled; an end is an end in any case."""
    drill = next((d for d in drills if d.is_of(finding.subject)), None)
    if drill is None or finding.severity is None:
        return finding, None
    return finding._replace(drill=True), drill


def mark_failover(connection: Connection, failover: Failover, now: int) -> Failover:
    """Return a failover that openbell begins as a drill's, if its route is drilled."""
    if failover.kind is not FailoverKind.AUTO:
        return failover
    for drill in marking(connection, now):
        if drill.route_id == failover.route_id and drill.broker_id == failover.from_broker:
            return failover._replace(drill=True, incident_id=drill.incident_id)
    return failover


# --- what the record shows of it --------------------------------------------------------


def failover_of(connection: Connection, drill: Drill) -> str | None:
    """Return the id of the first failover that began while it marked its route."""
    values = {"route": drill.route_id, "since": drill.started_at, "until": drill.marks_until}
    return connection.execute(_OF_ROUTE, values).scalars().first()


def drilled(connection: Connection, drill: Drill, failover: Failover | None) -> Drilled:
    """Read the first failing answer, and the first order that the other broker took."""
    fenced = None if failover is None else failover.fenced_at
    failed = _first(
        connection,
        _FAILED,
        drill,
        broker=drill.broker_id,
        since=drill.started_at,
        until=fenced or drill.until,
    )
    accepted = None
    if fenced is not None and failover is not None:
        values = {"broker": failover.to_broker, "route": drill.route_id, "since": fenced}
        accepted = _first(connection, _ACCEPTED, drill, **values)
    return Drilled(failover, failed, accepted)


def _first(connection: Connection, statement: Statement, drill: Drill, **values: Any) -> int | None:
    about = datetime.fromtimestamp(drill.started_at / 1_000, UTC).date()
    found = [
        statement.run(connection, day, **values).scalar()
        for day in days.attached(connection)
        if _near(day, about)
    ]
    return min((at for at in found if at is not None), default=None)


def _near(day: date, about: date) -> bool:
    return abs(day - about) <= DAYS_MAX
