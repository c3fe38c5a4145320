"""The rate that is found: what a sick broker does to it, and how close to a well one it comes."""

import heapq
from collections.abc import Callable
from typing import NamedTuple

import pytest

from app.dispatch.adaptive import Found, Seen, after, ramped, slow_started
from app.dispatch.pacer import Pacer, throttle_pause_ns
from app.dispatch.tally import Tally
from app.domain.messages import Accepted, Answer, NotSent, Rejected, Throttled, Unknown
from app.domain.tuning import Bounds

S = 1_000_000_000
TICK = S // 2
BOUNDS = Bounds(floor=50, ceiling=1_000, target_ms=250)
GOOD = Seen(sent=250, answered=250, throttled=0, timed_out=0, p95_ms=40)
LATE = GOOD._replace(p95_ms=251)
SILENT = GOOD._replace(answered=200, timed_out=50)
REFUSED = GOOD._replace(answered=100, throttled=150)
ACCEPTED = Accepted("1")


def rates(start: int, *ticks: Seen, bounds: Bounds = BOUNDS) -> list[int]:
    found, seen_rates = Found(start), []
    for number, seen in enumerate(ticks, 1):
        found = after(found, seen, bounds, number * TICK)
        seen_rates.append(found.rate)
    return seen_rates


def test_a_refusal_cuts_at_once_and_below_what_was_answered() -> None:
    assert rates(500, REFUSED) == [180]
    assert rates(500, REFUSED._replace(answered=240)) == [400]
    assert rates(500, REFUSED, REFUSED._replace(answered=80)) == [180, 144]


def test_what_was_answered_while_the_broker_had_us_pause_is_no_measure_of_it() -> None:
    assert rates(500, REFUSED._replace(answered=100, active_s=0.25)) == [360]


@pytest.mark.parametrize("sign", [LATE, SILENT])
def test_late_or_missing_answers_cut_by_a_fifth_at_most_each_two_seconds(sign: Seen) -> None:
    assert rates(500, *[sign] * 9) == [400] * 4 + [320] * 4 + [256]


def test_nothing_is_cut_again_while_answers_already_come_sooner() -> None:
    eases = [GOOD._replace(p95_ms=ms) for ms in (600, 600, 600, 520, 440, 360)]
    lingers = [GOOD._replace(p95_ms=ms) for ms in (600, 600, 600, 599, 598, 597)]

    assert rates(500, *eases) == [400] * 6
    assert rates(500, *lingers)[-1] == 320


def test_a_rate_grows_after_two_good_seconds_if_it_is_used() -> None:
    idle = GOOD._replace(sent=100, answered=100)

    assert rates(500, *[GOOD] * 6) == [500] * 4 + [520, 540]
    assert rates(500, *[idle] * 6) == [500] * 6


def test_one_answer_in_a_hundred_is_noise() -> None:
    assert rates(500, GOOD._replace(answered=99, throttled=1)) == [500]
    assert rates(500, GOOD._replace(answered=98, throttled=2)) != [500]


def test_no_rate_leaves_its_bounds() -> None:
    narrow = Bounds(floor=480, ceiling=510, target_ms=250)

    assert rates(500, *[REFUSED] * 9, bounds=narrow)[-1] == 480
    assert rates(500, *[GOOD] * 9, bounds=narrow)[-1] == 510
    assert rates(900, GOOD, bounds=narrow) == [510]


def test_a_slow_start_takes_a_quarter_a_half_and_all() -> None:
    took = [slow_started(800, 50, at) for at in (0, 9.9, 10, 19.9, 20, 30, 99)]

    assert took == [200, 200, 400, 400, 800, 800, 800]
    assert slow_started(3, 1, 0) == 1
    assert slow_started(100, 60, 0) == 60


def test_a_higher_number_is_climbed_to() -> None:
    assert [ramped(200, 800, at, 10) for at in (0, 5, 10, 11)] == [200, 500, 800, 800]
    assert ramped(800, 200, 0, 10) == 200


def test_a_tally_counts_messages_and_leaves_out_what_never_left() -> None:
    tally = Tally(0)
    no: list[Answer] = [Rejected("closed"), Unknown("timeout"), NotSent("refused"), Throttled(1)]
    tally.heard([Accepted("1"), *no], 5, 40_000_000)
    tally.heard([Accepted("1")] * 4, 1, 60_000_000)
    tally.heard([Unknown("timeout")], 1, 5 * S)

    seen = tally.read(TICK, 7)
    assert seen == Seen(7, 3.0, 1.0, 2.0, 60.0, 0.5)
    assert tally.read(2 * TICK, 7) == Seen(0, 0, 0, 0, None, 0.5)


def test_a_tick_that_was_all_pause_counts_with_the_next() -> None:
    tally = Tally(0)
    tally.heard([Throttled(1)], 1, 1)
    tally.paused(TICK // 10, TICK // 10 + S)

    assert tally.read(TICK, 1) is None
    assert tally.read(2 * TICK, 1) is None
    later = tally.read(3 * TICK, 4)
    assert later is not None
    assert later._replace(active_s=0) == Seen(4, 0.0, 1.0, 0.0, None, 0)
    assert later.active_s == pytest.approx(0.5)


class Run(NamedTuple):
    """What a simulated broker took of what it could, what it refused, how late its ticks were."""

    used: float
    sent: int
    throttled: int
    late_ms: list[float]


def simulated(capacity: Callable[[int], int], bounds: Bounds, queue_s_max: float) -> Run:
    """Send for three minutes, from 500 a second on, to a broker that queues and then refuses."""
    step, end, one_way = S // 200, 180 * S, S // 40
    pacer, tally, found = Pacer(500, 0), Tally(0), Found(500)
    out: list[tuple[int, int, int]] = []  # answered when, sent when, whether it was refused
    free_at = sent = 0
    counts = [0, 0]
    late_ms: list[float] = []
    for now in range(step, end + 1, step):
        while out and out[0][0] <= now:
            at, sent_at, refused = heapq.heappop(out)
            tally.heard([Throttled() if refused else ACCEPTED], 1, at - sent_at)
            counts[refused] += 1
            if refused:
                until = at + throttle_pause_ns(None)
                pacer.pause_until(until)
                tally.paused(now, until)
        granted, _ = pacer.take(1_000, now)
        sent += granted
        for _ in range(granted):
            arrives = now + one_way
            if free_at - arrives > queue_s_max * S:
                heapq.heappush(out, (arrives + one_way, now, 1))
            else:
                free_at = max(free_at, arrives) + S // capacity(now // S)
                heapq.heappush(out, (free_at + one_way, now, 0))
        if now % TICK == 0 and (seen := tally.read(now, sent)) is not None:
            found = after(found, seen, bounds, now)
            pacer.retune(found.rate, now)
            late_ms += [] if seen.p95_ms is None else [seen.p95_ms]
    could = sum(capacity(second) for second in range(180))
    return Run(counts[0] / could, sent, counts[1], sorted(late_ms))


def test_a_broker_of_300_a_second_is_used_and_never_refuses() -> None:
    run = simulated(lambda _: 300, BOUNDS._replace(ceiling=500), queue_s_max=60)

    assert run.used == pytest.approx(0.979, abs=0.02)
    assert run.throttled == 0
    assert run.late_ms[len(run.late_ms) // 2] <= 250


def test_a_broker_whose_limit_moves_is_followed() -> None:
    def capacity(second: int) -> int:
        return (300, 900, 150)[second // 60]

    run = simulated(capacity, BOUNDS, queue_s_max=1)

    assert run.used == pytest.approx(0.93, abs=0.02)
    assert run.throttled / run.sent < 0.003
