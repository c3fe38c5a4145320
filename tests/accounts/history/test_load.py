"""Every row of an archive arrives once, whatever is killed, repeated, replaced or broken."""

import asyncio
import os
import shutil
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from bson.decimal128 import Decimal128
from pymongo.errors import ConnectionFailure

from app import codec
from app.accounts.fold import fold
from app.accounts.history import source
from app.accounts.history.chunks import ATTEMPTS_MAX, Chunks, Counts
from app.accounts.history.crew import Crew
from app.accounts.history.loader import Orphaned, Worker
from app.accounts.history.mapping import SourceMapping
from app.accounts.history.migration import Outcome, migrate
from app.accounts.history.pace import NS_PER_S, SHARE_LIVES_NS
from app.accounts.history.plan import LoadPlan
from app.accounts.mongo import Client, Driver
from app.accounts.mongo_book import MongoAccountBook
from app.accounts.mongo_shape import COLLECTION
from app.clock import SystemClock
from app.domain.values import Status
from tests.accounts.history.archive import (
    MONDAY,
    SCHEMA,
    TUESDAY,
    WEDNESDAY,
    a_row,
    corrupt,
    rows,
    write,
    write_days,
)
from tests.accounts.history.loads import (
    control_totals,
    documents,
    expected_totals,
    load,
    progress,
    registered,
    set_ceiling,
    stored,
    until,
    with_client,
    worker,
)
from tests.accounts.orders import an_order, payload
from tests.servers.server import Server

# So long nobody has a chunk whose worker was killed.
SOON_FREE_S = 3.0


@pytest.mark.parametrize("driver", ["motor", "pymongo"])
def test_every_row_becomes_the_document_of_its_account(plan: LoadPlan, driver: Driver) -> None:
    plan = replace(plan, store=replace(plan.store, driver=driver))
    write_days(plan.root, {MONDAY: rows(300), TUESDAY: rows(300, first=301)})

    counts = load(plan)
    found = documents(plan)

    assert counts == Counts(read=600, inserted=600)
    assert [document["_id"] for document in found] == [f"SRC-{n:08d}" for n in range(1, 601)]
    assert found[0] == found[0] | {
        "account_id": "acc-1",
        "version": 0,
        "trade_date": datetime(2026, 1, 5, tzinfo=UTC),
        "accepted_at": datetime(2026, 1, 5, 14, 30, 0, 1_000, tzinfo=UTC),
        "limit_price": Decimal128("188.25"),
        "filled_value": Decimal128("1872"),
        "symbol": "$AAPL",
    }


def test_an_account_sees_its_history_behind_its_live_orders(plan: LoadPlan) -> None:
    """An archive that never heard of our sequence: its places are made of the time."""
    schema = SCHEMA.remove(SCHEMA.get_field_index("accept_sequence"))
    write(plan.root, MONDAY, rows(3, account_id=b"acc-1"), schema=schema)
    load(plan)

    async def look(client: Client) -> list[bytes]:
        book = await MongoAccountBook.open(client, plan.store.database)
        await book.upsert([fold(payload(an_order(1, account_id="acc-1")))])
        return (await book.page("acc-1", status=None, cursor=None, limit=9)).documents

    page = with_client(plan, look)

    assert [codec.decode(document)["order_id"] for document in page] == [
        an_order(1).order_id,
        "SRC-00000003",
        "SRC-00000002",
        "SRC-00000001",
    ]


def test_the_same_load_twice_and_the_same_file_twice_change_nothing(plan: LoadPlan) -> None:
    first = write(plan.root, MONDAY, rows(100))
    load(plan)
    before = documents(plan)

    again = load(plan)
    shutil.copy(first, first.with_name("copy.parq"))
    twice = load(plan)

    assert again == Counts(read=100, inserted=100)
    assert twice == Counts(read=200, inserted=100, duplicates=100)
    assert documents(plan) == before


