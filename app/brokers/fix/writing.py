"""The one writer of a connection: take all that waits, number it in one commit, write it at once.

Orders gather while a commit runs, and some milliseconds more while the broker is behind, so one
disk flush carries as many as the line is fast. After the commit stand the last checks, and between
them and the write nothing is awaited: the session's own law, halts and routes as the lane sees them
by now, whether anybody still waits for it, the broker's contract and the operator's number, counted
as bytes leave, and last the lease. The trap is a commit that stalls: what gathered meanwhile would
leave in one burst above both, so the line waits until its own last second has room.

A number that was given and may not leave after all is written as a gap fill in its place.
"""

import asyncio
from asyncio import StreamWriter
from typing import Final, NamedTuple

from app import codec, crash
from app.brokers.fix import frame, tags
from app.brokers.fix.commands import Disconnect, Fill, Identity, Instant, ResetNumbers, Send
from app.brokers.fix.machine import Session
from app.brokers.fix.options import LineOptions
from app.brokers.fix.outbox import SECOND_NS, Administrative, LastSecond, Outbox, Post
from app.brokers.fix.register import Inbox, Register
from app.clock import Clock
from app.ports.sessions import Outgoing

# What a limit on new orders and cancels speaks of: whatever may move an order.
ORDERING: Final = frozenset({"D", "F", "G", "E"})
# A commit takes the processor half a millisecond and the disk longer, whatever it carries. A broker
# that is behind loses nothing while orders gather; one that waits for us has them at once.
GATHER_S: Final = 0.004
BUSY: Final = 4
_NUMBERED: Final = (Send, Post)


class Over(Exception):
    """The connection is over; says why."""


