"""A permit that waits for its connection counts from when its bytes leave, and not before."""

import asyncio
import random
from collections.abc import Callable

import pytest

from app.dispatch.permits import LATE_NS, Permits
from tests.virtual import NS_PER_S, Virtual

N = 20
Delay = Callable[[int], float]


def sent(virtual: Virtual, requests: int, delay_s: Delay) -> list[int]:
    """Let requests take their permits, wait, and ask once more; return when those left that may."""
    left: list[int] = []

    async def request(permits: Permits, place: int) -> None:
        await permits.take(1)
        permits.leaving()
        await asyncio.sleep(delay_s(place))
        if permits.too_late() is None:
            assert permits.too_late() is None  # asked of each order of a batch
            left.append(virtual.clock.monotonic_ns())

    async def story() -> None:
        permits = Permits(virtual.clock, N, 1_000)
        await asyncio.sleep(1)  # born shut
        async with asyncio.TaskGroup() as requests_:
            for place in range(requests):
                requests_.create_task(request(permits, place))

    virtual.run(story())
    return sorted(left)


def worst_second(at: list[int]) -> int:
    return max(sum(end - NS_PER_S < t <= end for t in at) for end in at)


def test_a_line_that_comes_back_lets_no_burst_out(virtual: Virtual) -> None:
    """For two seconds no connection is made; then all of them are, at one instant."""
    began = virtual.clock.monotonic_ns()

    def until_it_is_back(_place: int) -> float:
        return max(0.0, 3.5 - (virtual.clock.monotonic_ns() - began) / NS_PER_S)

    at = sent(virtual, 5 * N, until_it_is_back)

    assert worst_second(at) <= N
    assert len(at) > 2 * N  # who came while it was away goes back, the others go


@pytest.mark.parametrize("seed", range(8))
def test_no_second_holds_more_whatever_each_waits(virtual: Virtual, seed: int) -> None:
    die = random.Random(seed)
    at = sent(virtual, 8 * N, lambda _place: die.choice([0.0, 0.01, die.uniform(0, 3)]))

    assert worst_second(at) <= N


def test_a_request_that_waits_less_than_a_second_keeps_its_permit(virtual: Virtual) -> None:
    """A broker that is half a second away is as fast as any other."""
    at = sent(virtual, 5 * N, lambda _place: 0.5)

    assert len(at) == 5 * N


class Ticking:
    """A clock as it is: each look at it is later than the one before."""

    def __init__(self) -> None:
        self.ns = 0

    def now(self) -> int:
        return self.ns // 1_000_000

    def monotonic_ns(self) -> int:
        self.ns += 1_000
        return self.ns

    def random_bits(self, bits: int) -> int:
        raise NotImplementedError(bits)


def test_a_batch_that_is_asked_about_order_by_order_counts_once(virtual: Virtual) -> None:
    clock = Ticking()
    permits = Permits(clock, N, 1)
    left = 0

    async def request() -> None:
        nonlocal left
        while not permits.take_now(1)[0]:
            clock.ns += NS_PER_S // 100
        permits.leaving()
        for _ in range(100):
            clock.ns += 2 * LATE_NS // 100
            assert permits.too_late() is None
        left += 1

    async def story() -> None:
        for _ in range(5 * N):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(request())

    virtual.run(story())
    assert left == 5 * N
    assert clock.ns < 7 * NS_PER_S  # at the pace that its number allows


def test_nobody_is_late_who_made_no_request(virtual: Virtual) -> None:
    permits = Permits(virtual.clock, N, 1)
    assert permits.too_late() is None


def test_without_a_limit_nobody_is_late(virtual: Virtual) -> None:
    async def story() -> None:
        permits = Permits(virtual.clock, None, 1)
        await permits.take(1)
        permits.leaving()
        await asyncio.sleep(5)
        assert permits.too_late() is None

    virtual.run(story())
