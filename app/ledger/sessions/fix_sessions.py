"""The numbers of a FIX session, and what was given one: durable before the bytes leave.

Every change compares the numbers that it was made on and shares the broker's lease until its
commit, so that of two owners one writes. Asked again after a lost answer it finds its own work and
leaves it. The trap is the count of a former owner, or of one whose session a person has reset: it
writes nothing, because two engines on one sequence send two orders under one number.

A list has one number and many orders, and each of them is asked for by its own key. So a leg has
a row beside its list's, under a number below zero that says where it stands: `LEGS_MAX` times the
list's, and its place. No message of a session ever has such a number.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.errors import Code, Refused
from app.domain.order import Order
from app.domain.records import Actor, Change, FenceLost
from app.domain.values import order_id_of
from app.ledger import rows
from app.ledger.dialect import Statement
from app.ledger.dispatch import attempts
from app.ledger.operators import audit, control
from app.ledger.sessions import leases
from app.ports.sessions import LEGS_MAX, Numbers, Outgoing, Placed, SessionOwner, Unread

# A new order, a leg of a list, and an order that replaces another: each places one under its key.
_PLACING: Final = "('D', 'E', 'G')"
_BEGIN: Final = text(
    "INSERT INTO fix_sessions (session_id, broker_id, numbering, next_out, next_in, changed_at,"
    " reason) VALUES (:session, :broker, 1, 1, 1, :now, 'new') ON CONFLICT DO NOTHING"
)
_STANDING: Final = text(
    "SELECT numbering, next_out, next_in, broker_id FROM fix_sessions WHERE session_id = :session"
)
_TAKE: Final = text(
    "UPDATE fix_sessions SET next_out = :next, changed_at = :now WHERE session_id = :session"
    " AND numbering = :numbering AND next_out = :first"
)
_NEW: Final = {"type": "text", "broker_order_key": "text", "body": "text"}
_KEEP: Final = Statement(
    lambda d: (
        "INSERT INTO fix_messages (session_id, numbering, number, type, broker_order_key, body,"
        f" written_at, lacked) SELECT {d.given('session', 'text')},"
        f" {d.given('numbering', 'integer')},"
        f" {d.given('first', 'integer')} + place - {d.first_place},"
        f" type, broker_order_key, body, {d.given('now', 'integer')}, 0"
        f" FROM {d.staged('rows', _NEW)} AS n"
    )
)
_LEG: Final = {"number": "integer", "broker_order_key": "text"}
_KEEP_LEGS: Final = Statement(
    lambda d: (
        "INSERT INTO fix_messages (session_id, numbering, number, type, broker_order_key, body,"
        f" written_at, lacked) SELECT {d.given('session', 'text')},"
        f" {d.given('numbering', 'integer')}, number, 'E', broker_order_key, '[]',"
        f" {d.given('now', 'integer')}, 0 FROM {d.staged('rows', _LEG)} AS n"
    )
)
_KEPT: Final = text(
    "SELECT type, broker_order_key, body FROM fix_messages WHERE session_id = :session"
    " AND numbering = :numbering AND number BETWEEN :first AND :last ORDER BY number"
)
_ADVANCE: Final = text(
    "UPDATE fix_sessions SET next_in = :next, changed_at = :now WHERE session_id = :session"
    " AND numbering = :numbering AND next_in < :next"
)
_APART: Final = text(
    "INSERT INTO quarantine (broker_id, broker_order_key, execution_id, cause, report, at)"
    " VALUES (:broker, :about, :name, :cause, :raw, :now) ON CONFLICT DO NOTHING"
)
_LACK: Final = text(
    "UPDATE fix_messages SET lacked = 1 WHERE session_id = :session AND numbering = :numbering"
    " AND number BETWEEN :begin AND :end AND lacked = 0"
)
_RESET: Final = text(
    "UPDATE fix_sessions SET numbering = numbering + 1, next_out = :next_out, next_in = :next_in,"
    " changed_at = :now, reason = :reason WHERE session_id = :session AND numbering = :numbering"
)
_PLACED: Final = Statement(
    lambda d: d.listed(
        d.array(
            "m.broker_order_key",
            "m.numbering",
            "m.number",
            "m.lacked",
            "s.numbering",
            "m.session_id",
            "m.body",
        ),
        "(SELECT * FROM fix_messages"
        f" WHERE broker_order_key {d.among('keys')} AND type IN {_PLACING}"
        " ORDER BY numbering, number) AS m"
        " JOIN fix_sessions AS s ON s.session_id = m.session_id",
    )
)
# Claimed before the first thing that this session remembers: another adapter may have sent it.
_BEFORE: Final = Statement(
    lambda d: d.listed(
        d.array("a.broker_order_key"),
        f"attempts@day AS a WHERE a.broker_order_key {d.among('keys')} AND a.trade_date = @day"
        " AND a.claimed_at <= coalesce((SELECT m.written_at FROM fix_messages AS m"
        " WHERE m.session_id = :session AND m.number > 0 ORDER BY m.numbering, m.number LIMIT 1),"
        " a.claimed_at)",
    )
)
_FORGET: Final = text(
    "DELETE FROM fix_messages WHERE session_id = :session AND (numbering, number) IN"
    " (SELECT numbering, number FROM fix_messages AS m WHERE session_id = :session"
    " AND written_at < :before AND NOT EXISTS (SELECT 1 FROM dispatch_inflight AS i"
    " WHERE i.order_id = substr(m.broker_order_key, 1, 26)"
    " AND i.broker_order_key = m.broker_order_key)"
    " AND NOT EXISTS (SELECT 1 FROM replace_requests AS q"
    " WHERE q.order_id = substr(m.broker_order_key, 1, 26)"
    " AND q.broker_order_key = m.broker_order_key)"
    " ORDER BY numbering, number LIMIT :limit)"
)


def open_session(connection: Connection, session: SessionOwner, now: int) -> Numbers:
    _must_own(connection, session)
    connection.execute(
        _BEGIN, {"session": session.session_id, "broker": session.broker_id, "now": now}
    )
    standing = connection.execute(_STANDING, {"session": session.session_id}).one()
    if standing.broker_id != session.broker_id:
        raise FenceLost(f"session {session.session_id} belongs to broker {standing.broker_id}")
    return Numbers(*standing[:3])


def append(
    connection: Connection,
    session: SessionOwner,
    at: Numbers,
    messages: Sequence[Outgoing],
    now: int,
) -> Numbers:
    """Give them numbers, or find that this very call has done so before."""
    _must_own(connection, session)
    after = at._replace(next_out=at.next_out + len(messages))
    place = {
        "session": session.session_id,
        "numbering": at.numbering,
        "first": at.next_out,
    }
    taken = connection.execute(_TAKE, {**place, "next": after.next_out, "now": now})
    if taken.rowcount == 1:
        _KEEP.run(connection, **place, rows=codec.text(messages), now=now)
        legs = _legs(messages, at.next_out)
        if legs:
            _KEEP_LEGS.run(
                connection,
                session=session.session_id,
                numbering=at.numbering,
                rows=codec.text(legs),
                now=now,
            )
        return after
    standing = _standing(connection, session.session_id)
    kept = connection.execute(_KEPT, {**place, "last": after.next_out - 1})
    if standing[:2] != after[:2] or [tuple(row) for row in kept] != [m[:3] for m in messages]:
        raise FenceLost(f"session {session.session_id} stands at {standing}, not at {at}")
    return after


def advance(
    connection: Connection, session: SessionOwner, at: Numbers, next_in: int, now: int
) -> Numbers:
    _must_own(connection, session)
    values = {"session": session.session_id, "numbering": at.numbering, "next": next_in}
    if connection.execute(_ADVANCE, {**values, "now": now}).rowcount == 0:
        standing = _standing(connection, session.session_id)
        if standing.numbering != at.numbering:
            raise FenceLost(f"session {session.session_id} stands at {standing}, not at {at}")
        next_in = standing.next_in
    return at._replace(next_in=next_in)


def keep_apart(
    connection: Connection, session: SessionOwner, unread: Sequence[Unread], now: int
) -> None:
    _must_own(connection, session)
    for it in unread:
        facts = {"about": it.about, "name": it.name, "cause": it.cause}
        raw = codec.text(it.raw.decode("latin-1"))
        values = {**facts, "broker": session.broker_id, "raw": raw, "now": now}
        connection.execute(_APART, values)


def lack(
    connection: Connection, session: SessionOwner, numbering: int, begin: int, end: int
) -> int:
    """Note it of these numbers; of a list's legs too, which is how many orders more."""
    _must_own(connection, session)
    place = {"session": session.session_id, "numbering": numbering}
    legs = {"begin": 1 - (end + 1) * LEGS_MAX, "end": -begin * LEGS_MAX}
    return sum(
        connection.execute(_LACK, {**place, **span}).rowcount
        for span in ({"begin": begin, "end": end}, legs)
    )


