"""The door of the ledger: each method one transaction, durable on return.

`Ledger` is `OrderStore`, `DispatchStore`, `ReplaceStore`, `ControlStore` and `FailoverStore` of
`app/ports/` in one, on one database: SQLite of this process alone, or PostgreSQL that several
share. They must share it: the claim of an order, its cancel by a client, a halt by an operator and
the fence of a failover meet there, and each of them wins or loses once.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection

from app import codec
from app.domain.values import new_order_id
from app.ledger import days, rows
from app.ledger.dialect import Statement
from app.ledger.dispatch.replace_store import ReplaceLedger
from app.ledger.dispatch.store import DispatchLedger
from app.ledger.failover.store import FailoverLedger
from app.ledger.operators import control
from app.ledger.operators.proposals import ProposalLedger
from app.ledger.operators.store import ControlLedger
from app.ledger.orders.hold_store import HoldLedger
from app.ledger.orders.store import OrderLedger
from app.ledger.orders.sweep_store import SweepLedger
from app.ledger.orders.tickets import TicketLedger
from app.ports.accounts import Span
from app.sql import Work

_PAYLOADS: Final = Statement(
    lambda d: d.listed(
        d.json("p"),
        f"(SELECT {d.array('o.accept_sequence', rows.as_event(d))} AS p FROM orders@day AS o"
        " WHERE o.accept_sequence > :after AND o.trade_date = @day"
        " ORDER BY o.accept_sequence LIMIT :limit) AS found",
    )
)


class Ledger(
    OrderLedger,
    DispatchLedger,
    ReplaceLedger,
    ControlLedger,
    FailoverLedger,
    HoldLedger,
    ProposalLedger,
    SweepLedger,
    TicketLedger,
):
    """The record."""

    def declare(self, rates: dict[str, int], routes: dict[str, str]) -> None:
        """Give brokers and routes that the settings name a first row, before the loops start."""
        now = self._clock.now()
        self._database.write_now(lambda c: control.declare(c, rates, routes, now))

    async def prepare_days(self, wanted: Iterable[date]) -> None:
        """Make the tables of these trade dates, where they are missing."""
        await self._have_days(set(wanted))

    async def spans(self) -> list[Span]:
        """Return between which ids the orders of this ledger lie: what it can tell of again.

        Other days have left for the archive, and stand in the account store alone.
        """
        standing = await self._read(days.attached)
        return [
            Span(new_order_id(day, 0, 0), new_order_id(day + timedelta(days=1), 0, 0))
            for day in standing
        ]

    async def payloads(
        self, limit: int = 2_000, only: date | None = None
    ) -> AsyncIterator[list[bytes]]:
        """Yield every order as the bus would carry it: what a lost view is rebuilt from."""
        for day in await self._read(days.attached):
            if only not in {None, day}:
                continue
            after = 0
            while found := codec.split(await self._read(_next(day, after, limit))):
                after = found[-1][0]
                yield [payload for _, payload in found]


def _next(day: date, after: int, limit: int) -> Work[str]:
    def work(connection: Connection) -> str:
        if not days.is_attached(connection, day):  # it has left meanwhile
            return "[]"
        return str(_PAYLOADS.run(connection, day, after=after, limit=limit).scalar_one())

    return work
