"""Carries each order's newest state from the bus into the account book, and never skips.

    poll ─► latest ─► fold ─► newest ─► upsert (durable) ─► commit

The offset is committed after the book has answered, so a crash anywhere repeats and loses
nothing; the book's version guard makes repeating harmless. The two kinds of failure must not
be confused: an event that is no order, or whose document the book can never store, is poison: it
would fail for ever, so it is parked in `<topic>.dlq` with its cause, what came before it is shown
as the newest, and the rest goes on. A book or bus that is away is nobody's fault:
the projector keeps its batch in hand, pauses and tries again. Take one for the other, and
either one bad event stops every account, or an outage empties the topic into the dead letters.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from app import codec, crash
from app.accounts.fold import NotAnOrder, fold, newest
from app.consuming import Consumer
from app.letters import parked
from app.ports.accounts import EVERYTHING, AccountBook, AccountDocument, Span, Unstorable
from app.ports.bus import Bus, Event, Record

TOPIC: Final = "openbell.orders.v1"
GROUP: Final = "accounts"
# 5,000 records are about 4 MB and one commit; behind a drain most of them supersede each other.
BATCH_MAX: Final = 5_000
# After a batch, let events gather: a view a quarter of a second old costs a third of a fresh one.
GATHER_S: Final = 0.25
# Folding takes some 20 us, and others want the loop: give it back every millisecond or so.
BREATH: Final = 50
PAGE: Final = 500
# Most accounts are one page, and most of a page's time is the way there and back.
ACCOUNTS_AT_ONCE: Final = 8
HISTORY: Final = 0  # the version of what was loaded from elsewhere, and never was in the ledger
DIGEST_BYTES: Final = 16

AWAY: Final[tuple[type[Exception], ...]] = (OSError, SQLAlchemyError)


class _Read(NamedTuple):
    """An event that is an order."""

    document: AccountDocument
    record: Record


class _Refused(NamedTuple):
    """An order that the book will not have, in this version."""

    record: Record
    order_id: str
    version: int
    cause: str


class Projector(Consumer):
    """One consumer of the order events, for one book.

    `away` names what a book or bus raises while it cannot be reached; everything else is a bug
    that stops the process.
    """

    def __init__(
        self,
        bus: Bus,
        book: AccountBook,
        *,
        away: tuple[type[Exception], ...] = AWAY,
        topic: str = TOPIC,
    ) -> None:
        super().__init__(bus, topic, GROUP, BATCH_MAX, away)
        self._book = book
        self.stored = 0
        self.stale = 0

    async def _apply(self, records: list[Record]) -> list[Event]:
        read, letters = await self._folded(latest(records))
        if letters:  # what it superseded may be good
            read, letters = await self._folded(records)
        refused = await self._stored(read)
        if refused:
            whole, _ = await self._folded(records)
            letters += await self._step_back(refused, whole)
        return letters

    def _before_commit(self) -> None:
        crash.point("projector.after_apply")

    async def _rest(self, done: int) -> None:
        if 0 < done < BATCH_MAX:
            await asyncio.sleep(GATHER_S)

    async def _folded(self, records: list[Record]) -> tuple[list[_Read], list[Event]]:
        read, letters = [], []
        for count, record in enumerate(records, 1):
            try:
                read.append(_Read(fold(record.event.payload), record))
            except NotAnOrder as e:
                letters.append(parked(record, GROUP, str(e)))
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return read, letters

    async def _stored(self, read: list[_Read]) -> list[_Refused]:
        """Store the newest of each order; return what the book can never store."""
        documents = newest([document for document, _ in read])
        causes: dict[str, str] = {}
        try:
            stored = await self._book.upsert(documents)
        except Unstorable as e:
            stored, causes = e.stored, e.causes
        self.stored += stored
        self.stale += len(documents) - stored - len(causes)
        versions = {d.order_id: d.version for d in documents if d.order_id in causes}
        return [
            _Refused(record, document.order_id, document.version, causes[document.order_id])
            for document, record in read
            if versions.get(document.order_id) == document.version
        ]

    async def _step_back(self, refused: list[_Refused], whole: list[_Read]) -> list[Event]:
        """Return the letters of what was refused; store what it superseded in this batch."""
        letters = []
        while refused:
            letters += [parked(one.record, GROUP, one.cause) for one in refused]
            versions = {one.order_id: one.version for one in refused}
            whole = [
                one
                for one in whole
                if one.document.version < versions.get(one.document.order_id, 0)
            ]
            refused = await self._stored(whole) if whole else []
        return letters


def latest(records: Sequence[Record]) -> list[Record]:
    """Return the newest record of each order: what it says replaces all that came before it.

    An event's id is `<order_id>-<version>`, so the others need not even be read: in a drain two
    of three events are superseded at once. What has no such id stays, to be judged by `fold`.
    """
    best: dict[str, tuple[int, Record]] = {}
    for record in records:
        order_id, _, version = record.event.event_id.rpartition("-")
        name, number = (order_id, int(version)) if version.isdecimal() else (version, 0)
        if name not in best or number > best[name][0]:
            best[name] = (number, record)
    return [record for _, record in best.values()]


async def rebuild(
    orders: AsyncIterable[list[bytes]],
    book: AccountBook,
    spans: Sequence[Span] = (EVERYTHING,),
) -> int:
    """Empty the book and fill it from the ledger's payloads; return how many were stored.

    `spans` is what the ledger can still tell of: days that have left it stay as they are.

    A projector may run beside it: the guard keeps the newer of the two. The first chunk is
    asked for after the book is empty, so that nothing which the projector stored before is
    missing from what the ledger tells now; let `orders` read as it goes, not beforehand. What
    the book can never store is raised as `Unstorable` when all the rest is there.
    """
    for span in spans:
        await book.clear(span)
    stored = 0
    causes: dict[str, str] = {}
    async for payloads in orders:
        try:
            stored += await book.upsert(newest(await _documents(payloads)))
        except Unstorable as e:
            stored += e.stored
            causes |= e.causes
    if causes:
        raise Unstorable(causes, stored)
    return stored


async def differences(
    orders: AsyncIterable[list[bytes]],
    book: AccountBook,
    spans: Sequence[Span] = (EVERYTHING,),
) -> list[str]:
    """Return the order ids, sorted, where the book is not the fold of these payloads.

    Missing, other bytes, or (in the accounts seen here) in the book alone. History, which the
    ledger never had, is none, and neither is what lies outside of its `spans`. Feed it the whole
    ledger, at rest: an order that moves meanwhile is a difference, and asking again ends it. It
    keeps about 200 bytes an order in memory.
    """
    expected: dict[str, dict[str, tuple[int, bytes]]] = {}
    async for payloads in orders:
        for document in await _documents(payloads):
            known = expected.setdefault(document.account_id, {})
            if known.get(document.order_id, (-1, b""))[0] < document.version:
                known[document.order_id] = (document.version, _digest(document.document))
    different: set[str] = set()
    accounts = list(expected)
    for start in range(0, len(accounts), ACCOUNTS_AT_ONCE):
        asked = [
            _differences_of(account_id, expected.pop(account_id), book, spans)
            for account_id in accounts[start : start + ACCOUNTS_AT_ONCE]
        ]
        different.update(*await asyncio.gather(*asked))
    return sorted(different)


async def _differences_of(
    account_id: str,
    told: dict[str, tuple[int, bytes]],
    book: AccountBook,
    spans: Sequence[Span],
) -> set[str]:
    different = set()
    expected = {order_id: digest for order_id, (_, digest) in told.items()}
    cursor = None
    while True:
        page = await book.page(account_id, status=None, cursor=cursor, limit=PAGE)
        for document in page.documents:
            shown = codec.decode(document)
            wanted = expected.pop(shown["order_id"], None)
            left = shown["version"] == HISTORY or not any(shown["order_id"] in s for s in spans)
            if wanted != _digest(document) and not (wanted is None and left):
                different.add(shown["order_id"])
        cursor = page.next_cursor
        if cursor is None:
            return different | expected.keys()


async def _documents(payloads: Sequence[bytes]) -> list[AccountDocument]:
    documents = []
    for count, payload in enumerate(payloads, 1):
        documents.append(fold(payload))
        if count % BREATH == 0:
            await asyncio.sleep(0)
    return documents


def _digest(document: bytes) -> bytes:
    return hashlib.blake2b(document, digest_size=DIGEST_BYTES).digest()