class Ground(NamedTuple):
    """What one line stands on, whichever connection it has."""

    identity: Identity
    options: LineOptions
    clock: Clock
    machine: Session
    outbox: Outbox
    rate: LastSecond  # by the broker's contract
    number: LastSecond  # by the operator's, which speaks of orders alone

    def instant(self) -> Instant:
        return Instant(self.clock.now(), self.clock.monotonic_ns() // 1_000_000)


class Writing:
    """What leaves on one connection, in the order of its numbers."""

    def __init__(
        self, ground: Ground, register: Register, inbox: Inbox, stream: StreamWriter
    ) -> None:
        self._ground = ground
        self._register = register
        self._inbox = inbox
        self._stream = stream
        self._numbered: list[Post] = []  # and not written yet
        self._pending = bytearray()
        self._pending_posts: list[Post] = []
        self._pending_number: int | None = None  # the last new one
        self._pending_cost = self._pending_orders = 0
        self.waiting: dict[int, Post] = {}  # written, by number; nobody has answered yet
        self.reset = asyncio.Event()
        self.last_at: int | None = None

    async def run(self) -> None:
        """Write for ever, until `Over`."""
        while True:
            await self._ground.outbox.wait()
            taken = self._ground.outbox.take(posts=self._ground.machine.may_send)
            match taken:
                case []:
                    continue
                case [ResetNumbers(reason)]:
                    await self._inbox.flushed()
                    await self._register.reset(reason)
                    self.waiting.clear()  # these numbers now name other messages
                    self.reset.set()
                case _:
                    await self._leave(taken)
                    await self._gather(len(taken))

    def given_up(self) -> list[Post]:
        """Return what will never be answered on this connection, written or not."""
        posts = [*self._numbered, *self.waiting.values()]
        self._numbered, self.waiting = [], {}
        return posts

    async def _leave(self, taken: list[Administrative | Post]) -> None:
        number = await self._number(taken)
        for item in taken:
            match item:
                case Post():
                    if self._is_full(item.cost):
                        await self._room(item.cost)
                    self._write_post(item, number)
                    number += 1
                case Send():
                    self._say(item, number)
                    number += 1
                case Fill():
                    self._fill(item.begin, item.before or number)
                case Disconnect():
                    await self._flush()
                    raise Over(item.reason)
                case ResetNumbers():
                    raise AssertionError("a reset is taken alone")
        await self._flush()
        self._numbered = []

    async def _gather(self, left: int) -> None:
        """Wait for a fuller batch while the broker has more in hand than it was just given."""
        if len(self.waiting) > BUSY * left:
            await asyncio.sleep(GATHER_S)

    async def _number(self, taken: list[Administrative | Post]) -> int:
        """Give all of them numbers, durably; return the first."""
        first = self._register.at.next_out
        self._numbered = [item for item in taken if isinstance(item, Post)]
        if messages := [_outgoing(item) for item in taken if isinstance(item, _NUMBERED)]:
            await self._register.number(messages)
        return first

    def _say(self, send: Send, number: int) -> None:
        """Write a word of the session's own; a stranger's, quoted in it, may not fit a message."""
        try:
            self._put(send.type, number, send.fields)
        except frame.Unwritable:
            if send.type == tags.LOGON:  # what cannot be written may be the password: name no value
                raise Over("our Logon cannot be written: look at its options") from None
            self._put_nothing(number)

    def _is_full(self, cost: int) -> bool:
        """Whether a bound of the last second has no room for so much beside what is pending."""
        now = self._ground.clock.monotonic_ns()
        if self._ground.rate.room(now) < self._pending_cost + cost:
            return True
        return self._paced().room(now) < self._pending_orders + cost

    async def _room(self, cost: int) -> None:
        """Wait until so much may leave; what is pending leaves before that."""
        await self._flush()
        while wait_ns := self._wait_ns(cost):  # noqa: ASYNC110 - for the time
            await asyncio.sleep(wait_ns / SECOND_NS)

    def _wait_ns(self, cost: int) -> int:
        now = self._ground.clock.monotonic_ns()
        return max(self._ground.rate.wait_ns(now, cost), self._paced().wait_ns(now, cost))

    def _paced(self) -> LastSecond:
        """Return what left by the operator's number, as it stands now.

        A broker that takes nothing has the number 0. What its lane had let out until then is
        bounded by the contract, and by how soon a claim is too old.
        """
        number = self._ground.number
        number.most = self._register.standing.per_second() or self._ground.options.per_second_max
        return number

    def _write_post(self, post: Post, number: int) -> None:
        stops = self._register.standing.stops
        why = None if post.key is None else stops(post.key)
        for leg in post.checked:
            why = why or stops(leg)
        post.is_stopped = why is not None
        if post.withdrawn or not self._ground.machine.may_send:
            why, post.is_stopped = "it could not leave in time", False
        if why is not None:
            self._skip(post, number, why)
            return
        try:
            self._put(post.type, number, post.fields, post.cost)
        except frame.Unwritable as e:
            post.is_unfit = True
            self._skip(post, number, str(e))
            return
        post.number, post.numbering = number, self._register.at.numbering
        self._pending_posts.append(post)

    def _skip(self, post: Post, number: int, why: str) -> None:
        self._put_nothing(number)
        self._numbered.remove(post)
        post.on_lost(post, why)

    def _put_nothing(self, number: int) -> None:
        fields = ((tags.GAP_FILL, "Y"), (tags.NEW_NUMBER, str(number + 1)))
        self._put(tags.SEQUENCE_RESET, number, fields)

    def _fill(self, begin: int, before: int) -> None:
        # A refusal of one of these numbers may be that of the fill: it proves nothing from here.
        for number in [number for number in self.waiting if begin <= number < before]:
            del self.waiting[number]
        fields = ((tags.GAP_FILL, "Y"), (tags.NEW_NUMBER, str(before)))
        now = self._ground.clock.now()
        identity = self._ground.identity
        self._pending += frame.write(identity, tags.SEQUENCE_RESET, begin, fields, now, True)
        self._count(tags.SEQUENCE_RESET)

    def _put(
        self, type_: str, number: int, fields: tuple[tuple[int, str], ...], cost: int = 1
    ) -> None:
        now = self._ground.clock.now()
        self._pending += frame.write(self._ground.identity, type_, number, fields, now)
        self._pending_number = number
        self._count(type_, cost)

    def _count(self, type_: str, cost: int = 1) -> None:
        if type_ in ORDERING:
            self._pending_orders += cost
        if self._ground.options.counts_all or type_ in ORDERING:
            self._pending_cost += cost

    async def _flush(self) -> None:
        """Write what is pending. From the first line to the write nothing is awaited."""
        if not self._pending:
            return
        if self._stream.is_closing():
            raise Over("the connection was closed")
        if self._pending_posts:
            self._must_be_ours()
        data, number = bytes(self._pending), self._pending_number
        cost, orders = self._pending_cost, self._pending_orders
        for post in self._pending_posts:
            post.written = True
            assert post.number is not None
            self.waiting[post.number] = post
        self._numbered = [post for post in self._numbered if not post.written]
        self._pending.clear()
        self._pending_posts, self._pending_number = [], None
        self._pending_cost = self._pending_orders = 0
        crash.point("fix.before_write")
        self._stream.write(data)
        crash.point("fix.after_write")
        now = self._ground.clock.monotonic_ns()
        self._ground.rate.left(cost, now)
        self._ground.number.left(orders, now)
        instant = self._ground.instant()
        self.last_at = instant.wall_ms
        self._ground.machine.wrote(instant, number)
        try:
            async with asyncio.timeout(self._ground.options.write_s):
                await self._stream.drain()
        except OSError as e:  # a time-out is one
            raise Over(f"{type(e).__name__} while writing") from e

    def _must_be_ours(self) -> None:
        standing, owner = self._register.standing, self._register.owner
        if not standing.is_sure() or standing.epoch() != owner.epoch:
            raise Over("the lease is running out")


def _outgoing(item: Send | Post) -> Outgoing:
    if isinstance(item, Post):  # which is about orders, and has no secret
        return Outgoing(item.type, item.key, codec.text(item.fields), item.legs)
    fields = [field for field in item.fields if field[0] not in tags.SECRET]
    return Outgoing(item.type, None, codec.text(fields))
