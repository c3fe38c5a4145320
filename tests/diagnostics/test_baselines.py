"""What is usual is learnt slowly, apart for each phase, and believed only when it is known."""

from app.diagnostics.baselines import LESSONS_MIN, Baselines
from app.diagnostics.tally import Tally
from app.domain.session import Phase
from tests.diagnostics.stream import times

LESSON_NS = 10_000_000_000


def taught(baselines: Baselines, lessons: int, p95_ms: float, minute: Tally, start: int = 0) -> int:
    """Teach so many lessons, and the same again in between; return when the last one was."""
    for lesson in range(start, start + lessons):
        for again in (0, 1):
            now = lesson * LESSON_NS + again
            baselines.learn("north", Phase.OPENING, p95_ms, minute, now)
    return start + lessons


def test_latency_is_believed_after_five_minutes_and_in_its_own_phase() -> None:
    baselines = Baselines()
    minute = Tally(times=times(200, 40))
    taught(baselines, LESSONS_MIN - 1, 40, minute)
    assert baselines.usual_ms("north", Phase.OPENING) is None
    at = taught(baselines, 1, 40, minute, LESSONS_MIN)
    assert baselines.usual_ms("north", Phase.OPENING) == 40
    assert baselines.usual_ms("north", Phase.REGULAR) is None

    taught(baselines, 34, 80, minute, at)
    usual = baselines.usual_ms("north", Phase.OPENING)
    assert usual is not None
    assert 58 < usual < 62  # half of the way within six minutes


def test_few_answers_teach_nothing() -> None:
    baselines = Baselines()
    taught(baselines, 99, 40, Tally(times=times(99, 40)))

    assert baselines.usual_ms("north", Phase.OPENING) is None


def test_a_reason_that_is_new_is_strange_and_one_that_is_usual_is_not() -> None:
    baselines = Baselines()
    spike = Tally(accepted=920, rejected=80, refusals={"halted": 80})
    deviations, code = baselines.strangest("north", spike)
    assert (round(deviations, 6), code) == (7.0, "halted")
    mild = Tally(accepted=940, rejected=60, refusals={"halted": 60})
    assert baselines.strangest("north", mild)[0] < 6
    few = Tally(accepted=40, rejected=9, refusals={"halted": 9})
    assert baselines.strangest("north", few) == (0.0, None)
    taught(baselines, 200, 1.0, spike)

    assert baselines.strangest("north", spike)[0] < 2
    worse = Tally(accepted=700, rejected=300, refusals={"halted": 300})
    assert baselines.strangest("north", worse)[0] > 6
