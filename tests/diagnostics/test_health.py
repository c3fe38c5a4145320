"""Two witnesses call a broker bad, and their word stands until something contradicts it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.diagnostics.health import CODE_MAX, HealthWitness
from app.diagnostics.tally import BOUNDS_MS, NOTHING, Tally, quantile_ms, slot_of
from app.domain.messages import Accepted, Answer, NotSent, Rejected, Throttled, Unknown
from app.domain.records import Health
from app.ports.dispatch import Witness
from tests.builders import NOW, StillClock, a_report
from tests.diagnostics.stream import times

OK, NO, FAST, LOST = Accepted("b-1"), Rejected("price"), Throttled(), Unknown("timeout")
REFUSED, LOGGED_OFF = NotSent("refused"), NotSent("401", credentials=True)


class Line:
    """One witness of north, on a clock that a test moves."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.witness = HealthWitness(self.clock, ["north"])

    def sends(self, *answers: Answer, took_ms: int = 0) -> None:
        self.witness.sending("north")
        self.clock.at += took_ms
        self.witness.answered("north", answers, took_ms * 1_000_000)

    def pings(self, alive: bool, times_: int = 1) -> None:  # noqa: FBT001 - it reads as a sentence
        """Ping at the end of each second."""
        for _ in range(times_):
            self.clock.at += 1_000
            self.witness.pinged("north", alive=alive)

    def health(self) -> Health:
        found = self.witness.health("north")
        assert found is not None
        return found

    def bad_for_ms(self) -> int | None:
        found = self.health()
        return None if found.bad_since is None else found.at - found.bad_since

    def good_for_ms(self) -> int | None:
        found = self.health()
        return None if found.good_since is None else found.at - found.good_since


def test_who_is_no_broker_of_ours_is_not_heard() -> None:
    line = Line()
    witness: Witness = line.witness
    witness.sending("x")
    witness.answered("x", [OK], 1)
    witness.pinged("x", alive=False)
    witness.reported([a_report(broker_id="x")])

    assert witness.health("x") is None
    assert witness.heard("x") is None


def test_before_anything_is_known_a_broker_is_neither_good_nor_bad() -> None:
    assert Line().health() == Health("north", NOW, 0, 0.0, None, False, True, None, None, None)


def test_what_a_broker_rejects_for_is_told_by_how_often() -> None:
    line = Line()
    counts = {"price": 3, "halted": 9, "lot": 1, "long " * CODE_MAX: 2}
    for code, many in counts.items():
        line.sends(*[Rejected(code)] * many, took_ms=20)
    line.sends(OK, took_ms=900)

    heard = line.witness.heard("north")
    assert heard is not None
    assert heard.refusals == (("halted", 9), ("price", 3), (("long " * CODE_MAX)[:CODE_MAX], 2))
    assert heard.p99_ms == pytest.approx(900, rel=0.25)

    line.clock.at += 60_000
    later = line.witness.heard("north")
    assert later == heard._replace(p99_ms=None)  # the reasons stay, the time was of a window


def test_each_witness_alone_calls_nobody_bad_and_takes_good_away() -> None:
    pinged = Line()
    pinged.sends(OK)
    pinged.pings(True)
    pinged.pings(False, 5)
    answered = Line()
    answered.pings(True)
    answered.sends(*[OK] * 7, *[LOST] * 3)

    assert pinged.bad_for_ms() is answered.bad_for_ms() is None
    assert pinged.good_for_ms() is answered.good_for_ms() is None
    assert answered.health().error_ratio == pytest.approx(0.3)


def test_together_they_call_it_bad_from_the_second_one_on() -> None:
    line = Line()
    line.sends(*[OK] * 8, *[LOST] * 2)
    line.pings(False)
    line.clock.at += 400

    assert line.bad_for_ms() == 400
    line.pings(True)
    assert line.bad_for_ms() is None


