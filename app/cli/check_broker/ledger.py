"""The ledger that the kit gives an adapter with a session: a file that outlives each adapter.

Fresh for the run, so the broker's side of the session has to begin anew as well; or a file that
was named, and then the numbers go on from run to run. Every adapter opens it as a process does that
has just started: what it finds is what is on disk.

The trap is a ledger without orders. A cancel and a question name the order that they are about, and
the gateway reads it from its own record; here the orders are the run's.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Final, Self

from app.brokers.conformance.subject import Ground
from app.clock import Clock
from app.domain.messages import Submission
from app.domain.order import Order
from app.domain.values import (
    PendingRequest,
    Status,
    attempt_key_of,
    order_id_of,
    trade_date_of,
)
from app.ledger.schema import upgrade
from app.ledger.sessions.store import SessionLedger
from app.ledger.store import Ledger
from app.ports.brokers import LiveBroker
from app.ports.sessions import Numbers, SessionOwner
from app.sqlite import Database

HOLDER: Final = "check-broker"
# Nobody else wants the lane, and no run of the cases is longer than a day.
LEASE_MS: Final = 86_400_000


class CheckLedger:
    """One run's ledger; who has opened it holds the only session on it."""

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._own = None if file is not None else TemporaryDirectory(prefix="openbell-check-")
        self._file = file or Path(self._own.name if self._own else "") / "ledger.db"
        self._turn = asyncio.Lock()
        self._is_ready = False
        self.begin_at: int | None = None  # where the next adapter begins to hear

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Drop a ledger that was the run's own."""
        if self._own is not None:
            self._own.cleanup()

    @asynccontextmanager
    async def hold(
        self, broker: LiveBroker, orders: Mapping[str, Submission]
    ) -> AsyncIterator[Ground]:
        """Open the file for one adapter, and own its lane meanwhile."""
        async with self._turn:
            database = Database(self._file)
            try:
                if not self._is_ready:
                    upgrade(database)
                    self._is_ready = True
                ledger = Ledger(database, self._clock)
                ledger.declare({broker.name: broker.capabilities.orders_per_second_max}, {})
                epoch = await ledger.take_lease(broker.name, HOLDER, LEASE_MS)
                yield Ground(_Sessions(self, database, self._clock, orders), epoch, self._forget)
            finally:
                database.close()

    def _forget(self, next_in: int) -> None:
        self.begin_at = next_in


class _Sessions(SessionLedger):
    """The record of a session, with the orders of the run for the gateway's own."""

    def __init__(
        self,
        ledger: CheckLedger,
        database: Database,
        clock: Clock,
        orders: Mapping[str, Submission],
    ) -> None:
        super().__init__(database, clock)
        self._ledger = ledger
        self._orders = orders

    async def open(self, session: SessionOwner) -> Numbers:
        at = await super().open(session)
        if self._ledger.begin_at is None:
            return at
        next_in, self._ledger.begin_at = min(at.next_in, self._ledger.begin_at), None
        return at._replace(next_in=next_in)

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        known = {key: self._orders.get(attempt_key_of(key)) for key in keys}
        return {key: _order(order) for key, order in known.items() if order is not None}


def _order(given: Submission) -> Order:
    """Return an order as the ledger would have it that has sent this."""
    key = given.broker_order_key
    order_id = order_id_of(key) or key
    trade_date = trade_date_of(order_id)
    assert trade_date is not None, f"no key of ours: {key}"
    return Order(
        accept_sequence=0,
        order_id=order_id,
        trade_date=trade_date,
        session_date=trade_date,
        trading_session_id=HOLDER,
        account_id=given.account_id,
        client_order_id=key,
        list_id=None,
        symbol=given.symbol,
        market=given.market,
        side=given.side,
        order_type=given.order_type,
        quantity=given.quantity,
        limit_price=given.limit_price,
        currency=given.currency,
        time_in_force=given.time_in_force,
        text=None,
        accepted_at=0,
        version=1,
        status=Status.SENDING,
        pending_request=PendingRequest.NONE,
        filled_quantity=Decimal(0),
        overfilled_quantity=Decimal(0),
        filled_value=Decimal(0),
        average_price=None,
        broker_id=None,
        broker_order_id=None,
        reason_code=None,
        cancel_origin=None,
        done_for_day=False,
        released_at=None,
        updated_at=0,
    )
