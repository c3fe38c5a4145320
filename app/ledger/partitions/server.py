"""Takes a day out of a PostgreSQL ledger while everybody works on: detached, archived, dropped.

Traps that are filed off here, and `tests/ledger/test_partitions_pg.py` holds each:

- A detach locks everybody out unless it is CONCURRENTLY, and that cannot stand in a transaction.
  Its wait for open readers holds no lock, so it may be long.
- A detach that is cut off hides its rows and stops the next one until it is finalized. The wait
  of FINALIZE holds a lock that keeps a new day from being attached, so it is short and repeated.
- The tables of a day leave one after another. Attempts go first: what a broker says of an old
  order then fits none, and is kept apart, instead of half an order being found.
- A lock of a session outlives its return to the pool. The job's session is closed for good.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import date
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from app.ledger import days
from app.ledger.beside import beside
from app.ledger.dialect import part
from app.ledger.partitions.archive import Archive
from app.ledger.partitions.catalog import Gate, NotDone, look, orders_of, quiet
from app.ledger.partitions.copied import Copied
from app.ledger.partitions.plan import Catalog, Policy, Standing
from app.ledger.schema import revision
from app.ledger.tables import PARTED
from app.postgres import PostgresDatabase, sqlstate

T = TypeVar("T")

LOCK_TIMEOUT: Final = "2s"
# Nobody waits for us meanwhile, and most readers have gone by then.
DETACH_TIMEOUT: Final = "20s"
LOCK_TRIES_MAX: Final = 5
LOCK_PAUSE_S: Final = 1.0
LOCK_NOT_AVAILABLE: Final = "55P03"
# ANALYZE ONLY came with 18. Before, the parent's statistics cost those of all its children too.
ANALYZE_ONLY_SINCE: Final = 180_000
LEAVING: Final = ("attempts", "executions", "order_events", "orders")
assert sorted(LEAVING) == sorted(PARTED)

_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtext('openbell.partitions'))")
_RECENT: Final = text(
    "SELECT last_analyze > now() - interval '7 days' FROM pg_stat_user_tables"
    " WHERE relid = to_regclass(:parent)"
)
_IN_THE_WAY: Final = text(
    "SELECT format('pid %s (%s of %s) has a transaction open for %s s', a.pid,"
    " a.application_name, a.usename, extract(epoch FROM now() - a.xact_start)::int)"
    " FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid WHERE l.granted"
    " AND l.relation IN (SELECT to_regclass(name) FROM unnest(CAST(:names AS text[])) AS name)"
    " AND l.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1"
)


class ServerDays:
    """The days of a ledger that several processes share."""

    def __init__(self, database: PostgresDatabase, archive: Archive, gate: Gate) -> None:
        self._database = database
        self._archive = archive
        self._gate = gate
        self._mine: Connection | None = None
        self._stopping = False

    async def look(self, today: date, policy: Policy, *, scan: bool) -> Catalog:
        """Return what stands; with a scan, which of the old days are busy as well."""
        may_drop = self._gate.may_drop
        return await self._database.read(
            lambda c: look(c, self._archive.days(), may_drop, today, policy, scan=scan)
        )

    async def make(self, day: date) -> None:
        """Make and attach what the day lacks."""

        def work(connection: Connection) -> None:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
            days.make(connection, day)

        await self._patiently(lambda: self._database.write(work), day)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Hold the job's lock on a session of its own; False if another process has it."""
        self._stopping = False
        self._mine = await self._beside(self._session)
        try:
            yield bool(await self._on_session(lambda c: c.execute(_LOCK).scalar_one()))
        finally:
            mine, self._mine = self._mine, None
            await self._beside(partial(_ended, mine))

    def _session(self) -> Connection:
        session = self._database.session()
        # What is set here and the lock end with it; in the pool both would live on.
        session.detach()
        return session

    async def finalize(self, day: date) -> None:
        """End what an earlier detach has left half way."""
        for parent in LEAVING:
            step = partial(_finalized, parent=parent, day=day)
            await self._patiently(partial(self._on_session, step), day)

    async def detach(self, day: date) -> None:
        """Take the tables of a quiet day out, one after another."""
        await self._on_session(lambda c: quiet(c, day))
        for parent in LEAVING:
            step = partial(_taken_off, parent=parent, day=day)
            await self._patiently(partial(self._on_session, step), day)

    async def archive(self, day: date, at: str) -> None:
        """Copy the loose tables of a day into files, and read them back."""
        await self._on_session(lambda c: self._archived(c, day, at))

    async def drop(self, day: date) -> None:
        """Drop a day if its archive is whole, and says what its tables say under a lock."""
        manifest = await self._beside(lambda: self._archive.checked(day))
        async with self._transaction():
            await self._on_session(partial(_locked, day=day))
            why = self._gate.may_drop(day)
            if why is None:
                why = await self._gate.compare(day, partial(orders_of, self._on_session, day))
            if why is not None:
                raise NotDone(f"{day} stays: {why}")
            stand = await self._on_session(lambda c: self._copied(c, day).contents())
            if stand == manifest.tables:
                return await self._on_session(lambda c: days.drop(c, day))
        self._archive.set_aside(day)
        raise NotDone(f"{day} has changed since it was archived; it will be archived anew")

    async def settle(self) -> None:
        """Take the parents' statistics: autovacuum does so for their children alone."""
        await self._on_session(_analyzed)

    def _archived(self, connection: Connection, day: date, at: str) -> None:
        with self._archive.writing(day) as draft:
            manifest = self._copied(connection, day).into(draft, revision(connection) or "", at)
            self._archive.seal(draft, manifest)

    def _copied(self, connection: Connection, day: date) -> Copied:
        return Copied(connection, day, lambda: self._stopping)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """Run what follows on the session as one; it is in autocommit."""
        await self._on_session(lambda c: c.exec_driver_sql("BEGIN"))
        try:
            yield
        except BaseException:
            with suppress(DBAPIError):  # the end of the session undoes it as well
                await self._on_session(lambda c: c.exec_driver_sql("ROLLBACK"))
            raise
        await self._on_session(lambda c: c.exec_driver_sql("COMMIT"))

    async def _patiently(self, step: Callable[[], Awaitable[None]], day: date) -> None:
        for again in range(LOCK_TRIES_MAX, 0, -1):
            try:
                return await step()
            except DBAPIError as e:
                if sqlstate(e) != LOCK_NOT_AVAILABLE:
                    raise
                if again == 1:
                    raise NotDone(f"{day}: {await self._in_the_way(day)}") from e
            await asyncio.sleep(LOCK_PAUSE_S)
        raise AssertionError("a loop that returns or raises")

    async def _in_the_way(self, day: date) -> str:
        names = [*PARTED, *(f"{name}{part(day)}" for name in PARTED)]
        by = await self._database.read(
            lambda c: c.execute(_IN_THE_WAY, {"names": names}).scalar_one_or_none()
        )
        return by or "somebody held its lock, and has gone"

    async def _on_session(self, work: Callable[[Connection], T]) -> T:
        mine = self._mine
        assert mine is not None, "only whoever holds the lock works on a day"
        return await self._beside(lambda: work(mine))

    async def _beside(self, work: Callable[[], T]) -> T:
        return await beside(work, self._stop)

    def _stop(self) -> None:
        """End what runs on the session: the statement now, the copying before its next block."""
        self._stopping = True
        if self._mine is not None:
            _driver(self._mine).cancel()


