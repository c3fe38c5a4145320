"""Each rule raises, holds between its thresholds, and clears; too few say nothing."""

import pytest

from app.diagnostics.rules import Rule
from app.diagnostics.shipped import CRITICAL, SHIPPED, WARNING
from app.diagnostics.signals import GAUGES, SIGNALS
from app.diagnostics.tally import Tally
from app.diagnostics.tripwires import RULE_FAILED, replay
from app.domain.anomaly import Severity, Subject
from tests.diagnostics.stream import NORTH, Stream, times

GOOD = Tally(accepted=20, times=times(20, 12))
STANDING = [rule for rule in SHIPPED.values() if rule.signal in GAUGES]
ERRORS, SLOW = SHIPPED["broker.error_rate"], SHIPPED["broker.ack_latency"]
THROTTLED, FLAPPING = SHIPPED["broker.throttled"], SHIPPED["breaker.flapping"]


def mixed(accepted: int, *, unknown: int = 0, not_sent: int = 0, throttled: int = 0) -> Tally:
    return Tally(accepted=accepted, unknown=unknown, not_sent=not_sent, throttled=throttled)


def name_of(rule: Rule) -> str:
    return rule.rule_id


# --- rules on what stands -------------------------------------------------------------------


@pytest.mark.parametrize("rule", STANDING, ids=name_of)
def test_a_rule_on_what_stands_raises_holds_and_clears(rule: Rule) -> None:
    for level in rule.levels:
        stream = Stream(rule)
        between = (rule.levels[-1].raise_at + rule.clear_at) / 2
        stream.passes(60, **{rule.signal: between})
        assert stream.severity() is None
        stream.passes(level.for_s + 0.5, **{rule.signal: level.raise_at})
        assert stream.severity() is level.severity
        stream.passes(600, **{rule.signal: between})
        assert stream.severity() is level.severity
        stream.passes(rule.clear_for_s, **{rule.signal: rule.clear_at})
        if rule.clear_for_s:
            assert stream.severity() is level.severity
        findings = stream.passes(0.5, **{rule.signal: rule.clear_at})
        assert stream.severity() is None
        assert [f.severity for f in findings] in ([None], [])


@pytest.mark.parametrize("rule", STANDING, ids=name_of)
def test_what_is_not_looked_at_is_neither_raised_nor_ended(rule: Rule) -> None:
    worst = rule.levels[0]
    stream = Stream(rule)
    stream.passes(60)
    assert stream.findings == []
    stream.passes(worst.for_s + 0.5, **{rule.signal: worst.raise_at})

    # The number is gone, and with it the subject: somebody else watches it now.
    assert stream.severity() is worst.severity
    stream.passes(0.5)
    assert stream.severity() is None
    assert stream.findings == []


def test_every_signal_is_watched_and_every_rule_has_its_signal() -> None:
    assert {rule.signal for rule in SHIPPED.values()} == set(SIGNALS)


# --- what brokers answer --------------------------------------------------------------------


def test_a_fifth_of_failures_is_a_warning_and_half_for_eight_seconds_is_critical() -> None:
    stream = Stream(ERRORS)
    stream.passes(60, GOOD)
    stream.passes(1.5, mixed(10, unknown=10))
    assert stream.severity() is None
    stream.passes(5, mixed(10, unknown=10))
    assert stream.severity() is WARNING
    stream.passes(6, mixed(4, not_sent=16))
    assert stream.severity() is WARNING
    (finding,) = stream.passes(12, mixed(4, not_sent=16))

    assert stream.severity() is CRITICAL
    assert finding.recommended.action == "failover"
    assert finding.observed.value == pytest.approx(0.8)
    assert finding.evidence["by_answer"] == {"accepted": 80, "not_sent": 320}


def test_a_failing_second_in_a_good_minute_is_no_error_rate() -> None:
    stream = Stream(ERRORS)
    stream.passes(60, mixed(100))
    stream.passes(1, mixed(0, unknown=100))
    stream.passes(60, mixed(100))

    assert stream.findings == []


def test_a_bad_trickle_after_a_good_flood_is_no_error_rate() -> None:
    stream = Stream(ERRORS)
    stream.passes(45, mixed(500))
    stream.passes(12, mixed(3, unknown=2))

    assert stream.findings == []
    stream.passes(50, mixed(3, unknown=2))
    assert stream.severity() is WARNING


def test_few_answers_say_nothing_of_a_broker() -> None:
    stream = Stream(ERRORS, THROTTLED, SLOW)
    for _ in range(12):
        stream.passes(0.5, Tally(unknown=1, throttled=1, times=times(1, 9_000)))
        stream.passes(4.5)

    assert stream.findings == []


def test_errors_clear_only_when_a_whole_minute_was_good() -> None:
    stream = Stream(ERRORS)
    stream.passes(6, mixed(10, unknown=10))
    assert stream.severity() is WARNING
    stream.passes(55, GOOD)
    assert stream.severity() is not None
    stream.passes(10, GOOD)

    assert stream.severity() is None


def test_a_broker_to_which_nobody_speaks_is_not_well_while_it_answers_no_ping() -> None:
    stream = Stream(ERRORS)
    stream.passes(10, mixed(0, unknown=20))
    stream.passes(300, unreachable_s=9)
    assert stream.severity() is CRITICAL
    stream.passes(1, unreachable_s=0)

    assert stream.severity() is None


