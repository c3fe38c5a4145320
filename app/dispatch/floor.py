"""The lanes as operators see and steer them: implements `Floor` of `ports.dispatch`."""

import asyncio
from collections.abc import Mapping
from typing import Final

from app.dispatch.board import Board
from app.dispatch.lane import Lane
from app.dispatch.reconciler import Reconciler
from app.dispatch.unwitnessed import NOBODY
from app.dispatch.verdict import StillInDoubt, in_words
from app.domain.records import LaneStatus
from app.ports.brokers import LiveBroker
from app.ports.dispatch import Witness

UNLIMITED: Final = 0


class DispatchFloor:
    """Every lane of this process, by broker."""

    def __init__(
        self,
        board: Board,
        lanes: Mapping[str, Lane],
        reconcilers: Mapping[str, Reconciler],
        witness: Witness = NOBODY,
        live: Mapping[str, LiveBroker] | None = None,
    ) -> None:
        self._board = board
        self._lanes = lanes
        self._reconcilers = reconcilers
        self._witness = witness
        self._live = live or {}

    def lanes(self) -> list[LaneStatus]:
        return [self._status(lane) for lane in self._lanes.values()]

    def owned(self) -> list[LaneStatus]:
        """Return the lanes whose broker this process owns."""
        return [self._status(lane) for lane in self._lanes.values() if lane.epoch]

    def owns(self, broker_id: str) -> bool:
        """Whether this process owns the broker."""
        return bool(self._lanes[broker_id].epoch)

    def follows(self, broker_order_key: str) -> bool:
        """Whether a reconciler here asks about this doubt."""
        return any(broker_order_key in r.followed for r in self._reconcilers.values())

    def holds(self, broker_id: str) -> bool:
        """Whether this process holds the broker's session."""
        return broker_id in self._live and self.owns(broker_id)

    def _status(self, lane: Lane) -> LaneStatus:
        gate = lane.broker.state()
        control = lane.control
        live = self._live.get(lane.broker_id)
        reconciler = self._reconcilers.get(lane.broker_id)
        p50_ms, p99_ms = lane.since_bell.quantiles_ms()
        return LaneStatus(
            broker_id=lane.broker_id,
            owner_epoch=lane.epoch,
            running=lane.why_not is None,
            why_not=lane.why_not,
            tps_configured=control.tps if control else 0,
            tps_effective=UNLIMITED if lane.permits.per_second is None else lane.permits.per_second,
            applied_version=lane.applied_version,
            in_flight=lane.permits.in_flight,
            sent_total=lane.permits.sent_total,
            sent_last_second=lane.permits.sent_last_second(),
            answers=dict(lane.answers),
            circuit=gate.state,
            circuit_reason=gate.reason,
            next_trial_s=gate.next_trial_s or None,
            tps_contract=lane.broker.capabilities.orders_per_second_max,
            tps_in_force=lane.pace.in_force,
            tps_source=lane.pace.source,
            tps_advised=lane.pace.advised,
            throttle_wish_s=lane.pace.wish_s,
            health=self._witness.health(lane.broker_id),
            session=live.session() if live is not None else None,
            open_to_send_p50_ms=p50_ms,
            open_to_send_p99_ms=p99_ms,
            heard=self._witness.heard(lane.broker_id),
            probes=() if reconciler is None else reconciler.probes,
        )

    async def applied(self, broker_id: str, version: int, timeout_s: float) -> bool:
        lane = self._lanes.get(broker_id)
        if lane is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await self._board.refresh()
        except TimeoutError:
            return False
        return lane.applied_version >= version

    async def probe(self, broker_order_key: str) -> str:
        for doubt_broker, reconciler in self._reconcilers.items():
            if broker_order_key in reconciler.followed:
                verdicts = await reconciler.ask([broker_order_key])
                verdict = verdicts[broker_order_key]
                stands = isinstance(verdict, StillInDoubt)
                says = "still in doubt:" if stands else doubt_broker
                return f"{says} {in_words(verdict)}"
        return "not in doubt here"

    async def log_out(self, broker_id: str, reason: str) -> str:
        live = self._live.get(broker_id)
        if live is None or live.session() is None:
            return "no session is held here"
        await live.log_out(reason)
        return "it logs out, and on again as after any loss"

    def halts_changed(self) -> None:
        self._board.changed()
