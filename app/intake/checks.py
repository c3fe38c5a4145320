"""Judges a new order before it becomes one: every reason to refuse it, and its session.

An order that names a session which has not opened is reserved for it; one that names the
open session, or none while the market is open, is for now. The trap is to guess: a market
that is closed refuses an order without a session and names the next one, because a customer
who meant "now" must not learn tomorrow that he meant "then".
"""

from decimal import Decimal
from typing import NamedTuple

from app.domain.errors import Code, Refused
from app.domain.instruments import Instrument, Instruments
from app.domain.limits import Limits, breach_of, notional
from app.domain.request import OrderRequest
from app.domain.session import Calendar, TradingSession
from app.domain.values import TimeInForce


class Admission(NamedTuple):
    """What intake learned about a request that it may take."""

    session: TradingSession
    reserved: bool  # else it is queued at once
    instrument: Instrument
    notional: Decimal | None  # at most this much; None: no price is known


def admit(
    request: OrderRequest,
    *,
    instruments: Instruments,
    calendar: Calendar,
    limits: Limits,
    now: int,
) -> Admission:
    """Return the session that the order is for, or raise `Refused` with the first reason."""
    instrument = instruments.get((request.market, request.symbol))
    if instrument is None:
        raise _unlisted(request, calendar)
    breach = breach_of(request, instrument, limits)
    if breach is not None:
        raise Refused(breach.code, breach.detail, **breach.context)
    session = _session(request, calendar, now)
    reserved = now < session.opens_at
    if request.time_in_force is TimeInForce.OPG and not reserved:
        raise _refused_for_time(
            Code.SESSION_OVER,
            f"the opening auction of {session.trading_session_id} is over",
            request.market,
            calendar,
            now,
        )
    return Admission(session, reserved, instrument, notional(request, instrument, limits))


def _session(request: OrderRequest, calendar: Calendar, now: int) -> TradingSession:
    named = request.trading_session_id
    if named is None:
        current = calendar.current(request.market, now)
        if current is None:
            detail = f"{request.market} is closed and no trading_session_id was given"
            raise _refused_for_time(Code.SESSION_CLOSED, detail, request.market, calendar, now)
        return current
    session = calendar.session(named)
    if session is None or session.market != request.market or session.is_closed_day:
        detail = f"{request.market} has no session {named}"
        raise _refused_for_time(Code.UNKNOWN_SESSION, detail, request.market, calendar, now)
    if session.closes_at <= now:
        raise _refused_for_time(
            Code.SESSION_OVER, f"{named} has ended", request.market, calendar, now
        )
    return session


def _unlisted(request: OrderRequest, calendar: Calendar) -> Refused:
    if request.market not in calendar.markets:
        return Refused(
            Code.UNKNOWN_MARKET,
            f"expected one of {', '.join(calendar.markets)}, was {request.market}",
            market=request.market,
        )
    return Refused(
        Code.UNKNOWN_SYMBOL,
        f"{request.market} does not list {request.symbol}",
        market=request.market,
        symbol=request.symbol,
    )


def _refused_for_time(
    code: Code, detail: str, market: str, calendar: Calendar, now: int
) -> Refused:
    """Refuse, and name the session that the client can reserve for."""
    following = calendar.next(market, now)
    return Refused(
        code,
        detail,
        next_trading_session_id=None if following is None else following.trading_session_id,
    )
