"""How brokers fail: what each request, order and report may suffer, by a seed's own odds."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Final

from app.domain.messages import Answer, ExecutionType, NotSent, Rejected, Throttled, Unknown
from tests.scenarios.brokers import BrokerWorld
from tests.scenarios.fates import ENDED, PLAIN, Fate, Placed

# From the moment at which its bytes are out, an order arrives within this, and shows within that.
INGEST_S_MAX: Final = 4.0
HIDDEN_S_MAX: Final = 1.0
CAPABILITIES: Final = replace(
    PLAIN,
    visibility_window_s=INGEST_S_MAX + HIDDEN_S_MAX + 0.1,
    find_batch_max=20,
    cancel_batch_max=5,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """Probabilities, each for one request, order or report."""

    refused: float = 0.2
    lost: float = 0.15  # the request never arrives
    silent: float = 0.2  # it arrives, its reply does not
    late: float = 0.15  # it arrives after the caller gave up
    stuck: float = 0.1  # its bytes leave just before that
    left_out: float = 0.2  # a reply leaves items out
    throttled: float = 0.1
    rejected: float = 0.15
    error: float = 0.1  # something broke there, and the order is not there
    token: float = 0.02
    failed_look_up: float = 0.5
    hidden: float = 0.5
    duplicate: float = 0.5
    disorder: float = 0.5
    filled: float = 1.0
    ended: float = 0.15
    canceled: float = 0.6
    replaced: float = 2.0  # so that in most runs most orders are
    undecided: float = 1.0

    @classmethod
    def drawn(cls, chance: random.Random) -> "Odds":
        """Draw how bad this run gets: the defaults are the worst, and many are nothing."""
        worst = cls()
        return cls(
            **{
                f.name: 0.0 if chance.random() < 0.4 else chance.uniform(0, getattr(worst, f.name))
                for f in fields(cls)
            }
        )


class Sickness:
    """What befalls the brokers of one run."""

    def __init__(self, chance: random.Random, counts: Counter[str]) -> None:
        self.odds = Odds.drawn(chance)
        self.trades_within_s = 2.0
        self._chance = chance
        self._counts = counts

    def befalls(self, broker: BrokerWorld) -> None:
        broker.fates = self._fate
        broker.hidden_s = HIDDEN_S_MAX if self._happens("hidden") else 0.0
        broker.pushes_s = self._delays
        broker.on_accepted = lambda placed: broker.world.does(self._trades(broker, placed))

    def leaves(self, broker: BrokerWorld) -> None:
        broker.answers()
        broker.hidden_s = 0.0

    def _happens(self, name: str) -> bool:
        odds: float = getattr(self.odds, name)
        happened = self._chance.random() < odds
        self._counts[name] += happened
        return happened

    def _fate(self, verb: str) -> Fate:
        chance = self._chance
        near = Fate(there_s=chance.uniform(0.001, 0.05), back_s=chance.uniform(0.001, 0.05))
        if verb == "query":
            return replace(near, refused=self._happens("failed_look_up"))
        verdicts: dict[str, Callable[[], Answer]] = {
            "throttled": lambda: Throttled(chance.choice([None, 0.2, 1.0])),
            "error": lambda: Unknown("HTTP 500"),
            "token": lambda: NotSent("HTTP 401", credentials=True),
        }
        if verb in {"new", "replace"}:
            verdicts["rejected"] = lambda: Rejected("no-margin")
        if verb == "replace" and self._happens("undecided"):
            near = replace(near, decided_s=chance.uniform(0.0, 2.0))
        for name, verdict in verdicts.items():
            if self._happens(name):
                return replace(near, verdict=verdict())
        if self._happens("late"):
            near = replace(near, there_s=chance.uniform(3.0, INGEST_S_MAX))
        if self._happens("stuck"):
            near = replace(near, leaves_s=chance.uniform(2.0, 2.95))
        return replace(
            near,
            refused=self._happens("refused"),
            arrives=not self._happens("lost"),
            replies=not self._happens("silent"),
            told=0 if self._happens("left_out") else None,
        )

    def _delays(self) -> list[float]:
        copies = 1 + self._happens("duplicate")
        slow = 1.0 if self._happens("disorder") else 0.05
        return [self._chance.uniform(0.001, slow) for _ in range(copies)]

    async def _trades(self, broker: BrokerWorld, placed: Placed) -> None:
        """Fill an order in a few steps, or end it, or leave it working."""
        key, chance = placed.submission.broker_order_key, self._chance
        parts = chance.randint(1, 3) if placed.quantity > 3 else 1
        for part in range(parts if self._happens("filled") else 0):
            await asyncio.sleep(chance.choice([0.0, 0.01, chance.uniform(0, self.trades_within_s)]))
            if placed.status in ENDED:
                return
            last = part == parts - 1 and chance.random() < 0.7
            left = int(placed.quantity - placed.filled)
            broker.fills(key, left if last else max(1, left // 3))
        if placed.status not in ENDED and self._happens("ended"):
            how = chance.choice([ExecutionType.EXPIRED, ExecutionType.CANCELED])
            broker.ends(key, how)
