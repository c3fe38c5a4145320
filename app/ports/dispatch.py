"""Claiming, sending and settling, as the lanes and those who watch them see it.

The trap it avoids: an outcome that is written under a lease that somebody else holds by now.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

from app.domain.errors import Code
from app.domain.messages import Answer, ExecutionReport
from app.domain.order import Order
from app.domain.records import (
    Applied,
    Claimed,
    ClaimedReplace,
    Fence,
    Health,
    LaneStatus,
    OpenAttempt,
    Settlement,
)
from app.domain.signs import Heard
from app.domain.working import CancelPage, WorkingPage


class Floor(Protocol):
    """What operators may see of the running lanes, one a broker."""

    def lanes(self) -> list[LaneStatus]: ...

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        """Return whether the lane acts on this control version before the time is over."""

    async def probe(self, broker_order_key: str) -> str:
        """Ask the broker about one doubt now; return in words what it proved."""

    async def log_out(self, broker_id: str, reason: str) -> str:
        """End a broker's connection politely; return in words what became of it."""

    def halts_changed(self) -> None:
        """Stop sends in scope now; the row is committed."""


class Witness(Protocol):
    """Hears what lanes send and what comes back. It never raises, waits or decides."""

    def sending(self, broker_id: str) -> None:
        """One request is about to leave; `answered` follows, whatever becomes of it."""

    def answered(self, broker_id: str, answers: Sequence[Answer], took_ns: int) -> None:
        """One request came back so long after its first byte; all `NotSent`: it never left.

        No answers: nobody waits for them any more, which says nothing of the broker.
        """

    def reported(self, reports: Sequence[ExecutionReport]) -> None:
        """Hear what a broker said of its own accord."""

    def pinged(self, broker_id: str, *, alive: bool) -> None: ...

    def health(self, broker_id: str) -> Health | None:
        """Return how the broker does; None before anything is known."""

    def heard(self, broker_id: str) -> Heard | None:
        """Return what its answers say beyond that."""


Recheck = Callable[[Order], Code | None]


class DispatchStore(Protocol):
    """The record, as dispatch sees it. Every return is durable."""

    async def take_lease(self, broker_id: str, holder: str, ttl_ms: int) -> int:
        """Become the broker's only owner and return the new epoch, or raise `FenceLost`."""

    async def renew_lease(self, broker_id: str, holder: str, epoch: int, ttl_ms: int) -> bool:
        """Return whether the lease was still ours and is prolonged."""

    async def drop_lease(self, broker_id: str, holder: str, epoch: int) -> None: ...

    async def recover(self, broker_id: str, epoch: int) -> int:
        """Put every attempt and every replace that was left open in doubt; return how many.

        Only under the lease of this epoch, else `FenceLost`: what the next owner has just put
        down is none of ours.
        """

    async def release(self, session: str, limit: int, recheck: Recheck) -> tuple[int, int]:
        """Queue reserved orders of an open session; return (queued, denied)."""

    async def expire(self, session: str, limit: int) -> int:
        """End unsent orders of a session that is over; return how many."""

    async def claim(self, fence: Fence, limit: int, recheck: Recheck) -> list[Claimed]:
        """Commit an attempt for each of the next orders in fair order, or raise `FenceLost`."""

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Note answers; a closed attempt is not moved by a late one."""

    async def apply(self, reports: Sequence[ExecutionReport], by: str) -> Applied:
        """Fold reports, each execution once; what does not fit goes to quarantine."""

    async def in_doubt(self, broker_id: str) -> list[OpenAttempt]:
        """Return the attempts in doubt, and the replaces of which nothing is known yet."""

    async def never_received(self, keys: Sequence[str], by: str) -> int:
        """Close doubts on proof of absence (`domain` decides what is proof).

        An order may go again; of a replace that took no effect the old terms stand.
        """

    async def pending_cancels(self, broker_id: str, limit: int, after: str = "") -> CancelPage:
        """Return what waits to be canceled there, among so many wishes behind an order's id."""

    async def standing_days(self) -> list[date]:
        """Return the trade dates of which orders stand in the record, the latest first."""

    async def working(self, broker_id: str, day: date, after: int, limit: int) -> WorkingPage:
        """Return the next orders of a day that work at a broker.

        It looks at so many orders and no more: a page may be empty, and not the last.
        """

    async def orders_of(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these attempts."""

    async def refuse_cancel(self, order_ids: Sequence[str]) -> None:
        """Note that the broker will not cancel these: they go on as they were."""


class ReplaceStore(Protocol):
    """The record, as the lane of replaces sees it. Every return is durable."""

    async def waits_to_replace(self, broker_id: str) -> bool:
        """Return whether new terms wait to leave for this broker."""

    async def claim_replaces(
        self, fence: Fence, limit: int, recheck: Recheck
    ) -> list[ClaimedReplace]:
        """Commit the next requests as out, or raise `FenceLost`; one an order at a time.

        New terms that break a limit now are denied, those under a halt go on waiting.
        """

    async def settle_replaces(self, settlements: Sequence[Settlement]) -> None:
        """Note answers: refused, not sent (then it waits again), or to be asked about."""
