"""What a broker's adapter promises to those who send.

The trap it avoids: an adapter that raises, tries again or guesses where it should say `Unknown`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from app.domain.broker_session import SessionStatus
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    Replacement,
    Submission,
)
from app.domain.working import ShownOrders
from app.ports.sessions import SessionStore, Unread


class BadCallback(Exception):
    """A callback whose signature, age or shape is wrong: nothing in it may be believed."""


class Broker(Protocol):
    """Places orders at one broker, looks them up and cancels them.

    One answer for each item, in the same order, never an exception (but cancellation of the
    task). Whatever went wrong after the first byte left is `Unknown`; nothing under this
    port ever repeats a request by itself.
    """

    name: str
    capabilities: Capabilities

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send one batch in one request; at most `capabilities.batch_max` items."""

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel; `Accepted`: it is canceled or will be reported so.

        `Rejected` carries the code `too-late`, `unknown-order`, `already-pending` or another.
        """

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        """Ask to change terms, in one step there; `Accepted`: it is replaced or will be reported.

        `Rejected`: these terms will never be in force; codes as of `cancel`. Never a cancel with
        a new order behind it: a broker that has no such step says so by `capabilities.replaces`.
        """

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Look orders up by `broker_order_key`, on a connection opened after the call began.

        An order is found by every key of its chain. The key of a replace is `Found` only when
        that replace has taken effect, `Absent` if the broker has refused it or has never heard
        of it, and `Unknown` while it is pending there.
        """

    async def ping(self) -> bool:
        """Return whether a cheap authenticated round trip succeeds; risks no order."""

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        """Verify and read reports that the broker pushed, or raise `BadCallback`."""

    async def close(self) -> None:
        """Close idle connections. What is on the wire stays unknown."""


class LiveBroker(Broker, Protocol):
    """A broker whose orders and reports share one session, run by whoever owns its lane."""

    async def run(self, standing: "Standing") -> None:
        """Hold the session for ever while the lane is ours; log out when cancelled.

        A report is published, and what cannot be read is parked and kept apart, before the
        broker may think that we have it.
        """

    def session(self) -> SessionStatus | None:
        """Return how the session stands; None before `run`."""

    async def log_out(self, reason: str) -> None:
        """End the connection politely; the next one is made as after any loss."""


class HeedingBroker(Broker, Protocol):
    """A broker that may have to wait between its call and its write, as for a connection."""

    def heed(self, stops: Callable[[str], str | None]) -> None:
        """Ask this of each order and replace right before its write: why it may not leave."""


class MassBroker(Broker, Protocol):
    """A broker that shows all of our orders on one question, as its `mass_status` says."""

    async def find_all(self) -> ShownOrders:
        """Ask once; return what it showed until it had ended or fell silent, never an exception.

        Each is shown as `find` would show it by its attempt's key. What is not there may be in
        any state at all.
        """


class TopicBroker(Broker, Protocol):
    """A broker that may write its reports to a topic of its own, on the bus that we use."""

    reports_topic: str | None  # None: it does not

    def read_record(self, payload: bytes) -> list[ExecutionReport]:
        """Verify and read one record of that topic, however old, or raise `BadCallback`."""


class Standing(NamedTuple):
    """What a broker's session stands on: its record, the bus, and the lane's lease."""

    sessions: "SessionStore"
    publish: Callable[[Sequence[ExecutionReport]], Awaitable[None]]  # durable on return
    park: Callable[[Sequence["Unread"]], Awaitable[None]]  # among the dead letters, durably
    epoch: Callable[[], int]  # 0 while another process owns the broker
    is_sure: Callable[[], bool]  # whether what is written now is written by the owner
    # Why this order may not leave after all, asked right before its write; None: it may.
    stops: Callable[[str], str | None] = lambda _key: None
    # How many orders, replaces and cancels may leave in any second by the operator's word; None:
    # no limit. A commit of the session's own may bunch what was let out one by one.
    per_second: Callable[[], int | None] = lambda: None
