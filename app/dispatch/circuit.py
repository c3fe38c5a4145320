"""The circuit of one lane: when to stop asking a sick broker, and how to begin again.

    closed ──20 failures in a row, or half of 50, or slow, or 401──► open ◄─┐
      ▲                                                               │ 5 s, doubling to 60
      └── 5 trials answered ── half open ◄── one ping answered ───────┘     │
                                   └── a trial failed, or leaked for 15 s ──┘

pybreaker keeps the states, and this file alone knows it. Its edges, filed off here:

- around an `await` it judges a coroutine's creation, or applies an outcome to whatever state it
  finds at the end: so nothing is awaited inside it, outcomes are told to it afterwards, and a
  permit of an older generation moves nothing (a late failure re-opened; a late trial closed);
- half open, it lets everybody through: permits, two out at once and five in all;
- it counts only failures in a row: windows for the rate of failures and of slow answers;
- a cancelled task counts as a failure, and at the trip becomes another exception: neutral here;
- the call that trips it loses its answer, which would turn "sent, no answer" into "not sent"
  and into a double order: the answer never passes through it;
- its timer reads the wall clock: ours is monotonic, and its own never fires;
- a listener that raises breaks the call that it listens to: ours hears afterwards, and its
  failure is counted.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import pybreaker

from app.clock import Clock
from app.dispatch.permission import (
    ALIVE,
    FAILURES,
    IN_DOUBT,
    NEUTRAL,
    NOT_SENT,
    OK,
    SECOND_NS,
    GateState,
    Hook,
    Lane,
    Override,
    Permit,
    Rates,
    Refusal,
    rank_of,
)
from app.domain.breaking import GateSettings
from app.domain.messages import (
    Answer,
    Lookup,
    NotSent,
)

# pybreaker's own timer must never act: ours is monotonic, its reads the wall.
NEVER_S: Final = 365 * 86_400.0
# When a trial or a ping is out, the answer comes within a round trip or two.
TRIAL_WAIT_S: Final = 0.1
# An operator's word ends with an operator's word; there is no instant to name.
FORCED_WAIT_S: Final = 1.0
FORCED_OPEN: Final = "forced open by an operator"
# The generation of permits that an override gave: their answers move nothing.
UNGUARDED: Final = -1
COUNTED: Final = ("not_sent", "in_doubt", "refused", "would_refuse", "stale", "hook_failures")


class Circuit(pybreaker.CircuitBreakerListener):
    """One lane's pybreaker, and what it lacks."""

    def __init__(
        self, lane: Lane, settings: GateSettings, clock: Clock, on_transition: Hook | None
    ) -> None:
        self.override = Override.AUTO
        self._lane = lane
        self._clock = clock
        self._hook: Hook = on_transition or _nobody_listens
        self._breaker = pybreaker.CircuitBreaker(
            name=lane,
            reset_timeout=NEVER_S,
            listeners=[self],
            throw_new_error_on_trip=False,
        )
        self.configure(settings)
        self._rates = Rates()
        self._counted: Counter[str] = Counter()
        self._generation = 0
        self._cause = self._reason = ""  # of the move that is being made; of the last one made
        self._moves: list[tuple[str, str, str]] = []  # made, not yet told
        self._trials_given = 0
        self._trials_out: list[Permit] = []
        self._trips = 0
        self._open_until_ns = 0
        self._closed_since_ns = clock.monotonic_ns()
        self._pinging = False

    def configure(self, settings: GateSettings) -> None:
        """Put other numbers in force.

        Half open, the trials begin anew behind a ping: those that were given would count against
        a number that is no more, and a circuit that waits for none of them waits for ever.
        """
        self.settings = settings
        self._breaker.fail_max = settings.failures_max
        self._breaker.success_threshold = settings.trials
        if self._breaker.current_state == pybreaker.STATE_HALF_OPEN:
            self._move(self._breaker.open, "other numbers: the trials begin anew")
            self.ask_now()

    def acquire(self) -> Permit | Refusal:
        now = self._clock.monotonic_ns()
        if self.override is Override.FORCED_CLOSED:
            return Permit(self._lane, UNGUARDED, now)
        if self.override is Override.FORCED_OPEN:
            admitted: Permit | Refusal = Refusal(FORCED_OPEN, FORCED_WAIT_S)
        else:
            admitted = self._admit(now)
        self._tell()
        if isinstance(admitted, Refusal):
            if self.override is Override.METRICS_ONLY:
                self._counted["would_refuse"] += 1
                return Permit(self._lane, UNGUARDED, now)
            self._counted["refused"] += not admitted.ping_due
        return admitted

    def confirm(self, permit: Permit) -> Permit | Refusal:
        """Start the clock of a permit that was acquired before, unless the circuit has moved."""
        assert not permit.spent, "a permit is for one request"
        if self.override is Override.FORCED_OPEN:
            refusal = Refusal(FORCED_OPEN, FORCED_WAIT_S)
        elif permit.generation not in {self._generation, UNGUARDED}:
            refusal = Refusal(self._reason, TRIAL_WAIT_S)
        else:
            permit.since_ns = self._clock.monotonic_ns()
            return permit
        self.record(permit, [])
        self._counted["refused"] += 1
        return refusal

    def record(self, permit: Permit, answers: Sequence[Answer | Lookup]) -> None:
        if permit.spent:
            return
        permit.spent = True
        now = self._clock.monotonic_ns()
        worst = max(answers, key=rank_of, default=None)
        rank = NEUTRAL if worst is None else rank_of(worst)
        self._counted["not_sent"] += rank == NOT_SENT
        self._counted["in_doubt"] += rank == IN_DOUBT
        self._heal(now)
        if permit.generation == self._generation:
            self._settle(permit, rank, now, answers)
        elif permit.generation != UNGUARDED and worst is not None:
            self._counted["stale"] += 1
        self._tell()

    def ping_begins(self) -> int | None:
        """Return the generation that a ping is due for, or None."""
        now = self._clock.monotonic_ns()
        is_open = self._breaker.current_state == pybreaker.STATE_OPEN
        if not is_open or self._pinging or now < self._open_until_ns:
            return None
        self._pinging = True
        return self._generation

    def ping_ended(self, generation: int, alive: bool | None) -> None:  # noqa: FBT001 - three words
        self._pinging = False
        if generation != self._generation or alive is None:
            return
        if alive:
            self._move(self._breaker.half_open, "the broker answered a ping")
        else:
            self._reason = "the ping failed"
            self._arm(self._clock.monotonic_ns())
        self._tell()

    def reset(self) -> None:
        self._trips = 0
        self._rates.clear()
        self._closed_since_ns = self._clock.monotonic_ns()
        self._move(self._breaker.close, "reset by an operator")
        self._tell()

    def ask_now(self) -> None:
        """Wait no longer: a ping is due, then the trials. It opens nothing, and skips neither."""
        self._trips = 0
        self._open_until_ns = self._clock.monotonic_ns()
        self._tell()

    def state(self) -> GateState:
        now = self._clock.monotonic_ns()
        is_open = self._breaker.current_state == pybreaker.STATE_OPEN
        calls, failures, slow = self._rates.sums(now, self.settings.window_s)
        return GateState(
            lane=self._lane,
            state=_word(self._breaker.current_state),
            override=self.override,
            reason=self._reason,
            next_trial_s=max(0, self._open_until_ns - now) / SECOND_NS if is_open else 0.0,
            failures_in_row=self._breaker.fail_counter,
            calls=calls,
            failures=failures,
            slow=slow,
            **{name: self._counted[name] for name in COUNTED},
        )

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,  # noqa: ARG002 - pybreaker's listener
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        """Begin a generation. pybreaker calls it; it also reports moves that are none."""
        if old_state is None or old_state.name == new_state.name:
            return
        now = self._clock.monotonic_ns()
        self._generation += 1
        self._trials_given = 0
        self._trials_out.clear()
        self._rates.clear()
        self._reason = self._cause
        if new_state.name == pybreaker.STATE_CLOSED:
            self._closed_since_ns = now
        elif new_state.name == pybreaker.STATE_OPEN:
            calm_ns = self.settings.calm_s * SECOND_NS
            if old_state.name == pybreaker.STATE_CLOSED and now - self._closed_since_ns >= calm_ns:
                self._trips = 0
            self._arm(now)
        self._moves.append((_word(old_state.name), _word(new_state.name), self._reason))

    def _admit(self, now: int) -> Permit | Refusal:
        self._heal(now)
        state = self._breaker.current_state
        if state == pybreaker.STATE_CLOSED:
            return Permit(self._lane, self._generation, now)
        if state == pybreaker.STATE_OPEN:
            if now < self._open_until_ns:
                return Refusal(self._reason, (self._open_until_ns - now) / SECOND_NS)
            if self._pinging:
                return Refusal("a ping is out", TRIAL_WAIT_S)
            if self.override is not Override.METRICS_ONLY:
                return Refusal("a ping is due", 0.0, ping_due=True)
            # Nothing is refused, so nobody would ping; the traffic itself is the trial.
            self._move(self._breaker.half_open, "only measuring")
        return self._trial(now)

    def _trial(self, now: int) -> Permit | Refusal:
        out_max = self.settings.trials_in_flight_max
        if self._trials_given >= self.settings.trials or len(self._trials_out) >= out_max:
            return Refusal("half open, the trials are out", TRIAL_WAIT_S)
        permit = Permit(self._lane, self._generation, now, trial=True)
        self._trials_given += 1
        self._trials_out.append(permit)
        return permit

    def _settle(
        self, permit: Permit, rank: int, now: int, answers: Sequence[Answer | Lookup]
    ) -> None:
        if permit.trial:
            self._trials_out.remove(permit)
            self._trials_given -= rank == NEUTRAL
        if rank == NEUTRAL:
            return
        refused_us = [a.cause for a in answers if isinstance(a, NotSent) and a.credentials]
        if refused_us:
            self._move(self._breaker.open, f"credentials: {refused_us[0]}")
            return
        slow = now - permit.since_ns > self.settings.slow_s * SECOND_NS
        self._judge(permit, failed=rank in FAILURES or (permit.trial and slow and rank == OK))
        if permit.generation == self._generation and not permit.trial and rank != ALIVE:
            self._rates.add(now, failed=rank in FAILURES, slow=slow)
            self._judge_rates(now)

    def _judge(self, permit: Permit, *, failed: bool) -> None:
        if not failed:
            self._cause = f"{self.settings.trials} trials answered"
        elif permit.trial:
            self._cause = "a trial failed"
        else:
            self._cause = f"{self.settings.failures_max} failures in a row"
        # A generation without an open era: pybreaker never refuses this call.
        with suppress(_Failed):
            self._breaker.call(_fail if failed else _succeed)

    def _judge_rates(self, now: int) -> None:
        calls, failures, slow = self._rates.sums(now, self.settings.window_s)
        if calls < self.settings.calls_min:
            return
        if failures >= self.settings.failure_rate * calls:
            self._move(self._breaker.open, f"{failures} of {calls} calls failed")
        elif slow >= self.settings.slow_rate * calls:
            self._move(self._breaker.open, f"{slow} of {calls} calls were slow")

    def _heal(self, now: int) -> None:
        # Only a trial that is out can be lost: a half-open circuit on a quiet day just waits.
        limit_ns = self.settings.half_open_s_max * SECOND_NS
        if self._trials_out and now - self._trials_out[0].since_ns >= limit_ns:
            self._move(self._breaker.open, "a trial never came back")

    def _arm(self, now: int) -> None:
        """Stay open for twice as long as the last time, give or take the jitter."""
        doubled_s = self.settings.open_s * 2 ** min(self._trips, 16)
        self._trips += 1
        spread = self.settings.jitter * (self._clock.random_bits(16) / 32_767.5 - 1)
        open_s = min(doubled_s, self.settings.open_s_max) * (1 + spread)
        self._open_until_ns = now + round(open_s * SECOND_NS)

    def _move(self, move: Callable[[], object], cause: str) -> None:
        self._cause = cause
        move()

    def _tell(self) -> None:
        moves, self._moves = self._moves, []
        for old, new, reason in moves:
            try:
                self._hook(self._lane, old, new, reason)
            except Exception:  # noqa: BLE001 - whoever listens must not cost an order its answer
                self._counted["hook_failures"] += 1


class _Failed(Exception):
    """Tells pybreaker of a failure."""


def _fail() -> None:
    raise _Failed


def _succeed() -> None:
    return


def _nobody_listens(lane: Lane, old: str, new: str, reason: str) -> None:
    del lane, old, new, reason


def _word(state: str) -> str:
    return state.replace("-", "_")  # pybreaker says half-open; every word of ours has a _
