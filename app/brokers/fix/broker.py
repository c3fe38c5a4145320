"""A broker behind a FIX session: five answers to a send, three to a look-up, and no exception.

Before the bytes leave an order is `NotSent`; after that only the broker's word about this very
order counts, and silence is `Unknown`. Nothing is ever sent a second time under any number.

`Absent` needs two proofs. The broker says that it knows no such order, on a session that was
logged on after the attempt. And the attempt's number is shown lacking: the broker asked for it
first thing after a logon, and that logon or a later one has stood its test (it took our gap fill
and answered a TestRequest without asking again); or the numbering was ended. The traps are the
two halves alone: a broker that fell over with the order in hand asks for its number again, and
one whose order desk is slow says "unknown".

A refusal for being too fast that comes when nobody waits any more is not published: "rejected"
would end an order that may go again, and no report says "as if it had never come". The order stays
in doubt, and the look-up ends it: the broker's own refusal of this very order then stands for the
proof of its number. It is remembered in memory only; after a restart a broker that still shows the
order as refused for that says it again, and with any other a person decides.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from app.brokers.fix import late, tags, words
from app.brokers.fix.asking import Asking
from app.brokers.fix.commands import Identity, Message
from app.brokers.fix.exchange import (
    CANCELED,
    REPLACED,
    SHOWN,
    SUBMITTED,
    Exchange,
    Exchanges,
)
from app.brokers.fix.hearing import STATUS_REPORT, heard
from app.brokers.fix.line import Line
from app.brokers.fix.lists import Lists, Parcel
from app.brokers.fix.options import LineOptions, read_line
from app.brokers.fix.said import Said
from app.brokers.fix.too_fast import TooFast
from app.brokers.fix.unread import unread
from app.brokers.fix.words import Dialect
from app.clock import Clock
from app.domain.broker_session import SessionStatus
from app.domain.capabilities import Capabilities
from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    Rejected,
    Replacement,
    Submission,
)
from app.domain.values import attempt_key_of
from app.domain.working import ShownOrders
from app.ports.brokers import BadCallback, Standing
from app.ports.sessions import Unread

log: Final = logging.getLogger(__name__)

# A session carries many requests at once; a second of them may wait at a broker of a thousand a
# second. Cancels and replaces have no batch in FIX: these only share one commit. To change an order
# in one step is of FIX itself; a broker that cannot is declared so.
DEFAULTS: Final = Capabilities(
    max_in_flight=1_000,
    cancel_batch_max=50,
    find_batch_max=50,
    replaces=True,
    replace_batch_max=50,
)
PENDING_NEW: Final = "A"
_LINE: Final = {field.name for field in fields(LineOptions)} | {"counts"}


class FixBroker:
    """One broker that speaks FIX 4.4: `LiveBroker` of `ports.brokers`."""

    def __init__(
        self,
        *,
        name: str,
        clock: Clock,
        answer_s: float = 5.0,
        find_s: float = 3.0,
        throttle_words: Sequence[str] = (),
        **options: Any,
    ) -> None:
        """Take options by name: of the session, the line, the dialect, the capabilities.

        `throttle_words`: a refusal that carries one of them means that we were too fast.
        """
        self.name = name
        self._clock = clock
        self._answer_s, self._find_s = answer_s, find_s
        self._too_fast = TooFast(throttle_words)
        identity = Identity(**_taken(options, set(Identity._fields)))
        dialect = _taken(options, set(Dialect._fields))
        if "unknown_order_reasons" in dialect:
            dialect["unknown_order_reasons"] = frozenset(dialect["unknown_order_reasons"])
        self._dialect = Dialect(**dialect)
        line = _taken(options, _LINE - {"per_second_max", "counts_all"})
        self.capabilities = replace(DEFAULTS, **options)  # what is left: an unknown one raises
        read = read_line(identity, per_second_max=self.capabilities.orders_per_second_max, **line)
        self._line = Line(name, identity, read, clock, self._hear)
        self._exchanges = Exchanges(self._line)
        self._asking = Asking(self._line, self._exchanges, clock, self._too_fast, find_s)
        self._lists = Lists(self.capabilities)
        self._asked_ms = 0

    # --- the port -----------------------------------------------------------------------

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        """Send each as a message of its own, or as lists; all in one commit."""
        now = self._clock.now()
        placing = [e for each in self._lists.divided(batch) for e in self._placing(each, now)]
        answers = await self._exchanges.answers(placing, self._answer_s)
        self._lists.go_alone(leg.name for leg in placing if leg.goes_alone)
        return answers

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        """Ask to cancel; each request has an id of its own, so it may be repeated.

        With a replace out, the order goes by the old id or by the new one. So what is refused
        under the id that the broker has acknowledged is asked for under the other one.
        """
        answers = await self._canceled(batch)
        again = {
            place: Cancellation(item.pending_key, None)
            for place, (item, answer) in enumerate(zip(batch, answers, strict=True))
            if item.pending_key is not None and isinstance(answer, Rejected)
        }
        if again:
            others = zip(again, await self._canceled(list(again.values())), strict=True)
            for place, other in others:
                answers[place] = answers[place] if isinstance(other, Rejected) else other
        return answers

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        """Ask for new terms, each under its own key, once; all in one commit."""
        now = self._clock.now()
        return await self._exchanges.answers(
            [
                self._exchanges.single(
                    REPLACED,
                    item.broker_order_key,
                    words.replace(self._dialect, item, now),
                    places=item.broker_order_key,
                )
                for item in batch
            ],
            self._answer_s,
        )

    async def _canceled(self, batch: Sequence[Cancellation]) -> list[Answer]:
        orders = await self._asking.orders([item.broker_order_key for item in batch])
        # A request's id is made of its millisecond, and two about one order may fall into one.
        now = self._asked_ms = max(self._clock.now(), self._asked_ms + 1)
        return await self._exchanges.answers(
            [
                self._exchanges.single(
                    CANCELED,
                    attempt_key_of(item.broker_order_key),
                    words.cancel(
                        item,
                        words.as_placed(item.broker_order_key, orders.get(item.broker_order_key)),
                        now,
                    ),
                )
                for item in batch
            ],
            self._answer_s,
        )

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        """Ask for each order's status; `Absent` only with the proof of its number."""
        return await self._asking.find(keys)

    async def find_all(self) -> ShownOrders:
        """Ask for all of them in one message (35=AF)."""
        return await self._asking.find_all()

    async def ping(self) -> bool:
        """Return whether a TestRequest comes back in time on a session that is logged on."""
        return await self._line.ping(self._find_s)

    def read_callback(self, _headers: Mapping[str, str], _body: bytes) -> list[ExecutionReport]:
        """Refuse: reports come over the session, so nobody may push any."""
        raise BadCallback("a FIX broker reports over its session")

    async def close(self) -> None:
        """Do nothing: the line is closed when `run` is cancelled."""

    # --- the session --------------------------------------------------------------------

    async def run(self, standing: Standing) -> None:
        """Hold the session while the lane is ours; log out when cancelled."""
        await self._line.run(standing)

    def session(self) -> SessionStatus | None:
        return None if self._line.standing is None else self._line.status()

    async def log_out(self, reason: str) -> None:
        await self._line.log_out(reason)

    # --- within -------------------------------------------------------------------------

    def _placing(self, parcel: Parcel, now: int) -> list[Exchange]:
        """Return what places the orders of one message."""
        if parcel.part is None:
            (order,) = parcel.orders
            key, send = order.broker_order_key, words.new_order(self._dialect, order, now)
            return [self._exchanges.single(SUBMITTED, key, send, places=key)]
        keys = [order.broker_order_key for order in parcel.orders]
        send = words.new_list(self._dialect, parcel.orders, parcel.part, now)
        legs = self._exchanges.listed(keys, send, [o.broker_order_key for o in parcel.whole])
        legs[0].post.cost = self.capabilities.cost(len(legs))
        return legs

    def _hear(self, message: Message) -> list[ExecutionReport | Unread]:
        """Settle what a message answers; return what it reports, or that nobody could read it."""
        told: list[ExecutionReport | Unread] = []
        for said in self._all_said(message):
            if said.trouble is not None:
                log.warning("broker %s: %s", self.name, said.trouble)
            read = self._read(said, message)
            if read is not None and read.report is not None:
                told.append(read.report)
            if read is not None and read.unread:
                at, why = self._line.status(), said.trouble or "unread"
                told.append(unread(at.session_id, at.numbering, message, said.key, why))
        return told

    def _all_said(self, message: Message) -> list[Said]:
        """Return what a message says, and of which orders if it comes too late to be an answer."""
        all_said = heard(self.name, self._dialect, message)
        for said in tuple(all_said):
            for left in self._exchanges.late.refused(said, self._line.numbering):
                log.warning("broker %s: a late refusal of %s", self.name, left.keys)
                all_said += late.words(self.name, self._dialect, said, dict(message.fields), left)
                self._lists.go_alone(left.keys if left.list_id else ())
        return all_said

    def _read(self, said: Said, message: Message) -> Said | None:
        """Let what was said reach who waits for it; return what is left to be published."""
        if self._is_only_pending(said, message):
            return None
        said = self._too_fast.read(said)
        cited = None if said.number is None else self._line.waiting(said.number)
        settled = self._exchanges.told(said, cited)
        for exchange in settled:
            if not exchange.post.legs:  # the others of a list are still waiting
                self._line.answered(exchange.post)
        if said.mass_id is not None:
            said = self._asking.told(said, message)
        self._too_fast.remember(said, heard=any(e.kind == SUBMITTED for e in settled))
        # Whoever asked gets the status, and applies it; told twice it would be no news. That it
        # could not be read he hears too, and asks again: each time would be one more to keep.
        if not any(each.kind == SHOWN and each.is_about(said) for each in settled):
            return said
        is_status = message.get(tags.EXECUTION_TYPE) == STATUS_REPORT
        return said._replace(report=None, unread=said.unread and not is_status)

    def _is_only_pending(self, said: Said, message: Message) -> bool:
        """Whether this is no acceptance yet, and the one who waits for that goes on waiting."""
        pending = message.get(tags.EXECUTION_TYPE) == PENDING_NEW and said.status_id is None
        return pending and said.key is not None and self._exchanges.waits(SUBMITTED, said.key)


def _taken(options: dict[str, Any], names: set[str]) -> dict[str, Any]:
    """Take the options of these names out."""
    return {name: options.pop(name) for name in sorted(names & options.keys())}
