"""One route, its brokers as a story makes them, and the policy in a loop: no clock, no store.

Time goes in the half seconds in which the real loop looks. What the real store would do to a move
(the fence, the history) is done here in memory, so that a story of hours takes milliseconds.
"""

from collections.abc import Callable
from typing import Any, Final

from app.domain.failover import (
    Automation,
    Failback,
    Failover,
    FailoverKind,
    FailoverState,
    FailoverStep,
    RoutePolicy,
)
from app.domain.records import Health, Route
from app.domain.session import Phase
from app.failover.policy import Case, Move, decide
from app.failover.watch import Sight, Watch, observe
from tests.builders import NOW

S: Final = 1_000
TICK_MS: Final = 500
Error = Callable[[float], float | None]  # by seconds: the share that fails; None: dead


def well(_at: float) -> float | None:
    return 0.0


def dead_from(start: float, end: float = float("inf")) -> Error:
    return lambda at: None if start <= at < end else 0.0


def failing(share: float) -> Error:
    return lambda _at: share


def flapping(half_s: float, until: float = float("inf")) -> Error:
    """Be dead for so long, then well for so long, and so on."""
    return lambda at: None if at < until and at % (2 * half_s) < half_s else 0.0


def health(broker_id: str, at: int, share: float | None, *, sent: int = 100) -> Health:
    """Return what an owner says of a broker that fails so; a dead one answers no ping."""
    dead = share is None
    return Health(
        broker_id=broker_id,
        at=at,
        sent=sent,
        error_ratio=1.0 if share is None else share,
        p95_ms=20.0,
        silent=dead,
        session_up=True,
        ping=not dead and share < 0.2 if share is not None else False,
        bad_since=None,
        good_since=None,
    )


class Course:
    """A route to north, and what a leader makes of it."""

    def __init__(self, **policy: Any) -> None:
        facts: dict[str, Any] = {"automation": Automation.AUTO, "candidates": ("north", "south")}
        self.policy = RoutePolicy("XNAS", 1, **facts | policy)
        self.route = Route("XNAS", "north", 1)
        self.errors: dict[str, Error] = {"north": well, "south": well}
        self.stopped: dict[str, str] = {}
        self.silent_owners: set[str] = set()
        self.watches: dict[str, Watch] = {}
        self.standing: Failover | None = None
        self.history: list[Failover] = []
        self.told: list[tuple[float, str]] = []
        self.common_cause = self.tilted = False
        self.session, self.phase = "s-1", Phase.REGULAR
        self.passed_ms = 0
        self.wall_offset = NOW

    @property
    def now(self) -> int:
        return self.wall_offset + self.passed_ms

    @property
    def switches(self) -> list[tuple[str, str | None]]:
        every = [*self.history, *([self.standing] if self.standing else [])]
        fenced = [f for f in every if f.fenced_at is not None]
        return [(f.from_broker, f.to_broker) for f in sorted(fenced, key=lambda f: f.started_at)]

    @property
    def state(self) -> str:
        return "stable" if self.standing is None else self.standing.state.value

    @property
    def held_by(self) -> tuple[str, ...]:
        return () if self.standing is None else self.standing.held_by

    def runs(self, seconds: float) -> None:
        for _ in range(round(seconds * S / TICK_MS)):
            self._tick()
            self.passed_ms += TICK_MS

    def _tick(self) -> None:
        at = self.passed_ms / S
        for broker, error in self.errors.items():
            leads = self.route.active_broker == broker
            share = error(at)
            # A standby is sent nothing, so its pings are all that speak for it.
            seen = health(broker, self.now, share, sent=100 if leads or share else 0)
            if broker in self.silent_owners:
                seen = seen._replace(at=self.now - 60_000)
            sight = Sight(seen, leads=leads, why_not=self.stopped.get(broker))
            before = self.watches.get(broker, Watch())
            self.watches[broker] = observe(before, sight, wall=self.now, now=self.passed_ms)
        self._does(decide(self.case()))

    def case(self) -> Case:
        return Case(
            now=self.now,
            monotonic_ms=self.passed_ms,
            route=self.route,
            policy=self.policy,
            watches=self.watches,
            standing=self.standing,
            history=self.history,
            session_id=self.session,
            phase=self.phase,
            common_cause=self.common_cause,
            tilted=self.tilted,
        )

    def _does(self, move: Move) -> None:
        state = move.state
        if state is None or state is FailoverState.SUSPECTED:
            return
        standing = self.standing or self._begun(move)
        told = (standing.state, standing.held_by) != (state, move.held_by)
        if state is FailoverState.PREPARED:
            assert move.to_broker is not None
            self.route = Route("XNAS", move.to_broker, self.route.epoch + 1)
            state = FailoverState.FENCING
        if told or self.standing is None:
            self.told.append((self.passed_ms / S, state.value))
            facts: dict[str, Any] = {
                "held_by": move.held_by,
                "to_broker": move.to_broker,
                "kind": move.kind,
            }
            standing = standing.came_to(state, at=self.now, **facts)
        self.standing = None if standing.has_ended else standing
        if standing.has_ended:
            self.history.insert(0, standing)

    def _begun(self, move: Move) -> Failover:
        return Failover(
            failover_id=f"fo-{len(self.history)}",
            incident_id="in-1",
            route_id="XNAS",
            kind=move.kind,
            state=FailoverState.CONFIRMED,
            from_broker=self.route.active_broker,
            to_broker=move.to_broker,
            epoch=self.route.epoch,
            reason=move.reason,
            steps=(FailoverStep(FailoverState.CONFIRMED, self.now),),
            by="openbell",
            trading_session_id=self.session,
        )

    def person(self, state: FailoverState) -> None:
        """End what stands, as a person may."""
        assert self.standing is not None
        self.history.insert(0, self.standing.came_to(state, at=self.now, by="kim"))
        self.standing = None

    def acknowledge(self) -> None:
        self.history[0] = self.history[0]._replace(acknowledged_by="kim", acknowledged_at=self.now)


__all__ = ["Automation", "Course", "Failback", "FailoverKind"]