def reset(
    connection: Connection, session: SessionOwner, at: Numbers, to: Numbers, reason: str, now: int
) -> Numbers:
    _must_own(connection, session)
    after = to._replace(numbering=at.numbering + 1)
    if not _begin_next(connection, session.session_id, after, reason, now):
        standing = _standing(connection, session.session_id)
        if standing != after:
            raise FenceLost(f"session {session.session_id} stands at {standing}, not at {at}")
    return after


def reset_by(connection: Connection, session_id: str, seen: int, by: Actor, now: int) -> Numbers:
    control.one_by_one(connection)
    before = numbers(connection, session_id)
    if before is None:
        raise Refused(Code.NOT_FOUND, f"no session {session_id}")
    after = Numbers(before.numbering + 1, 1, 1)
    if before.numbering != seen or not _begin_next(connection, session_id, after, by.reason, now):
        raise Refused(
            Code.STALE_VERSION,
            f"expected {seen}, is at numbering {before.numbering}",
            current=before._asdict(),
        )
    change = Change("session.reset", f"session/{session_id}", before._asdict(), after._asdict())
    audit.append(connection, by, change, now)
    return after


def numbers(connection: Connection, session_id: str) -> Numbers | None:
    found = connection.execute(_STANDING, {"session": session_id}).first()
    return None if found is None else Numbers(*found[:3])


