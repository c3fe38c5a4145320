"""Anomalies in SQL: at most one is open for a rule and a subject, and each change is told.

Everybody who notes takes one lock first, where others write beside us: two processes that see
the same trouble so open one anomaly, and trouble of one episode finds the incident that another
process has just begun. The partial unique index stands behind it, and would end the second one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from app import codec
from app.domain import episode
from app.domain.anomaly import Anomaly, AnomalyState, AnomalyStep, Finding, Subject, told
from app.domain.drill import Drill
from app.domain.episode import Place
from app.domain.errors import Code, Refused
from app.domain.records import Actor, Change, Route
from app.domain.session import Calendar
from app.domain.values import ulid
from app.ledger.dialect import of
from app.ledger.failover import drills
from app.ledger.operators import audit
from app.ledger.operators.control import routes
from app.ledger.trouble import telling

_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('openbell.anomalies'))")
_OPEN: Final = text(
    "SELECT document FROM anomalies WHERE state = 'open' ORDER BY opened_at, anomaly_id"
)
_ONE: Final = text("SELECT document FROM anomalies WHERE anomaly_id = :anomaly_id")
# What opened in one millisecond is never parted by the end of a page: the next one begins
# before that millisecond.
_PAGE: Final = text(
    "SELECT document FROM anomalies WHERE opened_at < :before AND opened_at >="
    " (SELECT coalesce(min(opened_at), 0) FROM (SELECT opened_at FROM anomalies"
    " WHERE opened_at < :before ORDER BY opened_at DESC LIMIT :limit) AS latest)"
    " ORDER BY opened_at DESC, anomaly_id DESC"
)
_PUT: Final = text(
    "INSERT INTO anomalies (anomaly_id, rule_id, subject, state, document, opened_at, updated_at)"
    " VALUES (:anomaly_id, :rule_id, :subject, :state, :document, :opened_at, :updated_at)"
    " ON CONFLICT (anomaly_id) DO UPDATE SET state = excluded.state,"
    " document = excluded.document, updated_at = excluded.updated_at"
)
_FOR_EVER: Final = 2**62


class Kept(NamedTuple):
    """An anomaly as it stands in its row, and when others were last told of it."""

    told_at: int
    anomaly: Anomaly


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a note takes from outside: drawn before the first try, so that a second is the same."""

    now: int
    numbers: Sequence[int]  # for the ids: two for each finding
    calendar: Calendar | None


def one_by_one(connection: Connection) -> None:
    """Let nobody else note before this is committed."""
    if of(connection).is_shared:
        connection.execute(_ALONE)


def standing(connection: Connection) -> list[Kept]:
    """Return what goes on, the oldest first."""
    return [Kept(*codec.decode_kept(row)) for row in connection.execute(_OPEN).scalars()]


def page(connection: Connection, before: int | None, limit: int) -> list[Anomaly]:
    """Return at least `limit` of the latest, if there are as many, the newest first."""
    at = _FOR_EVER if before is None else before
    found = connection.execute(_PAGE, {"before": at, "limit": limit}).scalars()
    return [codec.decode_kept(row)[1] for row in found]


def one(connection: Connection, anomaly_id: str) -> Kept | None:
    row = connection.execute(_ONE, {"anomaly_id": anomaly_id}).scalar()
    return None if row is None else Kept(*codec.decode_kept(row))


def note(connection: Connection, findings: Sequence[Finding], drawn: Drawn) -> list[Anomaly]:
    """Open, escalate, update or resolve; return those of which others are told."""
    one_by_one(connection)
    board = _Board(connection, drawn)
    changed = [board.note(finding, number) for number, finding in enumerate(findings)]
    return [anomaly for anomaly in changed if anomaly is not None]


class _Board:
    """What goes on while one batch of findings is noted."""

    def __init__(self, connection: Connection, drawn: Drawn) -> None:
        self._connection = connection
        self._drawn = drawn
        self._routes = routes(connection)
        self._drills = drills.marking(connection, drawn.now)
        self._standing = {_key(kept.anomaly): kept for kept in standing(connection)}

    def note(self, finding: Finding, number: int) -> Anomaly | None:
        key = (finding.rule_id, finding.subject)
        kept = self._standing.get(key)
        drill = None
        if kept is None or kept.anomaly.drill:  # what stood open before a drill stays what it is
            finding, drill = drills.mark_finding(self._drills, finding)
        if kept is None:
            return None if finding.severity is None else self._open(finding, number, drill)
        now = self._drawn.now
        turn = episode.followed(kept.anomaly, finding, kept.told_at, now)
        if turn is None:
            return None
        after = Kept(kept.told_at if turn.step is None else now, turn.anomaly)
        self._keep(after, turn.step)
        return None if turn.step is None else turn.anomaly

    def _open(self, finding: Finding, number: int, drill: Drill | None) -> Anomaly:
        now, (one, other) = self._drawn.now, self._drawn.numbers[2 * number : 2 * number + 2]
        going_on = [kept.anomaly for kept in self._standing.values()]
        incident = drill and drill.incident_id
        if incident is None:
            incident = episode.incident_of(finding, going_on, self._routes, now)
        if incident is None:
            incident = f"in_{ulid(now, other)}"
        place = place_of(finding.subject, self._routes, self._drawn.calendar, now)
        anomaly = episode.opened(finding, place, incident, one, now)
        self._keep(Kept(now, anomaly), AnomalyStep.OPENED)
        return anomaly

    def _keep(self, kept: Kept, step: AnomalyStep | None) -> None:
        keep(self._connection, kept, step)
        if kept.anomaly.state is AnomalyState.OPEN:
            self._standing[_key(kept.anomaly)] = kept
        else:
            del self._standing[_key(kept.anomaly)]


