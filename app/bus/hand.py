"""Takes records out of one consumer's hands, and never lets an unreadable one take others along.

    getmany of several partitions     one that cannot be read raises, and what was read before it
                                      in the same call is gone: its position has moved on
    getmany of one partition          nothing is gone; it raises again in every call

A stranger can write what aiokafka cannot read: a header whose name is no UTF-8, a batch that
does not unpack. So partitions are taken one by one; one that has raised is read record by
record, and at the record that raises twice we step over it. In its place comes an event that no
consumer can apply, so it is parked with its place and cause. (A batch is read from its start, so
what the same stranger sent with it is stepped over too.)
"""

import asyncio
from itertools import chain
from typing import Any, Final

from aiokafka.errors import (  # type: ignore[import-untyped]
    CorruptRecordException,
    KafkaError,
    UnsupportedCodecError,
)

from app import codec
from app.bus.away import BusAway
from app.bus.envelope import Arrived
from app.domain.values import legible

# Our own time-out only acts where aiokafka's does not: in the middle of a rebalance.
GRACE_S: Final = 0.5
# Nobody knows whose record broke a wait, so `take` shall meet it. It is fetched again by then.
CAREFUL_S: Final = 5.0
CAREFUL_POLL_S: Final = 0.02
# Of the library's own errors, those that a stranger's bytes can cause.
UNREADABLE: Final = (CorruptRecordException, UnsupportedCodecError)


class Stuck(BusAway):
    """A consumer that will not recover by itself; a new one may."""


class Hand:
    """What one consumer has fetched, as far as we have not taken it."""

    def __init__(self, consumer: Any, topic: str) -> None:
        self._consumer = consumer
        self._topic = topic
        self._loop = asyncio.get_running_loop()
        # Fetched while somebody waited; it is taken first.
        self._ahead: list[Any] = []
        # Where a partition holds something that could not be read, seen once.
        self._unreadable: dict[Any, int] = {}
        self._careful_until = self._loop.time()
        self._turn = 0

    def drop(self) -> None:
        """Forget what is in hand: the partitions have gone."""
        self._ahead.clear()
        self._unreadable.clear()

    async def take(self, limit: int) -> list[Any]:
        """Return what is here, each partition in order; never wait for more.

        Each call begins with another partition, so that a busy one starves no other.
        """
        found, self._ahead = self._ahead[:limit], self._ahead[limit:]
        ours = sorted(self._consumer.assignment())
        self._turn += 1
        for number in range(len(ours)):
            place = ours[(self._turn + number) % len(ours)]
            if len(found) < limit:
                found += await self._take_of(place, limit - len(found))
        return found

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something to take, or the time is over."""
        if self._ahead:
            return
        if self._unreadable or self._loop.time() < self._careful_until:
            await asyncio.sleep(min(timeout_s, CAREFUL_POLL_S))
            return
        wait_ms = int(timeout_s * 1000)
        try:
            async with asyncio.timeout(timeout_s + GRACE_S):
                # Of a single record nothing can be lost on the way to us, whatever it holds.
                found = await self._consumer.getmany(timeout_ms=wait_ms, max_records=1)
        except TimeoutError:
            return
        except Exception as e:  # noqa: BLE001 - a parser on a stranger's bytes can raise anything
            self._must_be_a_record(e)
            self._careful_until = self._loop.time() + CAREFUL_S
            return
        self._ahead.extend(chain.from_iterable(found.values()))

    async def _take_of(self, place: Any, limit: int) -> list[Any]:
        found: list[Any] = []
        careful = place in self._unreadable
        while len(found) < limit:
            most = 1 if careful else limit
            try:
                got = await self._consumer.getmany(place, timeout_ms=0, max_records=most)
            except Exception as e:  # noqa: BLE001 - as above
                self._must_be_a_record(e)
                return found + await self._stepped_over(place, e)
            found += chain.from_iterable(got.values())
            if careful and found and not got:
                del self._unreadable[place]  # all that was here is read: it was an accident
            if not careful or not got:
                break
        return found

    def _must_be_a_record(self, error: Exception) -> None:
        """Tell a record that the library cannot read from a consumer that cannot go on."""
        if isinstance(error, KafkaError) and not isinstance(error, UNREADABLE):
            raise Stuck(f"read {self._topic}: {error}") from error

    async def _stepped_over(self, place: Any, error: Exception) -> list[Any]:
        """Return what stands for a record that nobody can read, once it has failed twice."""
        position = await self._consumer.position(place)
        if self._unreadable.get(place) != position:
            self._unreadable[place] = position  # it is fetched again, and read with care
            return []
        del self._unreadable[place]
        self._consumer.seek(place, position + 1)
        said = codec.encode({"unreadable": legible(f"{type(error).__name__}: {error}")})
        return [Arrived(self._topic, place.partition, position, None, said, ())]
