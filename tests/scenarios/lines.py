"""A life's line to a broker: the adapter, with what can befall a request on its way.

The request is the world's as soon as its bytes are out; only the wait for its answer ends with
the life, or with the time-out.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from app.domain.messages import (
    Answer,
    Cancellation,
    ExecutionReport,
    Lookup,
    NotSent,
    Replacement,
    Submission,
    Unknown,
)
from tests.scenarios.brokers import BrokerWorld
from tests.scenarios.fates import Fate
from tests.scenarios.world import Life, NeverAnswered

T = TypeVar("T")
# What the adapter waits for an answer before it gives up.
TIMEOUT_S: Final = 3.0


class BrokerLine:
    """A life's adapter to a broker: implements the `Broker` port."""

    def __init__(self, broker: BrokerWorld, life: Life) -> None:
        self.name = broker.name
        self.capabilities = broker.capabilities
        self._broker = broker
        self._life = life

    async def submit(self, batch: Sequence[Submission]) -> list[Answer]:
        assert len(batch) <= self.capabilities.batch_max
        keys = [s.broker_order_key for s in batch]
        fate = self._fate("new")
        if fate.refused:
            return [NotSent("connection refused")] * len(batch)
        return await self._exchange(
            "new", keys, fate, lambda: [self._broker.place(s, fate.verdict) for s in batch]
        )

    async def cancel(self, batch: Sequence[Cancellation]) -> list[Answer]:
        assert len(batch) <= self.capabilities.cancel_batch_max
        keys = [c.broker_order_key for c in batch]
        fate = self._fate("cancel")
        if fate.refused:
            return [NotSent("connection refused")] * len(batch)
        return await self._exchange(
            "cancel", keys, fate, lambda: [self._broker.cancel(c, fate.verdict) for c in batch]
        )

    async def replace(self, batch: Sequence[Replacement]) -> list[Answer]:
        assert len(batch) <= self.capabilities.replace_batch_max
        keys = [r.broker_order_key for r in batch]
        fate = self._fate("replace")
        if fate.refused:
            return [NotSent("connection refused")] * len(batch)
        return await self._exchange(
            "replace", keys, fate, lambda: [self._broker.replace(r, fate) for r in batch]
        )

    async def find(self, keys: Sequence[str]) -> list[Lookup]:
        assert len(keys) <= self.capabilities.find_batch_max
        fate = self._fate("query")
        if fate.refused:
            return [Unknown("connection refused")] * len(keys)
        return await self._exchange(
            "query", keys, fate, lambda: [self._broker.look(key) for key in keys]
        )

    def _fate(self, verb: str) -> Fate:
        fate = self._broker.fates(verb)
        if fate.broken:
            raise RuntimeError("a bug of the adapter")
        return fate

    async def _exchange(
        self, verb: str, keys: Sequence[str], fate: Fate, judge: Callable[[], list[T]]
    ) -> list[T | Unknown]:
        async def travel() -> list[T | Unknown]:
            self._broker.leave(verb, keys)
            await asyncio.sleep(fate.leaves_s)
            if self._life.has_ended():  # it died with the bytes in hand
                raise NeverAnswered
            await asyncio.sleep(fate.there_s)
            answers = judge() if fate.arrives else []
            await asyncio.sleep(fate.back_s)
            if not (fate.arrives and fate.replies):
                await asyncio.sleep(2 * TIMEOUT_S)
            told = len(answers) if fate.told is None else fate.told
            return [*answers[:told], *[Unknown("left out of the reply")] * (len(keys) - told)]

        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await self._life.ask(travel)
        except TimeoutError:
            return [Unknown("no answer in time")] * len(keys)

    async def ping(self) -> bool:
        return self._broker.pings

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> list[ExecutionReport]:
        raise NotImplementedError("reports of this broker are handed over by the floor")

    async def close(self) -> None:
        """Nothing is open."""
