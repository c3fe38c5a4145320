"""Notes which chunks a source has before anything is loaded, and refuses what contradicts that.

A load that is repeated finds its chunks again: what is done stays done, what failed is tried once
more, and a file that came since is added.

The trap is a file that was replaced. Half of its rows are in the store and nobody knows which; so
a file whose size, time or footer is another, and a load with another mapping or zone, is refused
until somebody says that it shall be loaded again (`again`). What it inserted then stays, for ids
are never overwritten, and verification says whether that is right.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pymongo import ASCENDING
from pymongo.errors import BulkWriteError

from app.accounts.history.chunks import COLLECTION, Counts, Load, State, day_text
from app.accounts.history.source import Slice, SourceFile, slices
from app.accounts.mongo import Client

DUPLICATE_KEY: Final = 11000


class Register:
    """The chunks of one source, as a load that begins sees them."""

    def __init__(self, client: Client, database: str, load: Load) -> None:
        self._chunks = client[database][COLLECTION]
        self._load = load

    async def register(
        self, files: Iterable[SourceFile], again: frozenset[str] = frozenset()
    ) -> dict[str, str]:
        """Note the chunks of these files; return which files are refused, and why.

        What is done stays done; what failed is tried again. `again` names files that shall be
        loaded anew as they are now.
        """
        await self._chunks.create_index(
            [("source", ASCENDING), ("state", ASCENDING), ("_id", ASCENDING)], name="work"
        )
        known = await self._known()
        refused = {}
        for file in files:
            before = known.get(file.path)
            if file.path in again and before is not None:
                await self._chunks.delete_many(self._of(file.path))
                before = None
            why = None if before is None else self._contradiction(file, before)
            if why is not None:
                refused[file.path] = why
            elif before is None:
                await self._add(file)
        await self._reopen(sorted(refused))
        return refused

    async def _known(self) -> dict[str, dict[str, Any]]:
        shown = {"file": 1, "size": 1, "modified_ms": 1, "footer": 1, "mapping": 1}
        return {
            found["file"]: found
            async for found in self._chunks.find({"source": self._load.source}, shown)
        }

    def _contradiction(self, file: SourceFile, before: Mapping[str, Any]) -> str | None:
        for name, now in file.fingerprint._asdict().items():
            if before[name] != now:
                return (
                    f"it has changed since it was loaded: its {name} was {before[name]}, is {now}"
                )
        if before["mapping"] != self._load.mapping:
            return "it was loaded with another mapping or time zone"
        return None

    async def _add(self, file: SourceFile) -> None:
        chunks = [self._new(file, part) for part in slices(file)]
        if not chunks:
            return
        try:
            await self._chunks.insert_many(chunks, ordered=False)
        except BulkWriteError as e:
            # Two loads that start at once register the same chunks.
            if any(error["code"] != DUPLICATE_KEY for error in e.details["writeErrors"]):
                raise

    def _new(self, file: SourceFile, part: Slice) -> dict[str, Any]:
        name = f"{self._load.source}|{part.path}|{part.row_group:06d}|{part.first_row:012d}"
        return {
            "_id": name,
            "source": self._load.source,
            "file": part.path,
            "row_group": part.row_group,
            "first_row": part.first_row,
            "rows": part.rows,
            "mapping": self._load.mapping,
            "before": day_text(self._load.before),
            "state": State.WAITING,
            "worker": None,
            "lease_until": None,
            "attempt": 0,
            "totals": [],
            "reason": None,
            **file.fingerprint._asdict(),
            **Counts()._asdict(),
        }

    async def _reopen(self, refused: list[str]) -> None:
        """Try again what failed, and what left rows for a later cut-over date than it had."""
        mine = {"source": self._load.source, "file": {"$nin": refused}}
        waiting = {"$set": {"state": State.WAITING, "attempt": 0, "reason": None}}
        await self._chunks.update_many(mine | {"state": State.FAILED}, waiting)
        before = day_text(self._load.before)
        moved: dict[str, Any] = {"$ne": None} if before is None else {"$lt": before, "$ne": None}
        left = {"state": State.DONE, "later": {"$gt": 0}, "before": moved}
        await self._chunks.update_many(mine | left, waiting)

    def _of(self, path: str) -> dict[str, Any]:
        return {"source": self._load.source, "file": path}
