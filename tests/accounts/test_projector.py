"""The projector: at least once in, exactly the newest out, and nothing is ever skipped."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import codec
from app.accounts.fold import fold
from app.accounts.projector import BATCH_MAX, GROUP, Projector, differences, rebuild
from app.accounts.sqlite import SqliteAccountBook
from app.accounts.storable import DOCUMENT_BYTES_MAX
from app.bus.log import LogBus
from app.clock import Clock
from app.domain.order import Order
from app.domain.values import Status
from app.ports.accounts import AccountBook, AccountDocument, Unstorable
from app.ports.bus import Event, Record
from app.sqlite import Database
from tests.accounts.orders import TOPIC, an_order, event, payload, poison
from tests.virtual import Virtual, VirtualClock, run_virtual


class Killed(BaseException):
    """The process has ended here."""


class Fragile(SqliteAccountBook):
    """The twin, on a machine that dies or is cut off as told."""

    upserts_until_death: int | None = None
    dies_before_storing = False
    away_for_calls = 0

    async def upsert(self, documents: Sequence[AccountDocument]) -> int:
        if self.away_for_calls:
            self.away_for_calls -= 1
            raise ConnectionResetError("the book is away")
        if self.upserts_until_death == 0 and self.dies_before_storing:
            raise Killed
        stored = await super().upsert(documents)
        if self.upserts_until_death == 0:
            raise Killed
        if self.upserts_until_death is not None:
            self.upserts_until_death -= 1
        return stored


async def shown(book: AccountBook, account_id: str = "acc-1") -> list[bytes]:
    page = await book.page(account_id, status=None, cursor=None, limit=500)
    return page.documents


async def drain(projector: Projector) -> None:
    while await projector.step():
        pass


def folded(orders: Sequence[Order]) -> list[bytes]:
    """Return what an account must see, newest first: the ledger's last word on each order."""
    last: dict[int, Order] = {}
    for order in orders:
        if order.accept_sequence not in last or order.version > last[order.accept_sequence].version:
            last[order.accept_sequence] = order
    return [fold(payload(last[number])).document for number in sorted(last, reverse=True)]


HISTORIES = st.lists(
    st.builds(
        lambda number, version: an_order(
            number, version=version, status=list(Status)[(3 * number + version) % len(Status)]
        ),
        st.integers(1, 4),
        st.integers(1, 9),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None, max_examples=80)
@given(
    delivered=HISTORIES,
    cuts=st.lists(st.integers(1, 7), max_size=10),
    deaths=st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=4),
)
def test_any_disorder_repetition_and_death_ends_in_the_same_documents(
    delivered: list[Order], cuts: list[int], deaths: list[tuple[int, bool]]
) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus_file, book_file = Database(None), Database(None)
        pending = list(delivered)
        for death, before in [*deaths, (None, False)]:  # each is a process; the last one lives
            bus, book = LogBus(bus_file, clock), Fragile(book_file)
            book.upserts_until_death, book.dies_before_storing = death, before
            projector = Projector(bus, book)
            with suppress(Killed):
                while pending:
                    size = cuts[len(pending) % len(cuts)] if cuts else len(pending)
                    batch, pending = pending[:size], pending[size:]
                    await bus.publish([event(order) for order in batch])
                    await projector.step()
                await drain(projector)

        assert await shown(book) == folded(delivered)
        assert await bus.lag(TOPIC, GROUP) == 0

    run_virtual(scenario)


def test_a_death_between_upsert_and_commit_repeats_and_loses_nothing(virtual: Virtual) -> None:
    async def scenario(clock: Clock) -> None:
        bus_file, book_file = Database(None), Database(None)
        bus, book = LogBus(bus_file, clock), Fragile(book_file)
        book.upserts_until_death = 0
        await bus.publish([event(an_order(number)) for number in range(1, 6)])
        with pytest.raises(Killed):
            await Projector(bus, book).step()

        assert await bus.lag(TOPIC, GROUP) == 5

        projector = Projector(LogBus(bus_file, clock), SqliteAccountBook(book_file))
        assert await projector.step() == 5
        assert (projector.stored, projector.stale) == (0, 5)
        assert len(await shown(book)) == 5
        assert await bus.lag(TOPIC, GROUP) == 0

    virtual.run(scenario(virtual.clock))


