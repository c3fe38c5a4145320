"""Remembers which part of which file is loaded: `history_chunks`, in the account store itself.

    waiting ──► running ──► done
                  │  ▲        (a lease that ended: another worker takes it, one attempt more)
                  ▼  │
                failed        (it cannot be read, or its worker died three times)

A chunk is taken by one `find_one_and_update`, so workers on any machine share the work; whoever
holds it prolongs the lease each second. The insert of a document is idempotent, so a chunk that
two workers held after all, or that a kill left half done, is loaded again without harm; only the
holder's numbers count.

The trap is a worker that was only slow. It comes back after its lease has ended, and its numbers
would overwrite those of the one who took over; so each write names the holder and the attempt.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pymongo import ASCENDING, ReturnDocument

from app.accounts.history.ceiling import store_time
from app.accounts.history.source import Fingerprint, Slice
from app.accounts.history.totals import DayTotals
from app.accounts.mongo import Client, maybe

COLLECTION: Final = "history_chunks"
# What a corrupted page can do to a reader is not always an exception. Three dead workers are
# enough to blame the chunk.
ATTEMPTS_MAX: Final = 3


class State(StrEnum):
    """Where a chunk stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Counts(NamedTuple):
    """What became of a chunk's rows: `read` is the sum of the others."""

    read: int = 0
    inserted: int = 0
    duplicates: int = 0  # already there: a kill's, a live event's, or the same file's once more
    rejected: int = 0
    later: int = 0  # on or after the cut-over date: not ours

    def __add__(self, other: "Counts") -> "Counts":  # type: ignore[override]  # no longer a tuple's
        return Counts(*[mine + theirs for mine, theirs in zip(self, other, strict=True)])


@dataclass(frozen=True, slots=True)
class Load:
    """What a load is about. Its chunks are those of one source, under whatever folder it stands."""

    source: str
    mapping: str  # its digest
    before: date | None


class Chunk(NamedTuple):
    """A chunk that we hold."""

    id: str
    part: Slice
    fingerprint: Fingerprint
    attempt: int
    worker: str


class Progress(NamedTuple):
    """How far a source is."""

    chunks: dict[str, int]  # by state
    rows: int
    counts: Counts
    workers: int

    @property
    def open(self) -> int:
        """How many chunks are not loaded yet."""
        return self.chunks.get(State.WAITING, 0) + self.chunks.get(State.RUNNING, 0)


class Chunks:
    """The chunks of one source."""

    def __init__(self, client: Client, database: str, load: Load) -> None:
        self._client = client
        self._chunks = client[database][COLLECTION]
        self._load = load

    async def take(self, worker: str, lease: timedelta) -> Chunk | None:
        """Take the next chunk that nobody holds, or None."""
        while True:
            now = await store_time(self._client)
            free = [{"state": State.WAITING}, {"state": State.RUNNING, "lease_until": {"$lt": now}}]
            found = await self._chunks.find_one_and_update(
                {"source": self._load.source, "$or": free},
                {
                    "$set": {
                        "state": State.RUNNING,
                        "worker": worker,
                        "lease_until": now + lease,
                        "before": day_text(self._load.before),
                    }
                    | Counts()._asdict(),
                    "$inc": {"attempt": 1},
                },
                sort=[("_id", ASCENDING)],
                return_document=ReturnDocument.AFTER,
            )
            if found is None:
                return None
            chunk = _chunk(found)
            if chunk.attempt <= ATTEMPTS_MAX:
                return chunk
            await self.fail(chunk, f"its worker died {ATTEMPTS_MAX} times", Counts())

    async def prolong(self, chunk: Chunk, lease: timedelta, counts: Counts, now: datetime) -> None:
        """Keep a chunk that we hold, and say how far it is."""
        held = {"lease_until": now + lease} | counts._asdict()
        await self._chunks.update_one(_held(chunk), {"$set": held})

    async def finish(self, chunk: Chunk, counts: Counts, totals: Mapping[date, DayTotals]) -> None:
        """Note what came of it; nothing if another worker has taken it over."""
        days = [totals[day].as_json() for day in sorted(totals)]
        done = {"state": State.DONE, "totals": days, "lease_until": None, "reason": None}
        await self._chunks.update_one(_held(chunk), {"$set": done | counts._asdict()})

    async def fail(self, chunk: Chunk, reason: str, counts: Counts) -> None:
        """Note that it cannot be loaded; the others go on."""
        failed = {"state": State.FAILED, "reason": reason, "lease_until": None}
        await self._chunks.update_one(_held(chunk), {"$set": failed | counts._asdict()})

    async def release(self, chunk: Chunk) -> None:
        """Give it back at once, as if it had never been taken."""
        await self._chunks.update_one(
            _held(chunk),
            {"$set": {"state": State.WAITING, "lease_until": None}, "$inc": {"attempt": -1}},
        )

    async def are_over(self) -> bool:
        """Return whether nothing waits, here or in another worker's hands."""
        open_ = {"$in": [State.WAITING, State.RUNNING]}
        wanted = {"source": self._load.source, "state": open_}
        return await self._chunks.find_one(wanted, {"_id": 1}) is None

    async def progress(self) -> Progress:
        """Return how far this source is, all workers together."""
        sums = {name: {"$sum": f"${name}"} for name in Counts._fields}
        group = sums | {
            "_id": "$state",
            "chunks": {"$sum": 1},
            "rows": {"$sum": "$rows"},
            "workers": {"$addToSet": "$worker"},
        }
        pipeline: list[dict[str, Any]] = [{"$match": {"source": self._load.source}}]
        pipeline.append({"$group": group})
        cursor: Any = await maybe(self._chunks.aggregate(pipeline))
        by_state: Counter[str] = Counter()
        rows, counts, workers = 0, Counts(), 0
        for found in await cursor.to_list(None):
            by_state[found["_id"]] = found["chunks"]
            rows += found["rows"]
            counts += Counts(*[found[name] for name in Counts._fields])
            workers = len(found["workers"]) if found["_id"] == State.RUNNING else workers
        return Progress(dict(by_state), rows, counts, workers)

    async def failures(self) -> list[dict[str, Any]]:
        """Return the chunks that could not be loaded, and why."""
        shown = {"_id": 0, "file": 1, "row_group": 1, "first_row": 1, "reason": 1}
        wanted = {"source": self._load.source, "state": State.FAILED}
        found: list[dict[str, Any]] = (
            await self._chunks.find(wanted, shown).sort("_id", ASCENDING).to_list(None)
        )
        return found

    async def totals(self) -> list[DayTotals]:
        """Return the control totals of what is loaded, a chunk's days each."""
        wanted = {"source": self._load.source, "state": State.DONE}
        return [
            DayTotals.from_json(day)
            async for found in self._chunks.find(wanted, {"totals": 1})
            for day in found["totals"]
        ]


def _held(chunk: Chunk) -> dict[str, Any]:
    """Return what finds the chunk only while it is ours."""
    return {
        "_id": chunk.id,
        "attempt": chunk.attempt,
        "worker": chunk.worker,
        "state": State.RUNNING,
    }


def _chunk(found: Mapping[str, Any]) -> Chunk:
    part = Slice(found["file"], found["row_group"], found["first_row"], found["rows"])
    fingerprint = Fingerprint(found["size"], found["modified_ms"], found["footer"])
    return Chunk(found["_id"], part, fingerprint, found["attempt"], found["worker"])


def day_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