@pytest.mark.parametrize("live_first", [True, False])
def test_a_live_event_wins_whichever_came_first(plan: LoadPlan, *, live_first: bool) -> None:
    write(plan.root, MONDAY, rows(20))
    order_id = "SRC-00000007"
    live = an_order(7)._replace(
        order_id=order_id, account_id="acc-7", trade_date=MONDAY, version=3, status=Status.CANCELED
    )

    async def upsert(client: Client) -> None:
        book = await MongoAccountBook.open(client, plan.store.database)
        await book.upsert([fold(payload(live))])

    if live_first:
        with_client(plan, upsert)
    counts = load(plan)
    if not live_first:
        with_client(plan, upsert)
    found = {document["_id"]: document for document in documents(plan)}

    assert len(found) == 20
    assert (found[order_id]["version"], found[order_id]["status"]) == (3, "canceled")
    assert counts.duplicates == int(live_first)


def test_a_worker_is_killed_and_another_finishes_its_chunk(
    plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, lease_s=SOON_FREE_S)
    write_days(plan.root, {MONDAY: rows(1_000), TUESDAY: rows(1_000, first=1_001)})

    async def story(client: Client) -> tuple[Outcome, int]:
        await set_ceiling(plan, client, 400)
        there = client[plan.store.database][COLLECTION]
        killed: list[int] = []
        started = Crew.start

        def start(crew: Crew) -> None:
            started(crew)
            killed.append(crew.pids[0])

        monkeypatch.setattr(Crew, "start", start)

        async def kill_one() -> None:
            async def in_the_middle() -> bool:
                pid = f":{killed[0]}:" if killed else "none yet"
                chunks = client[plan.store.database]["history_chunks"]
                half = {"worker": {"$regex": pid}, "inserted": {"$gte": 100}}
                return await chunks.find_one(half) is not None

            await until(in_the_middle, 60)
            os.kill(killed[0], signal.SIGKILL)
            await set_ceiling(plan, client, 100_000)

        async with asyncio.TaskGroup() as tasks:
            load = tasks.create_task(migrate(plan, 2, client, lambda _: None))
            tasks.create_task(kill_one())
        return load.result(), await there.count_documents({})

    outcome, there = with_client(plan, story)

    assert outcome.deaths == [-signal.SIGKILL]
    assert outcome.is_whole
    assert there == 2_000
    # What the dead one had inserted is found as there already.
    assert outcome.progress.counts.duplicates > 0
    assert outcome.progress.counts.inserted + outcome.progress.counts.duplicates == 2_000
    assert control_totals(plan) == expected_totals(plan)


def test_all_workers_are_killed_and_the_same_command_goes_on(plan: LoadPlan) -> None:
    plan = replace(plan, lease_s=SOON_FREE_S)
    write(plan.root, MONDAY, rows(800))

    async def story(client: Client) -> tuple[int, Counts]:
        await registered(plan, client)
        await set_ceiling(plan, client, 300)
        crew = Crew(plan, 1)
        await asyncio.to_thread(crew.start)
        there = client[plan.store.database][COLLECTION]

        async def in_the_middle() -> bool:
            return await there.count_documents({}) >= 200

        await until(in_the_middle, 60)
        os.kill(crew.pids[0], signal.SIGKILL)
        await asyncio.to_thread(crew.stop)
        left = (await progress(plan, client)).open
        await set_ceiling(plan, client, 100_000)
        await worker(plan, client, "the next one").run()
        return left, (await progress(plan, client)).counts

    left, counts = with_client(plan, story)

    assert left == 1
    assert counts.inserted + counts.duplicates == 800
    assert counts.duplicates >= 200
    assert control_totals(plan) == expected_totals(plan)


