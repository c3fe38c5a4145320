"""The window is compared with the plainest model there is: a list of every send."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.dispatch.window import GRAINS, PAUSED_WAIT_NS, SECOND_NS, UNLIMITED, Window

MS = 1_000_000


class HandClock:
    """Monotonic nanoseconds that a test moves by hand."""

    def __init__(self, now: int = 7 * SECOND_NS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def worst_second(sends: list[tuple[int, int]]) -> int:
    return max(
        (sum(n for at, n in sends if end - SECOND_NS < at <= end) for end, _ in sends),
        default=0,
    )


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 5 * MS), st.integers(0, 400 * MS), st.just(SECOND_NS)),
        st.integers(0, 15),
    ),
    max_size=80,
)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_a_second_is_exact(steps: list[tuple[int, int]]) -> None:
    clock = HandClock()
    window = Window(["20/second"], clock, born_full=False)
    sends: list[tuple[int, int]] = []
    for pause, want in steps:
        clock.now += pause
        room = 20 - sum(n for at, n in sends if at > clock.now - SECOND_NS)

        assert window.room() == room
        assert window.take(want) == min(want, room)

        sends.append((clock.now, min(want, room)))


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_longer_windows_never_let_one_too_many_out_and_hold_a_thousandth_too_long(
    steps: list[tuple[int, int]],
) -> None:
    clock = HandClock()
    window = Window(["30/5 second", "40/minute"], clock, born_full=False, cancel_percent=0)
    spans = ((30, 5 * SECOND_NS), (40, 60 * SECOND_NS))
    sends: list[tuple[int, int]] = []
    for pause, want in steps:
        clock.now += pause * 7
        room, late_room = (
            min(n - sum(k for at, k in sends if at > clock.now - span - late) for n, span in spans)
            for late in (0, 60 * SECOND_NS // GRAINS)
        )
        granted = window.take(want)
        sends.append((clock.now, granted))

        assert min(want, max(0, late_room)) <= granted <= min(want, room)


@pytest.mark.parametrize("seed", range(20))
def test_retuning_never_lets_two_seconds_through_in_one(seed: int) -> None:
    chance = random.Random(seed)
    clock = HandClock()
    window = Window(["200/second"], clock)
    sends: list[tuple[int, int]] = []
    for rate in (200, 50, 200, 50, 200):
        window.retune(rate)
        turned = clock.now
        for _ in range(100):
            clock.now += chance.choice([0, MS, 40 * MS])
            sends.append((clock.now, window.take(chance.choice([1, 7, 500]))))

        after = [(at, n) for at, n in sends if turned < at <= turned + SECOND_NS]
        assert sum(n for _, n in after) <= rate
    assert worst_second(sends) <= 200
    assert sum(n for _, n in sends) > 200


def test_raising_the_limit_counts_what_left_under_the_old_one() -> None:
    clock = HandClock()
    window = Window(["50/second"], clock, born_full=False)

    assert window.take(500) == 50

    window.retune(200)

    assert window.take(500) == 150
    assert window.take(500) == 0

    window.retune(50)
    clock.now += SECOND_NS - 1

    assert window.take(500) == 0

    clock.now += 1

    assert window.take(500) == 50


def test_a_restart_is_shut_for_a_second_whatever_the_dial_does() -> None:
    clock = HandClock()
    before = Window(["100/second"], clock, born_full=False)
    sends = [(clock.now, before.take(100))]
    clock.now += MS
    after = Window(["100/second"], clock)

    for rate in (50, 100, 1_000):
        after.retune(rate)
        assert after.room() == after.take(10) == 0
    after.retune(100)
    assert after.wait_ns() == SECOND_NS

    clock.now += SECOND_NS - 1
    assert after.take(1) == 0
    clock.now += 1
    sends.append((clock.now, after.take(1_000)))

    assert worst_second(sends) == 100


def test_the_wait_is_exact_also_when_a_cut_needs_many_to_leave_the_window() -> None:
    clock = HandClock()
    window = Window(["20/second"], clock, born_full=False)
    first = clock.now
    for _ in range(20):
        assert window.take(1) == 1
        clock.now += MS
    assert window.wait_ns() == first + SECOND_NS - clock.now

    window.retune(5)  # fifteen and one more must leave first
    assert window.wait_ns() == first + 15 * MS + SECOND_NS - clock.now

    clock.now += window.wait_ns() - 1
    assert window.take(1) == 0
    clock.now += 1
    assert window.wait_ns() == 0
    assert window.take(9) == 1


def test_sends_within_one_second_expire_one_by_one() -> None:
    clock = HandClock()
    window = Window(["2/second"], clock, born_full=False)
    window.take(1)
    clock.now += 1
    window.take(1)
    clock.now += SECOND_NS - 1

    assert window.room() == 1


def test_what_leaves_later_than_it_was_granted_counts_from_then() -> None:
    clock = HandClock()
    window = Window(["2/second", "10/minute"], clock, born_full=False)
    window.take(2)
    clock.now += 7
    window.delay(clock.now)
    clock.now += SECOND_NS - 1

    assert window.room() == 0
    clock.now += 1
    assert window.room() == 2


def test_sends_of_one_grain_expire_with_the_youngest() -> None:
    clock = HandClock(60 * SECOND_NS)  # a grain begins
    window = Window(["10/minute"], clock, born_full=False, cancel_percent=0)
    for _ in range(2):
        assert window.take(5) == 5
        clock.now += 59 * MS
    clock.now = 120 * SECOND_NS

    assert window.room() == 0
    assert window.wait_ns() == 59 * MS
    clock.now += 59 * MS
    assert window.room() == 10


def test_a_batch_takes_the_least_room_of_all_windows() -> None:
    clock = HandClock()
    window = Window(["10/second", "15/minute"], clock, born_full=False, cancel_percent=0)

    assert window.take(30) == 10
    clock.now += SECOND_NS
    assert window.room() == 5
    assert window.take(30) == 5
    clock.now += SECOND_NS
    assert window.take(30) == 0
    assert 50 * SECOND_NS < window.wait_ns() <= 60 * SECOND_NS


def test_cancels_leave_when_the_orders_of_the_minute_are_spent() -> None:
    clock = HandClock()
    window = Window(["1000/second", "100/minute"], clock, born_full=False)

    assert window.take(1_000) == 90
    assert window.take(1) == 0
    assert window.wait_ns() > 0
    assert window.wait_ns(cancels=True) == 0
    assert window.take(1_000, cancels=True) == 10
    assert window.take(1, cancels=True) == 0


def test_a_contract_of_one_order_in_ten_seconds_does_not_starve() -> None:
    clock = HandClock()
    window = Window(["1/10 second"], clock, born_full=False)

    assert window.take(5) == 1
    assert window.take(5) == 0
    clock.now += 10 * SECOND_NS
    assert window.take(5) == 1


def test_what_an_earlier_process_sent_counts_in_the_longer_windows() -> None:
    clock = HandClock(200 * SECOND_NS)
    window = Window(["50/second", "100/minute"], clock, born_full=False, cancel_percent=0)
    window.recall([(120 * SECOND_NS, 70), (150 * SECOND_NS, 60), (999 * SECOND_NS, 20)])

    assert window.take(50) == 20
    clock.now = 210 * SECOND_NS
    assert window.take(100) == 50
    clock.now = 260 * SECOND_NS - 1
    assert window.take(100) == 10
    clock.now += 1
    assert window.take(100) == 40


def test_what_is_remembered_is_bounded() -> None:
    clock = HandClock()
    window = Window(["1000000/minute", "90000000/day"], clock, born_full=False)
    for _ in range(5_000):
        clock.now += 31 * MS
        assert window.take(3) == 3

    assert window._log.rows() <= 2 * (GRAINS + 1)


def test_neither_the_wall_clock_nor_a_thread_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    def wall() -> float:
        raise AssertionError("the wall clock was read")

    monkeypatch.setattr("time.time", wall)
    clock = HandClock()
    window = Window(["10/second", "100/minute"], clock)
    clock.now += SECOND_NS
    threads = threading.active_count()

    assert [window.take(7), window.take(7), window.take(7)] == [7, 3, 0]
    assert window.wait_ns() == SECOND_NS
    assert threading.active_count() == threads


def test_limits_own_classes_stay_in_its_registry() -> None:
    from limits.limits import GRANULARITIES  # noqa: PLC0415 - what the import above must not spoil

    assert all(kind.__name__.startswith("RateLimitItem") for kind in GRANULARITIES.values())


def test_no_limit_has_room_and_coming_back_is_like_a_restart() -> None:
    clock = HandClock()
    window = Window(None, clock)

    assert window.room() == UNLIMITED
    assert window.take(10_000) == 10_000
    assert window.wait_ns() == 0

    window.retune(100)

    assert window.take(1) == 0
    assert window.wait_ns() == SECOND_NS
    clock.now += SECOND_NS
    assert window.take(500) == 100

    window.retune(None)
    assert window.room() == UNLIMITED


def test_a_limit_of_zero_is_paused_and_keeps_its_history() -> None:
    clock = HandClock()
    window = Window(["100/second"], clock, born_full=False)

    assert window.take(80) == 80
    window.retune(0)
    assert window.room() == window.take(5) == 0
    assert window.wait_ns() == PAUSED_WAIT_NS
    window.retune(100)
    assert window.take(500) == 20


@pytest.mark.parametrize("limits", [["5/month"], ["5/second", "6/second"], ["five a second"]])
def test_a_limit_that_it_cannot_keep_stops_the_start(limits: list[str]) -> None:
    with pytest.raises(ValueError, match=r"expected|parse"):
        Window(limits, HandClock())
