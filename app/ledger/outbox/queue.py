"""The outbox as its relay reads it: in order, from the first that is not yet gone.

It is a queue and not a log with a cursor: a reader that remembers "the last id" skips what
commits late, one that deletes what was acknowledged cannot. Within an order the ids rise, for
each is drawn while the order's row is locked; between two orders nothing may rely on them.

An embedded ledger has one relay, in the one process that has the file open. A shared one may
have several: each owns the shards whose lock it holds, on a session of its own, and whoever loses
the session has lost them. Two owners for a moment repeat events, and never lose one.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection, text

from app import codec
from app.ledger.tables import SHARDS
from app.ports.away import StoreAway
from app.ports.bus import Event
from app.postgres import PostgresDatabase, translated
from app.sql import Database

T = TypeVar("T")

# Small facts as JSON, and the payloads end to end, so that no payload is escaped and read back.
_NEXT: Final = text(
    "SELECT json_group_array(json_array(id, event_id, aggregatetype, aggregateid, type,"
    " length(CAST(payload AS BLOB)))), CAST(group_concat(payload, '') AS BLOB)"
    " FROM (SELECT * FROM outbox WHERE id > :after ORDER BY id LIMIT :limit)"
)
_DONE: Final = text("DELETE FROM outbox WHERE id <= :last")
_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtext('openbell.relay'), :shard)")
_NEXT_OF: Final = text(
    "SELECT id, event_id, aggregatetype, aggregateid, type, payload FROM outbox"
    " WHERE shard = ANY(:shards) AND id NOT IN (SELECT unnest(CAST(:in_hand AS bigint[])))"
    " ORDER BY id LIMIT :limit"
)
_GONE: Final = text("DELETE FROM outbox WHERE id = ANY(:ids)")
# How often a relay looks whether another one has died and left its shards.
CLAIM_EVERY_S: Final = 2.0


class Batch(NamedTuple):
    """The oldest events, and the ids under which they stand."""

    ids: Sequence[int]
    events: list[Event]


NOTHING: Final = Batch([], [])


class Outbox(Protocol):
    """What waits to be published."""

    async def next(self, limit: int, in_hand: Batch = NOTHING) -> Batch:
        """Return the oldest events that are ours to carry and not in hand, or raise `StoreAway`.

        Those in hand are left out one by one. "From the last of them on" would pass over what
        has just been committed under a lower id, and bring what follows it.
        """

    async def done(self, batch: Batch) -> None:
        """Forget what is durable elsewhere."""

    def close(self) -> None: ...


class EmbeddedOutbox:
    """The outbox of a ledger that this process alone has open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def next(self, limit: int, in_hand: Batch = NOTHING) -> Batch:
        # There is one writer: what is committed later has a higher id.
        after = in_hand.ids[-1] if in_hand.ids else 0
        return await self._database.read(lambda c: _read(c, limit, after))

    async def done(self, batch: Batch) -> None:
        last = batch.ids[-1]
        await self._database.write(lambda c: c.execute(_DONE, {"last": last}))

    def close(self) -> None:
        """Nothing is held between two calls."""


def _read(connection: Connection, limit: int, after: int) -> Batch:
    facts, payloads = connection.execute(_NEXT, {"limit": limit, "after": after}).one()
    ids, events = [], []
    start = 0
    for number, event_id, kind, key, type_, length in codec.decode(facts):
        payload = payloads[start : start + length]
        ids.append(number)
        events.append(Event(f"openbell.{kind}.v1", key, event_id, type_, payload))
        start += length
    return Batch(ids, events)


class SharedOutbox:
    """The shards that no other relay holds, on a session whose end gives them back."""

    def __init__(self, database: PostgresDatabase, shards: Sequence[int] = range(SHARDS)) -> None:
        self._database = database
        self._wanted = list(shards)
        self._owned: list[int] = []
        self._session: Connection | None = None
        self._claimed_at = -CLAIM_EVERY_S
        self._thread = ThreadPoolExecutor(1, "outbox")

    @property
    def owned(self) -> Sequence[int]:
        """The shards that are ours."""
        return self._owned

    async def next(self, limit: int, in_hand: Batch = NOTHING) -> Batch:
        now = asyncio.get_running_loop().time()
        if len(self._owned) < len(self._wanted) and now - self._claimed_at >= CLAIM_EVERY_S:
            self._claimed_at = now
            await self._on_session(self._claim)
        if not self._owned:
            return NOTHING
        return await self._on_session(lambda c: self._next(c, limit, in_hand))

    def _claim(self, session: Connection) -> None:
        for shard in self._wanted:
            free = shard not in self._owned
            if free and session.execute(_LOCK, {"shard": shard}).scalar_one():
                self._owned.append(shard)

    def _next(self, session: Connection, limit: int, in_hand: Batch) -> Batch:
        held = list(in_hand.ids)
        values = {"shards": self._owned, "limit": limit, "in_hand": held}
        found = session.execute(_NEXT_OF, values).all()
        return Batch(
            [row[0] for row in found],
            [
                Event(f"openbell.{kind}.v1", key, event_id, type_, payload.encode())
                for _, event_id, kind, key, type_, payload in found
            ],
        )

    async def done(self, batch: Batch) -> None:
        ids = list(batch.ids)
        await self._on_session(lambda c: c.execute(_GONE, {"ids": ids}))

    async def _on_session(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)

    def _work(self, work: Callable[[Connection], T]) -> T:
        try:
            if self._session is None:
                self._session = self._database.session()
            with translated():  # what is no loss of the server is a bug, and nobody retries a bug
                return work(self._session)
        except StoreAway as e:
            self._let_go()
            raise StoreAway(f"the outbox is away: {e}") from e

    def _let_go(self) -> None:
        """Give the session up, and with it every shard."""
        session, self._session, self._owned = self._session, None, []
        if session is not None:
            session.invalidate()
            session.close()

    def close(self) -> None:
        """Give the shards to whoever is next."""
        self._thread.submit(self._let_go).result()
        self._thread.shutdown()
