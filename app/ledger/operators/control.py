"""What operators set: rates, halts, routes; the bells of a session stand in `bells`.

Every change compares the version that the operator saw, and its audit row stands in the same
transaction.
"""

from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.failover import RoutePolicy
from app.domain.halts import SCOPES, Halts, version_of
from app.domain.records import (
    Actor,
    Backlog,
    BrokerControl,
    Change,
    Doubt,
    Halt,
    Route,
    SessionOverride,
)
from app.domain.tuning import with_facts
from app.ledger import days
from app.ledger.dialect import Statement, of
from app.ledger.operators import audit

_CONTROLS: Final = text(
    "SELECT broker_id, version, tps, dispatch, breaker, changed_by, changed_at, reason,"
    " expires_at, reverts_to, tuning FROM broker_control ORDER BY broker_id"
)
_PUT_CONTROL: Final = text(
    "INSERT INTO broker_control (broker_id, version, tps, dispatch, breaker,"
    " changed_by, changed_at, reason, expires_at, reverts_to, tuning) VALUES (:broker_id,"
    " :version, :tps, :dispatch, :breaker, :changed_by, :changed_at, :reason, :expires_at,"
    " :reverts_to, :tuning)"
    " ON CONFLICT (broker_id) DO UPDATE SET version = excluded.version, tps = excluded.tps,"
    " dispatch = excluded.dispatch, breaker = excluded.breaker,"
    " changed_by = excluded.changed_by, changed_at = excluded.changed_at,"
    " reason = excluded.reason, expires_at = excluded.expires_at,"
    " reverts_to = excluded.reverts_to, tuning = excluded.tuning"
)
_HALTS: Final = text(
    "SELECT scope, target, halted_by, halted_at, reason FROM halts"
    " ORDER BY halted_at, scope, target"
)
_PUT_HALT: Final = text(
    "INSERT INTO halts (scope, target, halted_by, halted_at, reason)"
    " VALUES (:scope, :target, :halted_by, :halted_at, :reason) ON CONFLICT DO NOTHING"
)
_LIFT: Final = text("DELETE FROM halts WHERE scope = :scope AND target = :target")
_ROUTES: Final = text("SELECT route_id, active_broker, epoch FROM routes ORDER BY route_id")
# Operators' changes are few, and each reads what it replaces: one after the other, also where
# several processes write. A claim reads the halts under a lock that a halt waits for.
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('openbell.control'))")
_HALTS_STAND: Final = text("LOCK TABLE halts IN SHARE MODE")


def one_by_one(connection: Connection) -> None:
    """Let no other operator's change in before this one is committed."""
    if of(connection).is_shared:
        connection.execute(_ALONE)


def controls(connection: Connection) -> dict[str, BrokerControl]:
    return {row.broker_id: BrokerControl(*row) for row in connection.execute(_CONTROLS)}


def declare(
    connection: Connection, rates: dict[str, int], routes: dict[str, str], now: int
) -> None:
    """Give brokers and routes that the settings name a first row; what operators set stays."""
    one_by_one(connection)
    known = controls(connection)
    for broker_id, tps in rates.items():
        if broker_id not in known:
            first = BrokerControl(
                broker_id, 1, tps, "running", "auto", "settings", now, "first start", None, None
            )
            connection.execute(_PUT_CONTROL, first._asdict())
    for route_id, broker_id in routes.items():
        connection.execute(
            text(
                "INSERT INTO routes (route_id, active_broker, epoch) VALUES (:route, :broker, 1)"
                " ON CONFLICT DO NOTHING"
            ),
            {"route": route_id, "broker": broker_id},
        )


def must_be_seen(standing: BrokerControl | RoutePolicy | SessionOverride, version: int) -> None:
    """Raise `Refused` unless this is the version that an operator saw; say who changed it."""
    if standing.version != version:
        raise Refused(
            Code.STALE_VERSION,
            f"{standing.changed_by} changed this: the version is {standing.version}",
            current=standing._asdict(),
        )


