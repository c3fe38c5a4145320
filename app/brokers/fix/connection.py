"""One connection's life: bytes become events of the machine, its commands become deeds.

Commands are obeyed in their order, one list at a time. Whatever ends the connection ends all of
its tasks, and then each order that was on it learns what may be said: never written, or written
and without an answer. The trap is a connection that is half dead: its reader gone, its writer
still taking orders.
"""

import asyncio
import logging
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from app import crash
from app.brokers.fix import tags
from app.brokers.fix.commands import (
    Advance,
    Alarm,
    Command,
    Deliver,
    Disconnect,
    Fill,
    Garbled,
    Lacking,
    LoggedOn,
    Message,
    ResetNumbers,
    Send,
)
from app.brokers.fix.frame import Frames
from app.brokers.fix.register import Inbox, Register
from app.brokers.fix.standing import text_of
from app.brokers.fix.writing import Ground, Over, Writing
from app.domain.messages import ExecutionReport
from app.domain.records import FenceLost
from app.domain.windows import any_open
from app.ports.sessions import Unread

log: Final = logging.getLogger(__name__)

READ_BYTES: Final = 1 << 16
TICK_S: Final = 0.5
SWEEP_S: Final = 60.0
SWEEP_MAX: Final = 2_000
DAY_MS: Final = 86_400_000
NO_HOURS: Final = "the session's hours are over"

Hear = Callable[[Message], Sequence[ExecutionReport | Unread]]


