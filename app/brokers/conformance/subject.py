"""Which adapter is checked, with which orders, and what its cases may do.

The trap is money: nothing is placed that nobody allowed, so the default allows nothing.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from app.domain.messages import Submission
from app.domain.values import Side
from app.ports.brokers import LiveBroker
from app.ports.sessions import SessionStore


class Ground(NamedTuple):
    """What a session stands on during one case: its record, and the lease of its lane."""

    sessions: SessionStore
    epoch: int
    # Begin to hear at this number when the session is opened next, as a process does that died
    # after a report was published and before its number was noted.
    forget: Callable[[int], None]


# Opens the ground anew, as a process does that has just started; the record outlives it. It is
# given the orders of the run by the keys of their attempts: a question has to name them.
Hold = Callable[[LiveBroker, Mapping[str, Submission]], AbstractAsyncContextManager[Ground]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the cases may do, and with which order."""

    live: bool = False
    money: bool = False
    account_id: str = "CHECK"
    symbol: str = "TEST"
    market: str = "XNAS"
    currency: str = "USD"
    side: Side = Side.BUY
    quantity: Decimal = Decimal(1)
    limit_price: Decimal = Decimal(1)
    orders_max: int = 50  # of one case
    patience_s: float = 30.0  # above every adapter's own time-out
    secret_option: str = "secret"  # noqa: S105 - its name
    callbacks: str | None = None  # host:port that the broker pushes to
    hold: Hold | None = None  # the ground of an adapter that lives on a session of its own


class Subject(NamedTuple):
    """An adapter as settings name it."""

    name: str
    adapter: str
    options: Mapping[str, object]
