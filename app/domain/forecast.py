"""When a backlog will have left one broker, and whose numbers say so. Pure.

    operator's number, schedule ─┐
    contract by phase, hours ────┴► stretches ─► the last one leaves; how many leave by the close

Time is cut where a number changes: at an edge of a schedule, at a broker's blackout, where a
number that was set for a while goes back. Within a
stretch orders leave evenly. The trap is a forecast from the number of this moment: at 22:29 it is
that of the minutes before the bell, when many brokers take twice what they take after it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from app.domain.capabilities import Capabilities
from app.domain.profile import as_of, contract_at, edges_of, in_force, next_turn
from app.domain.records import BrokerControl
from app.domain.session import Calendar
from app.domain.tuning import tuning_of

# Nobody plans further: what has not left in three days will not leave.
HORIZON_MS: Final = 3 * 86_400_000
STRETCHES_MAX: Final = 500


class Stretch(NamedTuple):
    """From one instant to another so many orders a second leave, on somebody's word."""

    at: int
    until: int
    tps: int  # messages
    orders_per_second: int
    source: str

    def room(self, until: int) -> int:
        """Return how many orders leave in it before an instant."""
        ends = min(self.until, until)
        return max(0, ends - self.at) * self.orders_per_second // 1000


class Line(NamedTuple):
    """One broker as a forecast sees it."""

    control: BrokerControl
    capabilities: Capabilities
    markets: tuple[str, ...]
    calendar: Calendar


def stretches(line: Line, since: int) -> list[Stretch]:
    """Return the stretches from an instant to the horizon."""
    return list(_stretches(line, since, since + HORIZON_MS))


def last_leaves(found: Sequence[Stretch], waiting: int) -> int | None:
    """Return the instant at which so many orders have left; None: not before the horizon."""
    for stretch in found:
        room = stretch.room(stretch.until)
        if waiting <= room:
            took = -(-waiting * 1000 // stretch.orders_per_second) if waiting else 0
            return stretch.at + took
        waiting -= room
    return None


def leave_before(found: Iterable[Stretch], instant: int) -> int:
    """Return how many orders can leave before an instant."""
    return sum(stretch.room(instant) for stretch in found)


def _stretches(line: Line, since: int, horizon: int) -> Iterator[Stretch]:
    at = since
    for _ in range(STRETCHES_MAX):
        if at >= horizon:
            return
        until = min(_next(line, at) or horizon, horizon)
        tps, source = _number(line, at)
        yield Stretch(at, until, tps, line.capabilities.orders_for(tps), source)
        at = until


def _number(line: Line, at: int) -> tuple[int, str]:
    tps, source = in_force(as_of(line.control, at), line.calendar, line.markets, at)
    allowed = contract_at(line.capabilities, line.calendar, line.markets, at)
    if allowed >= tps:
        return tps, source
    return allowed, "contract" if allowed else "blackout"


def _next(line: Line, at: int) -> int | None:
    """Return the next instant at which a number may change."""
    control = as_of(line.control, at)
    schedules = (tuning_of(control).schedule, edges_of(line.capabilities))
    turns = [next_turn(s, line.calendar, line.markets, at) for s in schedules]
    changes = [turn.from_ms for turn in turns if turn is not None]
    ends = [line.capabilities.hours.change(at), control.expires_at]
    return min([*changes, *(end for end in ends if end is not None and end > at)], default=None)
