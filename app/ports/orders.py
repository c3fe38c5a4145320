"""Taking, finding and ending orders, as intake and the client's doors see it.

The trap it avoids: two answers to one request, where one of them is an order.
"""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple, Protocol

from app.domain.errors import Busy, Refused
from app.domain.holding import HeldOrder, StrayWord
from app.domain.messages import ExecutionReport
from app.domain.order import Order
from app.domain.query import OrderQuery, SymbolPage
from app.domain.records import (
    Actor,
    AttemptView,
    Conflict,
    OrderEvent,
    Taken,
    Taking,
)
from app.domain.request import OrderRequest
from app.domain.session import TradingSession
from app.domain.steps import Place, Step
from app.domain.sweep import Begun, Dealt, Deed, Selection, SweepScope, Swept
from app.domain.values import CancelOrigin, Status


class Desk(Protocol):
    """Takes checked orders durably; what it returns as `Taken` survives a power cut."""

    async def place(self, request: OrderRequest) -> Taken:
        """Check and take one order, or raise `Refused` or `Busy` (then no order exists)."""

    async def place_all(
        self, requests: Sequence[OrderRequest | Refused]
    ) -> list[Taken | Refused | Busy]:
        """Check and take each by itself; one result each, in input order, no exception."""

    async def amend(
        self, order: Order, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        """Check the new terms; edit an unsent order, or ask for them at its broker.

        Raises `Refused`.
        """


class OrderStore(Protocol):
    """The record, as intake and the client API see it. Every return is durable."""

    async def take(self, entries: Sequence[Taking]) -> list[Taken | Conflict]:
        """Commit all of them at once; one result each, in input order.

        Twins, within the batch or from any time before, meet one key: one is created.
        """

    async def get(self, order_id: str) -> Order | None: ...

    async def by_client_order_id(self, account_id: str, client_order_id: str) -> Order | None: ...

    async def standing(
        self, account_id: str, client_order_id: str, request_hash: str
    ) -> Taken | Conflict | None:
        """Return what `take` would answer to a request that is not new; None if it is."""

    async def page(self, query: OrderQuery) -> list[Order]: ...

    async def of_symbol(
        self, symbol: str, day: date, before: int | None, accounts: Sequence[str] | None
    ) -> SymbolPage:
        """Return the next orders of a symbol on a trade date; of every account with None.

        It looks at so many orders and no more: a page may be empty, and not the last.
        """

    async def list_status(self, account_id: str, list_id: str) -> dict[Status, int]:
        """Count the orders of one list by status; empty if there is no such list."""

    async def amend(
        self, order_id: str, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        """Edit an unsent order; of one that works at a broker, note the wish to replace it.

        Raises `Refused` (not found, stale, not editable, ended).
        """

    async def cancel(self, order_id: str, version: int | None, origin: CancelOrigin) -> Order:
        """Cancel at once if it never left, else note the wish; or raise `Refused`."""

    async def events(self, order_id: str) -> list[OrderEvent]: ...

    async def steps(self, accounts: Sequence[str], after: Place, limit: int) -> list[Step]:
        """Return the steps of these accounts' orders behind a place, the oldest first.

        A step may yet appear behind a place that was read: its instant is older than its commit.
        """

    async def executions(self, order_id: str) -> list[ExecutionReport]: ...

    async def attempts(self, order_id: str) -> list[AttemptView]: ...


class SweepStore(Protocol):
    """Cancels many orders, chunk by chunk. Nothing in it waits for a broker."""

    async def select(
        self, scope: SweepScope, upto: int | None = None, deed: Deed = Deed.CANCEL
    ) -> Selection:
        """Count what a sweep would find now, up to an order or up to the last one."""

    async def begin_sweep(
        self, scope: SweepScope, wanted: Selection, by: Actor, deed: Deed = Deed.CANCEL
    ) -> Begun:
        """Fix where it ends, audited under `by.request_id`; asked again, it ends there still.

        Raises `Refused` if that request began a sweep of another scope.
        """

    async def sweep(
        self, scope: SweepScope, place: tuple[int, int, int], origin: CancelOrigin
    ) -> Swept:
        """End what never left, ask for the rest; `place` is (after, upto, at most so many)."""


SessionOf = Callable[[str], TradingSession | None]  # by its trading_session_id


class HoldStore(Protocol):
    """Holds orders back and lets them go; the audit row of a change is of the same commit.

    An order is let go to its book or to those that wait, as its session stands; `session_of`
    knows it. Of what a broker has shown a copy, or whose attempts are spent, nothing is let go.
    """

    async def held(
        self, accounts: Sequence[str] | None, before: int | None, limit: int
    ) -> list[HeldOrder]:
        """Return what is held, the youngest order first, by `accept_sequence`."""

    async def hold(self, order_id: str, version: int, by: Actor) -> Order:
        """Hold an order that never left; or raise `Refused` (not found, stale, not holdable)."""

    async def let_go(self, order_id: str, version: int, session_of: SessionOf, by: Actor) -> Order:
        """Let a held order go; or raise `Refused` (not found, stale, not releasable)."""

    async def cancel_by(self, order_id: str, version: int, by: Actor) -> Order:
        """Cancel an order at once if it never left, else note the wish; or raise `Refused`."""

    async def strays(self, accounts: Sequence[str] | None, limit: int) -> list[Order]:
        """Return what is held because a broker has shown a copy of it, the oldest first."""

    async def settle_stray(self, order_id: str, version: int, word: StrayWord, by: Actor) -> Order:
        """Settle one by a word that two people stand by, audited; or raise `Refused`.

        `not_received` leaves it held as by an operator; any other verdict ends it.
        """

    async def hold_some(self, scope: SweepScope, place: tuple[int, int, int]) -> Dealt:
        """Hold the next orders of a sweep that has begun; `place` as for `sweep`."""

    async def let_some_go(
        self, scope: SweepScope, place: tuple[int, int, int], session_of: SessionOf
    ) -> Dealt:
        """Let the next orders of a sweep that has begun go."""


class Ticket(NamedTuple):
    """What opens one account's stream once: a browser's EventSource can send no key."""

    digest: str  # of the ticket itself, which is kept nowhere
    key_id: str  # whose key it was issued for; it opens nothing after that
    account_id: str
    expires_at: int


class TicketStore(Protocol):
    """Keeps tickets until they are shown, once, or are too old."""

    async def issue(self, ticket: Ticket) -> None: ...

    async def redeem(self, digest: str) -> Ticket | None:
        """Return the ticket, and forget it; None if it is unknown, spent or too old."""