def test_latency_is_held_against_the_usual_and_never_below_a_second() -> None:
    stream = Stream(SLOW)
    fast, slow = Tally(times=times(20, 12)), Tally(times=times(20, 700))
    stream.passes(60, slow, usual_ms=12)
    assert stream.severity() is None
    stream.passes(40, Tally(times=times(20, 1_200)), usual_ms=12)
    assert stream.severity() is WARNING
    stream.passes(60, Tally(times=times(20, 4_000)), usual_ms=12)
    assert stream.severity() is CRITICAL
    stream.passes(60, slow, usual_ms=12)
    assert stream.severity() is CRITICAL
    stream.passes(61, fast, usual_ms=12)
    assert stream.severity() is None

    patient = Stream(SLOW)  # a broker that always takes two seconds
    patient.passes(60, Tally(times=times(20, 2_000)), usual_ms=2_000)
    assert patient.severity() is None
    patient.passes(60, Tally(times=times(20, 7_000)), usual_ms=2_000)
    assert patient.severity() is WARNING


def test_throttling_is_told_at_one_in_a_hundred_and_critical_at_one_in_five() -> None:
    stream = Stream(THROTTLED)
    stream.passes(30, mixed(100))
    stream.passes(5, mixed(98, throttled=2))
    assert stream.severity() is None or stream.severity() is WARNING
    stream.passes(10, mixed(98, throttled=2))
    assert stream.severity() is WARNING
    stream.passes(30, mixed(70, throttled=30))
    assert stream.severity() is CRITICAL
    stream.passes(29, mixed(100))
    assert stream.severity() is CRITICAL
    stream.passes(2, mixed(100))
    assert stream.severity() is None


def test_a_circuit_that_opens_three_times_in_ten_minutes_flaps() -> None:
    stream = Stream(FLAPPING)
    stream.passes(5, circuit_openings=7)
    stream.passes(60, circuit_openings=8)
    stream.passes(60, circuit_openings=9)
    assert stream.severity() is None
    stream.passes(60, circuit_openings=10)
    assert stream.severity() is CRITICAL
    stream.passes(800, circuit_openings=10)
    assert stream.severity() is CRITICAL
    stream.passes(120, circuit_openings=10)
    assert stream.severity() is None


# --- the machine itself ---------------------------------------------------------------------


def test_a_rule_never_becomes_milder_until_it_ends() -> None:
    rule = SHIPPED["broker.reply_silence"]
    stream = Stream(rule)
    stream.passes(1, silence_s=11)
    (finding,) = stream.passes(30, silence_s=4)

    assert finding.severity is CRITICAL
    assert finding.observed.value == 4
    (ended,) = stream.passes(0.5, silence_s=0)
    assert (ended.severity, ended.observed.value) == (None, 0)


def test_a_rule_that_throws_stops_no_other_and_is_told_of_until_it_works() -> None:
    broken = SHIPPED["clock.skew"]._replace(levels=(None,))  # type: ignore[arg-type]
    stream = Stream(broken, SHIPPED["broker.reply_silence"])
    found = stream.passes(1, silence_s=11, clock_skew_ms=1)

    assert {(f.rule_id, str(f.subject)) for f in found} == {
        (RULE_FAILED, "rule/clock.skew"),
        ("broker.reply_silence", "broker/north"),
    }
    assert stream.wires.failing == ["clock.skew"]
    stream.wires.put([SHIPPED["clock.skew"], SHIPPED["broker.reply_silence"]])
    again = stream.passes(0.5, silence_s=11, clock_skew_ms=1)
    assert [(f.rule_id, f.severity) for f in again] == [
        (RULE_FAILED, None),
        ("broker.reply_silence", CRITICAL),
    ]
    assert len(stream.passes(0.5, silence_s=11, clock_skew_ms=1)) == 1


def test_what_a_former_life_raised_is_taken_over_and_ended() -> None:
    stream = Stream(SHIPPED["breaker.opened"])
    stream.wires.adopt("breaker.opened", NORTH, WARNING)
    stream.wires.adopt("breaker.opened", Subject("broker", "another's"), WARNING)
    stream.wires.adopt("external.disk", NORTH, CRITICAL)
    (finding,) = stream.passes(60, circuit_open=0)
    assert (finding.severity, finding.subject) == (WARNING, NORTH)
    (ended,) = stream.passes(0.5, circuit_open=0)

    assert ended.severity is None
    assert stream.passes(1, circuit_open=0) == []


def test_a_rule_that_is_switched_off_ends_what_it_has_raised() -> None:
    rule = SHIPPED["breaker.opened"]
    stream = Stream(rule)
    stream.passes(1, circuit_open=1)
    stream.wires.put([rule._replace(enabled=False)])
    (ended,) = stream.passes(0.5, circuit_open=1)

    assert ended.severity is None
    assert stream.passes(5, circuit_open=1) == []


def test_a_replay_says_how_often_a_rule_would_have_fired() -> None:
    stream = Stream(subject=NORTH)
    for _ in range(3):
        stream.passes(20, silence_s=0)
        stream.passes(5, silence_s=4)
    stream.passes(5, silence_s=12)
    fired = replay(SHIPPED["broker.reply_silence"], stream.snapshots)

    assert [(f.severity, f.peak, f.cleared_ns is None) for f in fired] == [
        (WARNING, 4, False),
        (WARNING, 4, False),
        (CRITICAL, 12, True),
    ]
    stricter = SHIPPED["broker.reply_silence"].levels[:1]
    only = SHIPPED["broker.reply_silence"]._replace(levels=stricter)
    assert [f.severity for f in replay(only, stream.snapshots)] == [CRITICAL]
    assert replay(only, []) == []


def test_severities_are_ranked_from_a_warning_up() -> None:
    assert [level.severity for level in ERRORS.levels] == list(reversed(Severity))