class Connection:
    """One connection, from its first byte to its last."""

    def __init__(
        self,
        ground: Ground,
        register: Register,
        streams: tuple[StreamReader, StreamWriter],
        hear: Hear,
        on_logged_on: Callable[[], None],
    ) -> None:
        self._ground = ground
        self._register = register
        self._reader, self._stream = streams
        self._hear = hear
        self._on_logged_on = on_logged_on
        self._inbox = Inbox(register)
        self._turn = asyncio.Lock()
        self._pings: dict[str, asyncio.Future[bool]] = {}
        self._is_leaving = False
        self._first = register.at.next_out  # of this connection
        self._asked = False  # whether the broker has asked for what it lacks of older ones
        self.writing = Writing(ground, register, self._inbox, self._stream)
        self.logged_on = False
        self.refused: str | None = None  # what the broker said instead of a logon
        self.alarm: str | None = None
        self.last_in_at: int | None = None

    async def run(self) -> str:
        """Live until the connection is over; return why."""
        # Nothing waits in front of the socket: what is written has left, or the writer waits.
        self._stream.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.TaskGroup() as tasks:
                for loop in (self._read, self._tick, self._sweep):
                    tasks.create_task(loop())
                tasks.create_task(self.writing.run())
                tasks.create_task(self._inbox.run())
                at = self._register.at
                await self._event(
                    lambda: self._ground.machine.connected(
                        self._ground.instant(), at.next_out, at.next_in
                    )
                )
        except* (Over, FenceLost) as group:
            why = str(group.exceptions[0])
        finally:
            self._end()
        return why

    async def ping(self, test_id: str) -> bool:
        """Return whether a TestRequest comes back as a heartbeat; False when the line is lost."""
        if not self.logged_on:
            return False
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pings[test_id] = answer
        self._ground.outbox.say(Send(tags.TEST_REQUEST, ((tags.TEST_ID, test_id),)))
        try:
            return await answer
        finally:
            self._pings.pop(test_id, None)

    async def log_out(self, reason: str) -> None:
        """Say goodbye; the broker's answer, or its silence, ends the connection."""
        self._is_leaving = True
        instant = self._ground.instant()
        await self._event(lambda: self._ground.machine.logout(reason, instant))

    # --- loops --------------------------------------------------------------------------

    async def _read(self) -> None:
        frames = Frames()
        while True:
            try:
                data = await self._reader.read(READ_BYTES)
            except OSError as e:
                raise Over(f"{type(e).__name__} while reading") from e
            if not data:
                raise Over(self.refused or "closed by the broker")
            crash.point("fix.after_read")
            self.last_in_at = self._ground.clock.now()
            await self._take(frames.feed(data))
            await self._inbox.room()

    async def _take(self, burst: Sequence[Message | Garbled]) -> None:
        """Obey what came in one go in one turn: most of it needs nobody's answer."""
        async with self._turn:
            received, instant = self._ground.machine.received, self._ground.instant()
            for what in burst:
                if isinstance(what, Message):
                    self._notice(what)
                for command in received(what, instant):
                    if (deed := self._obey(command)) is not None:
                        await deed
        self._ground.outbox.wake()

    def _notice(self, message: Message) -> None:
        """See what concerns the line itself: a ping's answer, a logon that is refused."""
        if message.type == tags.HEARTBEAT_TYPE:
            answer = self._pings.get(message.get(tags.TEST_ID) or "")
            if answer is not None and not answer.done():
                answer.set_result(True)
        elif message.type in {tags.LOGOUT, tags.REJECT} and not self.logged_on:
            self.refused = f"logon refused: {text_of(dict(message.fields))}"

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._event(lambda: self._ground.machine.tick(self._ground.instant()))
            if self._register.standing.epoch() != self._register.owner.epoch:
                raise Over("another process owns this broker")
            now = self._ground.clock.now()
            if not self._is_leaving and not any_open(self._ground.options.windows, now):
                await self.log_out(NO_HOURS)

    async def _sweep(self) -> None:
        """Drop what was numbered days ago, a little at a time."""
        sessions, session_id = self._register.standing.sessions, self._register.owner.session_id
        while True:
            before = self._ground.clock.now() - self._ground.options.keep_days * DAY_MS
            dropped = await sessions.forget(session_id, before, SWEEP_MAX)
            await asyncio.sleep(SWEEP_S if dropped < SWEEP_MAX else TICK_S)

    # --- deeds --------------------------------------------------------------------------

    async def _event(self, event: Callable[[], list[Command]]) -> None:
        async with self._turn:
            for command in event():
                if (deed := self._obey(command)) is not None:
                    await deed
        self._ground.outbox.wake()

    def _obey(self, command: Command) -> Awaitable[None] | None:
        """Do it, or return what has to be waited for before the next one is obeyed."""
        match command:
            case Deliver():
                self._inbox.put(self._hear(command.message))
            case Advance():
                self._inbox.advance(command.next_in)
            case Send() | Disconnect():
                self._ground.outbox.say(command)
            case Fill():
                return self._fill(command)
            case ResetNumbers():
                return self._reset(command)
            case LoggedOn() | Lacking() | Alarm():
                self._learn(command)
        return None

    async def _reset(self, command: ResetNumbers) -> None:
        self.writing.reset.clear()
        self._ground.outbox.say(command)
        await self.writing.reset.wait()
        self._first = self._register.at.next_out

    async def _fill(self, fill: Fill) -> None:
        """Fill a gap; the first one that a logon meets shows what the broker lacks.

        That is noted before the fill leaves: a broker that has taken it never asks again, and
        whoever died in between would be in doubt for ever.
        """
        if not self.logged_on and not self._asked:
            self._asked = True
            await self._register.lacks_from(fill.begin, self._first)
        self._ground.outbox.say(fill)

    def _learn(self, news: LoggedOn | Lacking | Alarm) -> None:
        match news:
            case LoggedOn():
                self.logged_on, self.refused = True, None
                self._on_logged_on()
            case Lacking():
                pass  # noted when it was asked for; the test that has stood now makes it proof
            case Alarm(words):
                self.alarm = words
                log.warning("session %s: %s", self._register.owner.session_id, words)

    def _end(self) -> None:
        """Cut the line, and tell everything that was on it."""
        logged_on, self.logged_on = self.logged_on, False
        self._stream.transport.abort()
        self._ground.machine.lost(self._ground.instant())
        why = "the session was lost" if logged_on else self.refused or "not logged on"
        for post in [*self.writing.given_up(), *self._ground.outbox.clear()]:
            post.on_lost(post, why)
        for answer in self._pings.values():
            if not answer.done():
                answer.set_result(False)
