"""Asks a broker where orders stand there; `broker` says what its answers prove.

Each question has an id of its own, and its answer names the order that was asked for. The trap is
an answer from another life: the proof that an order is nowhere needs a session that has stood from
the question to the answer, so where it was lost meanwhile nothing is concluded.
"""

from collections.abc import Sequence
from typing import Final

from app.brokers.fix import chains, words
from app.brokers.fix.exchange import SHOWN, Exchange, Exchanges
from app.brokers.fix.line import Line
from app.brokers.fix.said import Said
from app.brokers.fix.too_fast import TooFast
from app.clock import Clock
from app.domain.messages import Lookup, Unknown
from app.domain.order import Order
from app.domain.values import is_replace_key

_ID_BITS: Final = 64


class Asking:
    """The questions on one line."""

    def __init__(
        self, line: Line, exchanges: Exchanges, clock: Clock, too_fast: TooFast, within_s: float
    ) -> None:
        self._line = line
        self._exchanges = exchanges
        self._clock = clock
        self._too_fast = too_fast
        self._within_s = within_s

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Ask for each order's status; `Absent` only with the proof of its number.

        By the key of a replace it is asked for twice: `chains` says what both answers prove.
        """
        standing, logon = self._line.standing, self._line.logons
        if not keys or standing is None or not self._line.is_up:
            return [Unknown(self._line.why_down)] * len(keys)
        placed = await standing.sessions.placed(self._line.session_id, keys)
        orders = await self.orders(keys)
        out = {
            key: asked
            for key in keys
            if is_replace_key(key) and (asked := chains.asked_as(key, placed.get(key)))
        }
        questions = [self._question(key, orders.get(key)) for key in keys]
        questions += [self._question(a.original, orders.get(key)) for key, a in out.items()]
        said: list[Said | Lookup] = await self._exchanges.answers(questions, self._within_s)
        if self._line.logons != logon:
            return [Unknown("the session was lost meanwhile")] * len(keys)
        originals = dict(zip(out, said[len(keys) :], strict=True))
        return [
            chains.settled(out[key], orders.get(key), answer, originals[key])
            if key in out
            else chains.weighed(key, answer, placed.get(key), refused=key in self._too_fast)
            for key, answer in zip(keys, said, strict=False)
        ]

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these keys: FIX wants their terms in a question and in a cancel."""
        standing = self._line.standing
        return {} if standing is None else await standing.sessions.orders(keys)

    def _question(self, key: str, order: Order | None) -> Exchange:
        status_id = f"{self._clock.random_bits(_ID_BITS):016x}"
        send = words.status(key, status_id, words.as_placed(key, order))
        return self._exchanges.single(SHOWN, status_id, send)
