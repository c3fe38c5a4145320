"""Time and fresh randomness, asked for in one place.

Wall time (milliseconds since 1970 UTC) is for sessions and stamps; monotonic nanoseconds
are for pacing, leases and time-outs, so that a step of the wall clock moves neither. Nobody
else may read a clock or a random source; a test passes its own `Clock`.
"""

import secrets
import time
from typing import Protocol


class Clock(Protocol):
    """What the rooms may ask of time and chance."""

    def now(self) -> int:
        """Return wall time in milliseconds since 1970 UTC."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never step back; comparable across restarts of one boot."""

    def random_bits(self, bits: int) -> int:
        """Return a fresh unguessable number below 2**bits."""


class SystemClock:
    """The machine's own."""

    def now(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def random_bits(self, bits: int) -> int:
        return secrets.randbits(bits)
