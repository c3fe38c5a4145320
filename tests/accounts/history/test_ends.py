"""A worker ends, though its driver loses the one word that says so."""

import asyncio

import pytest

from app import ending
from app.accounts.history.ceiling import Beat, Ceilings
from app.accounts.history.loader import Worker
from app.accounts.history.plan import LoadPlan
from app.accounts.mongo import Client
from app.clock import SystemClock
from app.ports.away import StoreAway
from tests.accounts.history.archive import MONDAY, rows, write
from tests.accounts.history.loads import documents, registered, until, with_client


class Deaf(Ceilings):
    """Loses the first cancellation, as a driver may whose write is done in the same instant."""

    is_deaf = is_waiting = False
    lost = 0

    async def beat(self, worker: str) -> Beat:
        if self.is_deaf and not self.lost:
            self.is_waiting = True
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.lost += 1
        return await super().beat(worker)

    async def has_one_waiting(self) -> bool:
        self.is_deaf = True  # not before: a load without beats has no share
        return self.is_waiting


class Beating(Worker):
    """Has loaded everything while its beat is at the driver."""

    deaf: Deaf

    async def _load_all(self) -> None:
        await super()._load_all()
        await until(self.deaf.has_one_waiting)


class Doomed(Worker):
    """Loses its store while its beat is at the driver."""

    deaf: Deaf

    async def _load_all(self) -> None:
        await until(self.deaf.has_one_waiting)
        raise StoreAway("gone")


def test_a_worker_ends_though_the_driver_lost_the_word(
    plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(plan.root, MONDAY, rows(150))
    monkeypatch.setattr(ending, "AGAIN_S", 0.1)

    async def story(client: Client) -> int:
        await registered(plan, client)
        hand = Beating("w-1", plan, client, SystemClock())
        hand._ceilings = hand.deaf = Deaf(client, plan.store.database)
        async with asyncio.timeout(50):  # less than the beat would wait if nobody repeated himself
            await hand.run()
        return hand.deaf.lost

    assert with_client(plan, story) == 1
    assert len(documents(plan)) == 150


def test_a_worker_that_loses_its_store_ends_as_well(
    plan: LoadPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "AGAIN_S", 0.1)

    async def story(client: Client) -> bool:
        hand = Doomed("w-1", plan, client, SystemClock())
        hand._ceilings = hand.deaf = Deaf(client, plan.store.database)
        running = asyncio.ensure_future(hand.run())  # noqa: TID251 - may be too deaf for a group
        await asyncio.wait({running}, timeout=50)
        return running.done() and isinstance(running.exception(), StoreAway)

    assert with_client(plan, story)
