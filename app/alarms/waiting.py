"""Where news waits for its turn: gathered by incident, the worst first, never without bound. Pure.

    edge ─► ticket of its incident ─ 2 s ─► ready ─► told │ put back │ given up

`now` is in seconds of any clock that never steps back. A ticket holds what is to be acknowledged
once somebody was told: marks of events, and one event for each fact as a letter for the day when
nobody could be told. When too many incidents wait, the mildest and oldest become lines of one
ticket for all of them: the number of messages is bounded, and no event is dropped.

The trap is an outage in which only the first in the queue is tried, and its patience is all that
ever ends: each ticket's time runs from its last news, whether it was tried or not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from app.alarms.digest import Edge
from app.alarms.news import Level
from app.ports.bus import Record

# The second anomaly and the failover of an episode follow the first within a second or two.
GATHER_S: Final = 2.0
# At one message a second, who is the hundredth hears of it after two minutes.
TICKETS_MAX: Final = 100
LINES_MAX: Final = 20
LETTERS_MAX: Final = 20
# Slack's longest outages take hours; after a quarter of one, a person has looked elsewhere.
RETRY_FOR_S: Final = 900.0
# The name of the ticket for all that found no room; incidents have other names.
MANY: Final = "many"


class Mark:
    """One polled event; `done` when nobody needs to hear of it again."""

    __slots__ = ("done", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        self.done = False


@dataclass(slots=True)
class Ticket:
    """What is to be told of one incident; or, under the name `MANY`, of several."""

    incident_id: str
    level: Level
    ready_at: float
    give_up_at: float
    lines: list[str] = field(default_factory=list)
    unsaid: int = 0  # lines that were too many
    incidents: int = 1
    marks: list[Mark] = field(default_factory=list)
    letters: dict[str, Record] = field(default_factory=dict)

    def add(self, lines: Iterable[str]) -> None:
        """Add lines; the oldest go when they are too many."""
        self.lines += lines
        self.unsaid += max(0, len(self.lines) - LINES_MAX)
        del self.lines[:-LINES_MAX]

    def swallow(self, other: "Ticket") -> None:
        """Take over all that waits in another one, which comes after this."""
        self.level = max(self.level, other.level)
        self.give_up_at = max(self.give_up_at, other.give_up_at)
        self.unsaid += other.unsaid
        self.add(other.lines)
        self.marks += other.marks
        self.letters |= other.letters
        while len(self.letters) > LETTERS_MAX:
            del self.letters[next(iter(self.letters))]


class Waiting:
    """The tickets that wait."""

    def __init__(self) -> None:
        self._tickets: dict[str, Ticket] = {}

    def __len__(self) -> int:
        return len(self._tickets)

    def add(self, edge: Edge, level: Level, mark: Mark, fact_id: str, now: float) -> None:
        """Let an edge wait with the others of its incident."""
        fresh = Ticket(
            edge.incident_id,
            level,
            ready_at=now + GATHER_S,
            give_up_at=now + RETRY_FOR_S,
            lines=[edge.line],
            marks=[mark],
            letters={fact_id: mark.record},
        )
        standing = self._tickets.get(edge.incident_id)
        if standing is None:
            self._tickets[edge.incident_id] = fresh
        else:
            standing.swallow(fresh)
        self._bound()

    def take(self, now: float) -> Ticket | None:
        """Take the worst that is ready, of several the oldest; None if none is."""
        ready = [ticket for ticket in self._tickets.values() if ticket.ready_at <= now]
        if not ready:
            return None
        ticket = min(ready, key=lambda it: (-it.level, it.ready_at))
        return self._tickets.pop(ticket.incident_id)

    def put_back(self, ticket: Ticket) -> None:
        """Let it wait again, before what has been heard of its incident meanwhile."""
        newer = self._tickets.pop(ticket.incident_id, None)
        if newer is not None:
            ticket.swallow(newer)
            ticket.incidents += newer.incidents if ticket.incident_id == MANY else 0
        self._tickets[ticket.incident_id] = ticket
        self._bound()

    def ready_in(self, now: float) -> float | None:
        """Return the seconds until one is ready; None while none waits."""
        if not self._tickets:
            return None
        return max(0.0, min(ticket.ready_at for ticket in self._tickets.values()) - now)

    def given_up(self, now: float) -> list[Ticket]:
        """Take those whose time is over."""
        over = [ticket for ticket in self._tickets.values() if ticket.give_up_at <= now]
        return [self._tickets.pop(ticket.incident_id) for ticket in over]

    def _bound(self) -> None:
        while len(self._tickets) > TICKETS_MAX:
            single = [ticket for name, ticket in self._tickets.items() if name != MANY]
            mildest = min(single, key=lambda it: (it.level, it.ready_at))
            del self._tickets[mildest.incident_id]
            many = self._tickets.get(MANY)
            if many is None:
                many = Ticket(
                    MANY, mildest.level, mildest.ready_at, mildest.give_up_at, incidents=0
                )
                self._tickets[MANY] = many
            many.swallow(mildest)
            many.incidents += 1