def placed(connection: Connection, session_id: str, keys: Sequence[str]) -> dict[str, Placed]:
    """Return the last place of each: what is read later stands over what was before.

    What left on a session of another name is never lacked: this one's broker cannot show it. An
    attempt that was begun before this session may have left through another adapter.
    """
    found = codec.decode(_PLACED.run(connection, keys=codec.text(keys)).scalar_one())
    numbered = {
        key: Placed(
            numbering,
            number if number > 0 else -number // LEGS_MAX,
            where == session_id and (bool(lacked) or numbering < current),
            body,
        )
        for key, numbering, number, lacked, current, where, body in sorted(found)
    }
    others = [key for key in keys if key not in numbered]
    before = attempts.each_day(connection, _BEFORE, others, session=session_id) if others else []
    return numbered | {key: Placed(0, 0, lacked=False) for (key,) in before}


def orders(connection: Connection, keys: Sequence[str]) -> dict[str, Order]:
    ids = {key: order_id for key in keys if (order_id := order_id_of(key))}
    found = rows.by_ids(connection, ids.values())
    return {key: found[order_id] for key, order_id in ids.items() if order_id in found}


def forget(connection: Connection, session_id: str, before: int, limit: int) -> int:
    values = {"session": session_id, "before": before, "limit": limit}
    return connection.execute(_FORGET, values).rowcount


def _legs(messages: Sequence[Outgoing], first: int) -> list[tuple[int, str]]:
    assert all(len(message.legs) <= LEGS_MAX for message in messages)
    return [
        (-number * LEGS_MAX - place, key)
        for number, message in enumerate(messages, start=first)
        for place, key in enumerate(message.legs)
    ]


def _begin_next(
    connection: Connection, session_id: str, after: Numbers, reason: str, now: int
) -> bool:
    values = after._asdict() | {"numbering": after.numbering - 1, "session": session_id}
    return connection.execute(_RESET, {**values, "reason": reason, "now": now}).rowcount == 1


def _standing(connection: Connection, session_id: str) -> Numbers:
    found = numbers(connection, session_id)
    if found is None:
        raise FenceLost(f"session {session_id} was never opened")
    return found


def _must_own(connection: Connection, session: SessionOwner) -> None:
    leases.must_be(connection, session.broker_id, session.epoch, shared=True)
