"""The record as the lane of replaces sees it: `ReplaceStore` of `ports.dispatch`."""

from collections.abc import Sequence

from sqlalchemy import Connection

from app.domain.records import ClaimedReplace, Fence, Settlement
from app.domain.values import ReplaceState
from app.ledger.dispatch import replaces, replacing
from app.ledger.dispatch.store import CLAIM_BITS
from app.ledger.edge import Edge
from app.ledger.sessions import leases
from app.ports.away import StoreAway
from app.ports.dispatch import Recheck


class ReplaceLedger(Edge):
    """Claims and settles requests to replace."""

    async def waits_to_replace(self, broker_id: str) -> bool:
        found = await self._read(lambda c: replaces.standing(c, broker_id, ReplaceState.WAITING))
        return bool(found)

    async def claim_replaces(
        self, fence: Fence, limit: int, recheck: Recheck
    ) -> list[ClaimedReplace]:
        now, token = self._clock.now(), self._clock.random_bits(CLAIM_BITS)

        def work(connection: Connection) -> list[ClaimedReplace]:
            return replacing.claim(connection, fence, limit, recheck, token=token, now=now)

        def stands(connection: Connection) -> list[ClaimedReplace]:
            leases.hold(connection, fence.broker_id)
            return replacing.claimed_by(connection, fence.broker_id, token)

        try:
            return await self._write_once(work, "replace.before_commit")
        except StoreAway:  # nobody knows whether it stands: it has a name, so look
            return await self._write(stands)

    async def settle_replaces(self, settlements: Sequence[Settlement]) -> None:
        now = self._clock.now()
        await self._write(
            lambda c: replacing.settle(c, settlements, now), "replace.settled_before_commit"
        )
