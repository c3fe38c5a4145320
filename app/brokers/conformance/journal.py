"""What the cases of one run share: the adapter's maker, what was placed, what was pushed.

Whatever may have reached the broker stands here before it leaves, so that the end of the run can
cancel it and say so. The trap is a clock that a case moves and the next one reads: each case has
one of its own.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from app.brokers.conformance.listener import Listener, Pushed
from app.brokers.conformance.subject import Subject, Terms
from app.brokers.registry import factory
from app.clock import Clock
from app.domain.messages import Submission


@dataclass
class Run:
    """What the cases of one run share."""

    subject: Subject
    terms: Terms
    clock: Clock
    listener: Listener | None = None
    placed: list[Submission] = field(default_factory=list)
    # Keys that the broker has rejected, or that our line kept from it.
    gone: set[str] = field(default_factory=set)
    orders: dict[str, Submission] = field(default_factory=dict)  # every one that was ever made
    placed_at: float = 0.0  # the last one, by the loop's clock
    pushed: Pushed | None = None  # a genuine callback of an order of ours
    pushing: asyncio.Lock = field(default_factory=asyncio.Lock)
    make: Callable[..., object] = field(init=False)

    def __post_init__(self) -> None:
        self.make = factory(self.subject.adapter)


class ShiftedClock:
    """The run's clock, and for one case a clock that is far ahead."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ahead_ms = 0

    def now(self) -> int:
        return self._clock.now() + self.ahead_ms

    def monotonic_ns(self) -> int:
        return self._clock.monotonic_ns()

    def random_bits(self, bits: int) -> int:
        return self._clock.random_bits(bits)
