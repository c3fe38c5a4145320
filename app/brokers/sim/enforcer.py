"""Counts messages over a strictly sliding second: the broker's own idea of its limit.

Exact on purpose, integer nanoseconds over (t - 1 s, t], no buckets and no burst: what the
gateway's pacer claims is judged here by other code. Arrivals of one request share an
instant, so the window holds requests and not messages.
"""

from collections import deque

from app.brokers.sim.world import SECOND_NS


class Window:
    """How many came within the last second, and the worst second so far."""

    def __init__(self) -> None:
        self._entries: deque[tuple[int, int]] = deque()
        self._count = 0
        self.worst = 0

    def count(self, now_ns: int) -> int:
        while self._entries and self._entries[0][0] <= now_ns - SECOND_NS:
            self._count -= self._entries.popleft()[1]
        return self._count

    def add(self, now_ns: int, messages: int) -> None:
        if messages:
            self._entries.append((now_ns, messages))
            self._count += messages
            self.worst = max(self.worst, self.count(now_ns))

    def free_at(self) -> int | None:
        """Return when the oldest message leaves the window."""
        return self._entries[0][0] + SECOND_NS if self._entries else None


class Enforcer:
    """Lets at most `tps` messages a second pass, and witnesses what arrived."""

    def __init__(self, tps: int | None) -> None:
        self.tps = tps
        self.arrived = Window()
        self.passed = Window()

    def admit(self, now_ns: int, messages: int) -> int:
        """Return how many of these may pass: the first ones."""
        free = messages
        if self.tps is not None:
            free = min(messages, max(0, self.tps - self.passed.count(now_ns)))
        self.passed.add(now_ns, free)
        return free

    def retry_after_s(self, now_ns: int) -> float:
        at = self.passed.free_at()
        return 1.0 if at is None else round(max(0, at - now_ns) / SECOND_NS + 0.001, 3)
