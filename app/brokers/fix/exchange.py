"""One request on the session and the answer that it waits for.

On a session the answer to one message is another message, which names it by the order's key, by
its own number, or by the id of a question. The trap is a request that ends by itself: whether its
bytes may be out is asked of the post, never guessed from why the waiting ended.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from app.brokers.fix import tags
from app.brokers.fix.commands import Send
from app.brokers.fix.outbox import Post
from app.brokers.fix.said import Said
from app.domain.messages import Lookup, NotSent, Unknown
from app.domain.values import attempt_key_of

# What a request waits for: the field of `Said` that answers it.
SUBMITTED: Final = "submitted"
CANCELED: Final = "canceled"
REPLACED: Final = "replaced"
SHOWN: Final = "shown"


class Exchange:
    """One request: how it waits, and what ends it."""

    __slots__ = ("answer", "kind", "name", "post", "request", "the_order")

    def __init__(
        self,
        kind: str,
        name: str,
        send: Send,
        is_refused: Callable[[], bool],
        *,
        places: str | None = None,
    ) -> None:
        self.kind = kind
        # What an answer calls it: the key of the attempt or the replace, or a question's id.
        self.name = name
        fields = dict(send.fields)
        self.request = fields.get(tags.CLIENT_ORDER_ID)
        # What ends an order answers its cancel, also under the order's own id.
        self.the_order = fields.get(tags.ORIGINAL_CLIENT_ORDER_ID) if kind == CANCELED else None
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def lost(post: Post, why: str) -> None:
            self.settle(_gone(kind, post, why, is_refused))

        self.post = Post(send.type, send.fields, places, lost)

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
        if self.kind in {SHOWN, SUBMITTED}:
            return getattr(said, self.kind)
        # Of two requests about one order, a refusal ends the one that it names.
        names_another = said.request not in {None, self.request, self.the_order}
        return None if names_another else getattr(said, self.kind)

    def settle(self, answer: Any) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def give_up(self, why: str) -> None:
        """End the waiting: what never left is said so, all else is unknown."""
        if self.post.withdraw() and self.kind != SHOWN:
            self.settle(NotSent(f"it could not leave: {why}"))
        else:
            self.settle(Unknown(why))


class Exchanges:
    """Every request that waits, by what its answer will call it."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Exchange] = {}

    async def answers(
        self, exchanges: Sequence[Exchange], post: Callable[[Sequence[Post]], None], within_s: float
    ) -> list[Any]:
        """Send them and wait for all answers, so long and no longer."""
        for exchange in exchanges:
            self._waiting[exchange.kind, exchange.name] = exchange
        late = f"no answer within {within_s:g} s"
        # One timer for all of them: `asyncio.wait` makes a task's worth of objects for each order.
        timer = asyncio.get_running_loop().call_later(within_s, _give_up, exchanges, late)
        try:
            post([exchange.post for exchange in exchanges])
            return [await exchange.answer for exchange in exchanges]
        finally:
            timer.cancel()
            _give_up(exchanges, late)  # whoever is cancelled waits no longer, either
            for exchange in exchanges:
                if self._waiting.get((exchange.kind, exchange.name)) is exchange:
                    del self._waiting[exchange.kind, exchange.name]

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

    def waits(self, kind: str, name: str) -> bool:
        return (kind, name) in self._waiting

    def _named(self, said: Said) -> list[Exchange]:
        names = [(SHOWN, said.status_id), (SUBMITTED, said.key)]
        # A cancel is of the order under any id of its chain; a replace is named by its own.
        names += [(CANCELED, said.key and attempt_key_of(said.key)), (REPLACED, said.request)]
        found = [self._waiting.get((kind, name)) for kind, name in names if name is not None]
        return [exchange for exchange in found if exchange is not None]

    def _citing(self, said: Said, cited: Post | None) -> list[Exchange]:
        # A gap fill of ours has the number of what it stands for: the type tells them apart.
        if cited is None or said.refused_type not in {None, cited.type}:
            return []
        return [exchange for exchange in self._waiting.values() if exchange.post is cited]


def _give_up(exchanges: Sequence[Exchange], why: str) -> None:
    for exchange in exchanges:
        exchange.give_up(why)


def _gone(kind: str, post: Post, why: str, is_refused: Callable[[], bool]) -> NotSent | Lookup:
    if kind == SHOWN or post.written:
        return Unknown(why)
    return NotSent(why, credentials=is_refused())
