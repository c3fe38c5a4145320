"""Refusals for being too fast: known by a broker's own words, and remembered if they came late.

The trap is to publish one that nobody waits for any more: "rejected" ends an order that may go
again. So it is kept by the order's key until a look-up asks; why, stands in `broker`. A late
refusal of the message itself, which says that nobody looked at the order, is kept in the same way.
"""

from collections.abc import Iterable
from typing import Final

from app.brokers.fix.said import Said
from app.domain.messages import Absent, Answer, Found, NotSent, Rejected, Throttled

# Of refusals that came too late to be an answer. What is forgotten stays in doubt.
KEPT_MAX: Final = 10_000


class TooFast:
    """What one broker's refusals say when they mean that we were too fast."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = tuple(word.lower() for word in words)
        self._late: dict[str, None] = {}  # keys that were refused so after the time-out

    def __contains__(self, key: str) -> bool:
        """Whether this order was refused so, and its sender has not heard it."""
        return key in self._late

    def read(self, said: Said) -> Said:
        """Take a refusal for being too fast as that, where the broker's words say so."""
        if self._is_so(said.replaced):
            return said._replace(replaced=Throttled(), report=None)
        if said.filled_quantity or not self._is_so(said.submitted):
            return said
        shown = Absent() if isinstance(said.shown, Found) else said.shown
        return said._replace(submitted=Throttled(), report=None, shown=shown)

    def remember(self, said: Said, *, heard: bool) -> None:
        """Keep that an order was refused so, unless its sender has heard it."""
        if heard or said.key is None or not isinstance(said.submitted, Throttled | NotSent):
            return
        self._late[said.key] = None
        if len(self._late) > KEPT_MAX:
            del self._late[next(iter(self._late))]

    def _is_so(self, answer: Answer | None) -> bool:
        if not isinstance(answer, Rejected):
            return False
        text = answer.detail.lower()
        return any(word in text for word in self._words)
