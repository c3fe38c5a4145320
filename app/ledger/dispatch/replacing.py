"""What becomes of a request to replace: its claim, the broker's answer, proof that it is nowhere.

The order of steps is that of an attempt: on disk as out, then the bytes, then an answer or a
doubt. The difference is what "not there" leads to. An order that nobody has may go again; new
terms that took no effect are given up, because a broker shows a refused request no more than one
that never came, and the market has moved on: the client sees that the old terms stand.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.messages import Accepted, Answer, NotSent, Rejected, Replacement, Throttled, Unknown
from app.domain.order import WORKING, Order
from app.domain.records import ClaimedReplace, Fence, FenceLost, Settlement
from app.domain.replacing import OUT, Asked, Chain, replace_over
from app.domain.values import (
    ORDER_ID_LENGTH,
    REPLACE_NUMBER_MAX,
    PendingRequest,
    ReplaceState,
    attempt_key_of,
    legible,
    replace_key,
)
from app.ledger import rows
from app.ledger.dialect import Statement
from app.ledger.dispatch import replaces
from app.ledger.operators.control import halted
from app.ledger.sessions import leases
from app.ports.dispatch import Recheck

ACTOR: Final = "openbell"
# What is looked through for some that may leave: a halt may cover those that wait longest.
WAITING_MAX: Final = 500
_R = ReplaceState
_OWNER: Final = Statement(
    lambda d: (
        "SELECT 1 FROM broker_leases AS l JOIN broker_control AS c ON c.broker_id = l.broker_id"
        " WHERE l.broker_id = :broker AND l.holder = :holder AND l.epoch = :epoch"
        f" AND l.expires_at > {d.now('now')} AND c.dispatch = 'running'"
    )
)
_CLAIMED: Final = Statement(
    lambda d: d.listed(
        d.array(
            "q.order_id",
            "q.broker_order_key",
            "q.original",
            d.words("q.quantity"),
            d.words("q.limit_price"),
        ),
        "replace_requests AS q WHERE q.broker_id = :broker AND q.state = 'open'"
        f" AND q.claim = {d.given('claim', 'integer')}",
    )
)


def claim(
    connection: Connection, fence: Fence, limit: int, recheck: Recheck, *, token: int, now: int
) -> list[ClaimedReplace]:
    """Put the next requests down as out, or raise `FenceLost`; new terms are judged once more."""
    leases.hold(connection, fence.broker_id)
    held = {"broker": fence.broker_id, "holder": fence.holder, "epoch": fence.owner_epoch}
    stops = halted(connection)
    owns = _OWNER.run(connection, **held, now=now).scalar()
    if not owns or stops.covers_broker(fence.broker_id):
        raise FenceLost(fence.broker_id)
    orders = replaces.waiting(connection, fence.broker_id, WAITING_MAX)
    chains = replaces.chains(connection, (order.order_id for order in orders))
    wishes = [(o, a) for o in orders if (a := _wish(o, chains[o.order_id])) is not None]
    ways = replaces.routes(connection, [(o, attempt_key_of(a.key)) for o, a in wishes])
    leaving: list[tuple[str, str, str]] = []
    moves = []
    for order, asked in wishes:
        chain, attempt = chains[order.order_id], attempt_key_of(asked.key)
        if len(leaving) == limit or stops.covers(ways[attempt], order.account_id, order.symbol):
            continue
        code = recheck(order._replace(quantity=asked.quantity, limit_price=asked.limit_price))
        if code is None:
            leaving.append((order.order_id, asked.key, chain.live_key(attempt)))
            continue
        chain.close(asked, _R.DENIED)
        moves.append(rows.Move(order, [replace_over(order, now)], f"replace denied: {code.code}"))
    replaces.write(connection, chains.values(), ACTOR, now)
    rows.write(connection, moves, ACTOR)
    replaces.go(connection, leaving, token, fence.owner_epoch)
    return claimed_by(connection, fence.broker_id, token) if leaving else []


def _wish(order: Order, chain: Chain) -> Asked | None:
    """Return the terms that wait to leave, if the order still works under the old ones."""
    asked = chain.standing
    waits = asked is not None and asked.state is _R.WAITING
    works = order.status in WORKING and order.pending_request is PendingRequest.REPLACE
    return asked if waits and works else None


def claimed_by(connection: Connection, broker_id: str, token: int) -> list[ClaimedReplace]:
    """Return what this very claim has put down, if its commit stands."""
    found = codec.decode(_CLAIMED.run(connection, broker=broker_id, claim=token).scalar_one())
    orders = rows.by_ids(connection, (order_id for order_id, *_ in found))
    keys = [(orders[order_id], attempt_key_of(key)) for order_id, key, *_ in found]
    ways = replaces.routes(connection, keys)
    return [
        ClaimedReplace(
            orders[order_id],
            _replacement(orders[order_id], key, original, Decimal(quantity), price),
            ways[attempt_key_of(key)],
        )
        for order_id, key, original, quantity, price in found
    ]


def _replacement(
    order: Order, key: str, original: str, quantity: Decimal, price: str | None
) -> Replacement:
    return Replacement(
        broker_order_key=key,
        original=original,
        broker_order_id=order.broker_order_id,
        account_id=order.account_id,
        symbol=order.symbol,
        market=order.market,
        side=order.side,
        order_type=order.order_type,
        quantity=quantity,
        limit_price=None if price is None else Decimal(price),
        currency=order.currency,
        time_in_force=order.time_in_force,
    )


def settle(connection: Connection, settlements: Sequence[Settlement], now: int) -> None:
    """Note what the broker answered; what evidence has settled meanwhile stays as it is."""
    answers = {s.broker_order_key: s for s in settlements}
    orders, chains = _of(connection, list(answers))
    moves, doubts, again = [], [], []
    for key, s in answers.items():
        order, chain = orders[key[:ORDER_ID_LENGTH]], chains[key[:ORDER_ID_LENGTH]]
        asked = _out(chain, key)
        if asked is None:
            continue
        state = _ended(s.answer)
        if state is None:  # it may have taken effect: it is asked about
            doubts.append((key, s.sent_ns))
            continue
        chain.close(asked, state)
        wish = _next(order, chain, asked) if state is _R.NOT_SENT else None
        if wish is not None:
            again.append((order, wish))
        elif (after := replace_over(order, now)) is not order:
            moves.append(rows.Move(order, [after], _cause(s.answer)))
    replaces.write(connection, chains.values(), "answer", now)
    replaces.doubt(connection, doubts)
    replaces.ask(connection, again, now)
    rows.write(connection, moves, ACTOR)


def _of(connection: Connection, keys: Sequence[str]) -> tuple[dict[str, Order], dict[str, Chain]]:
    orders = rows.locked(connection, (key[:ORDER_ID_LENGTH] for key in keys))
    return orders, replaces.chains(connection, orders)


def _out(chain: Chain, key: str) -> Asked | None:
    asked = chain.standing
    return asked if asked is not None and asked.key == key and asked.state in OUT else None


def _ended(answer: Answer) -> ReplaceState | None:
    match answer:
        case Accepted() | Unknown():  # heard, perhaps: its end is reported, or sought
            return None
        case Rejected():
            return _R.REJECTED
        case NotSent() | Throttled():
            return _R.NOT_SENT


def _next(order: Order, chain: Chain, asked: Asked) -> Asked | None:
    """Return the wish as it waits again, unless the order has ended or is to be canceled."""
    number = chain.next_number
    waits = order.status in WORKING and order.pending_request is PendingRequest.REPLACE
    if not waits or number > REPLACE_NUMBER_MAX:
        return None
    return asked._replace(key=replace_key(attempt_key_of(asked.key), number), state=_R.WAITING)


def _cause(answer: Answer) -> str:
    if isinstance(answer, Rejected):
        return legible(f"replace rejected: {answer.code} {answer.detail}".rstrip())
    return "replace not sent"


def recover(connection: Connection, broker_id: str) -> int:
    """Declare what a former owner left out unknown; return how many."""
    left = replaces.standing(connection, broker_id, _R.OPEN)
    replaces.doubt(connection, [(each.broker_order_key, None) for each in left])
    return len(left)


def no_effect(connection: Connection, keys: Sequence[str], by: str, now: int) -> int:
    """Give up requests on proof that they took no effect; the old terms stand."""
    orders, chains = _of(connection, keys)
    moves = []
    given_up = 0
    for key in keys:
        chain = chains.get(key[:ORDER_ID_LENGTH], Chain())
        asked = _out(chain, key)
        if asked is None or asked.state is not _R.UNKNOWN:
            continue
        order = orders[key[:ORDER_ID_LENGTH]]
        chain.close(asked, _R.NOT_RECEIVED)
        given_up += 1
        after = replace_over(order, now)
        if after is not order:
            moves.append(rows.Move(order, [after], f"replace took no effect, by {by}"))
    replaces.write(connection, chains.values(), by, now)
    rows.write(connection, moves, by)
    return given_up


def withdraw(connection: Connection, order: Order, now: int) -> None:
    """Let go of new terms that have not left: a cancel overtakes them."""
    if order.pending_request is not PendingRequest.REPLACE:
        return
    chain = replaces.chains(connection, [order.order_id])[order.order_id]
    asked = chain.standing
    if asked is not None and asked.state is _R.WAITING:
        chain.close(asked, _R.WITHDRAWN)
        replaces.write(connection, [chain], "cancel", now)
