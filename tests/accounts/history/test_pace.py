"""Whatever workers come, go and die: together they never write more than the ceiling says."""

import random
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from app.accounts.history.pace import GRANTS_PER_S, NS_PER_S, RATE_MIN, SHARE_LIVES_NS, Pace

MS = 1_000_000
LATENCY_MAX_MS = 500


@dataclass
class Night:
    """Some workers in virtual time, each writing as fast as its pace allows."""

    ceiling: int
    now_ns: int = 0
    paces: list[Pace] = field(default_factory=list)
    written: list[tuple[int, int]] = field(default_factory=list)

    def beat(self, workers: int | None = None) -> None:
        for pace in self.paces:
            pace.beat(self.ceiling, workers or len(self.paces), self.now_ns)

    def run(self, seconds: float, *, latency_ms: int = 1, beats: bool = True) -> int:
        """Let all of them write in steps of a millisecond; return how many documents."""
        before = len(self.written)
        for step in range(int(seconds * 1000)):
            if beats and step % 1000 == 0:
                self.beat()
            for pace in self.paces:
                grant = pace.ask(2_000, self.now_ns)
                if grant.documents:
                    self.written.append((self.now_ns, grant.documents))
                    pace.note(latency_ms * MS)
            self.now_ns += MS
        return sum(documents for _, documents in self.written[before:])

    def most_in_a_second(self, since_ns: int = 0) -> int:
        return max(
            sum(n for at, n in self.written if start <= at < start + NS_PER_S)
            for start, _ in self.written
            if start >= since_ns
        )


def a_night(ceiling: int, workers: int = 1) -> Night:
    night = Night(ceiling)
    night.paces = [Pace(LATENCY_MAX_MS) for _ in range(workers)]
    return night


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_ceiling_is_shared_and_used(workers: int) -> None:
    night = a_night(5_000, workers)
    night.run(4)

    total = night.run(10)

    assert 0.97 * 50_000 <= total <= 1.03 * 50_000
    # A grant a worker is what a second may have ahead of its time.
    assert night.most_in_a_second() <= 5_000 + 5_000 // GRANTS_PER_S


def test_a_store_that_nobody_knows_yet_is_met_gently() -> None:
    night = a_night(100_000)

    by_second = [night.run(1) for _ in range(4)]

    assert by_second[0] <= 1_250
    assert all(now <= 2.5 * before for before, now in pairwise(by_second))
    assert by_second[-1] >= 6_000


def test_a_worker_that_had_nothing_to_write_has_learned_nothing() -> None:
    night = a_night(100_000)
    for _ in range(20):
        night.beat()
        night.now_ns += NS_PER_S

    assert night.run(1) <= 1_250


def test_a_lowered_ceiling_is_felt_within_a_second() -> None:
    night = a_night(8_000, 2)
    night.run(5)

    night.ceiling = 100
    since = night.now_ns
    total = night.run(10)

    assert total <= 1_000 + 100 // GRANTS_PER_S
    assert night.most_in_a_second(since) <= 100 + 100 // GRANTS_PER_S


def test_a_raised_ceiling_does_not_wait_for_the_old_ones_debt() -> None:
    night = a_night(1, 8)  # one document in eight seconds, each
    night.run(3)

    night.ceiling = 10_000

    assert night.run(1) >= 9_000


def test_zero_is_a_pause_and_ends_with_the_next_number() -> None:
    night = a_night(5_000, 2)
    night.run(2)

    night.ceiling = 0
    assert night.run(5) == 0
    night.ceiling = 1_000

    assert night.run(5) >= 4_500


def test_a_worker_that_cannot_hear_the_ceiling_stops() -> None:
    night = a_night(5_000)
    night.run(3)
    deaf_since = night.now_ns

    night.run(10, beats=False)

    assert max(at for at, _ in night.written) <= deaf_since + SHARE_LIVES_NS


def test_a_store_that_suffers_is_written_to_at_half_the_speed_and_half_again() -> None:
    night = a_night(1_000_000)  # a ceiling that no store reaches
    night.run(6, latency_ms=10)
    fast = night.paces[0].rate

    night.run(4, latency_ms=LATENCY_MAX_MS + 1)

    assert night.paces[0].is_eased
    assert night.paces[0].rate <= fast / 4


def test_a_store_that_is_well_again_gets_all_of_it_back() -> None:
    night = a_night(2_000)
    night.run(10, latency_ms=LATENCY_MAX_MS + 1)
    eased = night.paces[0].rate

    night.run(60, latency_ms=10)

    assert RATE_MIN <= eased < 500
    assert not night.paces[0].is_eased
    assert night.paces[0].rate == 2_000


@pytest.mark.parametrize("writes", [3, 64])
def test_a_single_slow_write_is_no_trouble(writes: int) -> None:
    night = a_night(2_000)
    night.run(4, latency_ms=10)
    pace = night.paces[0]
    pace._latencies.clear()
    for number in range(writes):
        pace.note((5_000 if number == 1 else 10) * MS)
    night.beat()

    assert not pace.is_eased


def test_shares_never_add_up_to_more_than_any_ceiling_that_was_in_force() -> None:
    chance = random.Random(7)
    night = a_night(1_000, 3)
    for _ in range(30):
        since = night.now_ns
        highest = night.ceiling
        night.ceiling = chance.choice([0, 50, 400, 1_000, 6_000])
        highest = max(highest, night.ceiling)
        night.run(1)
        written = sum(documents for at, documents in night.written if at >= since)
        assert written <= highest * (1 + 1 / GRANTS_PER_S) + len(night.paces)
