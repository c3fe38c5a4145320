"""Asks a broker where orders stand there; `broker` says what its answers prove.

Each question has an id of its own, and its answer names the order that was asked for. The trap is
an answer from another life: the proof that an order is nowhere needs a session that has stood from
the question to the answer, so where it was lost meanwhile nothing is concluded.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from app.brokers.fix import chains, tags, words
from app.brokers.fix.commands import Message
from app.brokers.fix.exchange import ALL_SHOWN, SHOWN, Exchange, Exchanges
from app.brokers.fix.hearing import STATUS_REPORT
from app.brokers.fix.line import Line
from app.brokers.fix.mass import Mass
from app.brokers.fix.said import Said
from app.brokers.fix.too_fast import TooFast
from app.clock import Clock
from app.domain.messages import Lookup, Unknown
from app.domain.order import Order
from app.domain.values import is_replace_key, order_id_of
from app.domain.working import NOTHING_SHOWN, ShownOrders

_ID_BITS: Final = 64
# All of a mass status: fifty thousand reports, at a broker that sends a thousand a second.
ALL_S_MAX: Final = 60.0


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
        self._mass: dict[str, Mass] = {}  # by the id (584) under which it was asked for

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

    async def find_all(self) -> ShownOrders:
        """Ask for all orders at once, and wait for as long as more of them are told."""
        if not self._line.is_up:
            return NOTHING_SHOWN
        mass_id = self._fresh_id()
        mass = self._mass[mass_id] = Mass()
        exchange = self._exchanges.single(ALL_SHOWN, mass_id, words.mass_status(mass_id))
        try:
            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(self._exchanges.answers([exchange], ALL_S_MAX))
                heard = -1
                while not mass.ended and not asking.done() and heard < mass.heard:
                    heard = mass.heard
                    await asyncio.wait({asking}, timeout=self._within_s)
                exchange.give_up("it fell silent")
        finally:
            del self._mass[mass_id]
        return mass.shown

    def told(self, said: Said, message: Message) -> Said:
        """Hear one report of a mass status; return what of it is still to be published.

        Who asked applies what is shown. An order that is not ours is nobody's question: it is
        published under a name that does not change, so that it is kept apart once.
        """
        mass = self._mass.get(said.mass_id or "")
        if mass is None or message.get(tags.EXECUTION_TYPE) != STATUS_REPORT:
            return said
        mass.hear(said, message.get(tags.TOTAL_REPORTS))
        if mass.ended:
            self._exchanges.ended(ALL_SHOWN, said.mass_id or "")
        report = said.report
        if report is None or order_id_of(report.broker_order_key) is not None:
            return said._replace(report=None, unread=False)
        name = f"shown-{report.broker_order_id}"[:64]
        return said._replace(report=replace(report, execution_id=name))

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these keys: FIX wants their terms in a question and in a cancel."""
        standing = self._line.standing
        return {} if standing is None else await standing.sessions.orders(keys)

    def _question(self, key: str, order: Order | None) -> Exchange:
        status_id = self._fresh_id()
        send = words.status(key, status_id, words.as_placed(key, order))
        return self._exchanges.single(SHOWN, status_id, send)

    def _fresh_id(self) -> str:
        return f"{self._clock.random_bits(_ID_BITS):016x}"