def test_a_chunk_that_kills_its_workers_is_given_up(plan: LoadPlan) -> None:
    write_days(plan.root, {MONDAY: rows(5), TUESDAY: rows(5, first=6)})

    async def story(client: Client) -> list[str]:
        await registered(plan, client)
        chunks = Chunks(client, plan.store.database, plan.load)
        for number in range(ATTEMPTS_MAX):
            chunk = await chunks.take(f"dies-{number}", lease=plan.lease * 0)
            assert chunk is not None
            assert "01-05" in chunk.part.path
        await worker(plan, client).run()
        return [failure["reason"] for failure in await chunks.failures()]

    assert with_client(plan, story) == ["its worker died 3 times"]
    assert len(documents(plan)) == 5


def test_a_slow_worker_does_not_overwrite_what_its_successor_noted(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(5))

    async def story(client: Client) -> Counts:
        await registered(plan, client)
        chunks = Chunks(client, plan.store.database, plan.load)
        slow = await chunks.take("slow", lease=plan.lease * 0)
        next_one = await chunks.take("next", lease=plan.lease)
        assert slow is not None
        assert next_one is not None
        await chunks.finish(slow, Counts(read=5, inserted=2, duplicates=3), {})
        await chunks.fail(slow, "too late", Counts())
        await chunks.release(slow)
        await chunks.finish(next_one, Counts(read=5, inserted=5), {})
        return (await progress(plan, client)).counts

    assert with_client(plan, story) == Counts(read=5, inserted=5)


def test_a_broken_file_and_a_broken_row_group_stop_nobody(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(400), group_rows=200)
    cut = write(plan.root, TUESDAY, rows(10, first=1_001))
    cut.write_bytes(cut.read_bytes()[:-50])
    # The second of two row groups.
    corrupt(plan.root / "trade_date=2026-01-05" / "a14f_data.0.parq", first=0.45, last=0.7)

    async def story(client: Client) -> Outcome:
        await set_ceiling(plan, client, 100_000)
        return await migrate(plan, 1, client, lambda _: None)

    outcome = with_client(plan, story)

    assert [file.path for file in outcome.broken] == ["trade_date=2026-01-06/a14f_data.0.parq"]
    assert [(found["row_group"], found["file"]) for found in outcome.failures] == [
        (1, "trade_date=2026-01-05/a14f_data.0.parq")
    ]
    assert not outcome.is_over
    assert outcome.progress.open == 0
    assert {document["_id"] for document in documents(plan)} >= {
        f"SRC-{n:08d}" for n in range(1, 201)
    }


def test_a_changed_file_is_refused_until_somebody_says_again(plan: LoadPlan) -> None:
    path = write(plan.root, MONDAY, rows(5))
    inside = path.relative_to(plan.root).as_posix()
    load(plan)
    write(plan.root, MONDAY, rows(8))
    write(plan.root, TUESDAY, rows(5, first=101))

    async def story(client: Client) -> dict[str, str]:
        refused = await registered(plan, client)
        await worker(plan, client).run()
        return refused

    refused = with_client(plan, story)
    between = len(documents(plan))
    again = load(plan, again=frozenset({inside}))

    assert list(refused) == [inside]
    assert "changed since it was loaded" in refused[inside]
    assert between == 10
    assert again == Counts(read=13, inserted=8, duplicates=5)
    assert len(documents(plan)) == 13


def test_two_loads_that_start_at_once_share_the_chunks(plan: LoadPlan) -> None:
    write_days(plan.root, {MONDAY: rows(30, first=1), TUESDAY: rows(30, first=31)})

    async def story(client: Client) -> Counts:
        await asyncio.gather(registered(plan, client), registered(plan, client))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker(plan, client, "here").run())
            tasks.create_task(worker(plan, client, "there").run())
        return (await progress(plan, client)).counts

    assert with_client(plan, story) == Counts(read=60, inserted=60)


def test_a_file_that_changes_under_the_load_is_not_read(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(5))

    async def story(client: Client) -> list[str]:
        await registered(plan, client)
        write(plan.root, MONDAY, rows(8))
        await worker(plan, client).run()
        chunks = Chunks(client, plan.store.database, plan.load)
        return [failure["reason"] for failure in await chunks.failures()]

    assert with_client(plan, story) == ["it has changed since the load began"]
    assert documents(plan) == []


