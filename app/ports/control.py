"""What operators turn, and what callers may ask for.

The trap it avoids: a dial that moves without a name, a reason and a row that says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple, Protocol

from app.domain.order import Order
from app.domain.outflow import OutboxStands
from app.domain.proposal import Proposal, ProposalState
from app.domain.records import (
    Actor,
    Anchor,
    Backlog,
    BrokerControl,
    Change,
    Doubt,
    Halt,
    LaneStatus,
    Route,
    SessionOverride,
    Vitals,
)
from app.domain.session import SessionPause
from app.domain.signs import Owners


class Charge(NamedTuple):
    """What one request costs under one policy; `subject` is who pays."""

    policy: str
    subject: str
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Allowance:
    """Whether a request may pass, and the charge that has the least room left."""

    allowed: bool
    charge: Charge
    quota: int  # a second
    remaining: int
    fits_in_s: float  # when this charge may pass if it may not now; 0 if it did


class Quotas(Protocol):
    """Counts what callers ask for in a second; as one, where processes share a store.

    `policies` are the quotas in force, by name. `degraded` says that the shared store is away
    and each process counts alone. No store's trouble ever becomes an exception or a long wait.
    """

    policies: Mapping[str, int]
    degraded: bool

    async def take(self, charges: Sequence[Charge]) -> Allowance:
        """Take all charges or none of them; each policy is in force, none is named twice alike."""

    async def close(self) -> None: ...


class ControlStore(Protocol):
    """The record, as operators see it. Every change is compare-and-set and audited with it."""

    async def controls(self) -> dict[str, BrokerControl]: ...

    async def set_control(
        self, wanted: BrokerControl, expected_version: int, by: Actor
    ) -> BrokerControl:
        """Store `wanted` as the next version, or raise `Refused(STALE_VERSION)`."""

    async def revert_expired(self) -> list[BrokerControl]:
        """Bring back what an override with a time to live replaced; return what changed."""

    async def end_overrides(self) -> list[str]:
        """Do so for policies of routes, bells of sessions and rules; return which ones."""

    async def halts(self) -> list[Halt]: ...

    async def halt(self, scope: str, target: str, by: Actor) -> Halt: ...

    async def resume(self, scope: str, target: str, by: Actor, seen: int | None = None) -> None:
        """Lift a halt; raise `Refused` if there is none, another one, or `by` is who halted.

        `seen` is the version that a person has looked at; without it, the one that stands. So it
        is with every `seen` here.
        """

    async def routes(self) -> list[Route]: ...

    async def overrides(self) -> list[SessionOverride]: ...

    async def every_override(self) -> list[SessionOverride]:
        """Return what was ever overridden; a lifted one has its version still."""

    async def override_session(
        self, wanted: SessionOverride, expected_version: int, by: Actor
    ) -> SessionOverride:
        """Store `wanted` as the next version, or raise `Refused(STALE_VERSION)`.

        The version of what was never overridden is 0; with `lifted_at` it is one no more.
        """

    async def pauses(self) -> list[SessionPause]:
        """Return every session whose release was ever paused, as it stands now."""

    async def pause_session(
        self, wanted: SessionPause, expected_version: int, by: Actor
    ) -> SessionPause:
        """Store `wanted` as the next version, or raise `Refused(STALE_VERSION)`."""

    async def audit(self, after: int, limit: int) -> list[dict[str, object]]: ...

    async def audit_about(self, resources: Sequence[str], limit: int) -> list[dict[str, object]]:
        """Return the latest rows about these resources, the oldest of them first.

        It looks back so far and no further, like a page that a person reads.
        """

    async def audit_broken_at(self, anchor: Anchor | None = None) -> int | None:
        """Return the sequence of the first row that breaks the chain, or None.

        Against an anchor that was kept elsewhere a cut tail and a chain sealed anew show as well.
        """

    async def note(self, change: Change, by: Actor) -> int:
        """Write an audit row for an action that changed no row of its own (a denied one)."""

    async def note_once(self, change: Change, by: Actor) -> int | None:
        """As `note`, unless `by.request_id` has noted this action before: None then."""

    async def resolve_doubt(
        self,
        broker_order_key: str,
        verdict: str,
        terms: Mapping[str, str],
        by: Actor,
        seen: int | None = None,
    ) -> Order:
        """Settle a doubt by a person's word: not_received, accepted, rejected, canceled, filled.

        `terms` carries `price` for `filled` and `broker_order_id` where known. Raises
        `Refused(DOUBT_SETTLED)` if evidence came first, `Refused(STALE_VERSION)` if the order
        has changed since.
        """

    async def show_lanes(self, lanes: Sequence[LaneStatus]) -> None:
        """Show how lanes stand to the doors of other processes."""

    async def shown_lanes(self) -> list[tuple[LaneStatus, int]]:
        """Return every lane as it was last shown, and when."""

    async def ask(self, broker_order_key: str) -> None:
        """Ask whoever follows this doubt to look it up now."""

    async def questions(self) -> list[str]:
        """Return the doubts about which somebody has asked."""

    async def answer(self, broker_order_key: str, words: str) -> None: ...

    async def answered(self, broker_order_key: str) -> str | None:
        """Return the answer; None while there is none."""

    async def waiting_sessions(self) -> list[str]:
        """Return the sessions for which an unsent order waits."""

    async def doubts(self) -> list[Doubt]: ...

    async def backlog(self) -> Backlog: ...

    async def by_status(self, trading_session_id: str, trade_date: date) -> dict[str, int]:
        """Count the orders of one session, which is of that date."""

    async def outbox(self) -> OutboxStands:
        """Return what waits to be published."""

    async def owners(self) -> Owners:
        """Return who holds each broker's lease, or held it last, and the ledger's own time."""

    async def vitals(self) -> Vitals:
        """Return what the watch looks at each second; raise `StoreAway` at once, do not wait."""


class ProposalStore(Protocol):
    """Keeps calls that wait for a second person, each audited.

    What is approved is executed by the call itself: its `Actor` carries the `Approval`, and the
    commit of the change ends the proposal, or is refused with `PROPOSAL_CLOSED`.
    """

    async def propose(self, proposal: Proposal, by: Actor) -> Proposal: ...

    async def proposals(self, limit: int) -> list[Proposal]:
        """Return the latest ones as they stand now, the newest first."""

    async def proposal(self, proposal_id: str) -> Proposal | None: ...

    async def close_proposal(
        self, proposal_id: str, version: int, state: ProposalState, by: Actor
    ) -> Proposal:
        """End an open one undone, or raise `Refused(PROPOSAL_CLOSED)`."""