def test_one_failure_in_five_is_bad_and_one_in_six_is_not() -> None:
    line = Line()
    line.sends(*[OK] * 5, REFUSED)
    line.pings(False)
    assert line.bad_for_ms() is None
    line.sends(LOST)

    assert line.bad_for_ms() == 0


def test_an_open_circuit_does_not_heal_a_broker_that_answers_no_ping() -> None:
    line = Line()
    line.sends(LOST)
    line.pings(False, 60)
    assert line.bad_for_ms() == 59_000
    assert line.health().sent == 0
    line.pings(True)

    assert line.bad_for_ms() is None
    assert line.good_for_ms() == 0


def test_a_wall_clock_that_steps_makes_nobody_bad_for_longer() -> None:
    class Stepped(StillClock):
        step = 0

        def now(self) -> int:
            return self.at + self.step

    line = Line()
    line.clock = Stepped()
    line.witness = HealthWitness(line.clock, ["north"])
    line.sends(LOST)
    line.pings(False, 3)
    line.clock.step = 3_600_000

    assert line.bad_for_ms() == 2_000


def test_refusals_and_throttling_are_words_of_a_broker_that_lives() -> None:
    line = Line()
    line.sends(*[NO] * 9, FAST)
    line.pings(True)

    assert line.health().sent == 9
    assert line.health().error_ratio == 0.0
    assert line.good_for_ms() == 0
    assert line.witness.tally("north").refusals == {"price": 9}


def test_silence_begins_with_the_first_order_that_nothing_follows() -> None:
    line = Line()
    line.sends(OK)
    line.witness.sending("north")
    line.clock.at += 2_900
    line.witness.sending("north")
    assert (line.health().silent, line.witness.signs("north").silence_s) == (False, 2.9)
    line.clock.at += 200
    assert (line.health().silent, line.witness.signs("north").silence_s) == (True, 3.1)
    line.witness.answered("north", [LOST], 1)  # a time-out is no sign of life
    assert line.health().silent
    line.witness.reported([a_report()])

    assert (line.health().silent, line.witness.signs("north").silence_s) == (False, 0.0)


def test_what_never_left_is_not_waited_for() -> None:
    line = Line()
    line.sends(REFUSED)
    line.clock.at += 5_000
    line.witness.sending("north")
    line.witness.answered("north", [], 1)  # cancelled: nobody waits any more
    line.clock.at += 5_000

    assert not line.health().silent


def test_who_is_sent_nothing_is_not_silent() -> None:
    line = Line()
    line.pings(True)
    line.sends(LOST)
    line.clock.at += 31_000
    assert line.witness.signs("north").silence_s == 0.0
    line.sends(LOST)
    line.pings(False, 31)

    assert line.witness.signs("north").silence_s is None  # it may be dead: nobody can tell
    assert not line.health().silent


def test_a_lost_logon_stands_until_an_answer() -> None:
    line = Line()
    line.sends(LOGGED_OFF)
    line.pings(True, 10)
    assert not line.health().session_up
    assert line.witness.signs("north").session_down_s == 10.0
    line.sends(OK)
    assert line.health().session_up
    line.sends(LOGGED_OFF)
    line.pings(True, 90)

    assert line.health().session_up


def test_reports_are_missed_only_of_a_broker_that_reports() -> None:
    quiet, chatty = Line(), Line()
    chatty.witness.reported([a_report(execution_id=f"e-{n}") for n in range(30)])
    for line in (quiet, chatty):
        line.sends(*[OK] * 49)
        line.clock.at += 4_000
        assert line.witness.signs("north").report_silence_s == 0.0
        line.sends(OK)
        line.clock.at += 6_000

    assert quiet.witness.signs("north").report_silence_s == 0.0
    assert chatty.witness.signs("north").report_silence_s == 10.0


def test_a_brokers_words_are_kept_up_to_a_bound() -> None:
    line = Line()
    line.sends(*[Rejected(f"code-{n}") for n in range(1_000)])
    refusals = line.witness.tally("north").refusals

    assert len(refusals) == 33
    assert refusals["other"] == 968


