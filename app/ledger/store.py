"""The door of the ledger: each method one transaction on the writer's thread, then durable.

`SqliteLedger` is `OrderStore`, `DispatchStore` and `ControlStore` of `app/ports.py` in one, on
one file. They must share it: the claim of an order, its cancel by a client and a halt by an
operator meet in one writer, one after the other, and so each of them wins or loses once.
"""

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from sqlalchemy import Connection, text

from app import codec
from app.ledger import control, rows
from app.ledger.control_store import ControlLedger
from app.ledger.dispatch_store import DispatchLedger
from app.ledger.order_store import OrderLedger

_PAYLOADS: Final = text(
    "SELECT json_group_array(json(p)) FROM (SELECT json_array(o.accept_sequence,"
    f" {rows.AS_EVENT}) AS p FROM orders AS o WHERE o.accept_sequence > :after"
    " ORDER BY o.accept_sequence LIMIT :limit)"
)


class SqliteLedger(OrderLedger, DispatchLedger, ControlLedger):
    """The record on one SQLite file that this process alone has open."""

    def declare(self, rates: dict[str, int], routes: dict[str, str]) -> None:
        """Give brokers and routes that the settings name a first row, before the loops start."""
        now = self._clock.now()
        self._database.write_now(lambda c: control.declare(c, rates, routes, now))

    async def payloads(self, limit: int = 2_000) -> AsyncIterator[list[bytes]]:
        """Yield every order as the bus would carry it: what a lost view is rebuilt from."""
        after = 0
        while True:
            found = codec.split(await self._database.read(partial(_payloads, after, limit)))
            if not found:
                return
            after = found[-1][0]
            yield [payload for _, payload in found]


def _payloads(after: int, limit: int, connection: Connection) -> str:
    values = {"after": after, "limit": limit}
    return str(connection.execute(_PAYLOADS, values).scalar_one())
