"""What waits, and whether it moves: from the ledger's last answer and the lanes' own counts.

Whoever waits for a permit waits for a reason, mostly a good one: a pause, a halt, an open circuit,
a market that is closed. The trap is an alarm for those; so a lane has stalled only when none of
them holds.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from app.clock import Clock
from app.diagnostics.outlook import left_over, opens_soon
from app.domain.anomaly import Subject
from app.domain.capabilities import Capabilities
from app.domain.forecast import Line
from app.domain.profile import markets_of
from app.domain.records import Backlog, BrokerControl, LaneStatus, Route, Vitals
from app.domain.session import Calendar

SECOND_NS: Final = 1_000_000_000
# The pace is that of so many seconds; one message in all of them is the slowest that we see.
RATE_S: Final = 30
Gauges = dict[Subject, dict[str, float]]
Notes = dict[Subject, dict[str, object]]


class Rules(NamedTuple):
    """What may hold a lane back, as it stands in memory."""

    clock: Clock
    controls: Callable[[], Mapping[str, BrokerControl]]
    calendar: Callable[[], Calendar]
    halted: Callable[[], bool]  # whether any halt is in force
    able: Callable[[str], Capabilities]  # what a broker can do


class _Pace:
    """How one lane has sent of late."""

    __slots__ = ("looks", "moved_ns", "sent")

    def __init__(self, now: int) -> None:
        self.sent = -1
        self.moved_ns = now
        self.looks: list[tuple[int, int]] = []  # when, and how many had been sent

    def look(self, now: int, sent: int) -> float:
        """Return the messages a second of the last half minute."""
        if sent != self.sent:
            self.sent, self.moved_ns = sent, now
        self.looks.append((now, sent))
        while now - self.looks[0][0] > RATE_S * SECOND_NS:
            self.looks.pop(0)
        then, before = self.looks[0]
        return max(1 / RATE_S, (sent - before) * SECOND_NS / max(now - then, SECOND_NS))


class Waiting:
    """The queues of the brokers that this process owns, and brokers that nobody owns."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paces: dict[str, _Pace] = {}
        self._unowned: dict[str, int] = {}
        # The last book, and what it means: reckoned once, since it is counted rarely.
        self._book: Backlog | None = None
        self._expected: dict[Subject, tuple[int, dict[str, object]]] = {}

    def note(
        self, gauges: Gauges, notes: Notes, lanes: Sequence[LaneStatus], vitals: Vitals
    ) -> None:
        """Add what waits to a snapshot."""
        now = self._rules.clock.monotonic_ns()
        led: dict[str, list[str]] = {}
        for route in vitals.routes:
            led.setdefault(route.active_broker, []).append(route.route_id)
        for lane in lanes:
            ready = {route: vitals.ready.get(route, 0) for route in led.get(lane.broker_id, [])}
            self._of_lane(gauges, notes, lane, ready, now)
            found = gauges.setdefault(Subject("broker", lane.broker_id), {})
            count, since = vitals.doubts.get(lane.broker_id, (0, vitals.at))
            found["in_doubt"] = float(count)
            found["in_doubt_age_s"] = max(0, vitals.at - since) / 1_000
        for broker_id, routes in led.items():
            waits = any(vitals.ready.get(route) for route in routes)
            found = gauges.setdefault(Subject("broker", broker_id), {})
            unowned = waits and broker_id not in vitals.owned
            found["unowned_s"] = self._unowned_s(broker_id, now, unowned=unowned)

    def expect(
        self,
        gauges: Gauges,
        notes: Notes,
        lanes: Sequence[LaneStatus],
        routes: Sequence[Route],
        book: Backlog | None,
    ) -> None:
        """Add what of a book that waits for its bell would be left at the close."""
        if book is not self._book:
            self._book = book
            led = {lane.broker_id for lane in lanes}
            mine = [route for route in routes if route.active_broker in led]
            # With the bell the question is over, and says so: it is the pace's from then on.
            over = {subject: (0, dict[str, object]()) for subject in self._expected}
            self._expected = over if book is None else self._reckoned(mine, routes, book)
        for subject, (missed, note) in self._expected.items():
            gauges.setdefault(subject, {})["misses_cut_off"] = float(missed)
            notes.setdefault(subject, {}).update(note)

    def _reckoned(
        self, mine: Sequence[Route], routes: Sequence[Route], book: Backlog
    ) -> dict[Subject, tuple[int, dict[str, object]]]:
        calendar, now = self._rules.calendar(), self._rules.clock.now()
        found = {}
        for route in mine:
            session = opens_soon(calendar, route.route_id, now)
            control = self._rules.controls().get(route.active_broker)
            if session is None or control is None:
                continue
            waiting = book.reserved.get(session.trading_session_id, 0)
            waiting += book.ready.get(route.route_id, 0)
            markets = tuple(markets_of(route.active_broker, routes))
            line = Line(control, self._rules.able(route.active_broker), markets, calendar)
            missed = left_over(line, session, waiting)
            note: dict[str, object] = {"waiting": waiting, "opens_at": session.opens_at}
            found[Subject("route", route.route_id)] = missed, note
        return found

    def _of_lane(
        self,
        gauges: Gauges,
        notes: Notes,
        lane: LaneStatus,
        ready: Mapping[str, int],
        now: int,
    ) -> None:
        pace = self._paces.setdefault(lane.broker_id, _Pace(now))
        rate = pace.look(now, lane.sent_total)
        if not self._should_send(lane, sum(ready.values())):
            pace.moved_ns = now
        found = gauges.setdefault(Subject("broker", lane.broker_id), {})
        found["stalled_s"] = (now - pace.moved_ns) / SECOND_NS
        for route_id, waiting in ready.items():
            left_s = self._left_s(route_id)
            if left_s is not None:
                subject = Subject("route", route_id)
                ratio = waiting / rate / max(left_s, 1.0)
                gauges.setdefault(subject, {})["deadline_ratio"] = ratio
                notes[subject] = {"ready": waiting, "per_second": round(rate, 1), "left_s": left_s}

    def _unowned_s(self, broker_id: str, now: int, *, unowned: bool) -> float:
        if not unowned:
            self._unowned.pop(broker_id, None)
            return 0.0
        return (now - self._unowned.setdefault(broker_id, now)) / SECOND_NS

    def _should_send(self, lane: LaneStatus, ready: int) -> bool:
        control = self._rules.controls().get(lane.broker_id)
        allowed = control is not None and control.dispatch == "running" and control.tps > 0
        is_open = bool(self._rules.calendar().open_now(self._rules.clock.now()))
        return (
            ready > 0
            and allowed
            and is_open
            and lane.circuit == "closed"
            and not self._rules.halted()
        )

    def _left_s(self, route_id: str) -> float | None:
        """Return how long the route's session lasts; where none is named so, the first to end."""
        now, calendar = self._rules.clock.now(), self._rules.calendar()
        session = calendar.current(route_id, now)
        if session is None and route_id in calendar.markets:
            return None
        sessions = calendar.open_now(now) if session is None else [session]
        return min(((s.closes_at - now) / 1_000 for s in sessions), default=None)
