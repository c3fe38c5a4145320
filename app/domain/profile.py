"""A broker's limit that moves with the clock: which number a profile says at an instant. Pure.

    [{"at": "open-60m", "tps": 6}, {"at": "open", "tps": 3}, {"at": "open+10m", "tps": 6}]

An edge counts from its instant until the next one, also over the night; before the first there is
no number. Some brokers halve their limit at the open, by their own clock, so a lower number acts
early and a higher one late. A broker of several markets has one limit: the lowest number counts.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from app.domain.capabilities import Capabilities
from app.domain.records import BrokerControl, Route
from app.domain.session import Calendar, TradingSession
from app.domain.tuning import Edge, tuning_of, with_facts

EDGE: Final = re.compile(r"(open|close)(?:([+-])([0-9]{1,5})([smh]))?")
UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000}
# Further away, edges of one session would lie in the next one.
OFFSET_MS_MAX: Final = 12 * 3_600_000
# A second of the broker's own window, and a second for clocks that differ and a tick of ours.
GUARD_MS: Final = 2_000
# Longer than any holidays: the last session's last edge still counts on the day before the next.
LOOK_BACK_MS: Final = 14 * 86_400_000
# A few sessions of 24 edges each: who is not through by then is never through.
STEPS_MAX: Final = 100


class BadEdge(ValueError):
    """An instant that is none; the message says which and what was expected."""


class Turn(NamedTuple):
    """A number that a profile puts in force; `from_ms` is when it acts, `at` what was written."""

    at: int
    from_ms: int
    tps: int


def offset_of(at: str) -> tuple[str, int]:
    """Return a bell and the milliseconds after it, or raise `BadEdge`."""
    found = EDGE.fullmatch(at)
    if found is None:
        raise BadEdge(f"expected an instant such as open, open-60m or close-10m, was {at!r}")
    bell, sign, count, unit = found.groups()
    offset = int(count) * UNITS_MS[unit] if count else 0
    if offset > OFFSET_MS_MAX:
        raise BadEdge(f"expected at most 12 hours from the bell, was {at!r}")
    return bell, -offset if sign == "-" else offset


def around(calendar: Calendar, market: str, now: int) -> list[TradingSession]:
    """Return the sessions of a market whose edges may count at this instant or be the next."""
    ended = [s for s in calendar.ended(now, now - LOOK_BACK_MS) if s.market == market]
    opened = [s for s in calendar.open_now(now) if s.market == market]
    following = calendar.next(market, now)
    found = [*ended[-2:], *opened, *([following] if following else [])]
    return [session for session in found if not session.is_closed_day]


def turns(schedule: Sequence[Edge], sessions: Iterable[TradingSession]) -> list[Turn]:
    """Return every edge of these sessions of one market, in the order in which they count."""
    dated = sorted(
        (_instant(session, edge.at), edge.tps) for session in sessions for edge in schedule
    )
    found: list[Turn] = []
    for at, tps in dated:
        before = found[-1].tps if found else tps
        guard = 0 if tps == before else GUARD_MS if tps > before else -GUARD_MS
        found.append(Turn(at, at + guard, tps))
    return found


def in_force(
    control: BrokerControl, calendar: Calendar, markets: Iterable[str], now: int
) -> tuple[int, str]:
    """Return a broker's number at this instant, and whose it is: the operator's or a schedule's."""
    tuning = tuning_of(control)
    said = 0 if tuning.held else tps_at(tuning.schedule, calendar, markets, now)
    return (said, "schedule") if said else (control.tps, "operator")


def as_of(control: BrokerControl, at: int) -> BrokerControl:
    """Return the row as it will be: what is set for a while goes back when its time is over."""
    if control.expires_at is None or control.expires_at > at or control.reverts_to is None:
        return control
    back = with_facts(control, json.loads(control.reverts_to))
    return back._replace(expires_at=None, reverts_to=None)


def contract_at(
    capabilities: Capabilities, calendar: Calendar, markets: Iterable[str], now: int
) -> int:
    """Return the most that a broker allows at this instant; 0 while it takes nothing."""
    if capabilities.hours.are_shut(now):
        return 0
    most = capabilities.orders_per_second_max
    return min(most, tps_at(edges_of(capabilities), calendar, markets, now) or most)


def edges_of(capabilities: Capabilities) -> list[Edge]:
    """Return the contract's own profile as edges, or raise `BadEdge`."""
    for at, _ in capabilities.rate_profile:
        offset_of(at)
    return [Edge(at, tps) for at, tps in capabilities.rate_profile]


def markets_of(broker_id: str, routes: Sequence[Route]) -> list[str]:
    """Return the markets that lead to a broker; a stand-by would serve any of them."""
    own = [route.route_id for route in routes if route.active_broker == broker_id]
    return own or [route.route_id for route in routes]


def tps_at(schedule: Sequence[Edge], calendar: Calendar, markets: Iterable[str], now: int) -> int:
    """Return the lowest number that the profile says for these markets; 0 if it says none."""
    said: list[int] = []
    for market in markets if schedule else ():
        passed = [t for t in turns(schedule, around(calendar, market, now)) if t.from_ms <= now]
        said += [passed[-1].tps] if passed else []
    return min(said, default=0)


def next_turn(
    schedule: Sequence[Edge], calendar: Calendar, markets: Iterable[str], now: int
) -> Turn | None:
    """Return the next edge of these markets that has not acted yet."""
    following = [
        turn
        for market in markets
        for turn in turns(schedule, around(calendar, market, now))
        if turn.from_ms > now
    ]
    return min(following, key=lambda turn: turn.from_ms, default=None)


def _instant(session: TradingSession, at: str) -> int:
    bell, offset = offset_of(at)
    return (session.opens_at if bell == "open" else session.closes_at) + offset
