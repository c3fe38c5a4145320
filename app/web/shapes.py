"""How our values look outside: decimals as plain strings, instants in RFC 3339, dates ISO.

`format(…, "f")` and never `str`: a quantity of 1E+1 is correct and no client would read it.
"""

from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from app.domain.broker_session import SessionStatus
from app.domain.halts import version_of
from app.domain.messages import ExecutionReport
from app.domain.order import WORKING, Order, order_status
from app.domain.records import BrokerControl, Halt, Health, LaneStatus, OrderEvent
from app.domain.session import Calendar, TradingSession
from app.domain.signs import Heard
from app.domain.tuning import facts_of, tuning_of
from app.domain.values import Status, order_id_of
from app.domain.values import rfc3339 as written

# A burst shares its milliseconds, and a session its bell: most instants are written once.
rfc3339: Final = lru_cache(maxsize=4_096)(written)


def plain(number: Decimal) -> str:
    return format(number, "f")


def plain_or_none(number: Decimal | None) -> str | None:
    return None if number is None else format(number, "f")


def instant(at: int | None) -> str | None:
    return None if at is None else rfc3339(at)


def order_shape(order: Order, calendar: Calendar) -> dict[str, Any]:
    """Return an order as its owner sees it, what is derived included."""
    session = calendar.session(order.trading_session_id)
    return order._asdict() | {
        "effective_time": None if session is None else rfc3339(session.opens_at),
        "order_status": order_status(order),
        "in_doubt": order.status is Status.IN_DOUBT,
        "working_indicator": order.status in WORKING,
        "quantity": plain(order.quantity),
        "limit_price": plain_or_none(order.limit_price),
        "filled_quantity": plain(order.filled_quantity),
        "remaining_quantity": plain(order.remaining_quantity),
        "overfilled_quantity": plain(order.overfilled_quantity),
        "filled_value": plain(order.filled_value),
        "average_price": plain_or_none(order.average_price),
        "accepted_at": rfc3339(order.accepted_at),
        "released_at": instant(order.released_at),
        "updated_at": rfc3339(order.updated_at),
    }


def execution_shape(report: ExecutionReport) -> dict[str, Any]:
    return {
        "execution_id": report.execution_id,
        "referenced_execution_id": report.referenced_execution_id,
        "order_id": order_id_of(report.broker_order_key),
        "broker_id": report.broker_id,
        "broker_order_id": report.broker_order_id,
        "execution_type": report.execution_type,
        "last_quantity": plain(report.last_quantity),
        "last_price": plain_or_none(report.last_price),
        "trade_date": report.trade_date,
        "at": rfc3339(report.at),
        "possible_duplicate": report.possible_duplicate,
    }


def event_shape(event: OrderEvent) -> dict[str, Any]:
    return event._asdict() | {"at": rfc3339(event.at)}


def session_shape(session: TradingSession, now: int) -> dict[str, Any]:
    return session._asdict() | {
        "opens_at": rfc3339(session.opens_at),
        "closes_at": rfc3339(session.closes_at),
        "state": _state(session, now),
    }


def _state(session: TradingSession, now: int) -> str:
    if session.is_closed_day:
        return "closed_day"
    if now < session.opens_at:
        return "upcoming"
    return "open" if now < session.closes_at else "over"


def control_shape(control: BrokerControl) -> dict[str, Any]:
    return control._asdict() | {
        "tuning": facts_of(tuning_of(control)),
        "changed_at": rfc3339(control.changed_at),
        "expires_at": instant(control.expires_at),
    }


def lane_shape(lane: LaneStatus | None) -> dict[str, Any] | None:
    """Show a lane; its session has a door of its own, and probes are of some account's orders."""
    if lane is None:
        return None
    shape = lane._asdict() | {
        "health": None if lane.health is None else _health(lane.health),
        "heard": None if lane.heard is None else _heard(lane.heard),
    }
    del shape["session"], shape["probes"]
    return shape


def _heard(heard: Heard) -> dict[str, Any]:
    refusals = [{"code": code, "count": count} for code, count in heard.refusals]
    return heard._asdict() | {"refusals": refusals}


def _health(health: Health) -> dict[str, Any]:
    """Name each number: a bare tuple would leave as a list that nobody can read."""
    since = {"bad_since": instant(health.bad_since), "good_since": instant(health.good_since)}
    return health._asdict() | {"at": rfc3339(health.at)} | since


def broker_session_shape(broker_id: str, session: SessionStatus) -> dict[str, Any]:
    instants = {
        "since": rfc3339(session.since),
        "last_out_at": instant(session.last_out_at),
        "last_in_at": instant(session.last_in_at),
    }
    return {"broker_id": broker_id, **session._asdict(), **instants}


def halt_shape(halt: Halt) -> dict[str, Any]:
    return halt._asdict() | {"halted_at": rfc3339(halt.halted_at), "version": version_of(halt)}
