"""One request on the session and the answer that it waits for.

On a session the answer to one message is another message, which names it by the order's key, by
its own number, or by the id of a question. The trap is a request that ends by itself: whether its
bytes may be out is asked of the post, never guessed from why the waiting ended.

A list is one message and many requests: each of its orders waits for a word of its own.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from app.brokers.fix import tags
from app.brokers.fix.commands import Send
from app.brokers.fix.late import Late, Left, Place, as_of_list
from app.brokers.fix.line import Line
from app.brokers.fix.outbox import Post
from app.brokers.fix.said import Said
from app.domain.messages import NotSent, Rejected, Unknown
from app.domain.values import attempt_key_of

# What a request waits for: the field of `Said` that answers it.
SUBMITTED: Final = "submitted"
CANCELED: Final = "canceled"
REPLACED: Final = "replaced"
SHOWN: Final = "shown"
ALL_SHOWN: Final = "all_shown"  # what `Said` never has: a mass status is heard report by report


class Exchange:
    """One request: how it waits, and what ends it."""

    __slots__ = ("answer", "goes_alone", "kind", "name", "post", "request", "the_order")

    def __init__(self, kind: str, name: str, post: Post, request: str | None = None) -> None:
        self.kind = kind
        # What an answer calls it: the key of the attempt or the replace, or a question's id.
        self.name = name
        self.post = post
        self.request = request
        self.the_order: str | None = None  # of a cancel: the order's own id
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.goes_alone = False  # its list was refused, and nobody looked at this order

    def is_about(self, said: Said) -> bool:
        """Whether a question's answer names the order that was asked for, or one of its chain.

        A refusal of the message itself cites that, and names no order.
        """
        if said.refused_type is not None or said.number is not None:
            return True
        asked = attempt_key_of(self.request or "")
        return said.key is not None and attempt_key_of(said.key) == asked

    def hears(self, said: Said) -> Any:
        """Return the answer in what was said, or None; to a question it is all that was said."""
        if self.kind == SHOWN and said.shown is not None:
            return said if self.is_about(said) else Unknown("the answer is about another order")
        if self.kind == SUBMITTED and said.number is not None:
            return self._refused(said)
        if self.kind == ALL_SHOWN:  # only a refusal comes here: nothing is shown
            return said.shown
        if self.kind in {SHOWN, SUBMITTED}:
            return getattr(said, self.kind)
        # Of two requests about one order, a refusal ends the one that it names.
        names_another = said.request not in {None, self.request, self.the_order}
        return None if names_another else getattr(said, self.kind)

    def _refused(self, said: Said) -> Any:
        """Return what a refusal of the message itself proves: of a list, that it was not read."""
        if not self.post.legs or not isinstance(said.submitted, Rejected):
            return said.submitted
        self.goes_alone = True
        return as_of_list(said.submitted)

    def settle(self, answer: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def give_up(self, why: str) -> None:
        """End the waiting: what never left is said so, all else is unknown."""
        if self.post.withdraw() and self.kind != SHOWN:
            self.settle(NotSent(f"it could not leave: {why}"))
        else:
            self.settle(Unknown(why))
        # It is settled for good. Each has known the other, and only a collection frees a circle:
        # at the open that is one for every order.
        self.post.on_lost = _nobody_waits

    def lost(self, why: str, *, credentials: bool) -> None:
        """End the waiting: the line is gone, or the message may not leave on it."""
        if self.kind == SHOWN or self.post.written:
            self.settle(Unknown(why))
            return
        self.goes_alone = self.post.is_unfit
        stopped = self.post.is_stopped
        self.settle(NotSent(why, credentials=credentials and not stopped, ours=stopped))


class Exchanges:
    """Every request on one line that waits, by what its answer will call it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: dict[tuple[str, str], Exchange] = {}
        self.late = Late()

    def single(self, kind: str, name: str, send: Send, *, places: str | None = None) -> Exchange:
        """Return one request that is a message."""

        def lost(_post: Post, why: str) -> None:
            exchange.lost(why, credentials=self._line.refusal is not None)

        post = Post(send.type, send.fields, places, lost)
        exchange = Exchange(kind, name, post, places or _value(send, tags.CLIENT_ORDER_ID))
        if kind == CANCELED:  # what ends an order answers its cancel, also under the order's own id
            exchange.the_order = _value(send, tags.ORIGINAL_CLIENT_ORDER_ID)
        return exchange

    def listed(self, keys: Sequence[str], send: Send, whole: Sequence[str]) -> list[Exchange]:
        """Return the requests to place these orders, which are one message of that whole list."""

        def lost(_post: Post, why: str) -> None:
            for leg in legs:
                leg.lost(why, credentials=self._line.refusal is not None)

        post = Post(send.type, send.fields, None, lost)
        post.legs, post.checked = tuple(keys), tuple(whole)
        legs = [Exchange(SUBMITTED, key, post, key) for key in keys]
        return legs

    async def answers(self, exchanges: Sequence[Exchange], within_s: float) -> list[Any]:
        """Send them and wait for all answers, so long and no longer."""
        if not exchanges:
            return []
        for exchange in exchanges:
            self._waiting[exchange.kind, exchange.name] = exchange
        late = f"no answer within {within_s:g} s"
        # One timer for all of them: `asyncio.wait` makes a task's worth of objects for each order.
        timer = asyncio.get_running_loop().call_later(within_s, _give_up, exchanges, late)
        try:
            self._line.post(list(dict.fromkeys(exchange.post for exchange in exchanges)))
            return [await exchange.answer for exchange in exchanges]
        finally:
            timer.cancel()
            _give_up(exchanges, late)  # whoever is cancelled waits no longer, either
            for exchange in exchanges:
                self._forget(exchange)

    def told(self, said: Said, cited: Post | None) -> list[Exchange]:
        """Settle whatever this answers; return what was settled."""
        found = self._named(said) if said.number is None else self._citing(said, cited)
        settled = []
        for exchange in found:
            answer = exchange.hears(said)
            if answer is not None and not exchange.answer.done():
                exchange.settle(answer)
                settled.append(exchange)
        return settled

    def ended(self, kind: str, name: str) -> None:
        """End one that has heard all that there is to hear."""
        if (exchange := self._waiting.get((kind, name))) is not None:
            exchange.settle(None)

    def waits(self, kind: str, name: str) -> bool:
        return (kind, name) in self._waiting

    def _forget(self, exchange: Exchange) -> None:
        """Wait no more; what may be there without a word is remembered by its number."""
        self._line.answered(exchange.post)
        if self._waiting.get((exchange.kind, exchange.name)) is exchange:
            del self._waiting[exchange.kind, exchange.name]
        post, answer = exchange.post, exchange.answer
        if post.number is None or exchange.kind not in {SUBMITTED, REPLACED}:
            return
        if answer.cancelled() or isinstance(answer.result(), Unknown):
            left = Left(post.type, post.checked[0] if post.legs else None, [exchange.name])
            self.late.note(Place(post.numbering, post.number), left)

    def _named(self, said: Said) -> list[Exchange]:
        names = [(SHOWN, said.status_id), (SUBMITTED, said.key)]
        # A cancel is of the order under any id of its chain; a replace is named by its own.
        names += [(CANCELED, said.key and attempt_key_of(said.key)), (REPLACED, said.request)]
        found = [self._waiting.get((kind, name)) for kind, name in names if name is not None]
        if said.list_id is not None and said.key is None:  # a list has the name of its first order
            found += self._of_list(self._waiting.get((SUBMITTED, said.list_id)))
        return [exchange for exchange in found if exchange is not None]

    def _of_list(self, first: Exchange | None) -> list[Exchange | None]:
        keys = () if first is None else first.post.checked
        return [self._waiting.get((SUBMITTED, key)) for key in keys]

    def _citing(self, said: Said, cited: Post | None) -> list[Exchange]:
        # A gap fill of ours has the number of what it stands for: the type tells them apart.
        if cited is None or said.refused_type not in {None, cited.type}:
            return []
        return [exchange for exchange in self._waiting.values() if exchange.post is cited]


def _give_up(exchanges: Sequence[Exchange], why: str) -> None:
    for exchange in exchanges:
        exchange.give_up(why)


def _nobody_waits(_post: Post, _why: str) -> None:
    """Take the place of who waited."""


def _value(send: Send, wanted: int) -> str | None:
    for tag, value in send.fields:
        if tag == wanted:
            return value
    return None
