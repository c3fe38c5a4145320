"""What outlives a process: stores and requests that go on when nobody waits for them any more.

A life is one run of the gateway. All that it does to the world goes through its ports: a store
commit or a broker's request is a task of the *world*, and only its answer belongs to the life
that asked. The trap is a crash that merely cancels tasks: their `finally` blocks would still
reach the world and tidy up as `kill -9` never does. So a crash shuts the ports first, and then
whoever asks through them waits for ever.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from app.ledger.schema import upgrade
from app.sql import Work
from app.sqlite import Database
from tests.virtual import VirtualLoop

T = TypeVar("T")
Delay = Callable[[], float]


def promptly() -> float:
    """Answer in half a millisecond: a store on a good disk."""
    return 0.0005


class World:
    """Keeps what runs outside every process, and the chance that decides at a crash."""

    def __init__(self, loop: VirtualLoop, seed: int = 0) -> None:
        self.loop = loop
        self.chance: Final = random.Random(f"{seed}:world")
        self.broken: list[BaseException] = []  # a fault of the test itself
        self.unfinished = 0  # clients, reports and trades that are still on their way
        self._running: set[asyncio.Task[None]] = set()

    def does(self, work: Coroutine[Any, Any, None]) -> None:
        """Let this go on, whoever lives or dies, and count it as unfinished until it ends."""
        self.unfinished += 1
        self.carries(self._counted(work))

    async def _counted(self, work: Coroutine[Any, Any, None]) -> None:
        await work
        self.unfinished -= 1

    def carries(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a request go on, whoever lives or dies."""
        task = self.loop.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.broken.append(failure)

    @property
    def now_ns(self) -> int:
        return self.loop.now_ns


class Life:
    """One run of a process. Dead, it hears nothing any more; frozen, it hears late."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.alive = True
        self._thawed = asyncio.Event()
        self._thawed.set()

    async def ask(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have the world do this; the answer comes only to the living."""
        await self._thawed.wait()
        if not self.alive:
            await self.world.loop.create_future()
        reply: asyncio.Future[T] = self.world.loop.create_future()
        self.world.carries(self._carry(work, reply))
        return await reply

    async def _carry(self, work: Callable[[], Awaitable[T]], reply: asyncio.Future[T]) -> None:
        try:
            answer = await work()
        except NeverAnswered:
            return
        except Exception as e:  # noqa: BLE001 - whoever asked gets it
            if self.alive and not reply.done():
                reply.set_exception(e)
            return
        await self._thawed.wait()
        if self.alive and not reply.done():
            reply.set_result(answer)

    def has_ended(self) -> bool:
        return not self.alive

    def end(self) -> None:
        """Shut every port; cancel the tasks only after this."""
        self.alive = False

    def freeze(self) -> None:
        """Answer nothing until thawed, as if the process had been stopped."""
        self._thawed.clear()

    def thaw(self) -> None:
        self._thawed.set()


class NeverAnswered(Exception):
    """Who asked has died, and what he asked for did not happen."""


class Store:
    """One database with one writer, as on a disk: what was committed survives every life."""

    def __init__(self, world: World, database: Database, delay: Delay = promptly) -> None:
        self.world = world
        self.database = database
        self.delay = delay
        self._one_writer = asyncio.Lock()

    async def commit(self, work: Work[T], life: Life) -> T:
        """Apply in order of arrival; what runs at a crash lands by coin, what waits is lost."""
        async with self._one_writer:
            if life.has_ended():
                raise NeverAnswered
            await asyncio.sleep(self.delay())
            if life.has_ended() and self.world.chance.random() < 0.5:
                raise NeverAnswered
            answer = self.database.write_now(work)
        await asyncio.sleep(self.delay())
        return answer

    async def look(self, work: Work[T]) -> T:
        await asyncio.sleep(self.delay())
        return await self.database.read(work)


class StoreLine(Database):
    """A life's connection to a store: a `Database` in everything that the rooms use."""

    def __init__(self, store: Store, life: Life) -> None:
        self.path = None
        self._store = store
        self._life = life

    async def write(self, work: Work[T]) -> T:
        return await self._life.ask(lambda: self._store.commit(work, self._life))

    async def read(self, work: Work[T]) -> T:
        return await self._life.ask(lambda: self._store.look(work))

    def write_now(self, work: Work[T]) -> T:
        return self._store.database.write_now(work)

    def close(self) -> None:
        """Leave the store to the next life."""


def a_ledger() -> Database:
    """Return an empty ledger in memory, at the newest revision."""
    database = Database(None)

    def create(connection: Connection) -> None:
        for statement in _schema():
            connection.exec_driver_sql(statement)

    database.write_now(create)
    return database


@cache
def _schema() -> tuple[str, ...]:
    """Migrate once and copy the result: Alembic takes longer than most of our tests."""
    database = Database(None)
    upgrade(database)

    def tables(connection: Connection) -> list[str]:
        found = connection.exec_driver_sql(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
        )
        return [str(row[0]) for row in found]

    return tuple(database.write_now(tables))
