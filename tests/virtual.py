"""Virtual time: a whole trading session passes in milliseconds, and the same way each time.

To sleep is to move the clock. When nothing can run now, the loop jumps to the next timer, so
a test may wait for the close without waiting. Time is whole nanoseconds, so a limit of "N in
any second" can be checked to the last one.

The trap: a loop that waits for a thread or a socket looks idle, and its clock would jump past
their work. So nothing here waits for the world: a function handed to an executor runs inline,
and a loop that only the world could wake says so at once. Tests with real servers take a real
loop and `tests.eventually`.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

T = TypeVar("T")

# One minute before the bell of a plain day: Monday 2 March 2026, 09:29 in New York (EST).
BEFORE_THE_BELL = int(datetime(2026, 3, 2, 14, 29, tzinfo=UTC).timestamp() * 1000)
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class NothingCanEverRun(RuntimeError):
    """Every task waits, and no timer is set: a deadlock, or a wait for a thread or a socket."""


class _NeverWaits(selectors.BaseSelector):
    """Knows no sockets: where another selector would wait, it moves the clock."""

    def __init__(self) -> None:
        self.now_ns = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        self._keys[fileobj] = selectors.SelectorKey(fileobj, fd, events, data)
        return self._keys[fileobj]

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise NothingCanEverRun("every task waits, and no timer is set")
        # Whoever waits for less than half a nanosecond waits for one: else it would be for ever.
        self.now_ns += max(timeout > 0, round(timeout * NS_PER_S))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps. With a seed it also shuffles what may run now.

    Without one, callbacks run in the order in which they were made ready, as asyncio promises.
    The shuffle is wider than that promise: before a failure that only it shows is called a
    bug, reproduce it with a delay in a port.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._never_waits = _NeverWaits()
        self._schedule = None if seed is None else random.Random(f"{seed}:schedule")
        super().__init__(self._never_waits)

    @property
    def now_ns(self) -> int:
        return self._never_waits.now_ns

    def time(self) -> float:
        return self.now_ns / NS_PER_S

    def held_for(self, ns: int) -> None:
        """Pass time as a callback does that lets nobody else run."""
        self._never_waits.now_ns += ns

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Run `func` on this thread, a turn later: the caller has to wait, the clock does not."""
        future: asyncio.Future[T] = self.create_future()

        def work() -> None:
            if future.cancelled():
                return
            try:
                result = func(*args)
            except Exception as e:  # noqa: BLE001 - the one who waits for it gets it
                future.set_exception(e)
            else:
                future.set_result(result)

        self.call_soon(work)
        return future

    def _run_once(self) -> None:
        # CPython's own names (3.11 to 3.14); `test_a_seed_changes_the_order...` pins them.
        if self._schedule is not None:
            ready: Any = self._ready  # type: ignore[attr-defined]
            shuffled = list(ready)
            self._schedule.shuffle(shuffled)
            ready.clear()
            ready.extend(shuffled)
        super()._run_once()  # type: ignore[misc]


class VirtualClock:
    """An `app.clock.Clock` on a virtual loop: wall time can be stepped, chance is seeded."""

    def __init__(self, loop: VirtualLoop, *, now: int = BEFORE_THE_BELL, seed: int = 0) -> None:
        self._loop = loop
        # Wall time at monotonic zero, in milliseconds. Set it to step the wall.
        self.wall_offset = now
        self._random = random.Random(f"{seed}:clock")

    def now(self) -> int:
        return self.wall_offset + self.monotonic_ns() // NS_PER_MS

    def monotonic_ns(self) -> int:
        return self._loop.now_ns

    def random_bits(self, bits: int) -> int:
        return self._random.getrandbits(bits)

    def set_now(self, now: int) -> None:
        """Step the wall clock to `now`, as an operator or a time server would."""
        self.wall_offset += now - self.now()


class Virtual:
    """A loop and its clock for one test; `run` may be called again, and time goes on."""

    def __init__(self, *, seed: int | None = None, now: int = BEFORE_THE_BELL) -> None:
        self.loop = VirtualLoop(seed)
        self.clock = VirtualClock(self.loop, now=now, seed=seed or 0)
        self._runner = asyncio.Runner(loop_factory=lambda: self.loop)

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._runner.close()

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(scenario)


def run_virtual(
    scenario: Callable[[VirtualClock], Coroutine[Any, Any, T]],
    *,
    seed: int | None = None,
    now: int = BEFORE_THE_BELL,
) -> T:
    """Run one scenario from start to end in virtual time: `run_virtual(scenario)`."""
    with Virtual(seed=seed, now=now) as virtual:
        return virtual.run(scenario(virtual.clock))
