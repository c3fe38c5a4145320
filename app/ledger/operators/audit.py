"""Who did what, when, why: append-only, each row sealed by the hash of the one before.

A row changed, dropped or swapped afterwards breaks the chain at that row, and `check` names it. A
cut tail, or a chain that was sealed anew, is seen only against an anchor that stands elsewhere: so
each row leaves for `openbell.audit.v1` with its hash, in its own transaction.

Rows from before revision 0009 say neither by which door a change came nor from which address. They
keep the seal that they have, of the facts that they have; a row that says so is sealed with it.
"""

import hashlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from app import codec
from app.domain.records import Actor, Anchor, Change
from app.domain.values import legible
from app.ledger.dialect import Statement, of
from app.ledger.operators import approvals

GENESIS: Final = "0" * 64
_HEAD: Final = text("SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1")
# The chain has one end: whoever appends waits for who appends.
ONE_BY_ONE: Final = text("SELECT pg_advisory_xact_lock(hashtext('openbell.audit'))")
_APPEND: Final = text(
    "INSERT INTO audit (sequence, at, actor, action, resource, before, after, reason,"
    " request_id, previous_hash, hash, via, ip) VALUES (:sequence, :at, :actor, :action,"
    " :resource, :before, :after, :reason, :request_id, :previous_hash, :hash, :via, :ip)"
)
_PAGE: Final = text(
    "SELECT sequence, at, actor, action, resource, before, after, reason, request_id,"
    " previous_hash, hash, via, ip FROM audit WHERE sequence > :after"
    " ORDER BY sequence LIMIT :limit"
)
# Of one resource, and not further back than so many rows: no index is kept for a look at a page.
LOOKED_MAX: Final = 50_000
CHECKED_MAX: Final = 1_000
_OF: Final = Statement(
    lambda d: (
        "SELECT sequence, at, actor, action, resource, before, after, reason, request_id,"
        " previous_hash, hash, via, ip FROM audit WHERE sequence > :after"
        f" AND resource {d.among('resources')} ORDER BY sequence DESC LIMIT :limit"
    )
)
_WRITTEN: Final = text(
    "SELECT 1 FROM audit WHERE request_id = :request_id AND action = :action LIMIT 1"
)
_PUBLISH: Final = text(
    "INSERT INTO outbox (event_id, aggregatetype, aggregateid, type, payload)"
    " VALUES (:event_id, 'audit', :resource, 'io.openbell.audit.recorded.v1', :payload)"
)


class AuditRow(NamedTuple):
    """One row; what stands before its hash is sealed, in this order, and then what stands after."""

    sequence: int
    at: int
    actor: str
    action: str
    resource: str
    before: str
    after: str
    reason: str
    request_id: str
    previous_hash: str
    hash: str
    via: str | None = None  # None, as ip is then: written before anybody asked
    ip: str | None = None


def seal(row: AuditRow) -> str:
    """Return the hash that this row must carry."""
    *facts, _, via, ip = row
    if (via, ip) != (None, None):
        facts += [via, ip]
    return hashlib.sha256(codec.encode(facts)).hexdigest()


def append(connection: Connection, by: Actor, change: Change, now: int) -> int:
    """Write the row inside the change's own transaction; return its sequence.

    What was refused is noted as well, and whoever asked for it may have written anything. Where
    two people stand behind the change, the proposal ends here, or the change is refused.
    """
    approval = by.approval
    if approval is None:
        return _append(connection, by, change, now)
    first = approvals.execute(connection, approval, now)
    sequence = _append(connection, by, approvals.signed(change, approval), now)
    if first:
        other = by._replace(name=approval.approved_by, reason=approval.reason)
        _append(connection, other, approvals.told(approval, sequence), now)
    return sequence


def _append(connection: Connection, by: Actor, change: Change, now: int) -> int:
    if of(connection).is_shared:
        connection.execute(ONE_BY_ONE)
    head = connection.execute(_HEAD).first()
    sequence, previous = (head.sequence + 1, head.hash) if head else (1, GENESIS)
    row = AuditRow(
        sequence=sequence,
        at=now,
        actor=legible(by.name),
        action=change.action,
        resource=legible(change.resource),
        before=codec.text(change.before),
        after=codec.text(change.after),
        reason=legible(by.reason),
        request_id=legible(by.request_id),
        previous_hash=previous,
        hash="",
        via=by.via.value,
        ip=legible(by.ip),
    )
    row = row._replace(hash=seal(row))
    connection.execute(_APPEND, row._asdict())
    connection.execute(
        _PUBLISH,
        {
            "event_id": f"audit-{sequence}",
            "resource": row.resource,
            "payload": codec.text(row._asdict()),
        },
    )
    return sequence


def append_once(connection: Connection, by: Actor, change: Change, now: int) -> int | None:
    """Write the row unless this request has written one of this action; None if it has."""
    if of(connection).is_shared:
        connection.execute(ONE_BY_ONE)
    known = {"request_id": by.request_id, "action": change.action}
    if connection.execute(_WRITTEN, known).first() is not None:
        return None
    return append(connection, by, change, now)


def page(connection: Connection, after: int, limit: int) -> list[AuditRow]:
    """Return rows in the order of the chain."""
    found = connection.execute(_PAGE, {"after": after, "limit": limit})
    return [AuditRow(*row) for row in found]


def about(connection: Connection, resources: Sequence[str], limit: int) -> list[AuditRow]:
    """Return the latest rows about some resources, the oldest of them first."""
    head = connection.execute(_HEAD).first()
    after = head.sequence - LOOKED_MAX if head else 0
    wanted = codec.text(list(resources))
    found = _OF.run(connection, after=after, resources=wanted, limit=limit)
    return [AuditRow(*row) for row in reversed(found.all())]


class Checked(NamedTuple):
    """How far a check of the chain has come."""

    sequence: int = 0  # up to here every row fits
    hash: str = GENESIS
    broken: int | None = None  # the first row that does not
    ended: bool = False


def check(connection: Connection, so_far: Checked, anchor: Anchor | None = None) -> Checked:
    """Check the next rows of the chain, against the anchor too.

    So many and no more: a chain of years is seconds of work, and a file has one reader, for whom
    halts and orders wait as well.
    """
    sequence, previous = so_far.sequence, so_far.hash
    rows = page(connection, sequence, CHECKED_MAX)
    for row in rows:
        sequence += 1
        if row.sequence != sequence or row.previous_hash != previous or row.hash != seal(row):
            return Checked(broken=sequence)
        if anchor is not None and anchor.sequence == sequence and anchor.hash != row.hash:
            return Checked(broken=sequence)
        previous = row.hash
    if rows:
        return Checked(sequence, previous)
    is_cut = anchor is not None and anchor.sequence > sequence
    return Checked(sequence, previous, sequence + 1 if is_cut else None, ended=True)
