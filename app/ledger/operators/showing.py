"""What processes leave for each other in the ledger: lanes as they stand, questions on doubts.

Nothing here is history and nothing depends on it: a row is overwritten, or goes with its answer.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.broker_session import SessionStatus
from app.domain.records import Health, LaneStatus
from app.domain.signs import Heard, Probe
from app.ledger.dialect import Statement

_LANE: Final = {"broker_id": "text", "status": "text"}
_SHOW: Final = Statement(
    lambda d: (
        "INSERT INTO lanes (broker_id, status, shown_at)"
        f" SELECT broker_id, status, {d.given('now', 'integer')}"
        f" FROM {d.staged('lanes', _LANE)} AS l"
        " WHERE true ON CONFLICT (broker_id) DO UPDATE SET status = excluded.status,"
        " shown_at = excluded.shown_at"
    )
)
_SHOWN: Final = text("SELECT status, shown_at FROM lanes ORDER BY broker_id")
_ASK: Final = text(
    "INSERT INTO questions (broker_order_key, answer) VALUES (:key, NULL)"
    " ON CONFLICT (broker_order_key) DO UPDATE SET answer = NULL"
)
_OPEN: Final = text("SELECT broker_order_key FROM questions WHERE answer IS NULL")
_ANSWER: Final = text("UPDATE questions SET answer = :answer WHERE broker_order_key = :key")
_ANSWERED: Final = text("SELECT answer FROM questions WHERE broker_order_key = :key")
# Doubts that have ended: nobody asks about them any more.
_FORGET: Final = text(
    "DELETE FROM questions WHERE broker_order_key <> :key AND broker_order_key NOT IN"
    " (SELECT broker_order_key FROM dispatch_inflight)"
)


def show(connection: Connection, lanes: Sequence[LaneStatus], now: int) -> None:
    staged = codec.text([(lane.broker_id, codec.text(lane)) for lane in lanes])
    _SHOW.run(connection, lanes=staged, now=now)


def shown(connection: Connection) -> list[tuple[LaneStatus, int]]:
    found = connection.execute(_SHOWN)
    return [(_lane(codec.decode(status)), at) for status, at in found]


def _lane(cells: list[Any]) -> LaneStatus:
    """Read a row of this version or of an older one, which ends earlier."""
    lane = LaneStatus(*cells[: len(LaneStatus._fields)])
    session: Any = lane.session
    probes: Any = lane.probes
    heard: Any = lane.heard
    return lane._replace(
        health=Health(*lane.health) if lane.health else None,
        session=SessionStatus(*session[: len(SessionStatus._fields)]) if session else None,
        probes=tuple(Probe(*probe[: len(Probe._fields)]) for probe in probes),
        heard=_heard(*heard[: len(Heard._fields)]) if heard else None,
    )


def _heard(p99_ms: float | None, refusals: list[tuple[str, int]]) -> Heard:
    return Heard(p99_ms, tuple((code, count) for code, count in refusals))


def ask(connection: Connection, key: str) -> None:
    connection.execute(_FORGET, {"key": key})
    connection.execute(_ASK, {"key": key})


def open_questions(connection: Connection) -> list[str]:
    return list(connection.execute(_OPEN).scalars())


def answer(connection: Connection, key: str, words: str) -> None:
    connection.execute(_ANSWER, {"key": key, "answer": words})


def answered(connection: Connection, key: str) -> str | None:
    return connection.execute(_ANSWERED, {"key": key}).scalar()
