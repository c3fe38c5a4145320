"""What crosses a seam: submissions out, answers and reports in. All frozen.

Five answers to a send, three to a look-up, and no exception: what a broker did not clearly
say is `Unknown`, because a wrong "it failed" becomes a second order.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from app.domain.order import Order
from app.domain.values import OrderType, Side, Status, TimeInForce


class Submission(NamedTuple):
    """One attempt at placing one order, as an adapter sees it."""

    broker_order_key: str  # 11
    account_id: str  # 1
    symbol: str  # 55
    market: str  # 207, a MIC
    side: Side  # 54
    order_type: OrderType  # 40
    quantity: Decimal  # 38
    limit_price: Decimal | None  # 44
    currency: str  # 15
    time_in_force: TimeInForce  # 59


def submission_of(order: Order, key: str) -> Submission:
    """Return an order with its terms of now, as an adapter sees it under this key."""
    return Submission(
        key,
        order.account_id,
        order.symbol,
        order.market,
        order.side,
        order.order_type,
        order.quantity,
        order.limit_price,
        order.currency,
        order.time_in_force,
    )


class Cancellation(NamedTuple):
    """One request to cancel what an attempt placed."""

    broker_order_key: str  # 41: the last one of its chain that the broker has acknowledged
    broker_order_id: str | None  # 198
    # A replace that is out and unanswered. A broker that works requests off one by one, and no
    # longer knows a key that it has replaced, wants this one as 41; most want the other.
    pending_key: str | None = None


class Replacement(NamedTuple):
    """One request to change what an attempt placed: one order before it, one after it."""

    broker_order_key: str  # 11, its own
    original: str  # 41: the last key of the chain that the broker has acknowledged
    broker_order_id: str | None  # 37 there, 198 here
    account_id: str  # 1
    symbol: str  # 55
    market: str  # 207, a MIC
    side: Side  # 54
    order_type: OrderType  # 40
    quantity: Decimal  # 38, the whole of it: what has traded already counts
    limit_price: Decimal | None  # 44
    currency: str  # 15
    time_in_force: TimeInForce  # 59


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has it. (Our own acceptance is called *taken*.)"""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The broker judged this very order and refused it: proof that it is not live there."""

    code: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class NotSent:
    """Proof that no byte of it reached the broker, or that nobody there looked at it.

    `credentials` says that the broker refused us, not the order (401, 403, logon lost): the
    gate opens at once, so that an expired token does not kill a million orders. `ours` says that we
    held it back ourselves (a halt, the lease): of the broker that says nothing.
    """

    cause: str
    credentials: bool = False
    ours: bool = False


@dataclass(frozen=True, slots=True)
class Throttled:
    """As `NotSent`, because we were too fast. The broker says how long to wait, or None."""

    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may be there. Ask; never send again."""

    cause: str


Answer = Accepted | Rejected | NotSent | Throttled | Unknown


class ExecutionType(StrEnum):
    """Tag 150: what happened. (39 says where the order stands then.)"""

    NEW = "new"  # 0
    TRADE = "trade"  # F
    CANCELED = "canceled"  # 4
    EXPIRED = "expired"  # C
    REJECTED = "rejected"  # 8
    DONE_FOR_DAY = "done_for_day"  # 3
    TRADE_CANCEL = "trade_cancel"  # H, a bust
    TRADE_CORRECT = "trade_correct"  # G
    ORDER_STATUS = "order_status"  # I: evidence that the broker has it, never a fill
    REPLACED = "replaced"  # 5: the only word that makes new terms the order's own
    PENDING_CANCEL = "pending_cancel"  # 6: heard, and no more than that
    PENDING_REPLACE = "pending_replace"  # E
    # No tag 150, but OrderCancelReject (9) with 434=2, when it comes after the answer.
    REPLACE_REJECTED = "replace_rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionReport:
    """One report from a broker. Applied once per (`broker_id`, `execution_id`, `trade_date`)."""

    broker_id: str
    broker_order_key: str  # 11
    broker_order_id: str  # 37 there, 198 here
    execution_id: str  # 17
    execution_type: ExecutionType  # 150
    trade_date: date  # 75
    at: int  # 60, milliseconds since 1970 UTC
    last_quantity: Decimal = Decimal(0)  # 32
    last_price: Decimal | None = None  # 31
    referenced_execution_id: str | None = None  # 19
    reason: str | None = None  # 103, 58
    possible_duplicate: bool = False  # 43
    # Of `REPLACED`: the terms as they stand, amended where fills had passed; None: as asked for.
    quantity: Decimal | None = None  # 38
    limit_price: Decimal | None = None  # 44


@dataclass(frozen=True, slots=True)
class Found:
    """The broker shows the order: where it stands there, and every execution it lists."""

    broker_order_id: str
    status: Status
    executions: tuple[ExecutionReport, ...] = ()
    reason: str | None = None
    # The terms as they stand there now; None where a broker does not say.
    quantity: Decimal | None = None  # 38
    limit_price: Decimal | None = None  # 44
    # What has traded there, executions or not; None where a broker does not say. Never a fill.
    filled_quantity: Decimal | None = None  # 14


@dataclass(frozen=True, slots=True)
class Absent:
    """The broker answered that it knows no such order. A report, not yet a proof."""


Lookup = Found | Absent | Unknown
