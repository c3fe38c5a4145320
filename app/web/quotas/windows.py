"""Two storages for `limits`: this process's memory, and a Redis that all API processes share.

Both keep what `limits` calls a sliding window counter: the count of the second that runs, and
that of the one before, which fades. Both can do what `limits` cannot, one hit over several
limits at once, all or nothing: a batch that its account refuses costs its key nothing.

The edges filed off, each with a test:

- `limits`' own memory storage reads wall time (a step of two seconds granted a second quota) and
  looks at every key on every hit (0.7 ms with 10,000 of them): ours is handed a monotonic clock
  and turns two dictionaries over once a second, so it holds what two seconds brought, no more;
- a Redis that stands still held a default client for seconds: every wait here is 50 ms;
- a client that tries again counts twice: there is no second try;
- with RESP3, redis-py does not look whether an old answer still lies in a connection: RESP2.
"""

from collections.abc import Callable, Sequence
from math import floor
from typing import Final, NamedTuple, Protocol

from limits.aio.storage import RedisStorage, SlidingWindowCounterSupport, Storage
from limits.aio.storage.redis.redispy import RedispyBridge

SECOND_NS: Final = 1_000_000_000
TIMEOUT_S: Final = 0.05
PREFIX: Final = "openbell"


class Window(NamedTuple):
    """Two neighbouring seconds of one key: what each counted, and how long each still counts.

    `current_s` is from 2 to 1 while its second runs; `previous_s` fades from 1 to 0.
    """

    previous: int
    previous_s: float
    current: int
    current_s: float

    def used(self) -> int:
        """Return what counts now."""
        return floor(self.previous * self.previous_s) + self.current

    def fits_in_s(self, quota: int, cost: int) -> float:
        """Return when `cost` fits, if nothing else comes; a second where it never will."""
        room = quota - cost
        if room < 0:
            return 1.0
        if self.current <= room:
            return _fades_to(room - self.current, self.previous, self.previous_s)
        left_s = max(0.0, self.current_s - 1)
        return left_s + _fades_to(room, self.current, 1.0)


def _fades_to(room: int, count: int, now_s: float) -> float:
    """Return the seconds until a count that fades is less than `room` + 1."""
    if count * now_s < room + 1:
        return 0.0
    return now_s - (room + 1) / count


class Entry(NamedTuple):
    """One of several limits that a hit asks."""

    key: str
    limit: int
    cost: int


class Hit(NamedTuple):
    """What became of a hit: the limit with the least room, and its window as it was before."""

    granted: bool
    tightest: int
    window: Window


class Windows(Protocol):
    """What both storages can do, beyond what `limits` asks of them."""

    async def acquire_all(self, entries: Sequence[Entry]) -> Hit:
        """Count every entry, or none of them if one has no room."""