def test_another_zone_or_mapping_does_not_go_on_with_a_load(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(5))
    load(plan)
    other = replace(plan, mapping=SourceMapping(zone="UTC"))

    refused = with_client(other, lambda client: registered(other, client))

    assert [*refused.values()] == ["it was loaded with another mapping or time zone"]


def test_a_source_that_does_not_fit_the_mapping_fails_with_the_reason(plan: LoadPlan) -> None:
    floats = SCHEMA.set(
        SCHEMA.get_field_index("limit_price"), pa.field("limit_price", pa.float64())
    )
    write(plan.root, MONDAY, [a_row(limit_price=187.25)], schema=floats)

    async def story(client: Client) -> list[str]:
        await registered(plan, client)
        await worker(plan, client).run()
        chunks = Chunks(client, plan.store.database, plan.load)
        return [failure["reason"] for failure in await chunks.failures()]

    [reason] = with_client(plan, story)

    assert reason.startswith("limit_price: expected an exact amount")


def test_bad_rows_are_kept_with_their_reasons_and_stop_nobody(plan: LoadPlan) -> None:
    bad = [
        a_row(1, quantity=Decimal(-5)),
        a_row(2, account_id=b"\xff"),
        a_row(3, order_id=None),
        a_row(4, status=b"bogus"),
    ]
    write(plan.root, MONDAY, [*bad, *rows(50, first=5)])

    counts = load(plan)
    kept = pq.ParquetDataset(plan.rejects).read().to_pylist()

    assert counts == Counts(read=54, inserted=50, rejected=4)
    assert [(row["reject_row"], row["order_id"]) for row in kept] == [
        (0, b"SRC-00000001"),
        (1, b"SRC-00000002"),
        (2, None),
        (3, b"SRC-00000004"),
    ]
    assert "positive quantity" in kept[0]["reject_reason"]
    assert "UTF-8" in kept[1]["reject_reason"]
    assert "NULL" in kept[2]["reject_reason"]
    assert "bogus" in kept[3]["reject_reason"]


def test_what_the_store_refuses_is_a_reject_too(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, [a_row(1, symbol=b"MSFT"), *rows(20, first=2)])

    async def rule(client: Client) -> None:
        validator = {"$jsonSchema": {"properties": {"symbol": {"enum": ["$AAPL"]}}}}
        await client[plan.store.database].create_collection(COLLECTION, validator=validator)

    with_client(plan, rule)
    counts = load(plan)
    [kept] = pq.ParquetDataset(plan.rejects).read().to_pylist()

    assert counts == Counts(read=21, inserted=20, rejected=1)
    assert kept["order_id"] == b"SRC-00000001"
    assert "121" in kept["reject_reason"]
    assert control_totals(plan)[MONDAY].whole.orders == 20


def test_only_what_lies_before_the_cut_over_is_loaded(plan: LoadPlan) -> None:
    """Once from folders, and once from a column, where one file has rows of both sides."""
    write_days(plan.root, {MONDAY: rows(10), TUESDAY: rows(10, first=11)})
    mixed = SCHEMA.append(pa.field("trade_date", pa.binary()))
    made = [a_row(n, trade_date=str(MONDAY if n % 2 else TUESDAY).encode()) for n in range(21, 31)]
    pq.write_table(
        pa.Table.from_pylist(made, schema=mixed),
        plan.root / "mixed.parq",
        use_deprecated_int96_timestamps=True,
    )

    first = load(replace(plan, before=TUESDAY))
    between = len(documents(plan))
    then = load(replace(plan, before=WEDNESDAY))

    assert first == Counts(read=30, inserted=15, later=15)
    assert between == 15
    # The folder of Tuesday and the mixed file are opened again; Monday's is not.
    assert then == Counts(read=30, inserted=25, duplicates=5)
    assert len(documents(plan)) == 30


