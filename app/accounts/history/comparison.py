"""Compares documents of the record with those of the view, one by one: a sample, or all of a day.

A sample is chosen by a hash of the order's id, so it is the same at each run and nobody can load
around it; the first document of each part is always in it. Of a day whose totals differ, all
documents are compared, so that the report names the orders and not only the sum.

The trap is an order of history that a live event has overtaken. It differs, rightly: it counts as
`superseded`, on neither side.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Final

from app.accounts.bson_document import pack
from app.accounts.history.findings import DIFFERENCES_MAX, Difference, Findings, Seen
from app.accounts.history.totals import DayTotals, Tally, trade_date_in
from app.accounts.history.view import AccountView
from app.ports.accounts import AccountDocument

SAMPLE_ONE_IN: Final = 1_000
MISSING: Final = "is not there"


class Comparison:
    """Sees documents of the record and compares them with the view.

    `days` are the ones that count, None for all; `everything` compares each document and not a
    sample. With `supersedes` a newer document of the view is right, and then, where everything is
    compared, it is added up on neither side.
    """

    def __init__(
        self,
        view: AccountView,
        *,
        days: Collection[date] | None = None,
        everything: bool = False,
        supersedes: bool = False,
    ) -> None:
        self._view = view
        self._only = days
        self._everything = everything
        self._supersedes = supersedes
        self._tally = Tally()
        self._days: dict[date, Seen] = {}
        self._differences: list[Difference] = []
        self._is_first = True

    async def see(self, documents: Sequence[AccountDocument]) -> None:
        """Count some documents and compare those that are chosen."""
        ours = [document for document in documents if self._counts(document)]
        chosen = [document for document in ours if self._is_chosen(document)]
        found = await self._view.find(chosen) if chosen else {}
        overtaken = {document.order_id for document in chosen if self._compare(document, found)}
        for document in ours:
            if not (self._everything and document.order_id in overtaken):
                self._tally.add(document.document)

    @property
    def findings(self) -> Findings:
        """Return what has been seen so far."""
        days = {
            day: self._days.get(day, Seen(DayTotals(day)))._replace(totals=totals)
            for day, totals in self._tally.days.items()
        }
        # A day of which every order was superseded has nothing left to add up.
        return Findings(self._days | days, self._differences)

    def _counts(self, document: AccountDocument) -> bool:
        return self._only is None or trade_date_in(document.document) in self._only

    def _is_chosen(self, document: AccountDocument) -> bool:
        is_first, self._is_first = self._is_first, False
        return self._everything or is_first or is_sampled(document.order_id)

    def _compare(self, document: AccountDocument, found: Mapping[str, Mapping[str, Any]]) -> bool:
        """Compare one document; return whether a live event has superseded it."""
        day = trade_date_in(document.document)
        seen = self._days.get(day, Seen(DayTotals(day)))
        stored = found.get(document.order_id)
        superseded = False
        if stored is None:
            seen = seen._replace(missing=seen.missing + 1)
            self._tell(Difference(document.order_id, day.isoformat(), "_id", "is there", MISSING))
        elif self._supersedes and stored.get("version", 0) > document.version:
            superseded = True
            seen = seen._replace(superseded=seen.superseded + 1)
        elif self._differs(document, stored, day):
            seen = seen._replace(altered=seen.altered + 1)
        self._days[day] = seen._replace(compared=seen.compared + 1)
        return superseded

    def _differs(self, document: AccountDocument, stored: Mapping[str, Any], day: date) -> bool:
        expected = pack(document)
        names = [
            name
            for name in sorted({*expected, *stored})
            if expected.get(name, MISSING) != stored.get(name, MISSING)
        ]
        for name in names:
            ours, theirs = expected.get(name, MISSING), stored.get(name, MISSING)
            self._tell(Difference(document.order_id, day.isoformat(), name, str(ours), str(theirs)))
        return bool(names)

    def _tell(self, difference: Difference) -> None:
        if len(self._differences) < DIFFERENCES_MAX:
            self._differences.append(difference)


def is_sampled(order_id: str) -> bool:
    """Whether this order is one of the thousandth part that is always compared."""
    hashed = hashlib.blake2b(order_id.encode(), digest_size=8, person=b"openbell-sample")
    return int.from_bytes(hashed.digest(), "big") % SAMPLE_ONE_IN == 0
