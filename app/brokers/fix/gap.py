"""Which number we expect from the peer, and what is done about a gap before it. Pure.

A message that comes too early is thrown away, not kept: we ask for everything from the gap on
without an end (16=0), so it comes again, in its place. Keeping it would need a bound, and a
rule for what happens at the bound; this needs neither. The trap is to ask once more for each
early message: a peer that has 10,000 to resend then resends them 10,000 times. So we ask
once, and again only when nothing has moved for a while.
"""

from typing import Final

# Three silent waits of a heartbeat each: after that the peer will not fill it.
ASKED_MAX: Final = 3


class Inbound:
    """The next number expected, and the gap that stands before later ones."""

    def __init__(self, next_in: int) -> None:
        self.next_in = next_in
        self._seen = 0  # the highest number that came too early
        self._asked = 0
        self._moved_ms = 0

    @property
    def is_open(self) -> bool:
        """Whether something is missing before a number that the peer has shown."""
        return self._seen >= self.next_in

    def expected(self, next_in: int, steady_ms: int) -> None:
        """Go on to this number."""
        assert next_in >= self.next_in
        self.next_in = next_in
        self._moved_ms = steady_ms
        if self._asked:  # it moves: no reason to give the peer up
            self._asked = 1 if self.is_open else 0

    def early(self, number: int, steady_ms: int, *, ask: bool = True) -> bool:
        """Note a number beyond the expected one; return whether to ask for what is missing."""
        self._seen = max(self._seen, number)
        if self._asked:
            return False
        self._asked = 1
        self._moved_ms = steady_ms
        return ask

    def is_stuck(self, steady_ms: int, patience_ms: int) -> bool:
        return self.is_open and steady_ms - self._moved_ms >= patience_ms

    def ask_again(self, steady_ms: int) -> bool:
        """Return whether one more ResendRequest has a point."""
        self._moved_ms = steady_ms
        self._asked += 1
        return self._asked <= ASKED_MAX
