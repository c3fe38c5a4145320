"""The operators' ceiling, one number for every worker of every load, and who shares it.

It stands in the account store itself, so that a load on one machine is slowed from another one.
Each change is compare-and-set on a version and stands there with its reason. A worker is known by
its beat; one that has not been heard for three seconds has no share. Whoever joins beats first
and writes later (`pace.SHARE_LIVES_NS`), so that the shares never add up to more than the
ceiling.

The trap is a clock. Workers stand on several machines, and one whose clock is off would take the
others for dead; so every time here is the store's own, asked for at each beat.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from pymongo.errors import DuplicateKeyError

from app.accounts.mongo import Client

# A tenth of what one server takes in: nobody notices it, and an operator who watches may raise it.
CEILING_DEFAULT: Final = 5_000
CEILING_MAX: Final = 1_000_000
HEARD_WITHIN: Final = timedelta(seconds=3)
CHANGES_KEPT: Final = 100
CONTROL: Final = "history_control"
WORKERS: Final = "history_workers"
_RATE: Final = {"_id": "rate"}


class Ceiling(NamedTuple):
    """Documents a second for all workers together; 0 is a pause."""

    documents_per_second: int
    version: int


class Change(NamedTuple):
    """One change of the ceiling."""

    documents_per_second: int
    reason: str
    actor: str


class Beat(NamedTuple):
    """What a worker learns once a second."""

    ceiling: Ceiling
    workers: int
    now: datetime  # the store's


async def store_time(client: Client) -> datetime:
    """Return the store's own time, in UTC."""
    hello = await client.admin.command("hello")
    now: datetime = hello["localTime"]
    return now


class Ceilings:
    """The ceiling and the workers that share it, in one account store."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._control = client[database][CONTROL]
        self._workers = client[database][WORKERS]

    async def now(self) -> Ceiling:
        """Return the ceiling in force."""
        found = await self._control.find_one(_RATE)
        if found is None:
            return Ceiling(CEILING_DEFAULT, 0)
        return Ceiling(int(found["documents_per_second"]), int(found["version"]))

    async def change(self, wanted: Change, expected: Ceiling) -> bool:
        """Set the ceiling unless somebody else has since `expected`; return whether it is set."""
        at = await store_time(self._client)
        said = wanted._asdict() | {"version": expected.version + 1, "at": at}
        # In one document, so that there is no change without its reason.
        change = {"$set": said, "$push": {"changes": {"$each": [said], "$slice": -CHANGES_KEPT}}}
        try:
            written = await self._control.update_one(
                _RATE | {"version": expected.version}, change, upsert=expected.version == 0
            )
        except DuplicateKeyError:  # somebody else was the first
            return False
        return bool(written.matched_count or written.upserted_id)

    async def changes(self) -> list[dict[str, Any]]:
        """Return the last changes, newest first."""
        found = await self._control.find_one(_RATE) or {}
        return list(reversed(found.get("changes", [])))

    async def beat(self, worker: str) -> Beat:
        """Say that this worker lives; return the ceiling and how many share it."""
        now = await store_time(self._client)
        await self._workers.update_one({"_id": worker}, {"$set": {"heard_at": now}}, upsert=True)
        workers = await self._workers.count_documents({"heard_at": {"$gt": now - HEARD_WITHIN}})
        return Beat(await self.now(), max(workers, 1), now)

    async def leave(self, worker: str) -> None:
        """Give the share back at once."""
        await self._workers.delete_one({"_id": worker})
