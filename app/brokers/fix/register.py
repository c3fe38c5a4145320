"""The numbers of a session as one connection has them, and what is noted of what came in.

The inbox works beside the reading, in order: reports are published durably, what nobody could
read is parked and kept apart, then the inbound number moves durably, for as much as has come
meanwhile in one go. A crash between the two makes the broker say it again, and applying is
idempotent. The trap is the other order: the broker then believes that we have a fill which nobody
wrote down.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from app import crash
from app.domain.messages import ExecutionReport
from app.ports.brokers import Standing
from app.ports.sessions import Numbers, Outgoing, SessionOwner, Unread

# Whoever reads waits when so much is not on disk yet: then the broker's own queue holds the rest.
WAITING_MAX: Final = 10_000
# A publish is a commit however much it carries: where reports come several at a time, let some
# gather, as their consumer does. Whoever waits for an answer has it before that.
GATHER_S: Final = 0.02
# The number's own commit is in the way of the orders'. What it lags behind comes again after a
# crash, and is known by then: a tenth of a second of reports.
BATCHES_MAX: Final = 5
Heard = Sequence[ExecutionReport | Unread]


class Register:
    """The next numbers under one lease: each change is durable before it is believed."""

    def __init__(self, standing: Standing, owner: SessionOwner, at: Numbers) -> None:
        self.standing = standing
        self.owner = owner
        self.at = at

    async def number(self, messages: Sequence[Outgoing]) -> None:
        """Give them the next numbers, in one commit."""
        after = await self.standing.sessions.append(self.owner, self.at, messages)
        self.at = self.at._replace(next_out=after.next_out)

    async def advance(self, next_in: int) -> None:
        after = await self.standing.sessions.advance(self.owner, self.at, next_in)
        self.at = self.at._replace(next_in=after.next_in)

    async def keep(self, heard: Heard) -> None:
        """Make what was heard durable: what was read as reports, the rest where a person sees it.

        A dead letter holds the bytes, and the quarantine is what somebody is called for.
        """
        reports = [it for it in heard if isinstance(it, ExecutionReport)]
        unread = [it for it in heard if isinstance(it, Unread)]
        if reports:
            await self.standing.publish(reports)
        if unread:
            await self.standing.park(unread)
            await self.standing.sessions.keep_apart(self.owner, unread)

    async def lacks_from(self, begin: int, before: int) -> None:
        """Note that the broker asked for these, of older connections, first thing after a logon."""
        if begin < before:
            numbering = self.at.numbering
            await self.standing.sessions.lack(self.owner, numbering, begin, before - 1)

    async def reset(self, reason: str) -> None:
        first = Numbers(0, 1, 1)
        self.at = await self.standing.sessions.reset(self.owner, self.at, first, reason)


class Inbox:
    """What was heard and is not on disk yet, in its order, and the number that stands after it."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._heard: list[ExecutionReport | Unread] = []
        self._next_in = 0
        self._something = asyncio.Event()
        self._nothing = asyncio.Event()
        self._nothing.set()

    def put(self, heard: Heard) -> None:
        self._heard += heard
        self._wake()

    def advance(self, next_in: int) -> None:
        """Let the number move when everything that was put before is on disk."""
        self._next_in = next_in
        self._wake()

    async def flushed(self) -> None:
        """Return when everything that was put is on disk."""
        await self._nothing.wait()

    async def room(self) -> None:
        """Return when more may be read."""
        if len(self._heard) >= WAITING_MAX:
            await self.flushed()

    async def run(self) -> None:
        """Keep for ever. While more comes the number moves with every few batches, else at once."""
        due = batches = 0
        while True:
            await self._something.wait()
            self._something.clear()
            heard, self._heard = self._heard, []
            due, self._next_in = self._next_in or due, 0
            if heard:
                await self._register.keep(heard)
                crash.point("fix.after_deliver")
            if len(heard) > 1:
                await asyncio.sleep(GATHER_S)
            batches += 1
            if due and (batches >= BATCHES_MAX or not self._something.is_set()):
                await self._register.advance(due)
                due = batches = 0
            if not self._something.is_set():
                self._nothing.set()

    def _wake(self) -> None:
        self._nothing.clear()
        self._something.set()
