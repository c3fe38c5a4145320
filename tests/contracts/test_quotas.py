"""What every `Quotas` keeps, whether it counts in its own memory or in a Redis with others.

A house is one store during one test. Time is explicit in both: memory is handed a clock, and in
Redis `later` shortens what its keys have left to live, which is all the time that it knows.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol, TypeVar

import pytest
import redis.asyncio
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.ports.control import Charge, Quotas
from app.web.quotas.quota import CONNECTIONS_MAX, SlidingQuotas
from app.web.quotas.windows import TIMEOUT_S, SharedWindows
from tests.servers.server import Server, fresh_name

T = TypeVar("T")

POLICIES = {"key": 100, "account": 20}
# Away for this long, the store is asked again.
PATIENCE_MS = 2_001
# Without its time-out of 50 ms a call waits for as long as the store does; a busy machine is late.
HELD_S_MAX = 1.0
# Where the counts matter and not the wait: other tests may want this machine as well.
UNHURRIED_S = 2.0
NOWHERE = "redis://127.0.0.1:1/0"


class HandClock:
    """Time that a test moves by hand; it starts in the middle of a second."""

    def __init__(self) -> None:
        self.ns = 7_500_000_000

    def now(self) -> int:
        return self.ns // 1_000_000

    def monotonic_ns(self) -> int:
        return self.ns

    def random_bits(self, bits: int) -> int:
        return 0


class House(Protocol):
    """Where quotas are counted during one test."""

    name: str  # the subject: nobody else's
    clock: HandClock

    def open(self) -> AbstractAsyncContextManager[Quotas]:
        """Open quotas as a process that has just started would."""

    async def later(self, ms: int) -> None: ...


class MemoryHouse:
    def __init__(self) -> None:
        self.name = "A-1"
        self.clock = HandClock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SlidingQuotas]:
        yield SlidingQuotas(POLICIES, self.clock)

    async def later(self, ms: int) -> None:
        self.clock.ns += ms * 1_000_000


class RedisHouse:
    def __init__(self, server: Server) -> None:
        self.name = fresh_name()
        self.clock = HandClock()
        self.server = server

    @asynccontextmanager
    async def open(
        self, policies: dict[str, int] = POLICIES, timeout_s: float = UNHURRIED_S
    ) -> AsyncIterator[SlidingQuotas]:
        shared = SharedWindows(self.server.url, timeout_s)
        quotas = SlidingQuotas(policies, self.clock, shared)
        self._client = redis.asyncio.Redis.from_url(self.server.url, protocol=2)
        async with self._client:
            try:
                yield quotas
            finally:
                await quotas.close()

    async def later(self, ms: int) -> None:
        self.clock.ns += ms * 1_000_000
        async for key in self._client.scan_iter(match=f"*{self.name}*", count=1_000):
            await self._client.pexpire(key, await self._client.pttl(key) - ms)

    async def copy(self, one: str, other: str) -> None:
        """Give one account's counts to another, with what they have left to live."""
        for part in ("", "/-1"):
            here, there = (f"openbell:{{account/{name}}}{part}" for name in (one, other))
            await self._client.delete(there)
            await self._client.copy(here, there)


@pytest.fixture(params=["memory", "redis"])
def house(request: pytest.FixtureRequest) -> House:
    if request.param == "memory":
        return MemoryHouse()
    return RedisHouse(request.getfixturevalue("redis"))


@pytest.fixture
def shared(redis: Server) -> RedisHouse:
    return RedisHouse(redis)


def within(house: House, life: Callable[[Quotas], Awaitable[None]]) -> None:
    async def live() -> None:
        async with house.open() as quotas:
            await life(quotas)

    asyncio.run(live())


async def take(quotas: Quotas, subject: str, **costs: int) -> bool:
    return (await quotas.take([Charge(p, subject, cost) for p, cost in costs.items()])).allowed


async def room(quotas: Quotas, policy: str, subject: str) -> int:
    """Return what is left, by asking for more than ever fits."""
    return (await quotas.take([Charge(policy, subject, 10_000)])).remaining


