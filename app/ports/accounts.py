"""The customers' view, by account, which the ledger can always tell again.

The trap it avoids: one document that can never be stored, and holds up all the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing, newest first, and where the next one starts."""

    documents: list[bytes]  # JSON, one each
    next_cursor: str | None


class BookUnfit(ValueError):
    """The account store is there, and cannot be used as it stands; the message says why."""


class Unstorable(Exception):
    """These documents can never be stored as they are; all the others of the call are.

    `causes` says why, by order id, and `stored` counts the others that were new.
    """

    def __init__(self, causes: Mapping[str, str], stored: int) -> None:
        super().__init__("; ".join(f"{order_id}: {cause}" for order_id, cause in causes.items()))
        self.causes = dict(causes)
        self.stored = stored


class Span(NamedTuple):
    """Order ids from `first` up to, and without, `end`; ids sort by trade date."""

    first: str
    end: str

    def __contains__(self, order_id: object) -> bool:
        return isinstance(order_id, str) and self.first <= order_id < self.end


EVERYTHING: Final = Span("", "~")  # above every letter of an id


class AccountBook(Protocol):
    """The customers' view: one document an order, found by account.

    A store that cannot be reached, or cannot keep a promise now, is `StoreAway`: the same call
    may be made again, and again, until it is back.
    """

    async def upsert(self, documents: Sequence["AccountDocument"]) -> int:
        """Store each document unless the same or a newer version is there; return how many were.

        Durable on return. Stale and repeated documents change nothing. Raises `Unstorable` for
        what can never be stored, when the rest is.
        """

    async def page(
        self, account_id: str, *, status: str | None, cursor: str | None, limit: int
    ) -> Page:
        """Return an account's orders, newest first. A foreign cursor shows nothing foreign."""

    async def summary(self, account_id: str) -> "AccountSummary":
        """Return an account's orders counted by status, and what traded."""

    async def clear(self, span: Span = EVERYTHING) -> None:
        """Forget what the ledger can tell again, for a rebuild.

        Version 0 is history, loaded from elsewhere: it stays.
        """


class AccountDocument(NamedTuple):
    """One order as its account sees it; `version` guards against older news."""

    order_id: str
    account_id: str
    accept_sequence: int
    version: int
    status: str
    symbol: str
    filled_quantity: str
    filled_value: str
    currency: str
    document: bytes


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """An account in one look. Values are exact decimals as strings, by currency."""

    account_id: str
    by_status: dict[str, int]
    filled_value: dict[str, str]
