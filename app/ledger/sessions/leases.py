"""One broker has one owner: the lease, whose epoch only rises, and which every claim names.

A lease is judged by one clock: where several processes hold leases, the server's. The trap is a
clock that runs ahead on another machine, for its process would take what is still held.
"""

from typing import Final

from sqlalchemy import Connection, text

from app.domain.records import FenceLost
from app.domain.signs import LaneOwner, Owners
from app.ledger.dialect import Statement, of
from app.ledger.operators.control import one_by_one

_LEASE: Final = Statement(
    lambda d: (
        f"SELECT holder, epoch, expires_at > {d.now('now')} AS stands"
        " FROM broker_leases WHERE broker_id = :broker"
    )
)
_PUT_LEASE: Final = Statement(
    lambda d: (
        "INSERT INTO broker_leases (broker_id, holder, epoch, expires_at)"
        f" VALUES (:broker, :holder, :epoch, {d.now('now')} + {d.given('ttl', 'integer')})"
        " ON CONFLICT (broker_id) DO UPDATE SET"
        " holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at"
    )
)
_RENEW: Final = Statement(
    lambda d: (
        f"UPDATE broker_leases SET expires_at = {d.now('now')} + {d.given('ttl', 'integer')}"
        " WHERE broker_id = :broker AND holder = :holder AND epoch = :epoch AND expires_at > 0"
    )
)
_HOLD_LEASE: Final = text("SELECT 1 FROM broker_leases WHERE broker_id = :broker FOR UPDATE")
_EPOCH: Final = text("SELECT epoch FROM broker_leases WHERE broker_id = :broker")
_SHARE_EPOCH: Final = text("SELECT epoch FROM broker_leases WHERE broker_id = :broker FOR SHARE")
_NOW: Final = Statement(lambda d: f"SELECT {d.now('now')}")
_EVERY: Final = text(
    "SELECT broker_id, holder, epoch, expires_at FROM broker_leases ORDER BY broker_id"
)
_DROP_LEASE: Final = text(
    "UPDATE broker_leases SET expires_at = 0"
    " WHERE broker_id = :broker AND holder = :holder AND epoch = :epoch"
)


def take(
    connection: Connection, broker_id: str, holder: str, ttl_ms: int, *, alone: bool, now: int
) -> int:
    """Become the broker's owner under a higher epoch.

    `alone` says that no other process can have this ledger open, so that a lease that stands
    is the lease of a dead one and need not run out first.
    """
    one_by_one(connection)
    standing = _LEASE.run(connection, broker=broker_id, now=now).first()
    if standing and not alone and standing.holder != holder and standing.stands:
        raise FenceLost(f"{broker_id} belongs to {standing.holder}")
    epoch = standing.epoch + 1 if standing else 1
    lease = {"broker": broker_id, "holder": holder, "epoch": epoch}
    _PUT_LEASE.run(connection, **lease, ttl=ttl_ms, now=now)
    return epoch


def renew(
    connection: Connection, broker_id: str, holder: str, epoch: int, *, ttl_ms: int, now: int
) -> bool:
    """Prolong the lease if it is still this one, and was not given back meanwhile."""
    lease = {"broker": broker_id, "holder": holder, "epoch": epoch}
    return _RENEW.run(connection, **lease, ttl=ttl_ms, now=now).rowcount == 1


def hold(connection: Connection, broker_id: str) -> None:
    """Wait until no claim of this broker is under way, and let none begin before the commit."""
    if of(connection).is_shared:
        connection.execute(_HOLD_LEASE, {"broker": broker_id})


def must_be(connection: Connection, broker_id: str, epoch: int, *, shared: bool = False) -> None:
    """Raise `FenceLost` unless the broker is at this epoch, which stays so until the commit.

    `shared` lets claims of the same owner go on meanwhile.
    """
    if not shared:
        hold(connection, broker_id)
    found = _SHARE_EPOCH if shared and of(connection).is_shared else _EPOCH
    if connection.execute(found, {"broker": broker_id}).scalar() != epoch:
        raise FenceLost(f"{broker_id} has another owner than that of epoch {epoch}")


def drop(connection: Connection, broker_id: str, holder: str, epoch: int) -> None:
    """Give the lease back."""
    lease = {"broker": broker_id, "holder": holder, "epoch": epoch}
    connection.execute(_DROP_LEASE, lease)


def owners(connection: Connection, now: int) -> Owners:
    """Return every lease as it stands, with the time of the clock that judges it."""
    at = int(_NOW.run(connection, now=now).scalar_one())
    return Owners(at, tuple(LaneOwner(*row) for row in connection.execute(_EVERY)))
