"""The account book of a brokerage: one MongoDB document an order, spread by account.

A document is stored if it is newer than the one that is there, and the guard stands in the write
itself: the server replaces the document or leaves it, in one step, so order, repetition and two
projectors at once change nothing. The other form, a filter by version with an upsert, converges
too, but answers every stale event with a duplicate key.

Three things keep it safe. The document travels as `$literal`: a client's text that begins with
`$` would be read as a field of ours. Every write names `_id`, account and trade date: on a
cluster ids are unique on their shard only, and the write finds its one shard. And it counts when
a majority has it in its journal, for the bus forgets what we say is done.

A bulk is unordered, so one refused document stops no other: it comes back as `Unstorable`, and a
store that is away as `StoreAway`.
"""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, Self

from pymongo import DESCENDING, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from app.accounts.bson_document import amount_of, pack, unpack
from app.accounts.cursors import cursor_at, page_size, place_of
from app.accounts.fold import newest
from app.accounts.mongo import Client
from app.accounts.mongo_faults import (
    REFUSALS_MAX,
    away_by_its_name,
    refusals,
    unfit_by_its_name,
)
from app.accounts.mongo_shape import COLLECTION, shape
from app.accounts.storable import that_fit, total
from app.ports.accounts import EVERYTHING, AccountDocument, AccountSummary, Page, Span, Unstorable
from app.ports.away import StoreAway

# A majority takes a moment a bulk, and a server works on one bulk at a time: at a thousand the
# moment is shared by enough, and no bulk comes near the time-out of its socket.
BULK_MAX: Final = 1_000
# Without it a set that has lost its majority answers never; with it, in words.
MAJORITY_MS: Final = 10_000
CLEAR_AT_ONCE: Final = 5_000
# Packing takes some 20 us a document, and others want the loop: give it back each millisecond.
BREATH: Final = 50
_DURABLE: Final = WriteConcern("majority", j=True, wtimeout=MAJORITY_MS)


class MongoAccountBook:
    """An `AccountBook` in one MongoDB collection. Make it by `open`; the client is the caller's."""

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self._database = database
        self._orders = client[database].get_collection(COLLECTION, write_concern=_DURABLE)

    @classmethod
    async def open(cls, client: Client, database: str) -> Self:
        """Spread and index the collection, and return the book of it.

        Raises `StoreAway` within seconds if nobody answers, `BookUnfit` for every other reason
        why it cannot be used.
        """
        with unfit_by_its_name():
            await shape(client, database)
        return cls(client, database)

    async def upsert(self, documents: Sequence[AccountDocument]) -> int:
        """Store each document unless the same or a newer version is there; return how many."""
        fitting, causes = that_fit(documents)
        freshest = newest(fitting)
        stored = 0
        for start in range(0, len(freshest), BULK_MAX):
            part = freshest[start : start + BULK_MAX]
            some, refused = await self._store(part)
            stored += some
            causes |= {part[place].order_id: why for place, why in refused.items()}
        if causes:
            raise Unstorable(causes, stored)
        return stored

    async def page(
        self, account_id: str, *, status: str | None, cursor: str | None, limit: int
    ) -> Page:
        """Return an account's orders, newest first; at most `cursors.PAGE_MAX` of them."""
        before = place_of(cursor, account_id)
        limit = page_size(limit)
        wanted: dict[str, Any] = {"account_id": account_id, "accept_sequence": {"$lt": before}}
        if status is not None:
            wanted["status"] = status
        with away_by_its_name():
            # One more than asked for tells whether there is a next page.
            found = await (
                self._orders.find(wanted)
                .sort("accept_sequence", DESCENDING)
                .limit(limit + 1)
                .to_list(limit + 1)
            )
        shown = found[:limit]
        more = len(found) > limit
        return Page(
            documents=[unpack(stored) for stored in shown],
            next_cursor=cursor_at(shown[-1]["accept_sequence"], account_id) if more else None,
        )

    async def summary(self, account_id: str) -> AccountSummary:
        """Return an account's orders counted by status, and the exact value that traded.

        The sum is made here: the server's own has 34 digits and would round without a word.
        """
        shown = {"_id": 0, "status": 1, "currency": 1, "filled_value": 1}
        counts: dict[str, int] = {}
        values: dict[str, list[Decimal]] = {}
        with away_by_its_name():
            async for order in self._orders.find({"account_id": account_id}, shown):
                counts[order["status"]] = counts.get(order["status"], 0) + 1
                value = amount_of(order["filled_value"])
                if value != "0":
                    values.setdefault(order["currency"], []).append(Decimal(value))
        return AccountSummary(
            account_id=account_id,
            by_status=dict(sorted(counts.items())),
            filled_value={currency: total(values[currency]) for currency in sorted(values)},
        )

    async def clear(self, span: Span = EVERYTHING) -> None:
        """Forget what the ledger can tell again, for a rebuild; history (version 0) stays.

        In slices by id, because the time-out of a socket holds for a deletion too; and then the
        shape is made again, for whoever dropped the view by hand has dropped that as well.
        """
        after, bound = span.first, "$gte"
        with away_by_its_name():
            while True:
                ids = await (
                    self._orders.find({"_id": {bound: after, "$lt": span.end}}, {"_id": 1})
                    .sort("_id")
                    .limit(CLEAR_AT_ONCE)
                    .to_list(CLEAR_AT_ONCE)
                )
                if not ids:
                    break
                slice_ = {bound: after, "$lte": ids[-1]["_id"]}
                await self._orders.delete_many({"_id": slice_, "version": {"$gt": 0}})
                after, bound = ids[-1]["_id"], "$gt"
            await shape(self._client, self._database)

    async def _store(self, documents: Sequence[AccountDocument]) -> tuple[int, dict[int, str]]:
        """Write one bulk; return how many were new, and why which were refused, by their place.

        What is refused is tried once more. Two projectors that insert the same order at once
        meet at its id, and one of them gets a duplicate key instead of the other's document.
        """
        operations = []
        for count, document in enumerate(documents, 1):
            operations.append(_guarded(pack(document)))
            if count % BREATH == 0:
                await asyncio.sleep(0)
        stored, refused = await self._write(operations)
        if not refused:
            return stored, {}
        places = list(refused)
        more, refused = await self._write([operations[place] for place in places])
        if len(refused) == len(operations) >= REFUSALS_MAX:
            raise StoreAway(f"MongoDB refuses each of {len(refused)} documents: {refused[0]}")
        return stored + more, {places[place]: why for place, why in refused.items()}

    async def _write(self, operations: list[UpdateOne]) -> tuple[int, dict[int, str]]:
        try:
            with away_by_its_name():
                result = await self._orders.bulk_write(operations, ordered=False)
        except BulkWriteError as e:
            refused = refusals(e.details)
            return e.details["nUpserted"] + e.details["nModified"], refused
        return result.upserted_count + result.modified_count, {}


def _guarded(stored: dict[str, Any]) -> UpdateOne:
    """Return the write that replaces the document, or leaves it if it is as new as ours."""
    who = {name: stored[name] for name in ("_id", "account_id", "trade_date")}
    is_older = {"$lt": [{"$ifNull": ["$version", -1]}, stored["version"]]}
    replacement = {"$cond": [is_older, {"$literal": stored}, "$$ROOT"]}
    return UpdateOne(who, [{"$replaceWith": replacement}], upsert=True)
