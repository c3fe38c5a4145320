"""What can become of a request to a broker, and what the broker keeps of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, NamedTuple

from app.domain.capabilities import Capabilities
from app.domain.messages import Answer, ExecutionReport, Replacement, Submission
from app.domain.values import Status

ENDED: Final = frozenset({Status.FILLED, Status.CANCELED, Status.EXPIRED})
PLAIN: Final = Capabilities(
    batch_max=1,
    cancel_batch_max=1,
    find_batch_max=10,
    visibility_window_s=6.0,
    unknown_answers_required=2,
    max_in_flight=16,
    replaces=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of one request."""

    leaves_s: float = 0.0  # until its bytes are out: a slow connect
    there_s: float = 0.005
    back_s: float = 0.005
    broken: bool = False  # the adapter itself raises
    refused: bool = False  # no connection, so nothing leaves
    arrives: bool = True
    verdict: Answer | None = None  # the broker's word on all of it, unseen
    told: int | None = None  # it answers for so many items only
    replies: bool = True
    decided_s: float = 0.0  # a replace is pending there for so long


Fates = Callable[[str], Fate]


class Received(NamedTuple):
    """One line of the broker's own record."""

    verb: str  # new, cancel, replace, query
    key: str
    at_ns: int
    decision: str
    submission: Submission | None


class Sent(NamedTuple):
    """Bytes that left some process, whether or not they arrived."""

    verb: str
    key: str
    at_ns: int


@dataclass(slots=True)
class Placed:
    """An order as the broker has it."""

    submission: Submission
    broker_order_id: str
    seen_from_ns: int
    key: str  # what it is called now: the key of the last replace that took effect
    quantity: Decimal
    limit_price: Decimal | None
    status: Status = Status.NEW
    executions: list[ExecutionReport] = field(default_factory=list)
    acknowledged: list[Decimal] = field(default_factory=list)  # each quantity that was in force
    pending: Replacement | None = None

    @property
    def filled(self) -> Decimal:
        return sum((e.last_quantity for e in self.executions), Decimal(0))