def test_files_survive_the_same_death(tmp_path: Path, virtual: Virtual) -> None:
    async def one_process(upserts_until_death: int | None) -> list[bytes]:
        databases = Database(tmp_path / "bus.db"), Database(tmp_path / "accounts.db")
        bus, book = LogBus(databases[0], virtual.clock), Fragile(databases[1])
        book.upserts_until_death = upserts_until_death
        try:
            if upserts_until_death is not None:
                await bus.publish([event(an_order(1)), event(an_order(2, version=3))])
            await drain(Projector(bus, book))
            return await shown(book)
        finally:
            for database in databases:
                database.close()

    with pytest.raises(Killed):
        virtual.run(one_process(0))

    assert len(virtual.run(one_process(None))) == 2


def test_poison_is_parked_with_its_cause_and_stops_nobody(virtual: Virtual) -> None:
    async def scenario(clock: Clock) -> None:
        bus, book = LogBus(Database(None), clock), SqliteAccountBook(Database(None))
        projector = Projector(bus, book)
        bad, worse = poison("bad-1"), poison("bad-2", b"\xff")
        await bus.publish([event(an_order(1)), bad, worse, event(an_order(2))])
        await drain(projector)

        assert len(await shown(book)) == 2
        assert projector.parked == 2
        assert await bus.lag(TOPIC, GROUP) == 0
        parked = await bus.poll(f"{TOPIC}.dlq", "operators", 10)
        assert [record.event.event_id for record in parked] == ["bad-1", "bad-2"]
        letter = codec.decode(parked[0].event.payload)
        assert letter["cause"] == "KeyError: 'accept_sequence'"
        assert (letter["topic"], letter["offset"], letter["group"]) == (TOPIC, 1, GROUP)
        assert letter["payload"].encode() == bad.payload
        assert codec.decode(parked[1].event.payload)["payload_base64"] == "/w=="

    virtual.run(scenario(virtual.clock))


