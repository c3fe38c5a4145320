"""Which rate one lane sends at now, whose word that is, and why it may be less than the number.

    operator's number ─┐
    schedule ──────────┴► in force ─► window: no second above it
                              └► ramp ─► adaptive ─► slow start ─► pacer

The window follows the number in force alone; all that stands behind it only ever spaces the sends
further. What is found is kept here, by the broker's owner, and never written into the operator's
row. The trap is a second hand on this dial: whoever else would turn it, turns the row.

A slow start is due when the circuit closed and when a route has come to this broker from
another one. A plain restart has one in `adaptive` alone: there it forgets what it had found. A
number that a person sets is nothing to forget, and the broker was well a second ago.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from app.clock import Clock
from app.dispatch.adaptive import (
    SECOND_NS,
    SLOW_START_S,
    TICK_S,
    Found,
    after,
    ramped,
    slow_started,
)
from app.dispatch.board import Board
from app.dispatch.gate import GatedBroker, Permit, Refusal
from app.dispatch.pacer import THROTTLE_PAUSE_S_MAX, throttle_pause_ns
from app.dispatch.permits import Permits
from app.dispatch.tally import Tally
from app.domain.messages import Answer, Throttled
from app.domain.profile import contract_at, in_force, markets_of
from app.domain.records import BrokerControl, Claimed
from app.domain.tuning import PLAIN, Bounds, Mode, Tuning, bounds_of, tuning_of

CLOSED: Final = "closed"
OPEN: Final = "open"
# No number at all: the broker takes nothing now.
BLACKOUT: Final = "blackout"


class Pace:
    """One broker's rate, turned on each tick and on each change of its row."""

    def __init__(
        self, broker: GatedBroker, board: Board, clock: Clock, *, unlimited: bool = False
    ) -> None:
        self._broker = broker
        self._board = board
        self._clock = clock
        self._unlimited = unlimited
        self._version = 0
        self._tuning: Tuning = PLAIN
        now = clock.monotonic_ns()
        self._tally = Tally(now)
        self._found: Found | None = None
        self._climb: tuple[int, int] | None = None  # from which rate, since when
        self._slow_since: int | None = None
        self._shut = False  # the circuit refused, or let trials through
        self._wish_until = now
        self._epochs = {route.route_id: route.epoch for route in board.routes}
        self.fresh = True  # no claim was made since we are the owner or a session is open
        self.source = "operator"
        self.in_force = 0
        limit = self._limit()
        self.permits = Permits(clock, limit, broker.capabilities.max_in_flight)
        self.turn()

    # --- what it shows ------------------------------------------------------------------

    @property
    def advised(self) -> int | None:
        """Where it would turn the rate, if it may only say so."""
        if self._tuning.mode is not Mode.ADVISE or self._found is None:
            return None
        return self._found.rate if self._found.rate < self.in_force else None

    @property
    def wish_s(self) -> float | None:
        """How much longer the broker wants nothing, if that is more than it was given."""
        left_s = (self._wish_until - self._clock.monotonic_ns()) / SECOND_NS
        return left_s if left_s > 0 else None

    @property
    def why_waiting(self) -> str:
        """Why no order may leave now, in words."""
        return "the broker takes nothing now" if self.source == BLACKOUT else "at its rate"

    # --- what it hears ------------------------------------------------------------------

    def heard(self, answers: Sequence[Answer], sent_ns: int) -> None:
        """Count one request's answers; stop for as long as the broker asks, within our bound."""
        now = self._clock.monotonic_ns()
        cost = self._broker.capabilities.cost(len(answers))
        self._tally.heard(answers, cost, now - sent_ns)
        for answer in answers:
            if isinstance(answer, Throttled):
                until = now + throttle_pause_ns(answer.retry_after_s)
                self.permits.pause_until(until)
                self._tally.paused(now, until)
                if (answer.retry_after_s or 0.0) > THROTTLE_PAUSE_S_MAX:
                    wish = now + throttle_pause_ns(answer.retry_after_s, float("inf"))
                    self._wish_until = max(self._wish_until, wish)

    def admitted(self, admitted: Permit | Refusal) -> None:
        """Notice a circuit that has closed: its broker begins slowly."""
        if isinstance(admitted, Refusal) or admitted.trial:
            self._shut = True
        elif self._shut:
            self._shut = False
            self._start_slowly()

    def claimed(self, claimed: Sequence[Claimed]) -> None:
        """Notice a route that has come here, and orders that had waited for a new owner."""
        came = [self._came(r, epoch) for r, epoch in {(c.route_id, c.route_epoch) for c in claimed}]
        forgot = self.fresh and bool(claimed) and self._tuning.mode is Mode.ADAPTIVE
        self.fresh = False
        if forgot or any(came):
            self._start_slowly()

    def _came(self, route_id: str, epoch: int) -> bool:
        known = self._epochs.get(route_id)
        self._epochs[route_id] = max(epoch, known or epoch)
        return known is not None and epoch > known

    def _start_slowly(self) -> None:
        self._slow_since = self._clock.monotonic_ns()
        self.turn()

    # --- what it does -------------------------------------------------------------------

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            await asyncio.sleep(TICK_S)
            self.tick()

    def tick(self) -> None:
        """Look at the last half second, and turn the rate."""
        now = self._clock.monotonic_ns()
        seen = self._tally.read(now, self.permits.sent_total)
        state = self._broker.state().state
        if seen is not None and self._found is not None and state == CLOSED and self.in_force:
            self._found = after(self._found, seen, self._bounds(), now)
        self.turn()

    def turn(self) -> None:
        """Put in force what the row, the clock and the broker's answers say now."""
        came = [
            self._came(route.route_id, route.epoch)
            for route in self._board.routes
            if route.active_broker == self._broker.name
        ]
        if any(came):
            self._slow_since = self._clock.monotonic_ns()
        limit = self._limit()
        if limit is None:
            return
        self.permits.retune(limit, self._paced(limit))

    def _limit(self) -> int | None:
        """Return the number in force: the operator's or the schedule's, within the contract."""
        if self._unlimited:
            return None
        control = self._board.controls.get(self._broker.name)
        if control is not None and control.version != self._version:
            self._read(control)
        before, self.in_force = self.in_force, self._in_force(control)
        if self.in_force > before > 0 and self._tuning.ramp_s:
            self._climb = (self.permits.per_second or before, self._clock.monotonic_ns())
        return self.in_force

    def _read(self, control: BrokerControl) -> None:
        self._version = control.version
        self._tuning = tuning_of(control)
        if self._tuning.mode is Mode.MANUAL:
            self._found = None

    def _in_force(self, control: BrokerControl | None) -> int:
        if control is None:
            return 0
        markets = markets_of(control.broker_id, self._board.routes)
        calendar, now = self._board.reference.calendar, self._clock.now()
        tps, self.source = in_force(control, calendar, markets, now)
        contract = self._broker.capabilities
        allowed = contract_at(contract, calendar, markets, now)
        if allowed < min(tps, contract.orders_per_second_max):
            self.source = "contract" if allowed else BLACKOUT
        return min(tps, allowed)

    def _bounds(self) -> Bounds:
        return bounds_of(self._tuning, self.in_force)

    def _paced(self, limit: int) -> int:
        """Return the rate below the limit, and note whose word it is."""
        if not limit:
            return 0
        now, bounds = self._clock.monotonic_ns(), self._bounds()
        rate = limit
        if self._climb is not None:
            before, since = self._climb
            rate = ramped(before, limit, (now - since) / SECOND_NS, self._tuning.ramp_s)
            self.source, self._climb = (
                ("ramp", self._climb) if rate < limit else (self.source, None)
            )
        if self._tuning.mode is not Mode.MANUAL and self._found is None:
            self._found = Found(bounds.ceiling)
        if self._tuning.mode is Mode.ADAPTIVE and self._found is not None:
            half_open = self._broker.state().state not in {CLOSED, OPEN}
            found = bounds.floor if half_open else min(self._found.rate, bounds.ceiling)
            rate, self.source = (found, "adaptive") if found < rate else (rate, self.source)
        if self._slow_since is None:
            return rate
        elapsed_s = (now - self._slow_since) / SECOND_NS
        slow = slow_started(rate, bounds.floor, elapsed_s)
        if elapsed_s >= SLOW_START_S:
            self._slow_since = None
        self.source = "slow start" if slow < rate else self.source
        return slow