def set_control(
    connection: Connection, wanted: BrokerControl, expected: int, by: Actor, now: int
) -> BrokerControl:
    """Store the next version, or say which one stands and who set it."""
    one_by_one(connection)
    before = controls(connection).get(wanted.broker_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, f"no broker {wanted.broker_id}")
    must_be_seen(before, expected)
    after = wanted._replace(
        version=expected + 1, changed_by=by.name, changed_at=now, reason=by.reason
    )
    connection.execute(_PUT_CONTROL, after._asdict())
    change = Change(
        "broker.control", f"broker/{wanted.broker_id}", before._asdict(), after._asdict()
    )
    audit.append(connection, by, change, now)
    return after


def revert_expired(connection: Connection, now: int) -> list[BrokerControl]:
    """Bring back what each override that has run out replaced."""
    one_by_one(connection)
    reverted = []
    for control in controls(connection).values():
        if control.expires_at is None or control.expires_at > now:
            continue
        assert control.reverts_to is not None, "an override that ends says what comes back"
        back = codec.decode(control.reverts_to)
        wanted = with_facts(control, back)._replace(expires_at=None, reverts_to=None)
        by = Actor("openbell", f"time to live of version {control.version} is over")
        reverted.append(set_control(connection, wanted, control.version, by, now))
    return reverted


def halts(connection: Connection) -> list[Halt]:
    return [Halt(*row) for row in connection.execute(_HALTS)]


def halted(connection: Connection) -> Halts:
    """Return the halts in force, sorted by scope; none is added before the caller commits."""
    if of(connection).is_shared:
        connection.execute(_HALTS_STAND)
    return Halts.of(halts(connection))


def halt(connection: Connection, scope: str, target: str, by: Actor, now: int) -> Halt:
    """Stop sends in scope; a second halt of the same scope leaves the first standing."""
    if scope not in SCOPES:
        raise Refused(Code.VALIDATION_FAILED, f"expected one of {', '.join(SCOPES)}, was {scope}")
    one_by_one(connection)
    wanted = Halt(scope, target, by.name, now, by.reason)
    connection.execute(_PUT_HALT, wanted._asdict())
    standing = next(h for h in halts(connection) if (h.scope, h.target) == (scope, target))
    change = Change("halt", f"halt/{scope}:{target}", None, standing._asdict())
    audit.append(connection, by, change, now)
    return standing


def resume(
    connection: Connection, place: tuple[str, str], by: Actor, now: int, seen: int | None
) -> None:
    """Lift the halt that was seen; who stopped the sends may not be who starts them again."""
    one_by_one(connection)
    scope, target = place
    standing = next((h for h in halts(connection) if (h.scope, h.target) == place), None)
    if standing is None:
        raise Refused(Code.NOT_FOUND, f"no halt on {scope}:{target}")
    if seen not in {None, version_of(standing)}:
        raise Refused(
            Code.STALE_VERSION,
            f"{standing.halted_by} has halted it since",
            current=standing._asdict(),
        )
    if standing.halted_by == by.name and by.approval is None:
        raise Refused(
            Code.SECOND_PRINCIPAL_REQUIRED, f"{by.name} halted; another person must resume"
        )
    connection.execute(_LIFT, {"scope": scope, "target": target})
    change = Change("resume", f"halt/{scope}:{target}", standing._asdict(), None)
    audit.append(connection, by, change, now)


def routes(connection: Connection) -> list[Route]:
    return [Route(*row) for row in connection.execute(_ROUTES)]


_DOUBTS: Final = Statement(
    lambda _: (
        "SELECT o.order_id, o.account_id, o.symbol, i.broker_order_key, i.broker_id,"
        " o.updated_at, o.version FROM dispatch_inflight AS i JOIN orders@day AS o"
        " ON o.order_id = i.order_id AND o.trade_date = i.trade_date"
        " WHERE i.trade_date = @day AND i.outcome = 'unknown'"
        " UNION ALL SELECT o.order_id, o.account_id, o.symbol, q.broker_order_key, q.broker_id,"
        " q.asked_at, o.version FROM replace_requests AS q JOIN orders@day AS o"
        " ON o.order_id = q.order_id AND o.trade_date = q.trade_date"
        " WHERE q.trade_date = @day AND q.state = 'unknown'"
    )
)
_DOUBTFUL_DAYS: Final = text(
    "SELECT trade_date FROM dispatch_inflight WHERE outcome = 'unknown'"
    " UNION SELECT trade_date FROM replace_requests WHERE state = 'unknown'"
)
# PostgreSQL counts 160,000 of each in 150 to 330 ms: for a scrape or a person, not for a loop.
_COUNTS: Final = {
    "reserved": text("SELECT trading_session_id, count(*) FROM reserved_book GROUP BY 1"),
    "ready": text("SELECT route_id, count(*) FROM dispatch_ready GROUP BY 1"),
    "in_doubt": text(
        "SELECT broker_id, count(*) FROM dispatch_inflight WHERE outcome = 'unknown' GROUP BY 1"
    ),
    "held": text("SELECT trading_session_id, count(*) FROM held_orders GROUP BY 1"),
}


