"""What may still stop a request between its claim and its write; asked as late as can be.

A claim is made up to two seconds before its bytes leave, and longer where a session holds it back.
The trap is a check that stands in one path and not in its twin: an order obeys a halt, and new
terms for it do not.
"""

from collections.abc import Sequence
from typing import Final

from app.clock import Clock
from app.dispatch.board import Board
from app.dispatch.ownership import Ownership
from app.domain.records import Claimed, ClaimedReplace

# A claim that could not leave within this goes back: nobody waits in `sending` for a permit.
CLAIM_NS_MAX: Final = 2_000_000_000


class LastLook:
    """One broker's: its lease, the age of a claim, and the halts."""

    def __init__(self, broker_id: str, ownership: Ownership, clock: Clock, board: Board) -> None:
        self._broker_id = broker_id
        self._ownership = ownership
        self._clock = clock
        self._board = board

    def stops(
        self, epoch: int, at_ns: int, rest: Sequence[Claimed] | Sequence[ClaimedReplace]
    ) -> str | None:
        """Return why these may not leave, claimed under that lease at that instant."""
        if not self._ownership.is_sure():
            return "the lease is running out"
        if epoch != self._ownership.epoch:  # since then they were put in doubt
            return "claimed under a former lease"
        if self._clock.monotonic_ns() - at_ns > CLAIM_NS_MAX:
            return "the claim is too old"
        halts = self._board.halts
        covered = (halts.covers(c.route_id, c.order.account_id, c.order.symbol) for c in rest)
        if halts.covers_broker(self._broker_id) or any(covered):
            return "halted"
        return None