def test_a_lowered_and_a_raised_ceiling_are_felt_while_it_runs(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(500))

    async def story(client: Client) -> tuple[int, int, int]:
        await registered(plan, client)
        await set_ceiling(plan, client, 0)
        there = client[plan.store.database][COLLECTION]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker(plan, client).run())

            async def is_taken() -> bool:
                return (await progress(plan, client)).workers == 1

            await until(is_taken)
            paused = await there.count_documents({})
            await set_ceiling(plan, client, 40)

            async def has_begun() -> bool:
                return await there.count_documents({}) > 0

            await until(has_begun)
            slow = await there.count_documents({})
            await set_ceiling(plan, client, 100_000)
        return paused, slow, await there.count_documents({})

    paused, slow, all_there = with_client(plan, story)

    assert paused == 0
    assert 0 < slow <= 40
    assert all_there == 500


def test_a_newcomer_writes_nothing_until_the_others_have_heard_of_it(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(10))

    async def story(client: Client) -> float:
        await registered(plan, client)
        await Worker("other", plan, client, SystemClock())._ceilings.beat("other")
        loop = asyncio.get_running_loop()
        began = loop.time()
        await worker(plan, client).run()
        return loop.time() - began

    assert with_client(plan, story) >= SHARE_LIVES_NS / NS_PER_S


def test_a_load_outlives_a_store_that_dies(plan: LoadPlan, mongo: Server) -> None:
    mongo.needs("kill", "survives_kill")
    soon = "&" if "?" in plan.store.url else "/?"
    url = f"{plan.store.url}{soon}serverSelectionTimeoutMS=200"
    plan = replace(plan, store=replace(plan.store, url=url))
    write(plan.root, MONDAY, rows(600))

    async def story(client: Client) -> Counts:
        await registered(plan, client)
        await set_ceiling(plan, client, 300)
        there = client[plan.store.database][COLLECTION]

        async def in_the_middle() -> bool:
            return await there.count_documents({}) >= 150

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(worker(plan, client).run())
            await until(in_the_middle)
            await asyncio.to_thread(mongo.kill)
            for _ in range(4):  # long enough that the worker has seen it too
                with pytest.raises(ConnectionFailure):
                    await there.find_one()
            await asyncio.to_thread(mongo.start)

            async def is_back() -> bool:
                with suppress(ConnectionFailure):
                    return await there.find_one() is not None
                return False

            await until(is_back)
            await set_ceiling(plan, client, 100_000)
        return (await progress(plan, client)).counts

    counts = with_client(plan, story)

    assert counts.inserted + counts.duplicates == 600
    assert len(documents(plan)) == 600
    assert control_totals(plan) == expected_totals(plan)


def test_a_worker_that_nobody_watches_gives_its_chunk_back(plan: LoadPlan) -> None:
    write(plan.root, MONDAY, rows(50))

    async def story(client: Client) -> tuple[int, int]:
        await registered(plan, client)
        await set_ceiling(plan, client, 0)
        watched = True
        alone = Worker("w-1", plan, client, SystemClock(), lambda: watched)

        async def is_taken() -> bool:
            return (await progress(plan, client)).workers == 1

        async def run() -> None:
            with pytest.raises(Orphaned):
                await alone.run()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(run())
            await until(is_taken)
            watched = False
        found = await progress(plan, client)
        return found.chunks["waiting"], len(await stored(plan, client))

    assert with_client(plan, story) == (1, 0)


def test_a_large_row_group_is_loaded_in_slices(
    plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source, "SLICE_ROWS", 40)
    monkeypatch.setattr(source, "BATCH_ROWS", 32)
    write(plan.root, MONDAY, rows(100))

    counts = load(plan)
    taken = with_client(plan, lambda client: progress(plan, client))

    assert counts == Counts(read=100, inserted=100)
    assert taken.chunks == {"done": 3}
