"""What became of an attempt: answers, verdicts of absence, recovery.

Answers close an attempt or leave it in doubt; reports (`reporting`), which may come first, are
evidence and close it too, and a late answer to a closed attempt says nothing new. Nothing in
this file closes an attempt because time has passed.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from app.domain import order as law
from app.domain.messages import Accepted, Answer, NotSent, Rejected, Throttled, Unknown
from app.domain.order import Order
from app.domain.records import Settlement
from app.domain.values import ATTEMPT_NUMBER_MAX, Outcome, Status, legible
from app.ledger import rows
from app.ledger.dispatch import attempts
from app.ledger.dispatch.attempts import OPEN, Attempt, Closing

ACTOR: Final = "openbell"


def settle(connection: Connection, settlements: Sequence[Settlement], now: int) -> None:
    """T10 to T13: note what the brokers answered."""
    orders = attempts.lock_orders(connection, (s.broker_order_key for s in settlements))
    known = attempts.by_keys(connection, (s.broker_order_key for s in settlements))
    moves, closings, back = [], [], []
    for s in settlements:
        attempt = known[s.broker_order_key]
        if attempt.outcome not in OPEN:
            continue
        order = orders[attempt.order_id]
        after = _answered(order, attempt, s.answer, now)
        if after.status is Status.QUEUED:
            back.append((after, attempt))
        if after is not order:
            moves.append(rows.Move(order, [after], _cause(s.answer)))
        outcome = _outcome(s.answer)
        settled_by = None if outcome is Outcome.UNKNOWN else "answer"
        closings.append(Closing(attempt.key, outcome, s.sent_ns, settled_by))
    attempts.close(connection, closings, now)
    rows.write(connection, moves, ACTOR)
    attempts.requeue(connection, back)


def _answered(order: Order, attempt: Attempt, answer: Answer, now: int) -> Order:
    match answer:
        case Accepted(broker_order_id):  # the broker has it
            return law.acknowledged(order, legible(broker_order_id), now)
        case Rejected(code):  # proof that it is not there, and will not be
            return law.rejected(order, legible(code), now)
        case NotSent() | Throttled():  # proof that it is not there: it may go again
            exhausted = attempt.attempt_number >= ATTEMPT_NUMBER_MAX
            return law.returned(order, now, exhausted=exhausted)
        case Unknown():  # it may be there: ask, never resend
            return law.doubted(order, now) if order.status is Status.SENDING else order


def _outcome(answer: Answer) -> Outcome:
    match answer:
        case Accepted():
            return Outcome.ACCEPTED
        case Rejected():
            return Outcome.REJECTED
        case NotSent():
            return Outcome.NOT_SENT
        case Throttled():
            return Outcome.THROTTLED
        case Unknown():
            return Outcome.UNKNOWN


def _cause(answer: Answer) -> str:
    match answer:
        case Accepted():
            return "accepted"
        case Rejected(code, detail):
            return legible(f"rejected: {code} {detail}".rstrip())
        case NotSent(cause):
            return legible(f"not sent: {cause}")
        case Throttled():
            return "throttled"
        case Unknown(cause):
            return legible(f"unknown: {cause}")


def recover(connection: Connection, broker_id: str, now: int) -> int:
    """Declare every attempt that a former owner left open unknown, its order in doubt."""
    left = attempts.open_at(connection, broker_id, Outcome.OPEN)
    unknown = Unknown("found sending at start-up")
    settle(connection, [Settlement(key, unknown, None) for key in left], now)
    return len(left)


def never_received(connection: Connection, keys: Sequence[str], by: str, now: int) -> int:
    """T15: close doubts on proof of absence; each order may go again, under a new key."""
    orders = attempts.lock_orders(connection, keys)
    doubts = {
        key: attempt
        for key, attempt in attempts.by_keys(connection, keys).items()
        if attempt.outcome is Outcome.UNKNOWN
    }
    moves, back = [], []
    for attempt in doubts.values():
        order = orders[attempt.order_id]
        assert order.status is Status.IN_DOUBT, f"{order.order_id} is {order.status}"
        exhausted = attempt.attempt_number >= ATTEMPT_NUMBER_MAX
        after = law.returned(order, now, exhausted=exhausted)
        moves.append(rows.Move(order, [after], f"never received, by {by}"))
        if after.status is Status.QUEUED:
            back.append((after, attempt))
    closings = [Closing(key, Outcome.NOT_RECEIVED, None, by) for key in doubts]
    attempts.close(connection, closings, now)
    rows.write(connection, moves, by)
    attempts.requeue(connection, back)
    return len(doubts)
