"""The hard cap: no second, minute or day holds more sends than the broker's contract says.

The pacer spaces the sends and may be a hair above N; this log counts what really left and makes
it N. It is `limits`' moving window over a storage of our own, and this file alone knows `limits`
on the way to a broker. The edges filed off:

- its memory storage reads wall time (a step of two seconds granted a second quota) and starts a
  thread: ours is handed a monotonic clock in nanoseconds, and owns no thread;
- its key holds the amount, so each turn of the dial started an empty window: ours leaves it out,
  and the history stays;
- a hit is all or nothing: `take` looks at the room in every window first and grants a part.

A restart begins shut for one second, whatever the dial does meanwhile: the process before us may
have just spent a whole second's worth.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
    parse,
)
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

SECOND_NS: Final = 1_000_000_000
# A window longer than a second remembers this many grains, so a day costs no more than a minute.
GRAINS: Final = 1_000
# What `room` says where nothing is limited: more than anybody can send.
UNLIMITED: Final = 1 << 40
# A limit of 0 has no next send; this is how soon the owner reads the control row again anyway.
PAUSED_WAIT_NS: Final = 50_000_000


class _Steady(RateLimitItem):
    """A limit whose key leaves the amount out, so that a change keeps its history."""

    def key_for(self, *identifiers: bytes | str | float) -> str:
        return "/".join((*map(str, identifiers), str(self.multiples), self.GRANULARITY.name))


# They inherit GRANULARITY and do not set it: setting it would replace limits' own classes.
class _PerSecond(_Steady, RateLimitItemPerSecond): ...


class _PerMinute(_Steady, RateLimitItemPerMinute): ...


class _PerHour(_Steady, RateLimitItemPerHour): ...


class _PerDay(_Steady, RateLimitItemPerDay): ...


KINDS: Final[dict[str, type[_Steady]]] = {
    kind.GRANULARITY.name: kind for kind in (_PerSecond, _PerMinute, _PerHour, _PerDay)
}


class SendLog(Storage, MovingWindowSupport):
    """What left and when, by window: rows of `[instant, number]`, oldest first, and their sum.

    In windows longer than a second, rows of one grain are one row under its *youngest* instant:
    a send may count a thousandth too long, and never a nanosecond too short.
    """

    STORAGE_SCHEME = None
    base_exceptions = ()

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__()
        self._clock = clock
        self._rows: dict[str, deque[list[int]]] = {}
        self._sums: dict[str, int] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Log `amount` sends now, if the window has room for all of them."""
        now = self._clock()
        if self.total(key, expiry, now) + amount > limit:
            return False
        self.note(key, expiry, now, amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:  # noqa: ARG002 - the port of limits
        """Return the oldest instant in the window, in seconds, and the sends in it."""
        now = self._clock()
        total = self.total(key, expiry, now)
        rows = self._rows.get(key)
        return (rows[0][0] if rows else now) / SECOND_NS, total

    def note(self, key: str, expiry: int, at: int, amount: int) -> int:
        """Log sends, and return as of when; an instant older than the last one counts as that."""
        rows = self._rows.setdefault(key, deque())
        grain = expiry * SECOND_NS // GRAINS if expiry > 1 else 1
        at = max(at, rows[-1][0]) if rows else at
        if rows and rows[-1][0] // grain == at // grain:
            rows[-1][0] = at
            rows[-1][1] += amount
        else:
            rows.append([at, amount])
        self._sums[key] = self._sums.get(key, 0) + amount
        return at

    def delay(self, key: str, at: int) -> None:
        """Count the sends that were logged last from this instant on."""
        rows = self._rows.get(key)
        if rows:
            rows[-1][0] = max(rows[-1][0], at)

    def take_back(self, key: str, at: int, amount: int) -> None:
        """Forget so many of the sends that were logged at this instant, if any are known still."""
        for row in reversed(self._rows.get(key, ())):
            if row[0] <= at:
                gone = min(amount, row[1]) if row[0] == at else 0
                row[1] -= gone
                self._sums[key] -= gone
                return

    def total(self, key: str, expiry: int, now: int) -> int:
        """Return the sends in the half-open window that ends now; forget older ones."""
        rows = self._rows.get(key)
        if rows is None:
            return 0
        while rows and rows[0][0] <= now - expiry * SECOND_NS:
            self._sums[key] -= rows.popleft()[1]
        return self._sums[key]

    def frees_at(self, key: str, expiry: int, *, below: int) -> int:
        """Return the instant at which the window will hold fewer than `below`, `below` > 0."""
        total = self._sums[key]
        for at, amount in self._rows[key]:
            total -= amount
            if total < below:
                return at + expiry * SECOND_NS
        raise AssertionError("an empty window has room")

    def rows(self) -> int:
        """Return how many rows are held, for the meter of what is bounded."""
        return sum(map(len, self._rows.values()))

    def clear(self, key: str) -> None:
        self._rows.pop(key, None)
        self._sums.pop(key, None)

    def reset(self) -> int | None:
        forgotten = len(self._rows)
        self._rows.clear()
        self._sums.clear()
        return forgotten

    def check(self) -> bool:
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("a send log moves; it has no fixed counters")

    def get(self, key: str) -> int:
        raise NotImplementedError("a send log moves; it has no fixed counters")

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError("a send log moves; it has no fixed counters")


class Window:
    """One broker's limits, such as `["100/second", "3000/minute"]`, each a moving window.

    None stands for no limit at all. `clock` is monotonic nanoseconds. Of the windows longer than
    a second, orders may use all but `cancel_percent`; cancels the whole, so that a spent minute
    never traps an order at the broker. The caller passes rates within the contract.
    """

    def __init__(
        self,
        limits: Sequence[str] | None,
        clock: Callable[[], int],
        born_full: bool = True,  # noqa: FBT001, FBT002 - False is for tests and benches
        *,
        cancel_percent: int = 10,
    ) -> None:
        self._clock = clock
        self._log = SendLog(clock)
        self._limiter = MovingWindowRateLimiter(self._log)
        items = [_steady(text) for text in limits or ()]
        self._second = next((item for item in items if item.get_expiry() == 1), None)
        self._longer = [item for item in items if item is not self._second]
        self._longer_for_orders = [_less(item, cancel_percent) for item in self._longer]
        if any(item.get_expiry() == 1 for item in self._longer):
            raise ValueError(f"expected one limit per second, was {limits}")
        self._shut_until = clock() + SECOND_NS if items and born_full else clock()

    def room(self, *, cancels: bool = False) -> int:
        """Return how many may leave now: the least over all windows."""
        if self._clock() < self._shut_until:
            return 0
        rooms = [self._limiter.get_window_stats(item).remaining for item in self._items(cancels)]
        return max(0, min(rooms, default=UNLIMITED))

    def take(self, n: int, *, cancels: bool = False) -> int:
        """Log up to `n` sends as leaving now; return how many, perhaps none."""
        granted = min(n, self.room(cancels=cancels))
        if granted <= 0:
            return 0
        for item in self._items(cancels):
            # Nothing runs between the look and the hit, so the room is still there.
            assert self._limiter.hit(item, cost=granted), "the window closed under its only user"
        return granted

    def delay(self, at: int) -> None:
        """Count what was taken last from the instant at which it really left."""
        for item in self._items(cancels=True):
            self._log.delay(item.key_for(), at)

    def move(self, was: int, number: int) -> int | None:
        """Count now what was counted then and has not left; return as of when it counts.

        None: the second is full by now, and it is not counted at all. In windows longer than a
        second it stays where it is: an instant is a grain there.
        """
        now, item = self._clock(), self._second
        if item is None:
            return now
        key, expiry = item.key_for(), item.get_expiry()
        self._log.take_back(key, was, number)
        if self._log.total(key, expiry, now) + number > item.amount:
            return None
        return self._log.note(key, expiry, now, number)

    def wait_ns(self, *, cancels: bool = False) -> int:
        """Return the nanoseconds until there is room for one; 0 if there is."""
        now = self._clock()
        waits = [self._shut_until - now, 0]
        for item in self._items(cancels):
            key, expiry = item.key_for(), item.get_expiry()
            if item.amount == 0:
                waits.append(PAUSED_WAIT_NS)
            elif self._log.total(key, expiry, now) >= item.amount:
                waits.append(self._log.frees_at(key, expiry, below=item.amount) - now)
        return max(waits)

    def retune(self, per_second: int | None) -> None:
        """Change the limit of one second, from the next send on; what left stays counted.

        None lifts it. Coming back from None is like a restart, because nothing was counted.
        """
        assert per_second is None or per_second >= 0, f"expected a rate from 0, was {per_second}"
        if per_second is not None and self._second is None:
            self._shut_until = self._clock() + SECOND_NS
        self._second = None if per_second is None else _PerSecond(per_second)

    def recall(self, sends: Iterable[tuple[int, int]]) -> None:
        """Fill the longer windows with `(instant, number)` of an earlier process, oldest first.

        Before the first `take`. An instant after now counts as now, so that nothing expires early.
        """
        now = self._clock()
        for at, number in sends:
            for item in self._longer:
                self._log.note(item.key_for(), item.get_expiry(), min(at, now), number)

    def _items(self, cancels: bool) -> list[_Steady]:  # noqa: FBT001 - ours alone
        longer = self._longer if cancels else self._longer_for_orders
        return longer if self._second is None else [self._second, *longer]


def _less(item: _Steady, percent: int) -> _Steady:
    # The same key with a smaller amount, so that both lanes read one history. Never less than
    # one, or a contract of one order in ten seconds would starve.
    kept = -(-item.amount * percent // 100)
    return type(item)(max(min(item.amount, 1), item.amount - kept), item.multiples)


def _steady(text: str) -> _Steady:
    item = parse(text)
    kind = KINDS.get(item.GRANULARITY.name)
    if kind is None:
        raise ValueError(f"expected a limit per second, minute, hour or day, was {text!r}")
    return kind(item.amount, item.multiples)
