"""Which orders of a batch leave as one list, and which go alone. Pure.

The capability record says whether a broker takes lists and how long; an order alone is no list.
Orders keep their sequence: whoever goes alone parts the list around him in two.

The trap is a list that is refused as a whole, because one of its orders has something that the
broker's engine cannot read. All of them may go again, and as a list they would be refused again,
for ever. So whoever was in such a list goes alone the next time, and hears what he is told.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from app.brokers.fix.words import Part
from app.domain.capabilities import Capabilities
from app.domain.messages import Submission
from app.domain.values import order_id_of

# Of orders that go alone. What is forgotten goes in a list once more, and is refused once more.
ALONE_MAX: Final = 10_000
# An order takes two hundred bytes of a message, three hundred with the longest account.
MESSAGE_ORDERS_MAX: Final = 200


class Parcel(NamedTuple):
    """What one message carries: an order (`part` is None), or a part of a list."""

    orders: Sequence[Submission]
    part: Part | None
    whole: Sequence[Submission]


class Lists:
    """How one broker is sent what may leave at once."""

    def __init__(self, able: Capabilities) -> None:
        self._takes = able.lists
        self._longest = able.batch_max
        self._message = able.list_message_max or able.batch_max
        self._alone: dict[str, None] = {}
        if able.lists and self._message > MESSAGE_ORDERS_MAX:
            raise ValueError(
                f"list_message_max: expected at most {MESSAGE_ORDERS_MAX}, was {self._message}"
            )

    def divided(self, batch: Sequence[Submission]) -> list[Parcel]:
        """Return the messages that carry these orders, in their sequence."""
        if not self._takes:
            return [Parcel([order], None, ()) for order in batch]
        runs: list[list[Submission]] = [[]]
        for order in batch:
            is_alone = self._alone.pop(order_id_of(order.broker_order_key) or "", 0) is None
            if is_alone or len(runs[-1]) >= self._longest:
                runs.append([])
            runs[-1].append(order)
            if is_alone:
                runs.append([])
        return [parcel for run in runs for parcel in self._parcels(run)]

    def go_alone(self, keys: Iterable[str]) -> None:
        """Send these by themselves when they come again."""
        for key in keys:
            self._alone[order_id_of(key) or ""] = None
            if len(self._alone) > ALONE_MAX:
                del self._alone[next(iter(self._alone))]

    def _parcels(self, run: list[Submission]) -> list[Parcel]:
        if len(run) <= 1:
            return [Parcel(run, None, ())] if run else []
        name, size = run[0].broker_order_key, self._message
        return [
            Parcel(run[at : at + size], Part(name, at, len(run)), run)
            for at in range(0, len(run), size)
        ]
