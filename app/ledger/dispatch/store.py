"""The record as dispatch sees it: `DispatchStore` of `ports.dispatch`.

It adds the time to `queues`, `outcomes` and `reporting`, and the crash points around them.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from sqlalchemy import Connection, text

from app import codec, crash
from app.domain.messages import ExecutionReport
from app.domain.order import WORKING, Order, cancel_refused
from app.domain.records import (
    Applied,
    Claimed,
    Fence,
    OpenAttempt,
    PendingCancel,
    Settlement,
)
from app.domain.values import ReplaceState, Status, is_replace_key, order_id_of
from app.domain.working import CancelPage, WorkingPage
from app.ledger import days, rows
from app.ledger.dialect import Dialect, Statement, by_day
from app.ledger.dispatch import attempts, outcomes, queues, replaces, replacing, reporting, working
from app.ledger.edge import Edge
from app.ledger.sessions import leases
from app.ports.away import StoreAway
from app.ports.dispatch import Recheck

# The second half is a held order of which a broker has shown a copy: whichever of its attempts
# that is, each may be canceled, for a cancel of nothing does nothing.
_KEYS_OF: Final = (
    " JOIN attempts@day AS a ON a.broker_order_key BETWEEN o.order_id || '00'"
    " AND o.order_id || '99' AND a.trade_date = @day"
)


def _wishes(d: Dialect) -> str:
    return (
        f" FROM orders@day AS o{_KEYS_OF} WHERE o.order_id {d.among('ids')} AND o.trade_date = @day"
        " AND o.pending_request = 'cancel' AND a.broker_id = :broker"
    )


_PENDING: Final = Statement(
    lambda d: (
        "SELECT o.order_id, coalesce((SELECT max(r.broker_order_key) FROM replaces AS r"
        " WHERE r.order_id = o.order_id AND r.state = 'accepted'), a.broker_order_key),"
        " o.broker_order_id, (SELECT q.broker_order_key FROM replace_requests AS q"
        f" WHERE q.order_id = o.order_id AND q.state <> 'waiting'){_wishes(d)}"
        " AND o.broker_id = :broker AND o.status IN ('new', 'partially_filled')"
        " AND a.outcome = 'accepted'"
        f" UNION ALL SELECT o.order_id, a.broker_order_key, NULL, NULL{_wishes(d)}"
        " AND o.broker_id IS NULL AND o.status = 'held'"
    )
)
# In the order of its key, so that a page is a page however many wishes a broker leaves unanswered.
_WISHING: Final = text(
    "SELECT order_id, trade_date FROM cancel_requests WHERE order_id > :after"
    " ORDER BY order_id LIMIT :limit"
)
CLAIM_BITS: Final = 62  # of chance: a claim's name, within SQL's signed 64


def _stands(connection: Connection, broker_id: str, token: int) -> list[Claimed]:
    """Return what a claim has put down, after its commit has come to an end either way.

    A commit whose answer was lost may still be on its way inside the server. It holds a share of
    the lease, so whoever asks for all of it waits.
    """
    leases.hold(connection, broker_id)
    return attempts.claimed_by(connection, broker_id, token)


class DispatchLedger(Edge):
    """Releases, claims and settles."""

    async def take_lease(self, broker_id: str, holder: str, ttl_ms: int) -> int:
        # Where we are alone, whoever held a lease is gone: the lock file has proved it.
        now, alone = self._clock.now(), not self._database.is_shared
        epoch = await self._write(
            lambda c: leases.take(c, broker_id, holder, ttl_ms, alone=alone, now=now)
        )
        crash.point("lease.after_acquire")
        return epoch

    async def renew_lease(self, broker_id: str, holder: str, epoch: int, ttl_ms: int) -> bool:
        now = self._clock.now()
        return await self._write(
            lambda c: leases.renew(c, broker_id, holder, epoch, ttl_ms=ttl_ms, now=now)
        )

    async def drop_lease(self, broker_id: str, holder: str, epoch: int) -> None:
        await self._write(lambda c: leases.drop(c, broker_id, holder, epoch))

    async def recover(self, broker_id: str, epoch: int) -> int:
        now = self._clock.now()

        def work(connection: Connection) -> int:
            leases.must_be(connection, broker_id, epoch)
            left = outcomes.recover(connection, broker_id, now)
            return left + replacing.recover(connection, broker_id)

        return await self._write(work)

    async def release(self, session: str, limit: int, recheck: Recheck) -> tuple[int, int]:
        now = self._clock.now()
        return await self._write(
            lambda c: queues.release(c, session, limit, recheck, now), "release.before_commit"
        )

    async def expire(self, session: str, limit: int) -> int:
        now = self._clock.now()
        return await self._write(lambda c: queues.expire(c, session, limit, now))

    async def claim(self, fence: Fence, limit: int, recheck: Recheck) -> list[Claimed]:
        now, token = self._clock.now(), self._clock.random_bits(CLAIM_BITS)

        def work(connection: Connection) -> list[Claimed]:
            return queues.claim(connection, fence, limit, recheck, token=token, now=now)

        try:
            return await self._write_once(work, "claim.before_commit")
        except StoreAway:  # nobody knows whether it stands: it has a name, so look
            return await self._write(lambda c: _stands(c, fence.broker_id, token))

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        now = self._clock.now()
        await self._write(lambda c: outcomes.settle(c, settlements, now), "settle.before_commit")

    async def apply(self, reports: Sequence[ExecutionReport], by: str) -> Applied:
        now = self._clock.now()
        return await self._write(
            lambda c: reporting.apply(c, reports, by, now), "report.before_commit"
        )

    async def in_doubt(self, broker_id: str) -> list[OpenAttempt]:
        def work(connection: Connection) -> list[OpenAttempt]:
            unknown = replaces.standing(connection, broker_id, ReplaceState.UNKNOWN)
            return attempts.in_doubt(connection, broker_id) + unknown

        return await self._read(work)

    async def never_received(self, keys: Sequence[str], by: str) -> int:
        now = self._clock.now()
        sent = [key for key in keys if not is_replace_key(key)]
        asked = [key for key in keys if is_replace_key(key)]

        def work(connection: Connection) -> int:
            closed = outcomes.never_received(connection, sent, by, now) if sent else 0
            return closed + (replacing.no_effect(connection, asked, by, now) if asked else 0)

        return await self._write(work, "verdict.before_commit")

    async def pending_cancels(self, broker_id: str, limit: int, after: str = "") -> CancelPage:
        def work(connection: Connection) -> CancelPage:
            wishes = connection.execute(_WISHING, {"after": after, "limit": limit}).all()
            found: list[PendingCancel] = []
            for day, each in by_day(wishes, lambda wish: date.fromisoformat(str(wish.trade_date))):
                asked = {"broker": broker_id, "ids": codec.text([wish.order_id for wish in each])}
                found += map(PendingCancel._make, _PENDING.run(connection, day, **asked))
            return CancelPage(found, wishes[-1].order_id if len(wishes) == limit else "")

        return await self._read(work)

    async def standing_days(self) -> list[date]:
        return sorted(await self._read(days.attached), reverse=True)

    async def working(self, broker_id: str, day: date, after: int, limit: int) -> WorkingPage:
        now = self._clock.now()
        return await self._read(lambda c: working.page(c, broker_id, day, after, limit, now))

    async def orders_of(self, keys: Sequence[str]) -> dict[str, Order]:
        ids = {key: order_id for key in keys if (order_id := order_id_of(key)) is not None}
        found = await self._read(lambda c: rows.by_ids(c, ids.values()))
        return {key: found[order_id] for key, order_id in ids.items() if order_id in found}

    async def refuse_cancel(self, order_ids: Sequence[str]) -> None:
        now = self._clock.now()

        def work(connection: Connection) -> None:
            found = rows.locked(connection, order_ids)
            chains = replaces.chains(connection, found)
            moves = [
                rows.Move(order, [after], "cancel refused")
                for order_id, order in found.items()
                if order.status in WORKING | {Status.HELD}
                and (after := cancel_refused(order, now, replacing=chains[order_id].is_out))
                is not order
            ]
            rows.write(connection, moves, "broker")

        await self._write(work)
