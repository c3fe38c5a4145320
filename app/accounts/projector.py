"""Carries each order's newest state from the bus into the account book, and never skips.

    poll ─► latest ─► fold ─► newest ─► upsert (durable) ─► commit

The offset is committed after the book has answered, so a crash anywhere repeats and loses
nothing; the book's version guard makes repeating harmless. The two kinds of failure must not
be confused: an event that is no order is poison, it would fail for ever, so it is parked in
`<topic>.dlq` with its cause and the rest goes on. A book or bus that is away is nobody's fault:
the projector keeps its batch in hand, pauses and tries again. Take one for the other, and
either one bad event stops every account, or an outage empties the topic into the dead letters.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterable, Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from app import codec, crash
from app.accounts.fold import NotAnOrder, fold, newest
from app.ports import AccountBook, AccountDocument, Bus, Event, Record

TOPIC: Final = "openbell.orders.v1"
GROUP: Final = "accounts"
# 5,000 records are about 4 MB and one commit; behind a drain most of them supersede each other.
BATCH_MAX: Final = 5_000
# After a batch, let events gather: a view a quarter of a second old costs a third of a fresh one.
GATHER_S: Final = 0.25
# Folding takes some 20 us, and others want the loop: give it back every millisecond or so.
BREATH: Final = 50
PAGE: Final = 500
IDLE_S: Final = 1.0
RETRY_S_MIN: Final = 0.1
RETRY_S_MAX: Final = 5.0
DIGEST_BYTES: Final = 16

AWAY: Final[tuple[type[Exception], ...]] = (OSError, SQLAlchemyError)


class Projector:
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
        self._bus = bus
        self._book = book
        self._away = away
        self._topic = topic
        # Polled and not yet committed: a poll moves on, so a batch that failed is kept here.
        self._in_hand: list[Record] = []
        self.stored = 0
        self.stale = 0
        self.parked = 0
        self.trouble: str | None = None  # why it pauses, None while all is well

    async def run(self) -> None:
        """Project for ever."""
        pause_s = RETRY_S_MIN
        while True:
            try:
                carried = await self.step()
                if not carried:
                    await self._bus.wait(self._topic, GROUP, IDLE_S)
            except self._away as e:
                self.trouble = f"{type(e).__name__}: {e}"
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RETRY_S_MAX)
            else:
                self.trouble = None
                pause_s = RETRY_S_MIN
                if 0 < carried < BATCH_MAX:
                    await asyncio.sleep(GATHER_S)

    async def step(self) -> int:
        """Apply one batch and return how many records it had; on an exception it is kept."""
        if not self._in_hand:
            self._in_hand = await self._bus.poll(self._topic, GROUP, BATCH_MAX)
        records = self._in_hand
        if not records:
            return 0
        documents, poison = await self._folded(latest(records))
        if poison:  # what it superseded may be good
            documents, poison = await self._folded(records)
        await self._bus.publish(poison)
        stored = await self._book.upsert(newest(documents))
        crash.point("projector.after_apply")
        await self._bus.commit(self._topic, GROUP, records)
        self._in_hand = []
        self.stored += stored
        self.stale += len(documents) - stored
        self.parked += len(poison)
        return len(records)

    async def _folded(self, records: list[Record]) -> tuple[list[AccountDocument], list[Event]]:
        documents, poison = [], []
        for count, record in enumerate(records, 1):
            try:
                documents.append(fold(record.event.payload))
            except NotAnOrder as e:
                poison.append(_dead_letter(record, e))
            if count % BREATH == 0:
                await asyncio.sleep(0)
        return documents, poison


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


def _dead_letter(record: Record, cause: NotAnOrder) -> Event:
    """Return the event that parks a record. Its id is the event's own, so a replay repeats it."""
    event = record.event
    letter = {
        "topic": event.topic,
        "offset": record.offset,
        "key": event.key,
        "event_id": event.event_id,
        "type": event.type,
        "group": GROUP,
        "cause": str(cause),
        "payload": event.payload.decode(errors="backslashreplace"),
    }
    return event._replace(
        topic=f"{event.topic}.dlq",
        type="io.openbell.dead_letter.parked.v1",
        payload=codec.encode(letter),
    )


async def rebuild(orders: AsyncIterable[list[bytes]], book: AccountBook) -> int:
    """Empty the book and fill it from the ledger's payloads; return how many were stored.

    A projector may run beside it: the guard keeps the newer of the two. The first chunk is
    asked for after the book is empty, so that nothing which the projector stored before is
    missing from what the ledger tells now; let `orders` read as it goes, not beforehand.
    """
    await book.clear()
    stored = 0
    async for payloads in orders:
        stored += await book.upsert(newest(await _documents(payloads)))
    return stored


async def differences(orders: AsyncIterable[list[bytes]], book: AccountBook) -> list[str]:
    """Return the order ids, sorted, where the book is not the fold of these payloads.

    Missing, other bytes, or (in the accounts seen here) in the book alone. Feed it the whole
    ledger, at rest: an order that moves meanwhile is a difference, and asking again ends it.
    It keeps about 200 bytes an order in memory.
    """
    expected: dict[str, dict[str, tuple[int, bytes]]] = {}
    async for payloads in orders:
        for document in await _documents(payloads):
            known = expected.setdefault(document.account_id, {})
            if known.get(document.order_id, (-1, b""))[0] < document.version:
                known[document.order_id] = (document.version, _digest(document.document))
    different: set[str] = set()
    for account_id, digests in expected.items():
        different |= await _differences_of(
            account_id, {order_id: digest for order_id, (_, digest) in digests.items()}, book
        )
    return sorted(different)


async def _differences_of(
    account_id: str, expected: dict[str, bytes], book: AccountBook
) -> set[str]:
    different = set()
    cursor = None
    while True:
        page = await book.page(account_id, status=None, cursor=cursor, limit=PAGE)
        for document in page.documents:
            order_id: str = codec.decode(document)["order_id"]
            if expected.pop(order_id, None) != _digest(document):
                different.add(order_id)
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
