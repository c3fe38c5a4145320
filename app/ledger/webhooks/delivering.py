"""What is on its way to customers: kept, claimed, settled, told again, forgotten.

A claim and its settlement are two commits, with the bytes in between; a delivery that was claimed
is due again when its lease is over. The trap is the late answer of one whose lease has gone: it
may say that it was delivered, for that is true whoever says so, and nothing else.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.webhooks import (
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointState,
    Settled,
    WebhookBacklog,
    after,
    rank_at,
)
from app.ledger.dialect import Statement
from app.ledger.webhooks import endpoints
from app.ports.webhooks import Claim, Due, Replayed

_FIELDS: Final = ", ".join(Delivery._fields)
_WAITING: Final = f"state = '{DeliveryState.WAITING}'"
_NUMBERS: Final = {"rank", "attempts", "due_at", "created_at"}
_MADE: Final = {n: "integer" if n in _NUMBERS else "text" for n in Delivery._fields[:10]}
_ENQUEUE: Final = Statement(
    lambda d: (
        f"INSERT INTO webhook_deliveries ({', '.join(_MADE)}) SELECT {', '.join(_MADE)}"
        f" FROM {d.staged('made', _MADE)} AS made WHERE true ON CONFLICT (delivery_id) DO NOTHING"
    )
)
_KNOWN: Final = Statement(
    lambda d: f"SELECT delivery_id FROM webhook_deliveries WHERE delivery_id {d.among('ids')}"
)
_COUNT: Final = text(
    "SELECT count(*) FROM (SELECT 1 FROM webhook_deliveries WHERE endpoint_id = :id"
    f" AND {_WAITING} LIMIT :most) AS found"
)
_MISSED: Final = text(
    "UPDATE webhook_endpoints SET missed = missed + :missed, missed_at = :now"
    " WHERE endpoint_id = :id"
)
# One look into the index for each endpoint, however much waits there.
_DUE: Final = text(
    f"SELECT {endpoints.FIELDS}, due_at FROM (SELECT e.*, (SELECT min(d.due_at)"
    " FROM webhook_deliveries AS d WHERE d.endpoint_id = e.endpoint_id"
    f" AND d.{_WAITING}) AS due_at FROM webhook_endpoints AS e"
    f" WHERE e.state = '{EndpointState.ENABLED}') AS found"
    " WHERE due_at IS NOT NULL ORDER BY due_at, endpoint_id"
)
_NEXT: Final = Statement(
    lambda d: (
        f"SELECT {_FIELDS} FROM webhook_deliveries WHERE endpoint_id = :id"
        f" AND {_WAITING} AND due_at <= :now ORDER BY due_at, rank LIMIT :limit"
        + " FOR UPDATE SKIP LOCKED"
        * d.is_shared
    )
)
_LEASE: Final = Statement(
    lambda d: f"UPDATE webhook_deliveries SET due_at = :lease WHERE delivery_id {d.among('ids')}"
)
_SETTLE: Final = text(
    "UPDATE webhook_deliveries SET state = :state, due_at = :due_at, attempts = attempts + 1,"
    " last_at = :at, last_status = :status, last_error = :error"
    f" WHERE delivery_id = :id AND {_WAITING} AND (due_at = :lease OR :delivered = 1)"
)
_AGAIN: Final = Statement(
    lambda d: (
        f"UPDATE webhook_deliveries SET {_WAITING}, attempts = 0, due_at = :now"
        f" WHERE delivery_id {d.among('ids')}"
    )
)
_OF_STATE: Final = Statement(
    lambda d: (
        "SELECT delivery_id, rank FROM webhook_deliveries WHERE endpoint_id = :id"
        f" AND rank > :after AND NOT ({_WAITING})"
        f" AND ({d.given('state', 'text')} IS NULL OR state = {d.given('state', 'text')})"
        " ORDER BY rank LIMIT :limit"
    )
)
_PAGE: Final = Statement(
    lambda d: (
        f"SELECT {_FIELDS} FROM webhook_deliveries WHERE endpoint_id = :id AND rank < :before"
        f" AND ({d.given('state', 'text')} IS NULL OR state = {d.given('state', 'text')})"
        " ORDER BY rank DESC LIMIT :limit"
    )
)
_ONE: Final = text(
    f"SELECT {_FIELDS} FROM webhook_deliveries WHERE endpoint_id = :id AND delivery_id = :delivery"
)
_STATES: Final = text(
    "SELECT state, count(*) AS endpoints, count(failing_since) AS failing"
    f" FROM webhook_endpoints WHERE state <> '{EndpointState.DELETED}' GROUP BY state"
)
_EVERY_ID: Final = text("SELECT endpoint_id, state FROM webhook_endpoints")
_FORGET: Final = text(
    "DELETE FROM webhook_deliveries WHERE delivery_id IN (SELECT delivery_id"
    " FROM webhook_deliveries WHERE endpoint_id = :id AND rank < :before"
    " ORDER BY rank LIMIT :limit)"
)
# No rank reaches it.
_END: Final = 2**63 - 1
# What waits at one endpoint is counted so far, for whoever scrapes.
_COUNTED_MAX: Final = 100_000


def enqueue(connection: Connection, made: Sequence[Delivery], most: int, now: int) -> int:
    """Keep what is new and finds room; count what does not on its endpoint."""
    ids = codec.text([delivery.delivery_id for delivery in made])
    known = set(_KNOWN.run(connection, ids=ids).scalars())
    fresh = [delivery for delivery in made if delivery.delivery_id not in known]
    room: dict[str, int] = {}
    kept, missed = [], Counter[str]()
    for delivery in fresh:
        endpoint_id = delivery.endpoint_id
        if endpoint_id not in room:
            waiting = connection.execute(_COUNT, {"id": endpoint_id, "most": most}).scalar_one()
            room[endpoint_id] = most - waiting
        if room[endpoint_id] > 0:
            room[endpoint_id] -= 1
            kept.append(delivery[: len(_MADE)])
        else:
            missed[endpoint_id] += 1
    for endpoint_id, count in sorted(missed.items()):
        connection.execute(_MISSED, {"id": endpoint_id, "missed": count, "now": now})
    if kept:
        _ENQUEUE.run(connection, made=codec.text(kept))
    return len(kept)


def due(connection: Connection) -> list[Due]:
    return [Due(endpoints.read(row), row.due_at) for row in connection.execute(_DUE)]


def claim(connection: Connection, wanted: Mapping[str, int], lease: int, now: int) -> list[Claim]:
    """Take what is due, for each endpoint as much as is wanted."""
    found = []
    for endpoint_id, limit in wanted.items():
        endpoint = endpoints.endpoint(connection, endpoint_id)
        if endpoint is None or endpoint.state is not EndpointState.ENABLED:
            continue
        if endpoint.quiet_until is not None and endpoint.quiet_until > now:
            continue
        rows = _NEXT.run(connection, id=endpoint_id, now=now, limit=limit)
        found += [Claim(_read(row), endpoint, lease) for row in rows]
    if found:
        ids = codec.text([claim.delivery.delivery_id for claim in found])
        _LEASE.run(connection, ids=ids, lease=lease)
    return found


def settle(connection: Connection, settled: Sequence[Settled], now: int) -> list[Endpoint]:
    """Write how tries ended, and what that makes of their endpoints."""
    of_endpoint: dict[str, list[Settled]] = {}
    # Everybody locks in this order.
    for one in sorted(settled, key=lambda one: (one.delivery.endpoint_id, one.at)):
        written = connection.execute(_SETTLE, _settling(one)).rowcount
        if written:
            of_endpoint.setdefault(one.delivery.endpoint_id, []).append(one)
    disabled = []
    for endpoint_id, ones in of_endpoint.items():
        before = standing = endpoints.locked(connection, endpoint_id)
        if before is None or standing is None:  # deleted meanwhile
            continue
        for one in ones:
            standing = after(standing, one.verdict, one.at)
        if standing == before:
            continue
        endpoints.put(connection, standing)
        if standing.state is not before.state:
            endpoints.disabled(connection, before, standing, now)
            disabled.append(standing)
    return disabled


def _settling(one: Settled) -> dict[str, Any]:
    delivered = one.verdict.state is DeliveryState.DELIVERED
    return {
        "id": one.delivery.delivery_id,
        "lease": one.lease,
        "delivered": int(delivered),
        "state": one.verdict.state,
        "due_at": one.verdict.due_at,
        "at": one.at,
        "status": one.answer.status,
        "error": None if delivered else one.answer.error,
    }


def page(
    connection: Connection,
    endpoint_id: str,
    state: DeliveryState | None,
    before: int | None,
    limit: int,
) -> list[Delivery]:
    """Return deliveries, the newest first."""
    rank = _END if before is None else before
    rows = _PAGE.run(connection, id=endpoint_id, state=state, before=rank, limit=limit)
    return [_read(row) for row in rows]


def one(connection: Connection, endpoint_id: str, delivery_id: str) -> Delivery | None:
    row = connection.execute(_ONE, {"id": endpoint_id, "delivery": delivery_id}).first()
    return None if row is None else _read(row)


def replay(connection: Connection, endpoint_id: str, delivery_id: str, now: int) -> Delivery | None:
    """Let one wait again; what is claimed at this moment is sent twice at worst."""
    if one(connection, endpoint_id, delivery_id) is None:
        return None
    _AGAIN.run(connection, ids=codec.text([delivery_id]), now=now)
    return one(connection, endpoint_id, delivery_id)


def replay_since(
    connection: Connection,
    endpoint_id: str,
    state: DeliveryState | None,
    span: tuple[int, int],
    now: int,
) -> Replayed:
    """Let what has ended wait again; `span` is (the rank behind which, how many)."""
    behind, limit = span
    rows = _OF_STATE.run(connection, id=endpoint_id, after=behind, state=state, limit=limit).all()
    if not rows:
        return Replayed(0, behind)
    _AGAIN.run(connection, ids=codec.text([row.delivery_id for row in rows]), now=now)
    return Replayed(len(rows), rows[-1].rank)


def backlog(connection: Connection) -> WebhookBacklog:
    """Count what waits, endpoint by endpoint, through the index."""
    waiting = 0
    for row in connection.execute(_EVERY_ID).all():
        if row.state != EndpointState.DELETED:
            asked = {"id": row.endpoint_id, "most": _COUNTED_MAX}
            waiting += connection.execute(_COUNT, asked).scalar_one()
    states = {row.state: row for row in connection.execute(_STATES)}
    enabled, off = states.get(EndpointState.ENABLED), states.get(EndpointState.DISABLED)
    return WebhookBacklog(
        waiting,
        0 if enabled is None else enabled.failing,
        0 if off is None else off.endpoints,
    )


def forget(connection: Connection, before: int, limit: int) -> int:
    """Drop the old, and everything of what was deleted."""
    dropped = 0
    for row in connection.execute(_EVERY_ID).all():
        until = _END if row.state == EndpointState.DELETED else rank_at(before)
        asked = {"id": row.endpoint_id, "before": until, "limit": limit - dropped}
        dropped += connection.execute(_FORGET, asked).rowcount
        if dropped >= limit:
            break
    return dropped


def _read(row: Any) -> Delivery:
    return Delivery(*row)._replace(state=DeliveryState(row.state))
