"""The pacer's bound is a property of every script, so scripts are drawn, not written."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dispatch.pacer import (
    PAUSED_WAIT_NS,
    SECOND_NS,
    Pacer,
    burst_permits,
    ceiling,
    throttle_pause_ns,
)

MS = 1_000_000
Build = Callable[[int, int], Pacer]
Script = list[tuple[str, int, int]]


class FreshCredit(Pacer):
    """The mistake: a change of rate starts with a full bucket."""

    def retune(self, per_second: int | None, now: int) -> None:
        self._shape(per_second)
        self._full_at = now


class DebtCarried(Pacer):
    """The mistake: what was used ahead is carried, and clipped to the new bucket."""

    def retune(self, per_second: int | None, now: int) -> None:
        debt = (self._cap - self._credit(now)) / self._gap
        self._shape(per_second)
        self._full_at = now + min(self._cap, round(debt * self._gap))


class BornFull(Pacer):
    """The mistake: a restart begins with a full bucket."""

    def __init__(self, per_second: int | None, now: int) -> None:
        super().__init__(per_second, now)
        self._full_at = now


def broken_seconds(build: Build, script: Script) -> list[tuple[int, int]]:
    """Play a script; return each second above its bound as (sent, bound)."""
    now, rate = 5 * SECOND_NS, 1_000
    pacer = build(rate, now)
    sends: list[tuple[int, int]] = []  # instant, number
    rates = [(now, rate)]  # instant, rate from then on
    for verb, pause, value in script:
        now += pause
        if verb == "take":
            granted, _ = pacer.take(value, now)
            if granted:
                sends.append((now, granted))
        elif verb == "retune":
            rate = value
            pacer.retune(rate, now)
            rates.append((now, rate))
        elif verb == "pause":
            pacer.pause_until(now + value * MS)
        else:
            pacer = build(rate, now)
    return [
        (sent, bound)
        for last in range(len(sends))
        for sent, bound in [_second_ending_at(last, sends, rates)]
        if sent > bound
    ]


def _second_ending_at(
    last: int, sends: list[tuple[int, int]], rates: list[tuple[int, int]]
) -> tuple[int, int]:
    end = sends[last][0]
    sent, first = 0, last
    while first >= 0 and sends[first][0] > end - SECOND_NS:
        sent += sends[first][1]
        first -= 1
    begin = sends[first + 1][0]
    spans = pairwise([*rates, (end + 1, 0)])
    in_force = [rate for (at, rate), (until, _) in spans if at <= end and until >= begin]
    return sent, max((ceiling(rate) for rate in in_force if rate), default=0)


RATES = st.sampled_from([0, 1, 2, 7, 25, 50, 100, 200, 999, 1_000, 5_000])
PAUSES = st.one_of(
    st.integers(0, 3 * MS), st.integers(0, 60 * MS), st.integers(0, 2 * SECOND_NS), st.just(0)
)
STEPS = st.one_of(
    st.tuples(st.just("take"), PAUSES, st.sampled_from([1, 3, 50, 10_000])),
    st.tuples(st.just("retune"), PAUSES, RATES),
    st.tuples(st.just("pause"), PAUSES, st.integers(0, 500)),
    st.tuples(st.just("restart"), PAUSES, st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(STEPS, max_size=60))
def test_no_script_puts_a_second_above_the_bound(script: Script) -> None:
    assert broken_seconds(Pacer, script) == []


def a_dense_script(seed: int) -> Script:
    """Return a greedy sender, a stall and a dial that an impatient hand turns within the burst."""
    chance = random.Random(seed)
    script: Script = [("take", 2 * SECOND_NS, 10_000)]
    for _ in range(chance.randrange(1, 8)):
        pause = chance.choice([0, MS, 8 * MS])
        script.append(("retune", pause, chance.choice([1, 50, 200, 1_000])))
        script.append(("take", chance.choice([0, MS]), 10_000))
        if chance.random() < 0.2:
            script.append(("restart", 0, 0))
    script.append(("retune", 0, 1_000))
    return script + [("take", 5 * MS, 10_000)] * 210


@pytest.mark.parametrize("seed", range(40))
def test_dense_scripts_stay_below_the_bound(seed: int) -> None:
    assert broken_seconds(Pacer, a_dense_script(seed)) == []


@pytest.mark.parametrize("mistake", [FreshCredit, DebtCarried, BornFull])
def test_the_known_mistakes_fail_the_same_property(mistake: Build) -> None:
    broken = [seed for seed in range(40) if broken_seconds(mistake, a_dense_script(seed))]

    assert broken


def test_six_turns_of_the_dial_forgive_no_debt() -> None:
    script: Script = [("take", 2 * SECOND_NS, 10_000)]
    for _ in range(3):
        script += [("retune", 8 * MS, 1), ("take", 0, 10_000)]
        script += [("retune", 0, 1_000), ("take", 0, 10_000)]
    script += [("take", 4 * MS, 10_000)] * 237

    assert broken_seconds(Pacer, script) == []
    assert broken_seconds(DebtCarried, script)


def test_a_greedy_sender_gets_98_percent_and_never_more_than_n_by_half_a_percent() -> None:
    for rate in (1, 10, 100, 1_000, 10_000):
        now, sent, end = 0, 0, 10 * SECOND_NS
        pacer = Pacer(rate, now)
        while now < end:
            granted, wait = pacer.take(rate, now)
            sent += granted
            now += max(1, wait)

        assert 0.984 * rate * 10 - 1 <= sent <= 0.985 * rate * 10 + burst_permits(rate)
        assert ceiling(rate) <= rate * 1.005 + 1


def test_the_wait_is_exact() -> None:
    pacer = Pacer(100, 0)
    granted, wait = pacer.take(1, 0)

    assert granted == 0
    assert pacer.take(1, wait - 1) == (0, 1)
    assert pacer.take(1, wait)[0] == 1


def test_a_batch_dearer_than_the_bucket_leaves_in_parts_and_never_starves() -> None:
    pacer, now, left, messages = Pacer(100, 0), 0, 50, 0
    while left:
        granted, wait = pacer.take(left, now)
        left -= granted
        messages += granted > 0
        now += max(wait, 30 * MS)  # it lets a little batch build up

    assert pacer.burst == 3
    assert messages <= 25
    assert now <= SECOND_NS


def test_ready_says_what_a_take_would_grant_and_spends_nothing() -> None:
    pacer = Pacer(1_000, 0)

    assert pacer.ready(0) == 0
    assert pacer.ready(2 * SECOND_NS) == pacer.ready(2 * SECOND_NS) == pacer.burst == 21
    assert pacer.take(100, 2 * SECOND_NS)[0] == 21
    assert pacer.ready(2 * SECOND_NS) == 0


def test_a_rate_of_zero_is_paused_and_leaving_it_grants_nothing() -> None:
    pacer = Pacer(1_000, 0)
    pacer.retune(0, SECOND_NS)

    assert pacer.take(5, 10 * SECOND_NS) == (0, PAUSED_WAIT_NS)
    assert pacer.ready(10 * SECOND_NS) == 0

    pacer.retune(1_000, 20 * SECOND_NS)

    assert pacer.take(5, 20 * SECOND_NS)[0] == 0
    assert pacer.take(5, 20 * SECOND_NS + 2 * MS)[0] == 1


def test_no_rate_is_no_limit_and_coming_back_grants_nothing() -> None:
    pacer = Pacer(None, 0)

    assert pacer.take(1_000_000, 0) == (1_000_000, 0)
    assert pacer.ready(0) is None
    assert pacer.burst is None

    pacer.retune(100, SECOND_NS)

    assert pacer.take(1, SECOND_NS)[0] == 0


def test_a_throttled_pacer_waits_and_saves_nothing_meanwhile() -> None:
    for rate in (None, 1_000):
        pacer = Pacer(rate, 0)
        pacer.pause_until(2 * SECOND_NS)
        pacer.pause_until(SECOND_NS)  # a shorter wish does not shorten it
        granted, wait = pacer.take(10, SECOND_NS)

        assert granted == 0
        assert SECOND_NS <= wait <= SECOND_NS + 2 * MS
        assert pacer.ready(2 * SECOND_NS - 1) == 0
        assert (pacer.ready(2 * SECOND_NS) or 0) == 0
        assert pacer.take(10, SECOND_NS + wait)[0] == (10 if rate is None else 1)


def test_turning_the_dial_does_not_end_a_pause() -> None:
    pacer = Pacer(1_000, 0)
    pacer.pause_until(2 * SECOND_NS)
    pacer.retune(1, SECOND_NS)
    pacer.retune(1_000, SECOND_NS + MS)

    assert pacer.take(10, 2 * SECOND_NS - 1)[0] == 0
    assert pacer.take(10, 2 * SECOND_NS + 2 * MS)[0] == 1


def test_a_cut_carries_permits_not_time() -> None:
    pacer = Pacer(1_000, 0)
    pacer.retune(100, SECOND_NS)

    assert pacer.ready(SECOND_NS) == pacer.burst == 3

    pacer.retune(1_000, SECOND_NS)

    assert pacer.ready(SECOND_NS) == 3


@pytest.mark.parametrize(
    ("asked", "pause_ns"),
    [
        (None, SECOND_NS),
        (0.25, SECOND_NS // 4),
        (3_600.0, 2 * SECOND_NS),
        (-1.0, 0),
        (float("nan"), SECOND_NS),
        (float("inf"), SECOND_NS),
    ],
)
def test_a_broker_may_pause_us_for_two_seconds_at_most(asked: float | None, pause_ns: int) -> None:
    assert throttle_pause_ns(asked) == pause_ns