def test_a_book_that_is_away_is_waited_for_and_not_skipped(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, book = LogBus(Database(None), clock), Fragile(Database(None))
        book.away_for_calls = 4
        projector = Projector(bus, book)
        troubles = []
        await bus.publish([event(an_order(1)), poison("bad-1")])
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(projector.run())
            await asyncio.sleep(1.4)  # away at 0, 0.1, 0.3, 0.7: back at 1.5
            troubles.append(projector.trouble)
            assert await shown(book) == []
            assert await bus.lag(TOPIC, GROUP) == 2

            await asyncio.sleep(0.2)
            troubles.append(projector.trouble)
            assert len(await shown(book)) == 1
            assert await bus.lag(TOPIC, GROUP) == 0
            running.cancel()
        assert troubles == ["ConnectionResetError: the book is away", None]

    virtual.run(scenario(virtual.clock))


class Picky(SqliteAccountBook):
    """The twin, with documents that it will not have."""

    def __init__(self, database: Database, *refused: tuple[str, int]) -> None:
        super().__init__(database)
        self._refused = refused

    async def upsert(self, documents: Sequence[AccountDocument]) -> int:
        bad = [d for d in documents if (d.order_id, d.version) in self._refused]
        stored = await super().upsert([d for d in documents if d not in bad])
        if bad:
            raise Unstorable({d.order_id: "too large" for d in bad}, stored)
        return stored


def test_what_the_book_can_never_store_is_parked_and_what_came_before_it_is_shown(
    virtual: Virtual,
) -> None:
    orders = [an_order(1, version=v) for v in (1, 2, 4, 3)] + [an_order(2), an_order(3)]

    async def scenario(clock: Clock) -> None:
        bus = LogBus(Database(None), clock)
        first, third = orders[0].order_id, orders[-1].order_id
        book = Picky(Database(None), (first, 4), (first, 3), (third, 1))
        projector = Projector(bus, book)
        await bus.publish([event(order) for order in orders])
        await drain(projector)

        assert await shown(book) == folded([orders[1], orders[4]])
        parked = await bus.poll(f"{TOPIC}.dlq", "operators", 10)
        assert {record.event.event_id for record in parked} == {
            f"{first}-4",
            f"{first}-3",
            f"{third}-1",
        }
        assert {codec.decode(r.event.payload)["cause"] for r in parked} == {"too large"}
        assert (projector.stored, projector.stale, projector.parked) == (2, 0, 3)
        assert await bus.lag(TOPIC, GROUP) == 0

    virtual.run(scenario(virtual.clock))


def test_a_document_over_the_limit_is_parked_and_a_rebuild_says_so(virtual: Virtual) -> None:
    large = an_order(1, text="x" * DOCUMENT_BYTES_MAX)

    async def scenario(clock: Clock) -> None:
        bus, book = LogBus(Database(None), clock), SqliteAccountBook(Database(None))
        await bus.publish([event(large), event(an_order(2))])
        projector = Projector(bus, book)
        assert await projector.step() == 2
        assert (projector.stored, projector.parked) == (1, 1)
        assert await shown(book) == folded([an_order(2)])

        with pytest.raises(Unstorable, match=f"{large.order_id}: a document of") as unstorable:
            await rebuild(ledger([large, an_order(2), an_order(3)], 1), book)
        assert unstorable.value.stored == 2
        assert await shown(book) == folded([an_order(2), an_order(3)])
        told = ledger([large, an_order(2), an_order(3)])
        assert await differences(told, book) == [large.order_id]

    virtual.run(scenario(virtual.clock))


def test_brackets_without_end_are_poison_and_no_crash(virtual: Virtual) -> None:
    async def scenario(clock: Clock) -> None:
        bus, book = LogBus(Database(None), clock), SqliteAccountBook(Database(None))
        projector = Projector(bus, book)
        await bus.publish([poison("deep-1", b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}")])
        assert await projector.step() == 1
        assert projector.parked == 1

    virtual.run(scenario(virtual.clock))


def test_a_bug_is_no_outage(virtual: Virtual) -> None:
    class Wrong(SqliteAccountBook):
        async def upsert(self, documents: Sequence[AccountDocument]) -> int:
            raise AssertionError("a law is broken")

    async def scenario(clock: Clock) -> None:
        bus = LogBus(Database(None), clock)
        await bus.publish([event(an_order(1))])
        async with asyncio.timeout(60):
            await Projector(bus, Wrong(Database(None))).run()

    with pytest.raises(AssertionError, match="a law is broken"):
        virtual.run(scenario(virtual.clock))


def test_a_published_order_is_shown_at_once_and_a_batch_is_bounded(virtual: Virtual) -> None:
    async def scenario(clock: VirtualClock) -> None:
        bus, book = LogBus(Database(None), clock), SqliteAccountBook(Database(None))
        projector = Projector(bus, book)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(projector.run())
            await asyncio.sleep(0.5)
            await bus.publish([event(an_order(1))])
            await asyncio.sleep(0.001)
            assert len(await shown(book)) == 1
            running.cancel()

        await bus.publish([event(an_order(1, version=v)) for v in range(2, BATCH_MAX + 12)])
        assert await projector.step() == BATCH_MAX
        assert await projector.step() == 10

    virtual.run(scenario(virtual.clock))


async def ledger(orders: Sequence[Order], chunk: int = 2) -> AsyncIterator[list[bytes]]:
    for start in range(0, len(orders), chunk):
        yield [payload(order) for order in orders[start : start + chunk]]


def test_a_rebuild_from_the_ledger_is_equal_byte_for_byte(virtual: Virtual) -> None:
    final = [an_order(number, version=3, status=Status.FILLED) for number in range(1, 6)]

    async def scenario(clock: Clock) -> None:
        bus, book = LogBus(Database(None), clock), SqliteAccountBook(Database(None))
        await bus.publish([event(order._replace(version=v)) for v in (1, 3, 2) for order in final])
        await drain(Projector(bus, book))
        projected = await shown(book)
        await book.upsert([fold(payload(an_order(99)))])  # the ledger never had this one

        assert await rebuild(ledger(final), book) == 5
        assert await shown(book) == projected

    virtual.run(scenario(virtual.clock))


def test_a_projector_beside_a_rebuild_is_never_set_back(virtual: Virtual) -> None:
    async def scenario() -> None:
        book = SqliteAccountBook(Database(None))

        async def moving() -> AsyncIterator[list[bytes]]:
            await book.upsert([fold(payload(an_order(1, version=5)))])  # the projector's
            yield [payload(an_order(1, version=4)), payload(an_order(2))]

        await rebuild(moving(), book)
        assert [codec.decode(raw)["version"] for raw in await shown(book)] == [1, 5]

    virtual.run(scenario())


def test_differences_names_what_is_missing_stale_invented_or_altered(virtual: Virtual) -> None:
    orders = [an_order(number, version=2) for number in range(1, 1_205)]
    missing, stale, altered = orders[3], orders[700], orders[1_100]
    invented = an_order(3_000)
    elsewhere = an_order(4_000, account_id="acc-2")

    async def scenario() -> None:
        book = SqliteAccountBook(Database(None))
        told = [*orders, elsewhere]
        await rebuild(ledger(told, 100), book)
        assert await differences(ledger(told, 100), book) == []

        await book.clear()
        kept = [order for order in told if order not in (missing, stale, altered)]
        await book.upsert([fold(payload(order)) for order in kept])
        await book.upsert([fold(payload(stale._replace(version=1))), fold(payload(invented))])
        await book.upsert([fold(payload(altered))._replace(document=payload(altered, desk="x"))])
        assert await differences(ledger(told, 100), book) == sorted(
            order.order_id for order in (missing, stale, altered, invented)
        )

    virtual.run(scenario())


def test_history_survives_a_rebuild_and_is_no_difference(virtual: Virtual) -> None:
    past, replayed = an_order(7, version=0), an_order(8, version=0)
    orders = [an_order(1), an_order(8, version=2)]

    async def scenario() -> None:
        book = SqliteAccountBook(Database(None))
        await book.upsert([fold(payload(order)) for order in (past, replayed, *orders)])
        assert await differences(ledger(orders), book) == []
        assert await rebuild(ledger(orders), book) == 2
        assert await shown(book) == folded([past, *orders])
        assert await differences(ledger([replayed]), book) == [order.order_id for order in orders]

    virtual.run(scenario())


def test_an_event_id_stays_the_same_in_the_dead_letters(virtual: Virtual) -> None:
    """So that a batch which is tried again parks its poison under the same id."""

    class Forgetful(LogBus):
        commits_until_it_works = 1

        async def commit(self, topic: str, group: str, records: Sequence[Record]) -> None:
            if self.commits_until_it_works:
                self.commits_until_it_works -= 1
                raise ConnectionResetError("the bus is away")
            await super().commit(topic, group, records)

    async def scenario(clock: Clock) -> list[Event]:
        bus = Forgetful(Database(None), clock)
        projector = Projector(bus, SqliteAccountBook(Database(None)))
        await bus.publish([poison("bad-1")])
        with pytest.raises(ConnectionResetError):
            await projector.step()
        assert await projector.step() == 1
        return [record.event for record in await bus.poll(f"{TOPIC}.dlq", "operators", 10)]

    first, second = virtual.run(scenario(virtual.clock))
    assert first == second
