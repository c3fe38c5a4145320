"""What is usual for a broker, learnt while all is well. Pure.

One number for each broker and phase of a session, because a broker at the open is not the broker
of the afternoon. The trap is to learn from trouble: an hour of a slow broker, learnt, would be
the new usual. So nothing is learnt while anything is open, and until enough was learnt a rule
holds against what stands in it.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Final, NamedTuple

from app.diagnostics.tally import Tally
from app.domain.session import Phase

# A lesson is ten seconds: half of what is usual was learnt within the last six minutes of it.
WEIGHT: Final = 0.02
LESSON_NS: Final = 10_000_000_000
# Five minutes of well-being before what was learnt is believed.
LESSONS_MIN: Final = 30
LATENCY_SAMPLE_MIN: Final = 100
REFUSAL_SAMPLE_MIN: Final = 50
# Before anything is learnt: one refusal in a hundred, give or take one.
SHARE: Final = 0.01
# A broker that never refuses would make the first refusal a miracle.
SPREAD_MIN: Final = 0.01
SPIKE_SHARE: Final = 0.05


class _Usual(NamedTuple):
    mean: float
    variance: float = 0.0
    lessons: int = 0

    def learnt(self, value: float) -> "_Usual":
        weight = max(WEIGHT, 1 / (self.lessons + 2))  # what it began with counts as a lesson
        off = value - self.mean
        variance = (1 - weight) * (self.variance + weight * off * off)
        return _Usual(self.mean + weight * off, variance, self.lessons + 1)


class Baselines:
    """The usual latency and the usual refusals of each broker."""

    def __init__(self) -> None:
        self._latency: dict[tuple[str, Phase], _Usual] = {}
        self._refusals: dict[tuple[str, str], _Usual] = {}
        self._taught_ns: dict[str, int] = {}

    def usual_ms(self, broker_id: str, phase: Phase) -> float | None:
        """Return the usual p95 of its answers; None while too little was learnt."""
        usual = self._latency.get((broker_id, phase))
        return usual.mean if usual and usual.lessons >= LESSONS_MIN else None

    def strangest(self, broker_id: str, minute: Tally) -> tuple[float, str | None]:
        """Return how many deviations the strangest reason of a minute is above usual, and it."""
        worst: tuple[float, str | None] = (0.0, None)
        if minute.answered < REFUSAL_SAMPLE_MIN:
            return worst
        for code, count in minute.refusals.items():
            share = count / minute.answered
            if share > SPIKE_SHARE:
                usual = self._refusals.get((broker_id, code), _Usual(SHARE))
                spread = max(sqrt(usual.variance), SPREAD_MIN)
                deviations = (share - usual.mean) / spread
                worst = (deviations, code) if deviations > worst[0] else worst
        return worst

    def learn(
        self, broker_id: str, phase: Phase, p95_ms: float | None, minute: Tally, now_ns: int
    ) -> None:
        """Take one lesson each ten seconds; only call it while nothing is wrong."""
        if now_ns - self._taught_ns.get(broker_id, -LESSON_NS) < LESSON_NS:
            return
        self._taught_ns[broker_id] = now_ns
        if p95_ms is not None and minute.timed >= LATENCY_SAMPLE_MIN:
            key = (broker_id, phase)
            self._latency[key] = self._latency.get(key, _Usual(p95_ms)).learnt(p95_ms)
        if minute.answered >= REFUSAL_SAMPLE_MIN:
            self._learn_refusals(broker_id, minute.refusals, minute.answered)

    def _learn_refusals(self, broker_id: str, refusals: Mapping[str, int], answered: int) -> None:
        known = {code for broker, code in self._refusals if broker == broker_id}
        for code in known | set(refusals):
            key = (broker_id, code)
            share = refusals.get(code, 0) / answered
            self._refusals[key] = self._refusals.get(key, _Usual(SHARE)).learnt(share)