def doubts(connection: Connection) -> list[Doubt]:
    """Return the orders in doubt, and those with a replace of which nothing is known."""
    found: list[Doubt] = []
    for day in connection.execute(_DOUBTFUL_DAYS).scalars().all():
        on = date.fromisoformat(str(day))
        found += [Doubt._make(row) for row in _DOUBTS.run(connection, on)]
    return sorted(found, key=lambda doubt: (doubt.since, doubt.order_id))


# Eight events fill a page, so that a million of them are a gigabyte to read; and what is dead lies
# between. So far it is counted; beyond, it is as many as there are ids from first to last, which
# is a few too many.
OUTBOX_COUNTED_MAX: Final = 10_000
OUTBOX_LENGTH: Final = text(
    "SELECT CASE WHEN n < :most THEN n ELSE (SELECT max(id) - min(id) + 1 FROM outbox) END"
    " FROM (SELECT count(*) AS n FROM (SELECT 1 FROM outbox LIMIT :most) AS few) AS counted"
)
_BY_STATUS: Final = Statement(
    lambda _: (
        "SELECT o.status, count(*) AS orders FROM orders@day AS o"
        " WHERE o.trade_date = @day AND o.trading_session_id = :session GROUP BY 1"
    )
)


def backlog(connection: Connection) -> Backlog:
    """Count what waits; an outbox of more than `OUTBOX_COUNTED_MAX` is told roughly."""
    counts: dict[str, dict[str, int]] = {
        name: {row[0]: row[1] for row in connection.execute(q)} for name, q in _COUNTS.items()
    }
    outbox = connection.execute(OUTBOX_LENGTH, {"most": OUTBOX_COUNTED_MAX}).scalar_one()
    return Backlog(**counts, outbox=outbox)


def by_status(connection: Connection, session: str, day: date) -> dict[str, int]:
    """Count a session's orders by status: one pass over its day, for a plan, not for a loop."""
    if not days.is_attached(connection, day):
        return {}
    found = _BY_STATUS.run(connection, day, session=session)
    return {row.status: row.orders for row in found}


# The book is stepped through from one session to the next, a look into its key for each.
_RESERVED_SESSIONS: Final = text(
    "WITH RECURSIVE found (session) AS (SELECT min(trading_session_id) FROM reserved_book"
    " UNION ALL SELECT (SELECT min(b.trading_session_id) FROM reserved_book AS b"
    " WHERE b.trading_session_id > f.session) FROM found AS f WHERE f.session IS NOT NULL)"
    " SELECT session FROM found WHERE session IS NOT NULL"
)
# The queue is read whole: it holds what the open sessions have not yet sent, and an index for
# this question alone would have to be written with each order.
_READY_SESSIONS: Final = text("SELECT DISTINCT trading_session_id FROM dispatch_ready")
# Of what a broker has shown a copy its session's end decides nothing, so it waits for none.
_HELD_SESSIONS: Final = text(
    "SELECT DISTINCT trading_session_id FROM held_orders"
    f" WHERE coalesce(reason_code, '') <> '{Code.STRAY_EVIDENCE.code}'"
)


def waiting_sessions(connection: Connection) -> list[str]:
    """Return the sessions for which an unsent order waits."""
    found: set[str] = set()
    for statement in (_RESERVED_SESSIONS, _READY_SESSIONS, _HELD_SESSIONS):
        found.update(connection.execute(statement).scalars())
    return sorted(found)
