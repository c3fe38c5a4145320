"""The account store as verification sees it: a day's totals, and documents by their ids.

What is read is what a customer is shown: each document goes back through `unpack`, and the totals
are made of those bytes by the same code as the record's.

The trap is a store that answers from a secondary, or from memory that a majority has not: so
everything here is read with majority concern, from the primary. A document that cannot be made
sense of any more is counted under a group of its own, and so makes its day differ.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

import msgspec
from pymongo import ASCENDING, ReadPreference
from pymongo.read_concern import ReadConcern

from app.accounts.bson_document import unpack
from app.accounts.history.totals import DayTotals, Tally, Totals
from app.accounts.mongo import Client
from app.accounts.mongo_faults import away_by_its_name
from app.accounts.mongo_shape import COLLECTION
from app.ports.accounts import AccountDocument

ODD: Final = ("unreadable", "unreadable")


class AccountView:
    """The account documents of one store."""

    def __init__(self, client: Client, database: str) -> None:
        self._orders = client[database].get_collection(
            COLLECTION,
            read_concern=ReadConcern("majority"),
            read_preference=ReadPreference.PRIMARY,
        )

    async def prepare(self) -> None:
        """Make the index by which a day is found; at once where it is there."""
        with away_by_its_name():
            await self._orders.create_index([("trade_date", ASCENDING)], name="verification")

    async def day(self, trade_date: date, *, history_only: bool) -> DayTotals:
        """Add up one trade date: all of it, or only what history has brought (version 0)."""
        tally = Tally()
        with away_by_its_name():
            async for stored in self._orders.find({"trade_date": _midnight(trade_date)}):
                if not (history_only and stored.get("version", 0) > 0):
                    _count(tally, stored, trade_date)
        return tally.days.get(trade_date, DayTotals(trade_date))

    async def find(self, documents: Iterable[AccountDocument]) -> dict[str, Mapping[str, Any]]:
        """Return what stands in the view under the ids of these documents."""
        wanted = list(documents)
        # The accounts, so that a cluster asks only the shards that can have them.
        where = {
            "_id": {"$in": [document.order_id for document in wanted]},
            "account_id": {"$in": sorted({document.account_id for document in wanted})},
        }
        with away_by_its_name():
            return {stored["_id"]: stored async for stored in self._orders.find(where)}


def _count(tally: Tally, stored: Mapping[str, Any], trade_date: date) -> None:
    try:
        tally.add(unpack(stored))
    except (msgspec.MsgspecError, TypeError, ValueError, LookupError):
        tally.merge(DayTotals(trade_date, {ODD: Totals(orders=1)}))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
