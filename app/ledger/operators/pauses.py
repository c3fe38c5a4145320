"""Of which sessions nothing is released, though their bell has rung."""

from typing import Final

from sqlalchemy import Connection, text

from app.domain.errors import Code, Refused
from app.domain.records import Actor, Change
from app.domain.session import SessionPause
from app.ledger.operators import audit, control

_FIELDS: Final = ", ".join(SessionPause._fields)
_ALL: Final = text(f"SELECT {_FIELDS} FROM session_pauses ORDER BY trading_session_id")
_PUT: Final = text(
    f"INSERT INTO session_pauses ({_FIELDS})"
    f" VALUES ({', '.join(f':{name}' for name in SessionPause._fields)})"
    " ON CONFLICT (trading_session_id) DO UPDATE SET version = excluded.version,"
    " paused = excluded.paused, changed_by = excluded.changed_by,"
    " changed_at = excluded.changed_at, reason = excluded.reason,"
    " expires_at = excluded.expires_at"
)


def every(connection: Connection) -> list[SessionPause]:
    """Return every session that was ever paused, as it stands now."""
    found = [SessionPause(*row) for row in connection.execute(_ALL)]
    return [pause._replace(paused=bool(pause.paused)) for pause in found]


def put(
    connection: Connection, wanted: SessionPause, expected: int, by: Actor, now: int
) -> SessionPause:
    """Store the next version, or raise `Refused` if another one stands."""
    control.one_by_one(connection)
    name = wanted.trading_session_id
    known = {pause.trading_session_id: pause for pause in every(connection)}
    before = known.get(name, SessionPause(name))
    if before.version != expected:
        raise Refused(
            Code.STALE_VERSION,
            f"{before.changed_by} changed this: the version is {before.version}",
            current=before._asdict(),
        )
    after = wanted._replace(
        version=expected + 1, changed_by=by.name, changed_at=now, reason=by.reason
    )
    connection.execute(_PUT, after._asdict() | {"paused": int(after.paused)})
    action = "session.pause" if after.paused else "session.resume"
    change = Change(action, f"session-release/{name}", before._asdict(), after._asdict())
    audit.append(connection, by, change, now)
    return after
