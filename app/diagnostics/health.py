"""How each broker does, as its lane hears it: implements `Witness` of `ports.dispatch`.

A few additions for each request, on the path of every order, and nothing that can fail or wait:
what they come to is found when somebody asks. The trap is a witness that costs what it watches.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from app.clock import Clock
from app.diagnostics.hearing import SECOND_NS, Hearing
from app.diagnostics.tally import Tally, quantile_ms
from app.domain.messages import Answer, ExecutionReport
from app.domain.records import Health
from app.domain.signs import Heard

MS_NS: Final = 1_000_000
REFUSALS_TOLD: Final = 3
# A code is the broker's own word; a sentence in its place is cut.
CODE_MAX: Final = 40


class Signs(NamedTuple):
    """For how long something is wrong with a broker, in seconds; 0: it is not."""

    silence_s: float | None  # orders went out, nothing came back; None: nobody can tell
    report_silence_s: float  # it takes orders and reports on none
    session_down_s: float
    ping_failing_s: float


class HealthWitness:
    """What the lanes of this process hear, by broker. Who is no broker of ours is not heard."""

    def __init__(self, clock: Clock, brokers: Iterable[str]) -> None:
        self._clock = clock
        now = clock.monotonic_ns()
        self._brokers = {name: Hearing(now) for name in brokers}

    def sending(self, broker_id: str) -> None:
        broker = self._brokers.get(broker_id)
        if broker is not None:
            broker.left(self._clock.monotonic_ns())

    def answered(self, broker_id: str, answers: Sequence[Answer], took_ns: int) -> None:
        broker = self._brokers.get(broker_id)
        if broker is not None:
            broker.answered(answers, took_ns, self._clock.monotonic_ns())

    def reported(self, reports: Sequence[ExecutionReport]) -> None:
        now = self._clock.monotonic_ns()
        for report in reports:
            broker = self._brokers.get(report.broker_id)
            if broker is not None:
                broker.reported(now)

    def pinged(self, broker_id: str, *, alive: bool) -> None:
        broker = self._brokers.get(broker_id)
        if broker is not None:
            broker.pinged(self._clock.monotonic_ns(), alive=alive)

    def health(self, broker_id: str) -> Health | None:
        broker = self._brokers.get(broker_id)
        if broker is None:
            return None
        now, at = self._clock.monotonic_ns(), self._clock.now()
        window = broker.window(now)
        broker.judge(now, window)
        return Health(
            broker_id=broker_id,
            at=at,
            sent=window.answered,
            error_ratio=window.error_ratio,
            p95_ms=quantile_ms(window.times, 0.95),
            silent=broker.is_silent(now),
            session_up=broker.down_since is None,
            ping=broker.ping,
            # As durations before now, so that a step of the wall clock makes nobody look old.
            bad_since=_wall(broker.bad_since, now, at),
            good_since=_wall(broker.good_since, now, at),
        )

    def heard(self, broker_id: str) -> Heard | None:
        broker = self._brokers.get(broker_id)
        if broker is None:
            return None
        often = broker.refusals.most_common(REFUSALS_TOLD)
        return Heard(
            p99_ms=quantile_ms(broker.window(self._clock.monotonic_ns()).times, 0.99),
            refusals=tuple((code[:CODE_MAX], count) for code, count in often),
        )

    def tally(self, broker_id: str) -> Tally:
        """Return the broker's sums since this process started."""
        return self._brokers[broker_id].tally()

    def signs(self, broker_id: str) -> Signs:
        broker = self._brokers[broker_id]
        now = self._clock.monotonic_ns()
        return Signs(
            broker.silence_s(now),
            broker.report_silence_s(now),
            _age_s(broker.down_since, now),
            _age_s(broker.ping_failing_since, now),
        )


def _age_s(since: int | None, now: int) -> float:
    return 0.0 if since is None else (now - since) / SECOND_NS


def _wall(instant: int | None, now: int, at: int) -> int | None:
    return None if instant is None else at - (now - instant) // MS_NS
