"""What waits to leave on a line: the session's own words first, then orders, each with its fate.

A `Post` knows whether its bytes may be out: until then whoever gives it up may say that it was
never sent, afterwards nobody may. The trap is to ask that of a future or a task, which end for
reasons of their own.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from app.brokers.fix.commands import Disconnect, Fill, ResetNumbers, Send

SECOND_NS: Final = 1_000_000_000
# One commit for all of them: more would make the first wait for the last.
BATCH_MAX: Final = 500

Administrative = Send | Fill | Disconnect | ResetNumbers


class Post:
    """One application message, and how its sender learns what became of it.

    `on_lost` is told once, unless an answer came first: never written, or written and now without
    a line on which its answer could come.
    """

    __slots__ = (
        *("checked", "cost", "fields", "is_stopped", "is_unfit", "key", "legs", "number"),
        *("numbering", "on_lost", "type", "withdrawn", "written"),
    )

    def __init__(
        self,
        type_: str,
        fields: tuple[tuple[int, str], ...],
        key: str | None,
        on_lost: Callable[["Post", str], None],
    ) -> None:
        self.type = type_
        self.fields = fields
        self.key = key  # the order that it would place
        self.on_lost = on_lost
        self.legs: tuple[str, ...] = ()  # the orders that it would place, if it is a list
        self.checked: tuple[str, ...] = ()  # and the whole list's, if this is a part of it
        self.cost = 1  # as the broker's contract counts it
        self.is_unfit = False  # it cannot be said in a message
        self.is_stopped = False  # a halt or the like came before its write: nobody's fault
        self.number: int | None = None
        self.numbering = 0
        self.written = False  # from here on it may be there
        self.withdrawn = False  # nobody waits for it any more: it must not leave

    def withdraw(self) -> bool:
        """Give up; return whether it can be said that it never left."""
        self.withdrawn = True
        return not self.written


class Outbox:
    """The one queue of a line. What is administrative goes first and in its order."""

    def __init__(self) -> None:
        self._administrative: deque[Administrative] = deque()
        self._posts: deque[Post] = deque()
        self._something = asyncio.Event()

    def say(self, command: Administrative) -> None:
        self._administrative.append(command)
        self._something.set()

    def post(self, posts: Iterable[Post]) -> None:
        # While a gap keeps them all, what was given up must not gather: it was asked for in order.
        while self._posts and self._posts[0].withdrawn:
            self._posts.popleft()
        self._posts.extend(posts)
        self._something.set()

    def wake(self) -> None:
        """Look again: what was held back may leave now."""
        if self._posts:
            self._something.set()

    async def wait(self) -> None:
        await self._something.wait()

    def take(self, *, posts: bool) -> list[Administrative | Post]:
        """Return what goes into one commit. A reset of the numbers is taken alone."""
        self._something.clear()
        taken: list[Administrative | Post] = []
        while self._administrative:
            if isinstance(self._administrative[0], ResetNumbers):
                if not taken:
                    taken.append(self._administrative.popleft())
                self._something.set()
                return taken
            taken.append(self._administrative.popleft())
        while posts and self._posts and len(taken) < BATCH_MAX:
            post = self._posts.popleft()
            if not post.withdrawn:
                taken.append(post)
        if self._posts and posts:
            self._something.set()
        return taken

    def clear(self) -> list[Post]:
        """Forget everything; return the posts, none of which has left."""
        posts = list(self._posts)
        self._posts.clear()
        self._administrative.clear()
        return posts


class LastSecond:
    """How many messages left in the last second, by the instants of their writes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._writes: deque[tuple[int, int]] = deque()
        self._count = 0

    def room(self, now_ns: int) -> int:
        """Return how many more may leave this instant."""
        while self._writes and self._writes[0][0] <= now_ns - SECOND_NS:
            self._count -= self._writes.popleft()[1]
        return self.most - self._count

    def wait_ns(self, now_ns: int, cost: int = 1) -> int:
        """Return how long until there is room for so much; 0 if there is.

        What is more than a whole second's goes alone.
        """
        short = cost - self.room(now_ns)
        if short <= 0 or not self._writes:
            return 0
        enough = now_ns
        for at, count in self._writes:
            enough, short = at + SECOND_NS, short - count
            if short <= 0:
                break
        return enough - now_ns

    def left(self, count: int, now_ns: int) -> None:
        if count:
            self._writes.append((now_ns, count))
            self._count += count
