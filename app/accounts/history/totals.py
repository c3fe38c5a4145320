"""Adds up what a day's orders come to, on either side, so that two sides can be compared.

For each trade date, and within it for each side and status: how many orders, the sum of their
quantities, the sum of limit_price x quantity, the first and last acceptance, and a checksum that
does not care for order (the sum of a hash of each document, modulo 2^64). They add up like
numbers: totals of parts, in any order and from any process, are the totals of the whole.

The trap is a sum that happens to agree. Two errors of a cent cancel out in a sum, and a float
rounds the difference away; so the sums are exact, they are kept apart by side and status, and
beside them stands the checksum, which one changed byte changes.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from app.domain.trades import EXACT

ZERO: Final = Decimal(0)
HASH_BYTES: Final = 8
MODULUS: Final = 1 << 8 * HASH_BYTES

Group = tuple[str, str]  # side and status


class Totals(NamedTuple):
    """What some orders come to. Instants are milliseconds; None of no orders."""

    orders: int = 0
    quantity: Decimal = ZERO
    notional: Decimal = ZERO
    accepted_first: int | None = None
    accepted_last: int | None = None
    checksum: int = 0

    def __add__(self, other: "Totals") -> "Totals":  # type: ignore[override]  # no longer a tuple's
        return Totals(
            self.orders + other.orders,
            EXACT.add(self.quantity, other.quantity),
            EXACT.add(self.notional, other.notional),
            _least(self.accepted_first, other.accepted_first),
            _most(self.accepted_last, other.accepted_last),
            (self.checksum + other.checksum) % MODULUS,
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "orders": self.orders,
            "quantity": format(self.quantity, "f"),
            "notional": format(self.notional, "f"),
            "accepted_first": self.accepted_first,
            "accepted_last": self.accepted_last,
            "checksum": f"{self.checksum:016x}",
        }

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> "Totals":
        return Totals(
            int(written["orders"]),
            Decimal(written["quantity"]),
            Decimal(written["notional"]),
            written["accepted_first"],
            written["accepted_last"],
            int(written["checksum"], 16),
        )


NOTHING: Final = Totals()


@dataclass(frozen=True, slots=True)
class DayTotals:
    """One trade date: its totals by side and status, and as a whole."""

    trade_date: date
    groups: Mapping[Group, Totals] = field(default_factory=dict)

    @property
    def whole(self) -> Totals:
        total = NOTHING
        for part in self.groups.values():
            total += part
        return total

    def __add__(self, other: "DayTotals") -> "DayTotals":
        assert self.trade_date == other.trade_date, "two days do not add up to one"
        groups = {
            group: self.groups.get(group, NOTHING) + other.groups.get(group, NOTHING)
            for group in {**self.groups, **other.groups}
        }
        return DayTotals(self.trade_date, groups)

    def as_json(self) -> dict[str, Any]:
        return {
            "trade_date": self.trade_date.isoformat(),
            "groups": [
                {"side": side, "status": status} | self.groups[side, status].as_json()
                for side, status in sorted(self.groups)
            ],
        }

    @staticmethod
    def from_json(written: Mapping[str, Any]) -> "DayTotals":
        groups = {
            (group["side"], group["status"]): Totals.from_json(group) for group in written["groups"]
        }
        return DayTotals(date.fromisoformat(written["trade_date"]), groups)


class _Facts(msgspec.Struct):
    """What totals need of a document; all else of it goes into the checksum unread."""

    trade_date: date
    side: str
    status: str
    quantity: Decimal
    limit_price: Decimal | None
    accepted_at: datetime


_facts: Final = msgspec.json.Decoder(_Facts)


class Tally:
    """Totals by day, while they are being added up."""

    def __init__(self, days: Iterable[DayTotals] = ()) -> None:
        self._days: dict[date, dict[Group, Totals]] = {}
        for day in days:
            self.merge(day)

    def add(self, document: bytes) -> None:
        """Count one order's document, the bytes that `fold` makes and a book gives back."""
        facts = _facts.decode(document)
        accepted = round(facts.accepted_at.timestamp() * 1000)
        notional = ZERO
        if facts.limit_price is not None:
            notional = EXACT.multiply(facts.limit_price, facts.quantity)
        one = Totals(1, facts.quantity, notional, accepted, accepted, checksum(document))
        groups = self._days.setdefault(facts.trade_date, {})
        group = (facts.side, facts.status)
        groups[group] = groups.get(group, NOTHING) + one

    def merge(self, day: DayTotals) -> None:
        """Count what another has counted."""
        groups = self._days.setdefault(day.trade_date, {})
        for group, totals in day.groups.items():
            groups[group] = groups.get(group, NOTHING) + totals

    @property
    def days(self) -> dict[date, DayTotals]:
        """Return what there is so far, the oldest day first."""
        return {day: DayTotals(day, dict(self._days[day])) for day in sorted(self._days)}


def totals_of(documents: Iterable[bytes]) -> dict[date, DayTotals]:
    """Fold documents to totals by day; of the ledger: `fold(payload).document` of each."""
    tally = Tally()
    for document in documents:
        tally.add(document)
    return tally.days


def checksum(document: bytes) -> int:
    """Return a number that any change of the document changes."""
    return int.from_bytes(hashlib.blake2b(document, digest_size=HASH_BYTES).digest(), "big")


def trade_date_in(document: bytes) -> date:
    """Return the day under which a document is counted."""
    return _facts.decode(document).trade_date


def _least(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _most(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else max(one, other)