def keep(connection: Connection, kept: Kept, step: AnomalyStep | None) -> None:
    """Store it as it is now, and tell of the step."""
    anomaly = kept.anomaly
    connection.execute(
        _PUT,
        {
            "anomaly_id": anomaly.anomaly_id,
            "rule_id": anomaly.rule_id,
            "subject": str(anomaly.subject),
            "state": anomaly.state.value,
            "document": codec.text(kept),
            "opened_at": anomaly.opened_at,
            "updated_at": anomaly.updated_at,
        },
    )
    if step is None:
        return
    document = told(anomaly) | {"automation": None}
    happening, name = f"anomaly.{step.value}", anomaly.anomaly_id
    event_id = telling.tell(connection, str(anomaly.subject), name, happening, document)
    telling.show(connection, name, event_id, document)


def _key(anomaly: Anomaly) -> tuple[str, Subject]:
    return anomaly.rule_id, anomaly.subject


def place_of(
    subject: Subject, standing_routes: Sequence[Route], calendar: Calendar | None, now: int
) -> Place:
    """Return the route that it is or serves, and the session of that route's market."""
    found = episode.served(subject, standing_routes)
    if not found:
        return Place()
    route = found[0]
    place = Place(route.route_id, route.epoch)
    if calendar is None:
        return place
    session = calendar.current(route.route_id, now) or calendar.next(route.route_id, now)
    if session is None:
        return place
    return place._replace(
        trading_session_id=session.trading_session_id, phase=session.phase(now).value
    )


class Seen(NamedTuple):
    """Which anomaly a person means, and the version that he has looked at; None: as it stands."""

    anomaly_id: str
    version: int | None


def raise_by(connection: Connection, finding: Finding, drawn: Drawn, by: Actor) -> Anomaly:
    """Note trouble by a person's word; return the anomaly that stands for it."""
    note(connection, [finding], drawn)
    key = (finding.rule_id, finding.subject)
    after = next(kept.anomaly for kept in standing(connection) if _key(kept.anomaly) == key)
    words = {"severity": finding.severity, "drill": finding.drill, **finding.evidence}
    row = Change("anomaly.raise", str(finding.subject), None, {"anomaly": after.anomaly_id} | words)
    audit.append(connection, by, row, drawn.now)
    return after


def resolve_by(connection: Connection, seen: Seen, drawn: Drawn, by: Actor) -> Anomaly:
    """End an anomaly by a person's word; what is over stays as it is."""
    before = _looked_at(connection, seen).anomaly
    if before.state is AnomalyState.RESOLVED:
        return before
    note(connection, [episode.over(before)], drawn)
    kept = one(connection, seen.anomaly_id)
    assert kept is not None, "it was just ended"
    was, after = {"state": before.state}, {"state": kept.anomaly.state}
    row = Change("anomaly.resolve", str(before.subject), was, after)
    audit.append(connection, by, row, drawn.now)
    return kept.anomaly


def acknowledge(connection: Connection, looked: Seen, by: Actor, now: int) -> Anomaly:
    """Note who has seen it; the first one stands."""

    def seen(anomaly: Anomaly) -> Anomaly:
        if anomaly.acknowledged_by is not None:
            return anomaly
        return anomaly._replace(acknowledged_by=by.name, acknowledged_at=now)

    return _changed(connection, looked, ("anomaly.ack", seen), by, now)


def silence(connection: Connection, looked: Seen, until: int, by: Actor, now: int) -> Anomaly:
    """Let nobody be told of it before then."""

    def quiet(anomaly: Anomaly) -> Anomaly:
        return anomaly._replace(silenced_until=until)

    return _changed(connection, looked, ("anomaly.silence", quiet), by, now)


def _changed(
    connection: Connection,
    looked: Seen,
    mark: tuple[str, Callable[[Anomaly], Anomaly]],
    by: Actor,
    now: int,
) -> Anomaly:
    kept = _looked_at(connection, looked)
    action, change = mark
    after = change(kept.anomaly)
    if after == kept.anomaly:
        return after
    keep(connection, Kept(now, after), AnomalyStep.UPDATED)
    row = Change(action, f"anomaly/{looked.anomaly_id}", _marks(kept.anomaly), _marks(after))
    audit.append(connection, by, row, now)
    return after


def _looked_at(connection: Connection, seen: Seen) -> Kept:
    """Return the anomaly, and let nobody else change it before this is committed."""
    one_by_one(connection)
    kept = one(connection, seen.anomaly_id)
    if kept is None:
        raise Refused(Code.NOT_FOUND, f"no anomaly {seen.anomaly_id}")
    if seen.version not in {None, kept.anomaly.version}:
        detail = f"{seen.anomaly_id} is not as it was seen"
        raise Refused(Code.STALE_VERSION, detail, current=told(kept.anomaly))
    return kept


def _marks(anomaly: Anomaly) -> dict[str, object]:
    """Return what people set on it."""
    return {
        "acknowledged_by": anomaly.acknowledged_by,
        "acknowledged_at": anomaly.acknowledged_at,
        "silenced_until": anomaly.silenced_until,
    }
