"""What we say to a broker about orders: domain values in, the tags of one message out. Pure.

The ClOrdID (11) of an order is its `broker_order_key`, never the client's own id. A cancel has
an id of its own, which is the key of the attempt with a U and the millisecond of the day: a
cancel may be repeated, and each repetition is another request. A replace is never repeated, and
its id is its key. The trap is an id that cannot be led back to its order: a report under it would
fit nothing that we know.

Field order is the order of the repeating group of NewOrderList, because there FIX prescribes it.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from app.brokers.fix import stamps, tags
from app.brokers.fix.commands import Send
from app.domain.messages import Cancellation, Replacement, Submission, submission_of
from app.domain.order import Order
from app.domain.values import (
    CROCKFORD,
    DAY_MS,
    OrderType,
    Side,
    TimeInForce,
    attempt_key_of,
    is_replace_key,
    order_id_of,
)

SIDES: Final = {Side.BUY: "1", Side.SELL: "2"}
ORDER_TYPES: Final = {OrderType.MARKET: "1", OrderType.LIMIT: "2"}
TIMES_IN_FORCE: Final = {TimeInForce.DAY: "0", TimeInForce.OPG: "2", TimeInForce.IOC: "3"}
assert set(SIDES) == set(Side)
assert set(ORDER_TYPES) == set(OrderType)
assert set(TIMES_IN_FORCE) == set(TimeInForce)

# Nobody of the broker's people looks at the order first.
AUTOMATED: Final = "1"
NO_BIDDING: Final = "3"
ALL_ORDERS: Final = "7"
# Crockford's alphabet has no U. Six letters after it: a day has fewer milliseconds than 32**6.
CANCELS: Final = "U"
assert CANCELS not in CROCKFORD
_CANCEL_ID: Final = re.compile(rf"([{CROCKFORD}]+){CANCELS}[{CROCKFORD}]{{6}}", re.ASCII)

_Fields = tuple[tuple[int, str], ...]


class Dialect(NamedTuple):
    """Where one broker's FIX differs from FIX 4.4 as it is written."""

    capacity: str | None = None  # 47, for brokers that still want it
    zone: str = "America/New_York"  # whose day a report without TradeDate (75) is of
    fills_of_4_2: bool = False  # 150=1 and 2 are fills, and 20 says what else
    # OrdRejReason (103) of an answer to a status request that says: no such order.
    unknown_order_reasons: frozenset[str] = frozenset({"5"})
    # "Not available" and "too fast" (380=4, 8) prove that the order was not looked at.
    business_rejects_prove: bool = True


def cancel_id(key: str, now_ms: int) -> str:
    """Return the ClOrdID (11) of one request to cancel what left under this key."""
    number = now_ms % DAY_MS
    return f"{key}{CANCELS}" + "".join(
        CROCKFORD[number >> shift & 31] for shift in range(25, -1, -5)
    )


def order_key_in(client_order_id: str) -> str:
    """Return the key that a ClOrdID (11) of ours is about: its own, or what it cancels."""
    if CANCELS not in client_order_id:
        return client_order_id
    match = _CANCEL_ID.fullmatch(client_order_id)
    return client_order_id if match is None else match[1]


def is_replace(client_order_id: str | None) -> bool:
    """Whether a ClOrdID (11) is a replace's, and neither an order's nor a cancel's."""
    if client_order_id is None or order_id_of(client_order_id) is None:
        return False
    return is_replace_key(client_order_id)


def new_order(dialect: Dialect, order: Submission, now_ms: int) -> Send:
    """Say NewOrderSingle (35=D)."""
    key = (tags.CLIENT_ORDER_ID, order.broker_order_key)
    return Send(tags.NEW_ORDER, (key, *_terms(dialect, order, now_ms)))


class Part(NamedTuple):
    """Which part of its list one message carries: all of it, or a fragment."""

    list_id: str  # 66
    before: int = 0  # so many of its orders have been said
    total: int | None = None  # 68; None: what is here is all


