"""One worker: takes chunk after chunk, and inserts what is not there yet.

    take ─► read (a thread) ─► make ─► by account into lanes ─► insert, when the pace allows
              each second: beat (share of the ceiling, lease, how far we are)

`_id` is the source's own key and the version is 0, so an insert that meets an id is done already,
by an earlier attempt or by a newer live event: nothing is ever overwritten. An account's orders
go through one lane, so each insert reaches few shards and the lanes together fill all.

The trap is to take the store's trouble for the row's. A store that is away says nothing about a
document: the insert waits and repeats. Only what the store has read and refused is a reject.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar
from zlib import crc32

from pymongo.errors import BulkWriteError

from app.accounts.bson_document import pack
from app.accounts.history.ceiling import Ceilings
from app.accounts.history.chunks import Chunk, Chunks, Counts
from app.accounts.history.making import batches, bound_as_surveyed, made
from app.accounts.history.mapping import BadMapping, Bound
from app.accounts.history.pace import NS_PER_S, SHARE_LIVES_NS, Pace
from app.accounts.history.plan import LoadPlan
from app.accounts.history.register import DUPLICATE_KEY
from app.accounts.history.rejects import Rejects
from app.accounts.history.source import Batch, Unreadable
from app.accounts.history.totals import Tally
from app.accounts.mongo import Client
from app.accounts.mongo_faults import away_by_its_name, refusals
from app.accounts.mongo_shape import COLLECTION
from app.clock import Clock
from app.ending import ended
from app.ports.accounts import AccountDocument
from app.ports.away import StoreAway

T = TypeVar("T")
# A batch of 8,192 rows over four lanes is 2,000 documents an insert; four in flight keep a
# server busy while we make the next ones.
LANES: Final = 4
BEAT_S: Final = 1.0
# A row takes some 40 us to become a document: give the loop back every three milliseconds.
BREATH: Final = 64
IDLE_S: Final = 0.5
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
# Longer than an election and a restart. Then a person has to look, and the load can be repeated.
AWAY_S_MAX: Final = 60.0
RELEASE_S_MAX: Final = 2.0


class Orphaned(Exception):
    """The command that started this worker has died: a load that nobody watches ends."""


# What ends a worker without being a fault of its own.
ENDS: Final = (StoreAway, Orphaned)


class _Parcel(NamedTuple):
    """Documents of one lane and one batch, and the places of their rows."""

    batch: Batch
    rows: list[tuple[int, AccountDocument]]


class _Work:
    """A chunk in hand, and what became of it so far."""

    def __init__(self, chunk: Chunk, plan: LoadPlan) -> None:
        self.chunk = chunk
        self.counts = Counts()
        self.tally = Tally()
        self.rejects = Rejects(plan.rejects, chunk.part)

    def count(self, **what: int) -> None:
        self.counts += Counts(read=sum(what.values()), **what)


class Worker:
    """Loads chunks until there are none. `is_watched` says whether its starter still lives."""

    def __init__(
        self,
        name: str,
        plan: LoadPlan,
        client: Client,
        clock: Clock,
        is_watched: Callable[[], bool] = lambda: True,
    ) -> None:
        self._name = name
        self._plan = plan
        self._clock = clock
        self._is_watched = is_watched
        self._chunks = Chunks(client, plan.store.database, plan.load)
        self._ceilings = Ceilings(client, plan.store.database)
        self._orders = client[plan.store.database][COLLECTION]
        self._pace = Pace(plan.latency_ms_max)
        self._work: _Work | None = None

    async def run(self) -> None:
        """Work until nothing is left, here or in other workers' hands.

        Raises `StoreAway` when the store does not come back, `Orphaned` when nobody watches.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                beating = tasks.create_task(self._beat_on())
                try:
                    await self._load_all()
                finally:  # the group says it once alone
                    await ended(beating)
        except ExceptionGroup as group:
            if group.split(ENDS)[1] is not None:  # a bug, or news that nobody expected
                raise
            raise _first(group) from group
        with suppress(StoreAway), away_by_its_name():
            await self._ceilings.leave(self._name)

    async def _load_all(self) -> None:
        beat = await self._patiently(lambda: self._ceilings.beat(self._name))
        if beat.workers > 1:
            # By then each of the others has seen us, or has lost its share.
            await asyncio.sleep(SHARE_LIVES_NS / NS_PER_S)
        while True:
            chunk = await self._patiently(lambda: self._chunks.take(self._name, self._plan.lease))
            if chunk is not None:
                await self._load(chunk)
            elif await self._patiently(self._chunks.are_over):
                return
            else:
                await asyncio.sleep(IDLE_S)  # another worker may die and leave us its chunk

    async def _beat_on(self) -> None:
        while True:
            if not self._is_watched():
                raise Orphaned
            # While the store is away our share ends by itself, and so does our lease.
            with suppress(StoreAway), away_by_its_name():
                beat = await self._ceilings.beat(self._name)
                self._pace.beat(
                    beat.ceiling.documents_per_second, beat.workers, self._clock.monotonic_ns()
                )
                work = self._work
                if work is not None:
                    lease = self._plan.lease
                    await self._chunks.prolong(work.chunk, lease, work.counts, beat.now)
            await asyncio.sleep(BEAT_S)

    async def _load(self, chunk: Chunk) -> None:
        work = _Work(chunk, self._plan)
        self._work = work
        try:
            reason = await self._through_lanes(work)
            await asyncio.to_thread(work.rejects.write)
        except asyncio.CancelledError:
            with suppress(StoreAway, TimeoutError), away_by_its_name():
                async with asyncio.timeout(RELEASE_S_MAX):
                    await self._chunks.release(chunk)
            raise
        finally:
            self._work = None
        if reason is None:
            days = work.tally.days
            await self._patiently(lambda: self._chunks.finish(chunk, work.counts, days))
        else:
            await self._patiently(lambda: self._chunks.fail(chunk, reason, work.counts))

    async def _through_lanes(self, work: _Work) -> str | None:
        """Carry a chunk's rows to the store; return why it cannot be read, or None."""
        lanes = [asyncio.Queue[_Parcel | None](maxsize=1) for _ in range(LANES)]
        async with asyncio.TaskGroup() as tasks:
            for lane in lanes:
                tasks.create_task(self._insert_all(lane, work))
            reason = None
            try:
                await self._read_all(lanes, work)
            except (Unreadable, BadMapping) as e:
                reason = str(e)
            for lane in lanes:
                await lane.put(None)
        return reason

    async def _read_all(self, lanes: list[asyncio.Queue[_Parcel | None]], work: _Work) -> None:
        plan, chunk = self._plan, work.chunk
        bound = await asyncio.to_thread(
            bound_as_surveyed, plan.root, chunk.part, plan.mapping, chunk.fingerprint
        )
        reading = batches(plan.root, chunk.part, bound)
        while (batch := await asyncio.to_thread(_next, reading)) is not None:
            by_lane: list[list[tuple[int, AccountDocument]]] = [[] for _ in lanes]
            for start in range(0, len(batch.rows), BREATH):
                places = range(start, min(start + BREATH, len(batch.rows)))
                self._make(batch, bound, places, by_lane, work)
                await asyncio.sleep(0)
            for lane, rows in zip(lanes, by_lane, strict=True):
                if rows:
                    await lane.put(_Parcel(batch, rows))

    def _make(
        self,
        batch: Batch,
        bound: Bound,
        places: range,
        by_lane: list[list[tuple[int, AccountDocument]]],
        work: _Work,
    ) -> None:
        some = made(batch, bound, self._plan.before, places)
        for place, document in some.documents:
            by_lane[crc32(document.account_id.encode()) % LANES].append((place, document))
        work.rejects.add(batch, some.reasons)
        work.count(rejected=len(some.reasons), later=some.later)

    async def _insert_all(self, lane: "asyncio.Queue[_Parcel | None]", work: _Work) -> None:
        while (parcel := await lane.get()) is not None:
            rest = parcel.rows
            while rest:
                granted = await self._granted(len(rest))
                now, rest = rest[:granted], rest[granted:]
                await self._insert(parcel.batch, now, work)

    async def _granted(self, wanted: int) -> int:
        while True:
            grant = self._pace.ask(wanted, self._clock.monotonic_ns())
            if grant.documents:
                return grant.documents
            # In short steps: the operator may have raised the rate meanwhile.
            await asyncio.sleep(min(grant.wait_s, BEAT_S / 4))

    async def _insert(
        self, batch: Batch, rows: list[tuple[int, AccountDocument]], work: _Work
    ) -> None:
        documents = [pack(document) for _, document in rows]
        began = self._clock.monotonic_ns()
        errors = await self._patiently(lambda: self._put(documents))
        self._pace.note(self._clock.monotonic_ns() - began)
        there = {index for index, reason in errors.items() if reason is None}
        refused = {rows[index][0]: reason for index, reason in errors.items() if reason is not None}
        work.rejects.add(batch, refused)
        for place, document in rows:
            if place not in refused:
                work.tally.add(document.document)
        inserted = len(rows) - len(errors)
        work.count(inserted=inserted, duplicates=len(there), rejected=len(refused))

    async def _put(self, documents: list[dict[str, Any]]) -> dict[int, str | None]:
        """Insert; return what was not, by its place: why, or None for an id that is there."""
        try:
            with away_by_its_name():
                await self._orders.insert_many(documents, ordered=False)
        except BulkWriteError as e:
            reasons = refusals(e.details)
            there = {error["index"] for error in e.details["writeErrors"] if _is_there(error)}
            return {place: None if place in there else why for place, why in reasons.items()}
        return {}

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Ask the store until it answers; raise `StoreAway` when it has been away for long."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + AWAY_S_MAX
        pause_s = RETRY_S_MIN
        while True:
            try:
                with away_by_its_name():
                    return await call()
            except StoreAway:
                if loop.time() > give_up_at:
                    raise
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)


def _first(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _is_there(error: dict[str, Any]) -> bool:
    """Tell an id that is taken from a rule of somebody else's index."""
    return error["code"] == DUPLICATE_KEY and list(error.get("keyPattern", {"_id": 1})) == ["_id"]


def _next(reading: Iterator[Batch]) -> Batch | None:
    return next(reading, None)
