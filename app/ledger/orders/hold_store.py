"""What is held, as the doors see it: `HoldStore` of `app/ports/orders.py`."""

from collections.abc import Sequence
from typing import Final

from app.domain.holding import HeldOrder, StrayWord
from app.domain.order import Order
from app.domain.records import Actor
from app.domain.sweep import Dealt, SweepScope
from app.ledger.edge import Edge
from app.ledger.orders import holding, strays
from app.ports.orders import SessionOf

NO_BOUND: Final = 2**63 - 1


class HoldLedger(Edge):
    """Holds, lets go and cancels by an operator's word; each call is one commit."""

    async def held(
        self, accounts: Sequence[str] | None, before: int | None, limit: int
    ) -> list[HeldOrder]:
        upto = NO_BOUND if before is None else before
        return await self._read(lambda c: holding.listed(c, accounts, upto, limit))

    async def hold(self, order_id: str, version: int, by: Actor) -> Order:
        now = self._clock.now()
        return await self._write_once(lambda c: holding.hold(c, order_id, version, by, now))

    async def let_go(self, order_id: str, version: int, session_of: SessionOf, by: Actor) -> Order:
        now, seen = self._clock.now(), (order_id, version)
        return await self._write_once(lambda c: holding.let_go(c, seen, session_of, by, now))

    async def cancel_by(self, order_id: str, version: int, by: Actor) -> Order:
        now = self._clock.now()
        return await self._write_once(lambda c: holding.cancel(c, order_id, version, by, now))

    async def strays(self, accounts: Sequence[str] | None, limit: int) -> list[Order]:
        return await self._read(lambda c: strays.listed(c, accounts, limit))

    async def settle_stray(self, order_id: str, version: int, word: StrayWord, by: Actor) -> Order:
        now, seen = self._clock.now(), (order_id, version)
        return await self._write_once(lambda c: strays.settle(c, seen, word, by, now))

    async def hold_some(self, scope: SweepScope, place: tuple[int, int, int]) -> Dealt:
        now = self._clock.now()
        return await self._write(lambda c: holding.hold_some(c, scope, place, now))

    async def let_some_go(
        self, scope: SweepScope, place: tuple[int, int, int], session_of: SessionOf
    ) -> Dealt:
        now = self._clock.now()
        return await self._write(lambda c: holding.let_some_go(c, scope, place, session_of, now))