def new_list(dialect: Dialect, orders: Sequence[Submission], part: Part, now_ms: int) -> Send:
    """Say NewOrderList (35=E): independent orders in one message, to be worked at once."""
    here, total = len(orders), len(orders) if part.total is None else part.total
    fields = [
        (tags.LIST_ID, part.list_id),
        (tags.BID_TYPE, NO_BIDDING),
        (tags.LIST_COUNT, str(total)),
    ]
    if here < total:
        fields.append((tags.LAST_FRAGMENT, "Y" if part.before + here == total else "N"))
    fields.append((tags.ORDERS, str(here)))
    for index, order in enumerate(orders, start=part.before + 1):
        fields.append((tags.CLIENT_ORDER_ID, order.broker_order_key))
        fields.append((tags.LIST_INDEX, str(index)))
        fields += _terms(dialect, order, now_ms)
    return Send(tags.NEW_LIST, tuple(fields))


def cancel(item: Cancellation, placed: Submission | None, now_ms: int) -> Send:
    """Say OrderCancelRequest (35=F). FIX wants the order's terms too, where we know them.

    Its id is made of the attempt's key, also where a replace's key is the live one (41): the
    strictest broker takes 36 letters.
    """
    fields = [
        (tags.ORIGINAL_CLIENT_ORDER_ID, item.broker_order_key),
        (tags.CLIENT_ORDER_ID, cancel_id(attempt_key_of(item.broker_order_key), now_ms)),
    ]
    if item.broker_order_id:
        fields.append((tags.ORDER_ID, item.broker_order_id))
    if placed is not None:
        fields += _whose(placed)
    fields.append((tags.TRANSACT_TIME, stamps.written(now_ms)))
    if placed is not None:
        fields.append((tags.QUANTITY, f"{placed.quantity:f}"))
    return Send(tags.CANCEL, tuple(fields))


def replace(dialect: Dialect, item: Replacement, now_ms: int) -> Send:
    """Say OrderCancelReplaceRequest (35=G): the whole order as it shall stand.

    Its key is the request's own (11); `original` (41) is the one that the broker knows.
    """
    fields = [(tags.ORIGINAL_CLIENT_ORDER_ID, item.original)]
    if item.broker_order_id:
        fields.append((tags.ORDER_ID, item.broker_order_id))
    fields.append((tags.CLIENT_ORDER_ID, item.broker_order_key))
    return Send(tags.REPLACE, (*fields, *_terms(dialect, item, now_ms)))


def as_placed(key: str, order: Order | None) -> Submission | None:
    """Return the terms of an order as we have it, under one key of its chain."""
    return None if order is None else submission_of(order, key)


def status(key: str, status_id: str, placed: Submission | None) -> Send:
    """Say OrderStatusRequest (35=H)."""
    whose = () if placed is None else _whose(placed)
    return Send(tags.STATUS, ((tags.CLIENT_ORDER_ID, key), *whose, (tags.STATUS_ID, status_id)))


def mass_status(mass_id: str) -> Send:
    """Say OrderMassStatusRequest (35=AF) for all orders of ours."""
    return Send(
        tags.MASS_STATUS,
        ((tags.MASS_STATUS_ID, mass_id), (tags.MASS_STATUS_TYPE, ALL_ORDERS)),
    )


def _whose(order: Submission) -> _Fields:
    return (
        (tags.ACCOUNT, order.account_id),
        (tags.SYMBOL, order.symbol),
        (tags.MARKET, order.market),
        (tags.SIDE, SIDES[order.side]),
    )


def _terms(dialect: Dialect, order: Submission | Replacement, now_ms: int) -> _Fields:
    price = order.limit_price
    limit = () if price is None else ((tags.LIMIT_PRICE, f"{price:f}"),)
    capacity = () if dialect.capacity is None else ((tags.CAPACITY, dialect.capacity),)
    return (
        (tags.ACCOUNT, order.account_id),
        (tags.HANDLING, AUTOMATED),
        (tags.SYMBOL, order.symbol),
        (tags.MARKET, order.market),
        (tags.SIDE, SIDES[order.side]),
        (tags.TRANSACT_TIME, stamps.written(now_ms)),
        (tags.QUANTITY, f"{order.quantity:f}"),
        (tags.ORDER_TYPE, ORDER_TYPES[order.order_type]),
        *limit,
        (tags.CURRENCY, order.currency),
        (tags.TIME_IN_FORCE, TIMES_IN_FORCE[order.time_in_force]),
        *capacity,
    )
