"""The simulator's own clock and dice: the one file here that reads either.

It is another company's process, so it has its own time and may not ask the gateway's clock.
Every die has a name and its own seeded stream: a new draw in one never moves another.
"""

import random
import time
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

NEW_YORK: Final = ZoneInfo("America/New_York")
SEOUL: Final = ZoneInfo("Asia/Seoul")
# A trade date is the exchange's: the US session crosses midnight in Seoul.
ZONES: Final = {"XKRX": SEOUL, "XKOS": SEOUL, "XKON": SEOUL}
SECOND_NS: Final = 1_000_000_000


class World:
    """Time and chance, as one seed has them."""

    def __init__(self, seed: int, trade_date: str | None = None) -> None:
        self.seed = seed
        self._trade_date = trade_date
        self._dice: dict[str, random.Random] = {}

    def ns(self) -> int:
        return time.monotonic_ns()  # noqa: TID251 - a stranger's own clock

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000  # noqa: TID251 - a stranger's own clock

    def trade_date(self, market: str, at_ms: int) -> str:
        if self._trade_date is not None:
            return self._trade_date
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return at.astimezone(ZONES.get(market, NEW_YORK)).date().isoformat()

    def die(self, name: str) -> random.Random:
        """Return the stream of this name; it goes on where it stood."""
        if name not in self._dice:
            self._dice[name] = self.fresh_die(name)
        return self._dice[name]

    def fresh_die(self, name: str) -> random.Random:
        """Return a stream that starts anew, so that its numbers follow from seed and name."""
        return random.Random(f"{self.seed}:{name}")  # noqa: S311 - seeded: a run repeats
