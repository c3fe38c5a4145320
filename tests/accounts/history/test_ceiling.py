"""One ceiling for all loads: set by one operator at a time, shared by the workers that live."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from app.accounts.history.ceiling import (
    CEILING_DEFAULT,
    CHANGES_KEPT,
    HEARD_WITHIN,
    WORKERS,
    Ceiling,
    Ceilings,
    Change,
    store_time,
)
from app.accounts.history.plan import LoadPlan
from app.accounts.mongo import Client
from tests.accounts.history.loads import with_client

ANN = Change(800, "the market opens", "ann")
BEN = Change(90_000, "it is Sunday", "ben")


def on(plan: LoadPlan, story: Callable[[Client, Ceilings], Coroutine[Any, Any, None]]) -> None:
    with_client(plan, lambda client: story(client, Ceilings(client, plan.store.database)))


def test_without_a_word_of_anybody_there_is_a_modest_ceiling(plan: LoadPlan) -> None:
    async def story(_: Client, ceilings: Ceilings) -> None:
        assert await ceilings.now() == Ceiling(CEILING_DEFAULT, 0)
        assert await ceilings.changes() == []

    on(plan, story)


def test_a_change_is_kept_with_its_reason(plan: LoadPlan) -> None:
    async def story(_: Client, ceilings: Ceilings) -> None:
        assert await ceilings.change(ANN, await ceilings.now())
        assert await ceilings.change(BEN, await ceilings.now())

        assert await ceilings.now() == Ceiling(90_000, 2)
        said = [(change["actor"], change["reason"]) for change in await ceilings.changes()]
        assert said == [("ben", "it is Sunday"), ("ann", "the market opens")]

    on(plan, story)


def test_two_operators_at_the_same_dial_do_not_overwrite_each_other(plan: LoadPlan) -> None:
    async def story(_: Client, ceilings: Ceilings) -> None:
        for _again in range(2):  # the first change of all, and a later one
            seen = await ceilings.now()
            won = await asyncio.gather(ceilings.change(ANN, seen), ceilings.change(BEN, seen))

            assert sorted(won) == [False, True]
            assert (await ceilings.now()).version == seen.version + 1
        assert len(await ceilings.changes()) == 2

    on(plan, story)


def test_the_list_of_changes_does_not_grow_for_ever(plan: LoadPlan) -> None:
    async def story(_: Client, ceilings: Ceilings) -> None:
        for _again in range(CHANGES_KEPT + 3):
            assert await ceilings.change(ANN, await ceilings.now())

        assert len(await ceilings.changes()) == CHANGES_KEPT

    on(plan, story)


def test_only_workers_that_live_share_the_ceiling(plan: LoadPlan) -> None:
    async def story(client: Client, ceilings: Ceilings) -> None:
        workers = client[plan.store.database][WORKERS]
        long_ago = await store_time(client) - HEARD_WITHIN - timedelta(seconds=1)
        await workers.insert_one({"_id": "dead", "heard_at": long_ago})

        assert (await ceilings.beat("one")).workers == 1
        assert (await ceilings.beat("two")).workers == 2
        assert (await ceilings.beat("one")).workers == 2
        await ceilings.leave("two")
        assert (await ceilings.beat("one")).workers == 1

    on(plan, story)
