"""The record as dispatch sees it: `DispatchStore` of `app/ports.py` on SQLite.

It adds the time to `queues`, `outcomes` and `reporting`, and the crash points around them.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from app import crash
from app.domain.messages import ExecutionReport
from app.domain.order import WORKING, cancel_refused
from app.domain.records import (
    Applied,
    Claimed,
    Fence,
    OpenAttempt,
    PendingCancel,
    Settlement,
)
from app.domain.values import Status
from app.ledger import attempts, control, outcomes, queues, reporting, rows
from app.ledger.edge import Edge
from app.ports import Recheck

# The second half is a held order of which a broker has shown a copy: whichever of its attempts
# that is, each may be canceled, for a cancel of nothing does nothing.
_PENDING: Final = text(
    "SELECT o.order_id, a.broker_order_key, o.broker_order_id"
    " FROM orders AS o INDEXED BY orders_cancel_pending"
    " JOIN attempts AS a ON a.broker_order_key BETWEEN o.order_id || '00' AND o.order_id || '99'"
    " WHERE o.broker_id = :broker AND o.pending_request = 'cancel'"
    " AND o.status IN ('new', 'partially_filled') AND a.broker_id = :broker"
    " AND a.outcome = 'accepted'"
    " UNION ALL SELECT o.order_id, a.broker_order_key, NULL"
    " FROM orders AS o INDEXED BY orders_cancel_pending"
    " JOIN attempts AS a ON a.broker_order_key BETWEEN o.order_id || '00' AND o.order_id || '99'"
    " WHERE o.broker_id IS NULL AND o.pending_request = 'cancel' AND o.status = 'held'"
    " AND a.broker_id = :broker LIMIT :limit"
)


class DispatchLedger(Edge):
    """Releases, claims and settles."""

    async def take_lease(self, broker_id: str, holder: str, ttl_ms: int) -> int:
        # The lock file has proved that whoever held a lease on this file is gone.
        now = self._clock.now()
        epoch = await self._write(
            lambda c: control.take_lease(c, broker_id, holder, now + ttl_ms, alone=True, now=now)
        )
        crash.point("lease.after_acquire")
        return epoch

    async def renew_lease(self, broker_id: str, holder: str, epoch: int, ttl_ms: int) -> bool:
        until = self._clock.now() + ttl_ms
        return await self._write(lambda c: control.renew_lease(c, broker_id, holder, epoch, until))

    async def drop_lease(self, broker_id: str, holder: str, epoch: int) -> None:
        await self._write(lambda c: control.renew_lease(c, broker_id, holder, epoch, 0))

    async def recover(self, broker_id: str) -> int:
        now = self._clock.now()
        return await self._write(lambda c: outcomes.recover(c, broker_id, now))

    async def release(self, session: str, limit: int, recheck: Recheck) -> tuple[int, int]:
        now = self._clock.now()
        return await self._write(
            lambda c: queues.release(c, session, limit, recheck, now), "release.before_commit"
        )

    async def expire(self, session: str, limit: int) -> int:
        now = self._clock.now()
        return await self._write(lambda c: queues.expire(c, session, limit, now))

    async def claim(self, fence: Fence, limit: int, recheck: Recheck) -> list[Claimed]:
        now = self._clock.now()
        return await self._write(
            lambda c: queues.claim(c, fence, limit, recheck, now), "claim.before_commit"
        )

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        now = self._clock.now()
        await self._write(lambda c: outcomes.settle(c, settlements, now), "settle.before_commit")

    async def apply(self, reports: Sequence[ExecutionReport], by: str) -> Applied:
        now = self._clock.now()
        return await self._write(
            lambda c: reporting.apply(c, reports, by, now), "report.before_commit"
        )

    async def in_doubt(self, broker_id: str) -> list[OpenAttempt]:
        return await self._database.read(lambda c: attempts.in_doubt(c, broker_id))

    async def never_received(self, keys: Sequence[str], by: str) -> int:
        now = self._clock.now()
        return await self._write(
            lambda c: outcomes.never_received(c, keys, by, now), "verdict.before_commit"
        )

    async def pending_cancels(self, broker_id: str, limit: int) -> list[PendingCancel]:
        values = {"broker": broker_id, "limit": limit}
        found = await self._database.read(lambda c: c.execute(_PENDING, values).all())
        return [PendingCancel(*row) for row in found]

    async def refuse_cancel(self, order_ids: Sequence[str]) -> None:
        now = self._clock.now()

        def work(connection: Connection) -> None:
            found = rows.by_ids(connection, order_ids).values()
            moves = [
                rows.Move(order, [after], "cancel refused")
                for order in found
                if order.status in WORKING | {Status.HELD}
                and (after := cancel_refused(order, now)) is not order
            ]
            rows.write(connection, moves, "broker")

        await self._write(work)