def test_what_fits_is_taken_and_what_is_left_is_told(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        first = await quotas.take([Charge("key", house.name, 30), Charge("account", house.name, 5)])
        second = await quotas.take([Charge("key", house.name, 69)])

        assert (first.allowed, first.charge.policy, first.quota) == (True, "account", 20)
        assert (first.remaining, first.fits_in_s) == (15, 0)
        assert (second.allowed, second.remaining) == (True, 1)

    within(house, life)


def test_a_refusal_takes_nothing_under_any_policy(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        refused = await quotas.take(
            [Charge("key", house.name, 50), Charge("account", house.name, 21)]
        )

        assert (refused.allowed, refused.charge.policy, refused.remaining) == (False, "account", 20)
        assert await room(quotas, "key", house.name) == 100
        assert await take(quotas, house.name, key=100, account=20)

    within(house, life)


def test_who_has_spent_it_all_leaves_the_others_theirs(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        assert await take(quotas, house.name, account=20)

        assert not await take(quotas, house.name, account=1)
        assert await take(quotas, f"{house.name}-2", account=20)
        assert await take(quotas, house.name, key=100)

    within(house, life)


def test_many_subjects_pay_together_or_not_at_all(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        accounts = [Charge("account", f"{house.name}-{i}", 1) for i in range(100)]
        assert (await quotas.take(accounts)).allowed
        assert await take(quotas, f"{house.name}-99", account=19)

        refused = await quotas.take([*accounts, Charge("key", house.name, 100)])

        assert (refused.allowed, refused.charge) == (False, accounts[99])
        assert await room(quotas, "account", f"{house.name}-0") == 19
        assert await room(quotas, "key", house.name) == 100

    within(house, life)


def test_what_was_taken_fades_in_the_second_after_its_own(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        assert await take(quotas, house.name, key=100)
        # Memory turns at the clock's full second, Redis a second after the first hit.
        await house.later(500 if isinstance(house, MemoryHouse) else 1_000)

        assert await room(quotas, "key", house.name) < 10
        await house.later(500)
        assert 45 <= await room(quotas, "key", house.name) < 60
        await house.later(500)
        assert await room(quotas, "key", house.name) == 100

    within(house, life)


def test_who_is_refused_is_told_when_it_will_fit(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        assert await take(quotas, house.name, key=60)
        refused = await quotas.take([Charge("key", house.name, 70)])
        assert not refused.allowed

        wait_ms = round(refused.fits_in_s * 1_000)
        await house.later(wait_ms - 100)
        assert not await take(quotas, house.name, key=70)
        await house.later(102)
        assert await take(quotas, house.name, key=70)

    within(house, life)


def test_what_never_fits_is_refused_and_costs_nothing(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        refused = await quotas.take([Charge("account", house.name, 21)])

        assert (refused.allowed, refused.remaining, refused.fits_in_s) == (False, 20, 1)
        assert await take(quotas, house.name, account=20)

    within(house, life)


def test_a_steady_caller_below_its_quota_is_never_refused(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        for _ in range(60):  # 18 a second, of 20
            assert await take(quotas, house.name, account=1)
            await house.later(56)

    within(house, life)


@pytest.mark.parametrize("seed", range(5))
def test_no_second_holds_twice_the_quota(house: House, seed: int) -> None:
    chance = random.Random(seed)

    async def life(quotas: Quotas) -> None:
        granted: list[tuple[int, int]] = []
        for _ in range(4_000 if isinstance(house, MemoryHouse) else 150):
            cost = chance.choice([1, 1, 1, 5, 20])
            if await take(quotas, house.name, account=cost):
                granted.append((house.clock.ns, cost))
            await house.later(chance.choice([0, 0, 1, 10, 400]))

        seconds = (house.clock.ns - granted[0][0]) / 1e9
        total = sum(cost for _, cost in granted)
        assert worst_second(granted) < 2 * POLICIES["account"]
        assert 5 * seconds < total <= POLICIES["account"] * (seconds + 2)

    within(house, life)


def worst_second(granted: list[tuple[int, int]]) -> int:
    worst = running = first = 0
    for at, cost in granted:
        running += cost
        while granted[first][0] <= at - 1_000_000_000:
            running -= granted[first][1]
            first += 1
        worst = max(worst, running)
    return worst


def test_a_step_of_the_wall_clock_grants_nothing() -> None:
    house = MemoryHouse()

    async def life(quotas: Quotas) -> None:
        assert await take(quotas, house.name, account=20)
        house.clock.now = lambda: 2_000_000_000_000  # type: ignore[method-assign]

        assert not await take(quotas, house.name, account=1)

    within(house, life)


def test_memory_forgets_who_was_not_there_for_two_seconds() -> None:
    clock = HandClock()
    quotas = SlidingQuotas(POLICIES, clock)

    async def life() -> None:
        for second in range(5):
            for i in range(1_000):
                await take(quotas, f"{second}-{i}", account=1)
            clock.ns += 1_000_000_000

    asyncio.run(life())
    assert quotas._local.size() <= 2_000


def test_the_strategy_of_limits_reads_and_writes_the_same_counts(house: House) -> None:
    async def life(quotas: Quotas) -> None:
        assert isinstance(quotas, SlidingQuotas)
        theirs = SlidingWindowCounterRateLimiter(quotas._shared or quotas._local)
        item = quotas._items["account"]

        assert await take(quotas, house.name, account=12)
        assert (await theirs.get_window_stats(item, "account", house.name)).remaining == 8
        assert await theirs.hit(item, "account", house.name, cost=8)
        assert not await take(quotas, house.name, account=1)
        assert not await theirs.hit(item, "account", house.name)

    within(house, life)


def test_limits_itself_would_have_decided_the_same(shared: RedisHouse) -> None:
    chance = random.Random(3)
    ours, theirs = f"{shared.name}-ours", f"{shared.name}-theirs"
    compared = 0

    async def same_step(quotas: SlidingQuotas, cost: int) -> bool:
        """Let both decide from the same counts; False where the machine paused meanwhile."""
        limiter = SlidingWindowCounterRateLimiter(quotas._shared or quotas._local)
        item = quotas._items["account"]
        began = asyncio.get_running_loop().time()
        await shared.copy(ours, theirs)
        allowance = await quotas.take([Charge("account", ours, cost)])
        granted = await limiter.hit(item, "account", theirs, cost=cost)
        left = await limiter.get_window_stats(item, "account", theirs)
        if asyncio.get_running_loop().time() - began > 0.02:  # a twentieth fades in 50 ms
            return False

        for_us = allowance.remaining + cost * allowance.allowed
        for_them = left.remaining + cost * granted
        assert abs(for_us - for_them) <= 1
        assert allowance.allowed == (for_us >= cost)
        return True

    async def life() -> None:
        nonlocal compared
        async with shared.open() as quotas:
            for _ in range(60):
                compared += await same_step(quotas, chance.choice([1, 3, 8]))
                await shared.later(chance.choice([0, 90, 260, 700]))

    asyncio.run(life())
    assert compared > 0


def test_two_processes_share_one_quota(shared: RedisHouse) -> None:
    async def life() -> None:
        async with shared.open() as one, shared.open() as other:
            granted = [
                await take(quotas, shared.name, account=1)
                for _ in range(20)
                for quotas in (one, other)
            ]

            assert granted == [True] * 20 + [False] * 20
            assert not one.degraded
            assert not other.degraded

    asyncio.run(life())


def test_a_new_quota_goes_on_with_the_old_counts(shared: RedisHouse) -> None:
    async def life() -> None:
        async with shared.open() as before, shared.open({"account": 30}) as after:
            assert await take(before, shared.name, account=20)

            assert await room(after, "account", shared.name) == 10

    asyncio.run(life())


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await work, loop.time() - began


def test_a_frozen_store_holds_nobody_and_grants_no_second_quota(shared: RedisHouse) -> None:
    shared.server.needs("freeze")

    async def life() -> None:
        async with shared.open(timeout_s=TIMEOUT_S) as quotas:
            assert await take(quotas, shared.name, account=15)
            with shared.server.freeze():
                allowed, first_s = await timed(take(quotas, shared.name, account=1))
                rest = [await timed(take(quotas, shared.name, account=1)) for _ in range(10)]

                assert allowed
                assert first_s < HELD_S_MAX
                assert quotas.degraded
                assert [allowed for allowed, _ in rest] == [True] * 4 + [False] * 6
                assert sum(seconds for _, seconds in rest) < HELD_S_MAX

            looks: list[bool] = []
            while len(looks) < 50 and not any(looks):  # it may answer late on a busy machine
                shared.clock.ns += PATIENCE_MS * 1_000_000
                await take(quotas, shared.name, account=1)
                looks.append(not quotas.degraded)
            assert any(looks)

    asyncio.run(life())


def test_only_one_caller_finds_out_whether_the_store_is_back(shared: RedisHouse) -> None:
    shared.server.needs("freeze")

    async def life() -> None:
        async with shared.open(timeout_s=TIMEOUT_S) as quotas:
            with shared.server.freeze():
                await take(quotas, shared.name, key=1)
                shared.clock.ns += PATIENCE_MS * 1_000_000
                waits = await asyncio.gather(
                    *(timed(take(quotas, shared.name, key=1)) for _ in range(20))
                )

            slow = [seconds for _, seconds in waits if seconds > 0.03]
            assert all(allowed for allowed, _ in waits)
            assert len(slow) == 1
            assert slow[0] < HELD_S_MAX

    asyncio.run(life())


def test_after_a_thaw_every_answer_belongs_to_its_question(shared: RedisHouse) -> None:
    shared.server.needs("freeze")

    async def life() -> None:
        async with shared.open(timeout_s=0.2) as quotas:
            names = [f"{shared.name}-{i}" for i in range(40)]
            with shared.server.freeze():
                await asyncio.gather(*(take(quotas, name, key=7) for name in names))
            # Whatever still lies in a connection belongs to those who went away.
            shared.clock.ns += PATIENCE_MS * 1_000_000
            await take(quotas, shared.name, key=1)
            asked = [Charge("key", f"{name}-new", 1 + i) for i, name in enumerate(names)]
            found = await asyncio.gather(*(quotas.take([charge]) for charge in asked))

            assert not quotas.degraded
            assert [one.remaining for one in found] == [99 - i for i in range(40)]

    asyncio.run(life())


def test_a_killed_store_is_missed_by_nobody_and_found_again(shared: RedisHouse) -> None:
    shared.server.needs("kill")

    async def life() -> None:
        async with shared.open(timeout_s=TIMEOUT_S) as quotas:
            assert await take(quotas, shared.name, account=15)
            was_there = quotas.degraded
            shared.server.kill()
            granted = [await timed(take(quotas, shared.name, account=1)) for _ in range(7)]
            assert [allowed for allowed, _ in granted] == [True] * 5 + [False] * 2
            assert max(seconds for _, seconds in granted) < HELD_S_MAX
            went_away = quotas.degraded

            shared.server.start()
            assert not await take(quotas, shared.name, account=1)
            for _ in range(50):  # one that has just started may answer late on a busy machine
                shared.clock.ns += PATIENCE_MS * 1_000_000
                assert await take(quotas, shared.name, account=1)
                if not quotas.degraded:
                    break
            assert (was_there, went_away, quotas.degraded) == (False, True, False)
            assert await room(quotas, "account", shared.name) == 19

    asyncio.run(life())


def test_a_store_that_was_never_there_is_no_reason_to_refuse() -> None:
    async def life() -> None:
        quotas = SlidingQuotas(POLICIES, HandClock(), SharedWindows(NOWHERE))

        assert await take(quotas, "A-1", account=20)
        assert not await take(quotas, "A-1", account=1)
        assert quotas.degraded
        await quotas.close()

    asyncio.run(life())


def test_a_store_that_refuses_to_count_is_away(shared: RedisHouse) -> None:
    async def life() -> None:
        async with redis.asyncio.Redis.from_url(shared.server.url, protocol=2) as client:
            await client.set(f"openbell:{{account/{shared.name}}}", "no number")
        async with shared.open() as quotas:
            assert await take(quotas, shared.name, account=1)
            assert quotas.degraded

    asyncio.run(life())


def test_a_store_that_talks_nonsense_is_away() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1_000):
            writer.write(b"+OK\r\n+OK\r\n")
        writer.close()

    async def life() -> None:
        async with await asyncio.start_server(nonsense, "127.0.0.1") as server:
            port = server.sockets[0].getsockname()[1]
            quotas = SlidingQuotas(
                POLICIES, HandClock(), SharedWindows(f"redis://127.0.0.1:{port}")
            )

            assert await take(quotas, "A-1", account=20)
            assert not await take(quotas, "A-1", account=1)
            assert quotas.degraded
            await quotas.close()

    asyncio.run(life())


def test_an_old_answer_in_a_connection_is_thrown_away(shared: RedisHouse) -> None:
    async def life() -> None:
        async with shared.open() as quotas:
            assert quotas._shared is not None
            assert await take(quotas, shared.name, account=3)
            pool = quotas._shared._client.connection_pool
            connection = await pool.get_connection()
            await connection.send_command("PING")
            async with asyncio.timeout(UNHURRIED_S):
                while not await connection.can_read():  # noqa: ASYNC110 - there is no event for it
                    await asyncio.sleep(0)
            await pool.release(connection)

            assert await room(quotas, "account", shared.name) == 17
            assert not quotas.degraded

    asyncio.run(life())


def test_a_crowd_shares_a_few_connections(shared: RedisHouse) -> None:
    async def life() -> None:
        async with redis.asyncio.Redis.from_url(shared.server.url, protocol=2) as client:
            before = len(await client.client_list())
            async with shared.open() as quotas:
                await asyncio.gather(*(take(quotas, shared.name, key=1) for _ in range(150)))

                assert len(await client.client_list()) - before <= CONNECTIONS_MAX
            assert await client.pttl(f"openbell:{{key/{shared.name}}}") > 0

    asyncio.run(life())
