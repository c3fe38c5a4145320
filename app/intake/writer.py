"""Group commit: what arrives while one commit runs shares the next one.

At rest an order waits for nobody; under load hundreds share one fsync. The queue is bounded in
entries and in the age of its oldest, because an answer that comes too late is no answer: what
does not fit is refused at once, and then no order exists.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from app.clock import Clock
from app.domain.errors import Busy, Code
from app.domain.records import Conflict, Taken, Taking
from app.domain.signs import CommitPace, quantile
from app.ports.away import StoreAway
from app.ports.orders import OrderStore

# The statement's cost per order is flat from about 128 on; more only adds latency.
BATCH_ORDERS_MAX: Final = 256
# About 400 ms of durable writing: more would only be answered after the client has given up.
QUEUE_ORDERS_MAX: Final = 4_096
OLDEST_MS_MAX: Final = 250
RETRY_AFTER_S: Final = 1.0
NS: Final = 1_000_000
# What a screen is told of: the commits of the last minute, and no more than so many.
PACE_NS: Final = 60_000 * NS
COMMITS_KEPT: Final = 1_024

Result = Taken | Conflict


class _Group(NamedTuple):
    entries: Sequence[Taking]
    done: asyncio.Future[list[Result]]
    since_ns: int


class _Commit(NamedTuple):
    at_ns: int
    orders: int
    took_ms: float


class Writer:
    """The only way of an order to disk."""

    def __init__(
        self,
        store: OrderStore,
        clock: Clock,
        on_group: Callable[[int], None] = lambda _size: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._on_group = on_group
        self._queue: deque[_Group] = deque()
        self._waiting = 0
        self._wake = asyncio.Event()
        self._draining = False
        self._commits: deque[_Commit] = deque(maxlen=COMMITS_KEPT)
        self.running = False

    async def take(self, entries: Sequence[Taking]) -> list[Result]:
        """Commit the entries with whatever else waits, or raise `Busy`: then none exists."""
        if self._draining:
            raise Busy(Code.DRAINING, RETRY_AFTER_S)
        now = self._clock.monotonic_ns()
        if self._waiting and (
            self._waiting + len(entries) > QUEUE_ORDERS_MAX
            or now - self._queue[0].since_ns > OLDEST_MS_MAX * NS
        ):
            raise Busy(Code.OVERLOADED, RETRY_AFTER_S)
        done: asyncio.Future[list[Result]] = asyncio.get_running_loop().create_future()
        self._queue.append(_Group(entries, done, now))
        self._waiting += len(entries)
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Commit group after group; returns when drained. A failed commit ends the process."""
        self.running = True
        try:
            while not (self._draining and not self._queue):
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                await self._commit(self._next())
        finally:
            self.running = False
            self._turn_away()

    def _turn_away(self) -> None:
        """Answer those whose turn never came: nobody will write for them any more."""
        self._draining = True
        while self._queue:
            _fail(self._queue.popleft(), Code.DRAINING)  # no order of theirs exists
        self._waiting = 0

    def drain(self) -> None:
        """Take nothing new; `run` returns when what waits is on disk."""
        self._draining = True
        self._wake.set()

    def pace(self) -> CommitPace:
        """Return how the commits of the last minute did."""
        since = self._clock.monotonic_ns() - PACE_NS
        of_late = [commit for commit in self._commits if commit.at_ns > since]
        took = sorted(commit.took_ms for commit in of_late)
        return CommitPace(
            running=self.running,
            waiting=self._waiting,
            commits=len(of_late),
            orders=sum(commit.orders for commit in of_late),
            p50_ms=quantile(took, 0.5),
            p99_ms=quantile(took, 0.99),
        )

    def _next(self) -> list[_Group]:
        groups: list[_Group] = []
        size = 0
        while self._queue and (
            not groups or size + len(self._queue[0].entries) <= BATCH_ORDERS_MAX
        ):
            groups.append(self._queue.popleft())
            size += len(groups[-1].entries)
        self._waiting -= size
        self._on_group(size)
        return groups

    async def _commit(self, groups: list[_Group]) -> None:
        entries = [entry for group in groups for entry in group.entries]
        began_ns = self._clock.monotonic_ns()
        try:
            results = await self._store.take(entries)
        except StoreAway:
            # The store did not come back in time: whoever waits asks again, with the same ids.
            for group in groups:
                _fail(group, Code.COMMIT_OUTCOME_UNKNOWN)
            return
        except BaseException:
            # It may be on disk: the client asks again with the same id, and we recover.
            for group in groups:
                _fail(group, Code.COMMIT_OUTCOME_UNKNOWN)
            raise
        now_ns = self._clock.monotonic_ns()
        self._commits.append(_Commit(now_ns, len(entries), (now_ns - began_ns) / NS))
        start = 0
        for group in groups:
            end = start + len(group.entries)
            if not group.done.done():  # the client may have gone; its orders stay
                group.done.set_result(results[start:end])
            start = end


def _fail(group: _Group, code: Code) -> None:
    if not group.done.done():
        group.done.set_exception(Busy(code, RETRY_AFTER_S))
