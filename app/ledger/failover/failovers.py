"""Who leads a route: its policy, the fence, and what became of each change of course.

The fence is one compare-and-set on the route's epoch. A claim holds a share of that row until it
commits, so the two never interleave: what was claimed before stays where it was claimed, and what
is claimed afterwards is claimed by the other broker. Whoever decides by himself names his lease,
and the row of that lease is read in the same transaction: the trap is a leader that was stopped,
and acts when it wakes on what it had decided before.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.capabilities import Capabilities
from app.domain.errors import Code, Refused
from app.domain.failover import (
    ENDED,
    LEADER,
    OPENBELL,
    Failover,
    FailoverKind,
    FailoverState,
    FailoverStep,
    Leader,
    RoutePolicy,
    told,
)
from app.domain.records import Actor, Change, FenceLost
from app.domain.values import Outcome
from app.ledger import days
from app.ledger.dialect import Statement
from app.ledger.dispatch import attempts
from app.ledger.failover.drills import mark_failover
from app.ledger.operators import audit, control
from app.ledger.trouble.telling import tell

_POLICIES: Final = text("SELECT document FROM route_policies")
_PUT_POLICY: Final = text(
    "INSERT INTO route_policies (route_id, version, document, changed_by, changed_at, reason)"
    " VALUES (:route_id, :version, :document, :changed_by, :changed_at, :reason)"
    " ON CONFLICT (route_id) DO UPDATE SET version = excluded.version,"
    " document = excluded.document, changed_by = excluded.changed_by,"
    " changed_at = excluded.changed_at, reason = excluded.reason"
)
_OVER: Final = ", ".join(f"'{state}'" for state in sorted(ENDED))
_SINCE: Final = text(
    f"SELECT document FROM failovers WHERE started_at >= :since OR state NOT IN ({_OVER})"
    " ORDER BY started_at DESC, failover_id DESC"
)
_ONE: Final = text("SELECT document FROM failovers WHERE failover_id = :failover_id")
_RUNNING: Final = text(
    f"SELECT failover_id FROM failovers WHERE route_id = :route AND state NOT IN ({_OVER})"
)
_PUT: Final = text(
    "INSERT INTO failovers (failover_id, route_id, state, document, started_at, updated_at)"
    " VALUES (:failover_id, :route_id, :state, :document, :started_at, :updated_at)"
    " ON CONFLICT (failover_id) DO UPDATE SET state = excluded.state,"
    " document = excluded.document, updated_at = excluded.updated_at"
)
_LEADS: Final = Statement(
    lambda d: (
        "SELECT 1 FROM broker_leases WHERE broker_id = :leader AND holder = :holder"
        f" AND epoch = :epoch AND expires_at > {d.now('now')}" + " FOR SHARE" * d.is_shared
    )
)
_FENCE: Final = text(
    "UPDATE routes SET epoch = epoch + 1, active_broker = :broker"
    " WHERE route_id = :route AND epoch = :expected"
)

Authority = Leader | Actor


def _kinds(table: str) -> Statement:
    """Count what waits, by what a broker may be choosy about; accounts as known to it or not."""
    return Statement(
        lambda d: (
            "SELECT o.market, o.order_type, o.time_in_force,"
            f" CASE WHEN o.account_id {d.among('accounts')} THEN 1 ELSE 0 END AS known,"
            f" count(*) AS orders FROM {table} AS w JOIN orders@day AS o"
            " ON o.accept_sequence = w.accept_sequence AND o.trade_date = w.trade_date"
            " WHERE w.route_id = :route AND w.trade_date = @day GROUP BY 1, 2, 3, 4"
        )
    )


_KINDS: Final = (_kinds("dispatch_ready"), _kinds("reserved_book"))


# --- policies ---------------------------------------------------------------------------


def policies(connection: Connection) -> dict[str, RoutePolicy]:
    documents = connection.execute(_POLICIES).scalars()
    known = {p.route_id: p for p in (RoutePolicy.read(codec.decode(d)) for d in documents)}
    return {
        route.route_id: known.get(route.route_id, RoutePolicy(route.route_id))
        for route in control.routes(connection)
    }


def set_policy(
    connection: Connection, wanted: RoutePolicy, expected: int, by: Actor, now: int
) -> RoutePolicy:
    """Store the next version, or say which one stands and who set it."""
    control.one_by_one(connection)
    before = policies(connection).get(wanted.route_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, f"no route {wanted.route_id}")
    control.must_be_seen(before, expected)
    after = wanted._replace(
        version=expected + 1, changed_by=by.name, changed_at=now, reason=by.reason
    )
    names = ("route_id", "version", "changed_by", "changed_at", "reason")
    row = {name: getattr(after, name) for name in names}
    connection.execute(_PUT_POLICY, row | {"document": codec.text(after._asdict())})
    change = Change("route.policy", _resource(after.route_id), before._asdict(), after._asdict())
    audit.append(connection, by, change, now)
    return after


def _resource(route_id: str) -> str:
    return f"route/{route_id}"


def _known(document: str, names: Sequence[str]) -> dict[str, Any]:
    """Read a row of this version, of an older one, or of a newer one that knows more."""
    return {name: value for name, value in codec.decode(document).items() if name in names}


# --- failovers --------------------------------------------------------------------------


def failovers(connection: Connection, since: int) -> list[Failover]:
    return [_failover(d) for d in connection.execute(_SINCE, {"since": since}).scalars()]


def failover(connection: Connection, failover_id: str) -> Failover | None:
    found = connection.execute(_ONE, {"failover_id": failover_id}).scalar()
    return None if found is None else _failover(found)


def _failover(document: str) -> Failover:
    fields = _known(document, Failover._fields)
    return Failover(**fields)._replace(
        kind=FailoverKind(fields["kind"]),
        state=FailoverState(fields["state"]),
        steps=tuple(FailoverStep(FailoverState(state), at) for state, at in fields["steps"]),
        held_by=tuple(fields["held_by"]),
        witnesses=tuple(fields["witnesses"]),
    )


def note(connection: Connection, after: Failover, authority: Authority, now: int) -> None:
    """Store the next number of a failover and tell it; audited if a person says so."""
    control.one_by_one(connection)
    _must_lead(connection, authority, now)
    before = _follows(connection, after)
    if before is None:
        after = mark_failover(connection, after, now)
    _put(connection, after)
    _tell(connection, after)
    if isinstance(authority, Actor):
        _audited(connection, f"failover.{after.state}", before, after, authority, now)


def fence(
    connection: Connection, after: Failover, expected: int, authority: Authority, now: int
) -> Failover:
    """Lead the route to the other broker, if it is still where the decision saw it."""
    control.one_by_one(connection)
    _must_lead(connection, authority, now)
    before = _follows(connection, after)
    route = next(r for r in control.routes(connection) if r.route_id == after.route_id)
    if route.epoch != expected:
        raise Refused(
            Code.STALE_EPOCH,
            f"route {route.route_id} is at epoch {route.epoch}, at {route.active_broker}",
            current=route._asdict(),
        )
    if before is None:
        after = mark_failover(connection, after, now)
    after = after._replace(epoch=expected + 1)
    _put(connection, after)
    _tell(connection, after)
    by = authority if isinstance(authority, Actor) else Actor(OPENBELL, after.reason)
    _audited(connection, "route.failover", before, after, by, now)
    # Last, because claims wait for this row from here to the commit.
    values = {"route": after.route_id, "broker": after.to_broker, "expected": expected}
    moved = connection.execute(_FENCE, values).rowcount
    assert moved == 1, "whoever else could move a route waits for this transaction"
    return after


def acknowledge(
    connection: Connection, failover_id: str, by: Actor, now: int, seen: int | None
) -> Failover:
    """Note that somebody has read it; the first to say so stands."""
    control.one_by_one(connection)
    before = failover(connection, failover_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, f"no failover {failover_id}")
    if seen not in {None, before.version}:
        detail = f"{failover_id} is {before.state} by now"
        raise Refused(Code.STALE_VERSION, detail, current=before._asdict())
    if before.acknowledged_by is not None:
        return before
    after = before._replace(acknowledged_by=by.name, acknowledged_at=now)
    _put(connection, after)
    _audited(connection, "failover.acknowledged", before, after, by, now)
    return after


def left_behind(connection: Connection, route_id: str, broker_id: str) -> tuple[int, int]:
    """Count a route's open attempts at a broker: unanswered, in doubt."""
    keys = attempts.open_at(connection, broker_id)
    found = [
        a.outcome
        for a in attempts.by_keys(connection, keys).values()
        if a.route_id == route_id and a.outcome in attempts.OPEN
    ]
    return found.count(Outcome.OPEN), found.count(Outcome.UNKNOWN)


