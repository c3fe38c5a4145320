"""Sweeps as the doors see them: `SweepStore` of `ports.orders`."""

from app.domain.records import Actor
from app.domain.sweep import Begun, Deed, Selection, SweepScope, Swept
from app.domain.values import CancelOrigin
from app.ledger.edge import Edge
from app.ledger.orders import sweeps


class SweepLedger(Edge):
    """Counts, begins and goes on; each call is one commit."""

    async def select(
        self, scope: SweepScope, upto: int | None = None, deed: Deed = Deed.CANCEL
    ) -> Selection:
        now = self._clock.now()
        return await self._read(lambda c: sweeps.select(c, deed, scope, upto, now))

    async def begin_sweep(
        self, scope: SweepScope, wanted: Selection, by: Actor, deed: Deed = Deed.CANCEL
    ) -> Begun:
        now = self._clock.now()
        return await self._write(lambda c: sweeps.begin(c, deed, scope, wanted, by, now))

    async def sweep(
        self, scope: SweepScope, place: tuple[int, int, int], origin: CancelOrigin
    ) -> Swept:
        now = self._clock.now()
        return await self._write(lambda c: sweeps.sweep(c, scope, place, origin, now))
