"""Customers' endpoints: their rows, and who may change what of them.

Owners change an endpoint and answers change it, at the same time: each reads the row that it will
write under a lock. The trap is an endpoint for each whim: every one of them costs each event of
its accounts a row, so an account has a few, and the house has a bound.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.records import Actor, Change
from app.domain.webhooks import DisabledBy, Endpoint, EndpointState, recorded
from app.ledger.dialect import Statement, of
from app.ledger.operators import audit

# An account that needs more asks a person.
ENDPOINTS_OF_ACCOUNT_MAX: Final = 10
ENDPOINTS_MAX: Final = 1_000
FIELDS: Final = ", ".join(Endpoint._fields)
_HERE: Final = f"state <> '{EndpointState.DELETED}'"
# Endpoints are few: who makes one counts them, and nobody makes another meanwhile.
_ALONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('openbell.webhooks'))")
_ALL: Final = text(
    f"SELECT {FIELDS} FROM webhook_endpoints WHERE {_HERE} ORDER BY created_at, endpoint_id"
)
_EVER: Final = text("SELECT EXISTS (SELECT 1 FROM webhook_endpoints)")
_ONE: Final = Statement(
    lambda _: f"SELECT {FIELDS} FROM webhook_endpoints WHERE endpoint_id = :id AND {_HERE}"
)
_LOCK: Final = Statement(
    lambda d: (
        f"SELECT {FIELDS} FROM webhook_endpoints WHERE endpoint_id = :id AND {_HERE}"
        + " FOR UPDATE" * d.is_shared
    )
)
_PUT: Final = text(
    f"INSERT INTO webhook_endpoints ({FIELDS}) VALUES"
    f" ({', '.join(f':{name}' for name in Endpoint._fields)})"
    " ON CONFLICT (endpoint_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Endpoint._fields[1:])
)


def endpoints(connection: Connection) -> list[Endpoint]:
    return [read(row) for row in connection.execute(_ALL)]


def endpoint(connection: Connection, endpoint_id: str) -> Endpoint | None:
    row = _ONE.run(connection, id=endpoint_id).first()
    return None if row is None else read(row)


def locked(connection: Connection, endpoint_id: str) -> Endpoint | None:
    """Return an endpoint to be written: nobody else writes it before we commit."""
    row = _LOCK.run(connection, id=endpoint_id).first()
    return None if row is None else read(row)


def ever_used(connection: Connection) -> bool:
    return bool(connection.execute(_EVER).scalar_one())


def create(connection: Connection, wanted: Endpoint, by: Actor, now: int) -> None:
    """Put down a new one, if there is room for it."""
    if of(connection).is_shared:
        connection.execute(_ALONE)
    standing = endpoints(connection)
    _check_room(standing, wanted)
    put(connection, wanted)
    _note(connection, "webhook.create", None, wanted, by, now)


def change(connection: Connection, wanted: Endpoint, seen: int, by: Actor, now: int) -> Endpoint:
    """Put the next version down, unless its owner has not seen the one that stands."""
    if of(connection).is_shared:
        connection.execute(_ALONE)
    before = locked(connection, wanted.endpoint_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, "no such endpoint")
    if before.version != seen:
        raise Refused(Code.STALE_VERSION, f"the version is {before.version}")
    if set(wanted.accounts) - set(before.accounts):
        others = [e for e in endpoints(connection) if e.endpoint_id != wanted.endpoint_id]
        _check_room(others, wanted)
    # What answers have made of it meanwhile stands, but where its owner starts it anew.
    kept = before if wanted.state is before.state else wanted
    after = wanted._replace(
        version=seen + 1,
        changed_at=now,
        missed=before.missed,
        missed_at=before.missed_at,
        failing_since=kept.failing_since,
        quiet_until=kept.quiet_until,
    )
    put(connection, after)
    deleted = after.state is EndpointState.DELETED
    _note(connection, "webhook.delete" if deleted else "webhook.change", before, after, by, now)
    return after


def disabled(connection: Connection, before: Endpoint, after: Endpoint, now: int) -> None:
    """Note that answers have disabled it: 410, or days without a success."""
    why = "it answered 410" if after.disabled_by is DisabledBy.GONE else "it failed for days"
    _note(connection, "webhook.disable", before, after, Actor("openbell", why), now)


def put(connection: Connection, endpoint: Endpoint) -> None:
    row = endpoint._asdict()
    listed = {name: codec.text(row[name]) for name in ("accounts", "types")}
    connection.execute(_PUT, row | listed)


def read(row: Sequence[Any]) -> Endpoint:
    """Return the endpoint in the first columns of a row."""
    found = Endpoint(*row[: len(Endpoint._fields)])
    return found._replace(
        accounts=tuple(codec.decode(str(found.accounts))),
        types=tuple(codec.decode(str(found.types))),
        state=EndpointState(found.state),
        disabled_by=None if found.disabled_by is None else DisabledBy(found.disabled_by),
    )


def _check_room(standing: Sequence[Endpoint], wanted: Endpoint) -> None:
    if len(standing) >= ENDPOINTS_MAX:
        raise Refused(
            Code.VALIDATION_FAILED, f"accounts: this gateway has {ENDPOINTS_MAX} endpoints"
        )
    for account_id in wanted.accounts:
        if sum(account_id in e.accounts for e in standing) >= ENDPOINTS_OF_ACCOUNT_MAX:
            raise Refused(
                Code.VALIDATION_FAILED,
                f"accounts: each has at most {ENDPOINTS_OF_ACCOUNT_MAX} endpoints",
            )


def _note(
    connection: Connection,
    action: str,
    before: Endpoint | None,
    after: Endpoint,
    by: Actor,
    now: int,
) -> None:
    was: Mapping[str, object] | None = None if before is None else recorded(before)
    resource = f"webhook/{after.endpoint_id}"
    audit.append(connection, by, Change(action, resource, was, recorded(after)), now)
