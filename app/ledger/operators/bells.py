"""When a session opens and closes by an operator's word, for good or for a time.

A row that was lifted stays, and its version goes on: whoever saw an override before it was lifted
and set again has seen another one.
"""

from typing import Final

from sqlalchemy import Connection, text

from app.domain.records import Actor, Change, SessionOverride
from app.ledger.operators import audit, control

_ALL: Final = text(
    "SELECT trading_session_id, version, opens_at, closes_at, changed_by, reason, expires_at,"
    " reverts_to, lifted_at FROM session_overrides ORDER BY trading_session_id"
)
_PUT: Final = text(
    "INSERT INTO session_overrides (trading_session_id, version, opens_at, closes_at, changed_by,"
    " reason, expires_at, reverts_to, lifted_at) VALUES (:trading_session_id, :version, :opens_at,"
    " :closes_at, :changed_by, :reason, :expires_at, :reverts_to, :lifted_at)"
    " ON CONFLICT (trading_session_id) DO UPDATE SET"
    " version = excluded.version, opens_at = excluded.opens_at, closes_at = excluded.closes_at,"
    " changed_by = excluded.changed_by, reason = excluded.reason,"
    " expires_at = excluded.expires_at, reverts_to = excluded.reverts_to,"
    " lifted_at = excluded.lifted_at"
)


def every(connection: Connection) -> list[SessionOverride]:
    """Return every override that was ever set, lifted ones included."""
    return [SessionOverride(*row) for row in connection.execute(_ALL)]


def in_force(connection: Connection) -> list[SessionOverride]:
    return [o for o in every(connection) if o.lifted_at is None]


def put(
    connection: Connection, wanted: SessionOverride, expected: int, by: Actor, now: int
) -> SessionOverride:
    """Store the next version, or say which one stands and who set it; 0 was never set."""
    control.one_by_one(connection)
    session = wanted.trading_session_id
    before = next((o for o in every(connection) if o.trading_session_id == session), None)
    control.must_be_seen(before or wanted._replace(version=0), expected)
    after = wanted._replace(version=expected + 1, changed_by=by.name, reason=by.reason)
    connection.execute(_PUT, after._asdict())
    was = None if before is None else before._asdict()
    audit.append(
        connection, by, Change("session.override", f"session/{session}", was, after._asdict()), now
    )
    return after