def misfits(connection: Connection, route: str, able: Capabilities) -> dict[str, int]:
    """Count what waits for a route, or for its bell, and such a broker cannot take."""
    found: Counter[str] = Counter()
    values = {"route": route, "accounts": codec.text(sorted(able.accounts or ()))}
    for day in days.attached(connection):
        for statement in _KINDS:
            for row in statement.run(connection, day, **values):
                account = next(iter(able.accounts or ("",))) if row.known else ""
                lacking = able.lacks(row.market, row.order_type, row.time_in_force, account)
                if lacking is not None:
                    found[lacking] += row.orders
    return dict(found)


def _must_lead(connection: Connection, authority: Authority, now: int) -> None:
    if isinstance(authority, Actor):
        return
    values = {"holder": authority.holder, "epoch": authority.epoch}
    if _LEADS.run(connection, leader=LEADER, **values, now=now).first() is None:
        raise FenceLost(f"{authority.holder} leads no more")


def _follows(connection: Connection, after: Failover) -> Failover | None:
    """Return what stands, if `after` is the next that may be said of it."""
    before = failover(connection, after.failover_id)
    if before is None:
        running = connection.execute(_RUNNING, {"route": after.route_id}).scalars().all()
        if running:
            raise Refused(Code.FAILOVER_RUNNING, f"{running[0]} goes on", failover_id=running[0])
    elif before.has_ended or before.number != after.number - 1:
        raise Refused(Code.STALE_VERSION, f"{before.failover_id} is {before.state} by now")
    return before


def _put(connection: Connection, after: Failover) -> None:
    row = {name: getattr(after, name) for name in ("failover_id", "route_id", "state")}
    instants = {"started_at": after.started_at, "updated_at": after.updated_at}
    connection.execute(_PUT, row | instants | {"document": codec.text(after._asdict())})


def _tell(connection: Connection, after: Failover) -> None:
    happening = f"failover.{after.state}"
    tell(connection, _resource(after.route_id), after.failover_id, happening, told(after))


def _audited(
    connection: Connection,
    action: str,
    before: Failover | None,
    after: Failover,
    by: Actor,
    now: int,
) -> None:
    was = None if before is None else before._asdict()
    audit.append(
        connection, by, Change(action, _resource(after.route_id), was, after._asdict()), now
    )