def _ended(connection: Connection) -> None:
    """Close the session; its lock is let go first, for the server notices an end only later."""
    with connection, suppress(DBAPIError):
        connection.exec_driver_sql("SELECT pg_advisory_unlock_all()")


def _finalized(connection: Connection, parent: str, day: date) -> None:
    if _standing(connection, parent, day) is Standing.DETACHING:
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        connection.exec_driver_sql(
            f"ALTER TABLE {parent} DETACH PARTITION {parent}{part(day)} FINALIZE"
        )


def _taken_off(connection: Connection, parent: str, day: date) -> None:
    """Go on from what stands: a detach that waited too long has got half way."""
    if _standing(connection, parent, day) is Standing.ATTACHED:
        connection.exec_driver_sql(f"SET lock_timeout = '{DETACH_TIMEOUT}'")
        connection.exec_driver_sql(
            f"ALTER TABLE {parent} DETACH PARTITION {parent}{part(day)} CONCURRENTLY"
        )
    _finalized(connection, parent, day)


def _standing(connection: Connection, parent: str, day: date) -> Standing | None:
    return days.standings(connection).get(day, {}).get(parent)


def _analyzed(connection: Connection) -> None:
    connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
    is_cheap = _driver(connection).info.server_version >= ANALYZE_ONLY_SINCE
    for parent in PARTED:
        if is_cheap or not connection.execute(_RECENT, {"parent": parent}).scalar():
            connection.exec_driver_sql(f"ANALYZE {'ONLY ' if is_cheap else ''}{parent}")


def _locked(connection: Connection, day: date) -> None:
    """Keep everybody out of a day that is loose and quiet, until the end of the transaction."""
    for name in days.standings(connection).get(day, {}):
        connection.exec_driver_sql(f"LOCK TABLE {name}{part(day)} IN ACCESS EXCLUSIVE MODE")
    if set(days.standings(connection).get(day, {}).values()) != {Standing.LOOSE}:
        raise NotDone(f"{day} is attached again")
    quiet(connection, day)


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
