"""How long a whole answer may take and how much it may be, where a person waits for all of it.

A socket's own timeout begins anew with each byte that comes: the trap is a gateway in trouble
whose every answer drips, and a command that is waited for all night.
"""

import time
from collections.abc import Callable
from http.client import HTTPResponse, IncompleteRead
from typing import Final

READ_BYTES: Final = 1 << 16
MIB: Final = 1 << 20


class Patience:
    """What is left of a time, and of a size, for all that is asked with it."""

    def __init__(
        self, within_s: float, bytes_max: int, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._now_s = now_s
        self._within_s = within_s
        self._ends_at_s = now_s() + within_s
        self._bytes_max = bytes_max
        self._bytes = 0

    def left_s(self) -> float:
        """Return for how long one more byte is waited; `TimeoutError` once the time is over."""
        left_s = self._ends_at_s - self._now_s()
        if left_s <= 0:
            raise TimeoutError(f"not whole within {self._within_s:g} s")
        return left_s

    def spend(self, count: int) -> None:
        """Take so many bytes more; `OSError` once they are too many, or come too late."""
        self._bytes += count
        if self._bytes > self._bytes_max:
            raise OSError(f"more than {self._bytes_max / MIB:g} MiB")
        self.left_s()

    def read(self, reply: HTTPResponse) -> bytes:
        """Return the whole of an answer."""
        parts: list[bytes] = []
        while part := reply.read1(READ_BYTES):
            self.spend(len(part))
            parts.append(part)
        raw = b"".join(parts)
        if reply.length:  # `read1` ends quietly where the line was cut
            raise IncompleteRead(raw, reply.length)
        reply.close()  # nor does it say that the line is free again
        return raw
