"""Virtual time keeps its promises: it jumps, it is exact, it repeats, and it owns up."""

import asyncio

import pytest

from app.clock import Clock
from tests.eventually import eventually
from tests.virtual import (
    BEFORE_THE_BELL,
    NothingCanEverRun,
    Virtual,
    VirtualClock,
    VirtualLoop,
    run_virtual,
)


def test_a_whole_session_passes_in_no_time() -> None:
    async def session(clock: VirtualClock) -> int:
        beats = 0
        while clock.monotonic_ns() < 6.5 * 3600 * 1e9:
            await asyncio.sleep(0.25)
            beats += 1
        return beats

    assert run_virtual(session) == 93_600


def test_both_clocks_move_with_the_loop_to_the_nanosecond(virtual: Virtual) -> None:
    clock: Clock = virtual.clock
    virtual.run(asyncio.sleep(60.000_000_001))

    assert clock.monotonic_ns() == 60_000_000_001
    assert clock.now() == BEFORE_THE_BELL + 60_000


def test_a_wait_that_is_shorter_than_a_nanosecond_ends(virtual: Virtual) -> None:
    async def waits() -> None:
        async with asyncio.timeout(1e-12):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        virtual.run(waits())


def test_a_step_of_the_wall_moves_no_timer(virtual: Virtual) -> None:
    virtual.run(asyncio.sleep(1))
    virtual.clock.set_now(BEFORE_THE_BELL - 3_600_000)

    assert virtual.clock.now() == BEFORE_THE_BELL - 3_600_000
    assert virtual.clock.monotonic_ns() == 1_000_000_000


def test_chance_repeats_with_its_seed() -> None:
    first, second = (VirtualClock(loop, seed=7) for loop in two_loops())

    assert [first.random_bits(80) for _ in range(9)] == [second.random_bits(80) for _ in range(9)]


def two_loops() -> tuple[VirtualLoop, VirtualLoop]:
    loops = VirtualLoop(), VirtualLoop()
    for loop in loops:
        loop.close()
    return loops


def order_of_ten_tasks(seed: int | None) -> list[int]:
    ran: list[int] = []

    async def mark(number: int) -> None:
        await asyncio.sleep(0)
        ran.append(number)

    async def scenario(_: VirtualClock) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(mark(number))

    run_virtual(scenario, seed=seed)
    return ran


def test_a_seed_changes_the_order_of_what_may_run_now_and_repeats_it() -> None:
    assert order_of_ten_tasks(None) == list(range(10))
    assert order_of_ten_tasks(3) == order_of_ten_tasks(3)
    assert len({tuple(order_of_ten_tasks(seed)) for seed in range(5)}) == 5


def test_a_deadlock_says_so_instead_of_hanging(virtual: Virtual) -> None:
    with pytest.raises(NothingCanEverRun):
        virtual.run(asyncio.Event().wait())


def test_work_for_a_thread_runs_inline_and_takes_no_time(virtual: Virtual) -> None:
    assert virtual.run(asyncio.to_thread(sum, [1, 2, 3])) == 6
    with pytest.raises(ZeroDivisionError):
        virtual.run(asyncio.to_thread(divmod, 1, 0))
    assert virtual.clock.monotonic_ns() == 0


def test_eventually_returns_the_first_true_answer_and_names_what_never_came() -> None:
    answers = iter([0, None, 42])
    assert asyncio.run(eventually(lambda: next(answers))) == 42

    def never() -> bool:
        return False

    with pytest.raises(AssertionError, match=r"never was still False after 0.02 s"):
        asyncio.run(eventually(never, timeout_s=0.02))