class LocalWindows(Storage, SlidingWindowCounterSupport):
    """The counts of this process. Nothing here ever waits, so a look and a hit are one."""

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._second = 0
        self._current: dict[str, int] = {}
        self._previous: dict[str, int] = {}

    async def acquire_all(self, entries: Sequence[Entry]) -> Hit:
        left_s = self._turn()
        windows = [self._window(entry.key, left_s) for entry in entries]
        rooms = [e.limit - e.cost - w.used() for e, w in zip(entries, windows, strict=True)]
        least = min(rooms)
        tightest = rooms.index(least)
        if least >= 0:
            self._add(entries)
        return Hit(least >= 0, tightest, windows[tightest])

    def note(self, entries: Sequence[Entry]) -> None:
        """Count what was granted elsewhere, room or not."""
        self._turn()
        self._add(entries)

    def size(self) -> int:
        """Return how many keys are held, for the proof that they are bounded."""
        return len(self._current) + len(self._previous)

    async def acquire_sliding_window_entry(
        self, key: str, limit: int, expiry: int, amount: int = 1
    ) -> bool:
        assert expiry == 1, f"expected a window of one second, was {expiry}"
        return (await self.acquire_all([Entry(key, limit, amount)])).granted

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        assert expiry == 1, f"expected a window of one second, was {expiry}"
        previous, previous_s, current, current_s = self._window(key, self._turn())
        return previous, previous_s, current, current_s

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - limits' port
        self._current.pop(key, None)
        self._previous.pop(key, None)

    def _turn(self) -> float:
        """Begin a new second if it is time; return how much of the running one is left."""
        second, into_ns = divmod(self._clock(), SECOND_NS)
        if second != self._second:
            self._previous = self._current if second == self._second + 1 else {}
            self._current = {}
            self._second = second
        return 1 - into_ns / SECOND_NS

    def _window(self, key: str, left_s: float) -> Window:
        previous, current = self._previous.get(key, 0), self._current.get(key, 0)
        return Window(previous, left_s, current, 1 + left_s)

    def _add(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._current[entry.key] = self._current.get(entry.key, 0) + entry.cost

    async def clear(self, key: str) -> None:
        await self.clear_sliding_window(key, 1)

    async def reset(self) -> int | None:
        held = self.size()
        self._current, self._previous = {}, {}
        return held

    async def check(self) -> bool:
        return True

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("a window slides; it has no fixed counters")

    async def get(self, key: str) -> int:
        raise NotImplementedError("a window slides; it has no fixed counters")

    async def get_expiry(self, key: str) -> float:
        raise NotImplementedError("a window slides; it has no fixed counters")


# The layout is that of limits, so that its own strategy reads and writes the same counts: those
# of the running second lie under the key and live two seconds, and with less than one of them
# left they become the previous second's, under `key/-1`. Redis runs a script as one step.
_ACQUIRE_ALL: Final = """
local least, tightest, window
for i, key in ipairs(KEYS) do
  local before = key .. '/-1'
  local ttl = redis.call('PTTL', key)
  if ttl >= 0 and ttl < 1000 then
    redis.call('RENAME', key, before)
    ttl = ttl + 1000
    redis.call('SET', key, 0, 'PX', ttl)
  end
  local previous = tonumber(redis.call('GET', before) or 0)
  local fades = math.max(0, redis.call('PTTL', before))
  local current = tonumber(redis.call('GET', key) or 0)
  local limit, cost = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local room = limit - cost - math.floor(previous * fades / 1000) - current
  if not least or room < least then
    least, tightest = room, i - 1
    window = {previous, fades, current, ttl < 0 and 2000 or ttl}
  end
end
if least >= 0 then
  for i, key in ipairs(KEYS) do
    redis.call('INCRBY', key, ARGV[2 * i])
    if redis.call('PTTL', key) < 0 then
      redis.call('PEXPIRE', key, 2000)
    end
  end
end
return {least >= 0 and 1 or 0, tightest, unpack(window)}
"""


class SharedWindows(RedisStorage):
    """The counts of all processes, in one Redis; whatever goes wrong there is raised."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        super().__init__(
            url,
            implementation="redispy",
            key_prefix=PREFIX,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            protocol=2,
        )
        self.timeout_s = timeout_s
        assert isinstance(self.bridge, RedispyBridge)
        self._client = self.bridge.storage
        self._acquire_all = self._client.register_script(_ACQUIRE_ALL)
        redis_error = self.bridge.dependency.RedisError
        self.failures: tuple[type[Exception], ...] = (redis_error, TimeoutError, OSError)

    async def acquire_all(self, entries: Sequence[Entry]) -> Hit:
        keys = [self.bridge.prefixed_key(self._current_window_key(e.key)) for e in entries]
        amounts = [number for entry in entries for number in (entry.limit, entry.cost)]
        answer = await self._acquire_all(keys, amounts)
        if not isinstance(answer, list) or len(answer) != len(Window._fields) + 2:
            raise OSError(f"expected a hit, was {type(answer).__name__}")
        granted, tightest, previous, fades, current, ttl = answer
        return Hit(bool(granted), tightest, Window(previous, fades / 1000, current, ttl / 1000))

    async def close(self) -> None:
        await self._client.aclose()
