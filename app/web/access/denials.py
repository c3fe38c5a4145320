"""Which refusals are noted in the audit log: each, as far as one key brings about so many a minute.

What somebody was refused is evidence, and it costs a commit of its own, behind which new orders
wait. The trap is whoever holds any key at all and asks for what he may not do, a thousand times a
second: he would fill the log for ever, and hold the house up. So beyond so many a minute a key's
refusals are counted, and the next row that is noted says how many.
"""

from dataclasses import dataclass
from typing import Final

from app.clock import Clock

# A person who is refused each second has understood it; a program has not, and says the same.
NOTED_MAX: Final = 60
MINUTE_NS: Final = 60_000_000_000


@dataclass(slots=True)
class _Minute:
    begun_ns: int
    noted: int = 0
    unnoted: int = 0


class Denials:
    """How many refusals of each key this minute has seen."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_key: dict[str, _Minute] = {}

    def admit(self, key_id: str) -> int | None:
        """Return how many went unnoted before this one; None if this one does as well."""
        now_ns = self._clock.monotonic_ns()
        minute = self._by_key.get(key_id)
        before = 0
        if minute is None or now_ns - minute.begun_ns >= MINUTE_NS:
            before = minute.unnoted if minute is not None else 0
            minute = self._by_key[key_id] = _Minute(now_ns)
        if minute.noted >= NOTED_MAX:
            minute.unnoted += 1
            return None
        minute.noted += 1
        return before
