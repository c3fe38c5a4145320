"""Tickets for one stream each: whoever shows one first has it, in whichever process.

Only a digest is kept, so that a copy of the ledger opens nothing.
"""

from typing import Final

from sqlalchemy import Connection, text

from app.ledger.edge import Edge
from app.ports.orders import Ticket

_SWEEP: Final = text("DELETE FROM stream_tickets WHERE expires_at <= :now")
_PUT: Final = text(
    "INSERT INTO stream_tickets (digest, key_id, account_id, expires_at)"
    " VALUES (:digest, :key_id, :account_id, :expires_at)"
)
_TAKE: Final = text(
    "DELETE FROM stream_tickets WHERE digest = :digest RETURNING digest, key_id, account_id,"
    " expires_at"
)


class TicketLedger(Edge):
    """Tickets as the doors see them: `TicketStore` of `app/ports/orders.py`."""

    async def issue(self, ticket: Ticket) -> None:
        now = self._clock.now()

        def work(connection: Connection) -> None:
            connection.execute(_SWEEP, {"now": now})
            connection.execute(_PUT, ticket._asdict())

        await self._write_once(work)

    async def redeem(self, digest: str) -> Ticket | None:
        now = self._clock.now()

        def work(connection: Connection) -> Ticket | None:
            found = connection.execute(_TAKE, {"digest": digest}).first()
            return None if found is None or found.expires_at <= now else Ticket(*found)

        return await self._write_once(work)
