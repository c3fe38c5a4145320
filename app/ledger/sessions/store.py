"""The record as a FIX session sees it: `SessionStore` of `ports.sessions`.

It adds the time to `fix_sessions`. Every change may run a second time, so a server that restarts
is a pause, and the session's own time-outs decide whether it outlives that.
"""

from collections.abc import Sequence

from app import crash
from app.domain.order import Order
from app.domain.records import Actor
from app.ledger.edge import Edge
from app.ledger.sessions import fix_sessions
from app.ports.sessions import Numbers, Outgoing, Placed, SessionOwner, Unread


class SessionLedger(Edge):
    """Numbers what leaves, and remembers what came."""

    async def open(self, session: SessionOwner) -> Numbers:
        now = self._clock.now()
        return await self._write(lambda c: fix_sessions.open_session(c, session, now))

    async def append(
        self, session: SessionOwner, at: Numbers, messages: Sequence[Outgoing]
    ) -> Numbers:
        now = self._clock.now()
        after = await self._write(
            lambda c: fix_sessions.append(c, session, at, messages, now), "fix.before_number"
        )
        crash.point("fix.after_number")
        return after

    async def advance(self, session: SessionOwner, at: Numbers, next_in: int) -> Numbers:
        now = self._clock.now()
        after = await self._write(
            lambda c: fix_sessions.advance(c, session, at, next_in, now), "fix.before_advance"
        )
        crash.point("fix.after_advance")
        return after

    async def keep_apart(self, session: SessionOwner, unread: Sequence[Unread]) -> None:
        now = self._clock.now()
        await self._write(lambda c: fix_sessions.keep_apart(c, session, unread, now))

    async def lack(self, session: SessionOwner, numbering: int, begin: int, end: int) -> int:
        return await self._write(lambda c: fix_sessions.lack(c, session, numbering, begin, end))

    async def reset(self, session: SessionOwner, at: Numbers, to: Numbers, reason: str) -> Numbers:
        now = self._clock.now()
        return await self._write(lambda c: fix_sessions.reset(c, session, at, to, reason, now))

    async def reset_by(self, session_id: str, seen: int, by: Actor) -> Numbers:
        now = self._clock.now()
        return await self._write_once(lambda c: fix_sessions.reset_by(c, session_id, seen, by, now))

    async def numbers(self, session_id: str) -> Numbers | None:
        return await self._read(lambda c: fix_sessions.numbers(c, session_id))

    async def placed(self, session_id: str, keys: Sequence[str]) -> dict[str, Placed]:
        return await self._read(lambda c: fix_sessions.placed(c, session_id, keys))

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        return await self._read(lambda c: fix_sessions.orders(c, keys))

    async def forget(self, session_id: str, before: int, limit: int) -> int:
        return await self._write(lambda c: fix_sessions.forget(c, session_id, before, limit))
