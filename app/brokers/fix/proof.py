"""Whether the peer holds what we sent, and how we come to know it after a logon. Pure.

Right after the logon we send a TestRequest. A peer that lacks something must ask for it before
it can answer, because our logon's own number showed it the gap. If it answers without asking,
it has everything; if it asks first, we fill the gap and test again. Only numbers of *older*
connections are ever shown lacking: of those the peer holds a prefix, because a connection
delivers in order until it breaks. The trap is a ResendRequest in mid-connection: the peer may
keep later messages in hand while it asks for one that was garbled, so it proves nothing.
"""

from typing import Final

# How often a peer may ask for what it was given already, before we call it a loop.
REPEATS_MAX: Final = 5
# How often a test may go unanswered by a peer that speaks otherwise.
TESTS_MAX: Final = 3


class Outbound:
    """The next number to be written, and the test that a logon has to stand."""

    def __init__(self, next_out: int, begun_ms: int) -> None:
        self.next_out = next_out
        self.logon_number = next_out
        self.tested = False
        self._begun_ms = begun_ms  # makes the ids of one connection unlike any other's
        self._first_asked: int | None = None
        self._last_begin = 0
        self._repeats = 0
        self._tests = 0
        self._tests_since_moved = 0
        self.test_id: str | None = None
        self.test_ms = 0

    def wrote(self, number: int) -> None:
        self.next_out = max(self.next_out, number + 1)

    def next_test(self, steady_ms: int) -> str | None:
        """Return the id of one more test, None: it has gone unanswered often enough."""
        self._tests += 1
        self._tests_since_moved += 1
        if self._tests_since_moved > TESTS_MAX:
            return None
        self.test_id = f"{self._begun_ms}-{self._tests}"
        self.test_ms = steady_ms
        return self.test_id

    def lacks(self, begin: int) -> None:
        """Note that the peer asks from this number on, or says so in its logon (789)."""
        if not self.tested and self._first_asked is None:
            self._first_asked = begin
        self._tests_since_moved = 0
        self._repeats = self._repeats + 1 if begin <= self._last_begin else 0
        self._last_begin = max(begin, self._last_begin)

    @property
    def is_looping(self) -> bool:
        return self._repeats > REPEATS_MAX

    def answered(self, test_id: str | None) -> bool:
        """Return whether this heartbeat ends the test of the logon."""
        if self.tested or test_id is None or test_id != self.test_id:
            return False
        self.tested = True
        return True

    def proven(self) -> tuple[int, int] | None:
        """Return the numbers of older connections that the peer never got, both included."""
        first = self._first_asked
        if first is None or first >= self.logon_number:
            return None
        return first, self.logon_number - 1
