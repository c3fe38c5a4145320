"""Puts everything that rules look at into one snapshot: what was heard, what stands, what waits.

Nothing here waits. What only another process or a server knows was asked for before (`distance`)
and is left out when it is old: no number is better than one of a minute ago.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from app.clock import Clock
from app.diagnostics.baselines import Baselines
from app.diagnostics.distance import Distance
from app.diagnostics.health import HealthWitness
from app.diagnostics.hearing import BAD_RATIO
from app.diagnostics.signals import Snapshot
from app.diagnostics.tally import Tally
from app.diagnostics.waiting import Gauges, Notes, Rules, Waiting
from app.domain.anomaly import Subject
from app.domain.capabilities import Capabilities
from app.domain.records import BrokerControl, Health, LaneStatus, Vitals
from app.domain.session import Calendar, Phase

SECOND_NS: Final = 1_000_000_000
FRESH_S: Final = 5.0
# Two brokers that fall ill so close together have one cause.
TOGETHER_NS: Final = 5 * SECOND_NS
# A loop that was away for so long saw nothing: for a while, what it finds may be its own absence.
ASLEEP_NS: Final = 5 * SECOND_NS
DOUBT_ITSELF_NS: Final = 30 * SECOND_NS
STEP_SHOWN_NS: Final = 5 * SECOND_NS
REPORTS: Final = Subject("gateway", "reports")


class Sources(NamedTuple):
    """What the watch reads, all of it from memory."""

    clock: Clock
    witness: HealthWitness
    distance: Distance
    lanes: Callable[[], Sequence[LaneStatus]]  # of the brokers that this process owns
    controls: Callable[[], Mapping[str, BrokerControl]]
    calendar: Callable[[], Calendar]
    halted: Callable[[], bool]  # whether any halt is in force
    able: Callable[[str], Capabilities]  # what a broker can do
    strays: Callable[[], Mapping[str, int]]  # words on attempts that were settled, by broker
    instance: str  # what this process is called


class _Lane:
    """What is remembered of one broker between two looks."""

    __slots__ = ("circuit", "ill_since", "openings")

    def __init__(self) -> None:
        self.circuit = "closed"
        self.openings = 0
        self.ill_since: int | None = None


class Gathering:
    """One process's view, taken twice a second."""

    def __init__(self, sources: Sources, baselines: Baselines) -> None:
        self._on = sources
        self._baselines = baselines
        rules = Rules(
            sources.clock, sources.controls, sources.calendar, sources.halted, sources.able
        )
        self._waiting = Waiting(rules)
        self._lanes: dict[str, _Lane] = {}
        self._looked_ns: int | None = None
        self._doubts_itself_until = sources.clock.monotonic_ns()
        self._offset_ms = self._offset(self._doubts_itself_until)
        self._step = (0.0, self._doubts_itself_until)
        self._acknowledged: dict[Subject, tuple[int, int]] = {}  # when, and up to which count
        self._kept: set[Subject] = set()  # open since a former life, and nobody has seen it

    def take(self, minutes: Mapping[str, Tally]) -> Snapshot:
        """Return how everything stands; `minutes` is each broker's last one."""
        now = self._on.clock.monotonic_ns()
        if self._looked_ns is not None and now - self._looked_ns > ASLEEP_NS:
            self._doubts_itself_until = now + DOUBT_ITSELF_NS
        self._looked_ns = now
        gauges: Gauges = {}
        notes: Notes = {}
        lanes = self._on.lanes()
        for lane in lanes:
            self._of_lane(gauges, notes, lane, minutes.get(lane.broker_id, Tally()))
        self._of_process(gauges, now)
        distance = self._on.distance
        vitals = distance.vitals if distance.age_s <= FRESH_S else None
        if vitals is not None:
            self._waiting.note(gauges, notes, lanes, vitals)
            self._waiting.expect(gauges, notes, lanes, vitals.routes, distance.book)
        together, who = self._together(lanes, now)
        if self._leads(lanes):
            gauges[Subject("gateway", "brokers")] = {"in_trouble_together": together}
            notes[Subject("gateway", "brokers")] = {"brokers": who}
            if vitals is not None:
                self._of_gateway(gauges, vitals)
        tallies = {lane.broker_id: self._on.witness.tally(lane.broker_id) for lane in lanes}
        return Snapshot(now, tallies, gauges, notes)

    def phase(self) -> Phase:
        """Return where the markets are: in the phase of the session that opened last."""
        now = self._on.clock.now()
        sessions = self._on.calendar().open_now(now)
        return max(sessions, key=lambda s: s.opens_at).phase(now) if sessions else Phase.CLOSED

    def seen(self, subject: Subject, at: int) -> None:
        """Count strays from here on: whoever acknowledged at that instant saw those before."""
        self._kept.discard(subject)
        if self._acknowledged.get(subject, (0, 0))[0] != at:
            self._acknowledged[subject] = at, self._count(subject)

    def keep(self, subject: Subject) -> None:
        """Show one stray at least, though it came before this start."""
        self._kept.add(subject)

    def _count(self, subject: Subject) -> int:
        return self._on.strays().get(subject.id, 0)

    def _unseen(self, subject: Subject) -> float:
        _, seen = self._acknowledged.get(subject, (0, 0))
        return float(max(self._count(subject) - seen, subject in self._kept))

    def _of_lane(self, gauges: Gauges, notes: Notes, lane: LaneStatus, minute: Tally) -> None:
        subject = Subject("broker", lane.broker_id)
        follows = self._lanes.setdefault(lane.broker_id, _Lane())
        signs = self._on.witness.signs(lane.broker_id)
        follows.openings += lane.circuit == "open" and follows.circuit == "closed"
        follows.circuit = lane.circuit
        strangest, code = self._baselines.strangest(lane.broker_id, minute)
        usual = self._baselines.usual_ms(lane.broker_id, self.phase())
        gauges[subject] = {
            "report_silence_s": signs.report_silence_s,
            "session_down_s": signs.session_down_s,
            "unreachable_s": signs.ping_failing_s,
            "circuit_open": float(lane.circuit != "closed"),
            "circuit_openings": float(follows.openings),
            "refusals_z": strangest,
            "strays": self._unseen(subject),
        }
        if signs.silence_s is not None:
            gauges[subject]["silence_s"] = signs.silence_s
        if usual is not None:
            gauges[subject]["usual_ms"] = usual
        witnesses = _complaints(lane.health)
        notes[subject] = {"witnesses": witnesses, "circuit": lane.circuit, "why_not": lane.why_not}
        if code is not None:
            notes[subject]["reason_code"] = code

    def _of_gateway(self, gauges: Gauges, vitals: Vitals) -> None:
        """Say what is one for all processes: whoever leads says it."""
        distance = self._on.distance
        gauges[Subject("gateway", "ledger")] = {"unbalanced": float(vitals.unbalanced)}
        gauges[REPORTS] = {"quarantined": float(vitals.quarantined)}
        if distance.outbox_lag_s is not None:
            gauges[Subject("gateway", "outbox")] = {"outbox_lag_s": distance.outbox_lag_s}
        if distance.projector_lag_s is not None:
            lag = {"projector_lag_s": distance.projector_lag_s}
            gauges[Subject("gateway", "projector")] = lag

    def _of_process(self, gauges: Gauges, now: int) -> None:
        offset = self._offset(now)
        moved = abs(offset - self._offset_ms)
        self._offset_ms = offset
        if moved > self._step[0] or now - self._step[1] > STEP_SHOWN_NS:
            self._step = (moved, now)
        process = {"clock_step_ms": self._step[0]}
        if self._on.distance.vitals is not None and self._on.distance.age_s <= FRESH_S:
            process["clock_skew_ms"] = self._on.distance.skew_ms
        gauges[Subject("process", self._on.instance)] = process

    def _offset(self, now: int) -> float:
        return self._on.clock.now() - now / 1_000_000

    def _together(self, lanes: Sequence[LaneStatus], now: int) -> tuple[float, list[str]]:
        """Return how many fell ill at once: brokers, and perhaps we ourselves."""
        in_view = [*lanes, *self._elsewhere(lanes)]
        for lane in in_view:
            follows = self._lanes.setdefault(lane.broker_id, _Lane())
            if not _complaints(lane.health):
                follows.ill_since = None
            elif follows.ill_since is None:
                follows.ill_since = now
        since_when = {lane.broker_id: self._lanes[lane.broker_id].ill_since for lane in in_view}
        ill = {broker: at for broker, at in since_when.items() if at is not None}
        most: list[str] = []
        for since in ill.values():
            close = sorted(b for b, at in ill.items() if 0 <= at - since <= TOGETHER_NS)
            most = max(most, close, key=len)
        if ill and now < self._doubts_itself_until:
            most.append("gateway")
        return float(len(most)), most

    def _elsewhere(self, lanes: Sequence[LaneStatus]) -> list[LaneStatus]:
        """Return the lanes that other processes have shown of late."""
        own = {lane.broker_id for lane in lanes}
        horizon = self._on.clock.now() - FRESH_S * 1_000
        shown = self._on.distance.shown
        return [lane for lane, at in shown if at >= horizon and lane.broker_id not in own]

    def _leads(self, lanes: Sequence[LaneStatus]) -> bool:
        """Whether this process speaks for all: it owns the first of the brokers that are owned."""
        others = min((lane.broker_id for lane in self._elsewhere(lanes)), default=None)
        own = min((lane.broker_id for lane in lanes), default=None)
        return others is None or (own is not None and own < others)


def _complaints(health: Health | None) -> list[str]:
    """Return which witnesses say that something is wrong."""
    if health is None:
        return []
    said = {
        "submit": health.sent > 0 and health.error_ratio >= BAD_RATIO,
        "silence": health.silent,
        "session": not health.session_up,
        "ping": health.ping is False,
    }
    return [name for name, complains in said.items() if complains]
