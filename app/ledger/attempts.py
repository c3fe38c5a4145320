"""The rows of attempts: one a send, on disk before its bytes leave.

An attempt is open until something is *known* of it, and `close` touches open ones alone: the
first verdict stands, whatever comes later. While it is open its order is `sending` or
`in_doubt`, and never otherwise.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from app import codec
from app.domain.order import Order
from app.domain.records import Claimed, OpenAttempt
from app.domain.values import Outcome

OPEN: Final = frozenset({Outcome.OPEN, Outcome.UNKNOWN})
# Settled as "no broker has it": what a broker still says of it is stray evidence.
GONE: Final = frozenset({Outcome.NOT_SENT, Outcome.THROTTLED, Outcome.NOT_RECEIVED})

_FIELDS: Final = (
    "json_array(a.broker_order_key, a.order_id, a.attempt_number, a.broker_id, a.route_id,"
    " a.rank, a.outcome, a.sent_ns)"
)
_BY_KEYS: Final = text(
    f"SELECT json_group_array({_FIELDS}) FROM json_each(:keys) AS i"
    " CROSS JOIN attempts AS a ON a.broker_order_key = i.value"
)
_OPEN_AT: Final = text(
    f"SELECT json_group_array({_FIELDS}) FROM attempts AS a"
    " WHERE a.broker_id = :broker AND a.outcome IN ('open', 'unknown')"
)
_BEGIN: Final = text(
    "INSERT INTO attempts (broker_order_key, order_id, attempt_number, broker_id, route_id,"
    " route_epoch, owner_epoch, rank, claimed_at, send_count, outcome)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, :broker, value ->> 3, value ->> 4, :epoch,"
    " value ->> 5, :now, 1, 'open' FROM json_each(:rows)"
)
_CLOSE: Final = text(
    "UPDATE attempts SET outcome = m.outcome, sent_ns = coalesce(m.sent_ns, attempts.sent_ns),"
    " settled_by = m.settled_by, settled_at = iif(m.outcome IN ('open', 'unknown'), NULL, :now)"
    " FROM (SELECT value ->> 0 AS key, value ->> 1 AS outcome, value ->> 2 AS sent_ns,"
    " value ->> 3 AS settled_by FROM json_each(:rows)) AS m"
    " WHERE attempts.broker_order_key = m.key AND attempts.outcome IN ('open', 'unknown')"
)
_AGAIN: Final = text(
    "INSERT INTO dispatch_ready (route_id, rank, accept_sequence, account_id, trading_session_id)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4"
    " FROM json_each(:rows)"
)


class Attempt(NamedTuple):
    """One attempt, as far as its end needs to know."""

    key: str
    order_id: str
    attempt_number: int
    broker_id: str
    route_id: str
    rank: int
    outcome: Outcome
    sent_ns: int | None


class Closing(NamedTuple):
    """What became of an attempt, and who said so; `UNKNOWN` leaves it open."""

    key: str
    outcome: Outcome
    sent_ns: int | None
    settled_by: str | None


def by_keys(connection: Connection, keys: Iterable[str]) -> dict[str, Attempt]:
    """Return the attempts with these keys; an unknown key has no entry."""
    raw = connection.execute(_BY_KEYS, {"keys": codec.text(sorted(set(keys)))}).scalar_one()
    return {attempt.key: attempt for attempt in _read(raw)}


def open_at(connection: Connection, broker_id: str) -> list[Attempt]:
    """Return the attempts at this broker of which nothing is known."""
    return _read(connection.execute(_OPEN_AT, {"broker": broker_id}).scalar_one())


def _read(raw: str) -> list[Attempt]:
    found = [Attempt(*row) for row in codec.decode(raw)]
    return [attempt._replace(outcome=Outcome(attempt.outcome)) for attempt in found]


def in_doubt(connection: Connection, broker_id: str) -> list[OpenAttempt]:
    """Return the attempts that only evidence can close."""
    return [
        OpenAttempt(a.key, a.order_id, a.broker_id, a.sent_ns)
        for a in open_at(connection, broker_id)
        if a.outcome is Outcome.UNKNOWN
    ]


def begin(
    connection: Connection, claims: Sequence[Claimed], broker_id: str, owner_epoch: int, now: int
) -> None:
    """Put one open attempt down for each claim."""
    staged = [
        (
            c.broker_order_key,
            c.order.order_id,
            int(c.broker_order_key[-2:]),
            c.route_id,
            c.route_epoch,
            c.rank,
        )
        for c in claims
    ]
    values = {"broker": broker_id, "epoch": owner_epoch, "now": now}
    connection.execute(_BEGIN, values | {"rows": codec.text(staged)})


def close(connection: Connection, closings: Sequence[Closing], now: int) -> None:
    """Note what became of open attempts; a closed one stays as it is."""
    connection.execute(_CLOSE, {"rows": codec.text(closings), "now": now})


def requeue(connection: Connection, back: Sequence[tuple[Order, Attempt]]) -> None:
    """Put orders that came back where they stood, not at the end."""
    staged = [
        (a.route_id, a.rank, o.accept_sequence, o.account_id, o.trading_session_id) for o, a in back
    ]
    connection.execute(_AGAIN, {"rows": codec.text(staged)})