@pytest.mark.parametrize("took_ms", [0.5, 1, 12, 340, 1_000, 9_000, 200_000])
def test_a_quantile_is_right_within_a_quarter(took_ms: float) -> None:
    found = quantile_ms(times(100, took_ms), 0.95)
    assert found is not None
    expected = min(took_ms, BOUNDS_MS[-1])

    assert found == pytest.approx(expected, rel=0.25, abs=1.0)
    assert quantile_ms(NOTHING.times, 0.95) is None


def test_one_slow_answer_in_twenty_is_what_p95_shows() -> None:
    mixed = [a + b for a, b in zip(times(90, 10), times(10, 2_000), strict=True)]

    assert (quantile_ms(mixed, 0.95) or 0) > 1_500
    assert (quantile_ms(mixed, 0.89) or 0) < 13
    assert slot_of(0) == 0


# --- by chance ------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["wait", "ping", "no ping", "report", "look"])
        | st.lists(st.sampled_from([OK, NO, FAST, LOST, REFUSED]), min_size=1, max_size=6),
        st.sampled_from([0, 3, 250, 999, 1_000, 4_000, 10_000, 40_000]),
    ),
    max_size=60,
)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_edges_move_only_with_a_witness(steps: Sequence[tuple[str | list[Answer], int]]) -> None:
    line = Line()
    answered: list[tuple[int, bool]] = []  # when, and whether it failed
    before = line.health()
    for act, wait_ms in steps:
        line.clock.at += wait_ms
        if isinstance(act, list):
            line.sends(*act)
            said = [a for a in act if a is not FAST]
            answered += [(line.clock.at, a in (LOST, REFUSED)) for a in said]
        elif act in {"ping", "no ping"}:
            line.witness.pinged("north", alive=act == "ping")
        elif act == "report":
            line.witness.reported([a_report()])
        health = line.health()
        _holds(before, health, answered)
        before = health


def _holds(before: Health, health: Health, answered: Sequence[tuple[int, bool]]) -> None:
    now = health.at
    least = [failed for at, failed in answered if at > now - 10_000]
    most = [failed for at, failed in answered if at > now - 11_001]
    assert len(least) <= health.sent <= len(most)
    assert health.bad_since is None or health.good_since is None
    if health.bad_since is not None:
        assert health.ping is False
        assert health.bad_since <= now
        assert health.bad_since == before.bad_since or before.bad_since is None
    if health.good_since is not None:
        assert health.ping is True
        assert health.error_ratio < 0.2
        assert not health.silent
        assert health.good_since == before.good_since or before.good_since is None
    ended = before.bad_since is not None and health.bad_since is None
    assert not ended or health.ping or (health.sent and health.error_ratio < 0.2)
    if health.ping is False and health.sent and health.error_ratio >= 0.2:
        assert health.bad_since is not None


@given(STEPS)
@settings(max_examples=30, deadline=None)
def test_sums_only_grow_and_windows_are_their_differences(
    steps: Sequence[tuple[str | list[Answer], int]],
) -> None:
    line = Line()
    then = NOTHING
    for act, wait_ms in steps:
        line.clock.at += wait_ms
        if isinstance(act, list):
            line.sends(*act)
        now = line.witness.tally("north")
        more = now.since(then)
        assert min(more[:7]) >= 0
        assert min(more.times) >= 0
        then = now
    answers = [a for act, _ in steps if isinstance(act, list) for a in act]
    assert then == Tally(
        requests=sum(isinstance(act, list) for act, _ in steps),
        accepted=answers.count(OK),
        rejected=answers.count(NO),
        throttled=answers.count(FAST),
        not_sent=answers.count(REFUSED),
        unknown=answers.count(LOST),
        times=then.times,
        refusals={"price": answers.count(NO)} if NO in answers else {},
    )
