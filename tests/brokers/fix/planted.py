"""FIX adapters that each break one law of a session, and the case that must name it.

Each is our own with one mistake that engines are known for. The trap is a mistake that breaks two
laws: then nobody sees whether each case can fail.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, Final

from app.brokers.fix.broker import FixBroker
from app.brokers.fix.commands import Message
from app.domain import messages as m
from app.ports.brokers import Standing
from app.ports.sessions import Unread

LOOK_EVERY_S: Final = 0.005


class Sound(FixBroker):
    """No mistake: what the others are measured against."""


class _Keeps(FixBroker):
    """Keeps orders back, and sends them when it sees fit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.kept: list[m.Submission] = []

    async def run(self, standing: Standing) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._empty())
            await super().run(standing)

    async def _empty(self) -> None:
        seen = 0
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self._line.is_up and self._line.logons > seen:
                seen = self._line.logons
                kept, self.kept = self.kept, []
                await FixBroker.submit(self, kept)


class QueuesWhileItIsAway(_Keeps):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        self.kept += [o for o, a in zip(batch, answers, strict=True) if isinstance(a, m.NotSent)]
        return answers


class SendsItsStoreAgain(_Keeps):
    async def submit(self, batch: Sequence[m.Submission]) -> list[m.Answer]:
        answers = await super().submit(batch)
        self.kept += [o for o, a in zip(batch, answers, strict=True) if isinstance(a, m.Unknown)]
        return answers


class TakesUnknownOrderForAbsence(FixBroker):
    async def find(self, keys: Sequence[str]) -> list[m.Lookup]:
        found = await super().find(keys)
        words = "has not shown that it lacks"
        return [m.Absent() if isinstance(f, m.Unknown) and words in f.cause else f for f in found]


class CountsFromOne(FixBroker):
    """Begins a new numbering with each process, as an engine does whose store is its memory."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, reset_on_logon=True)

    async def run(self, standing: Standing) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._once())
            await super().run(standing)

    async def _once(self) -> None:
        while not self._line.is_up:  # noqa: ASYNC110 - a line rings no bell
            await asyncio.sleep(LOOK_EVERY_S)
        session = self._line._ground.machine._standing
        session.identity = session.identity._replace(reset_on_logon=False)


class HangsUp(FixBroker):
    async def log_out(self, reason: str) -> None:
        del reason
        connection = self._line._connection
        assert connection is not None
        connection._stream.transport.abort()


class ForgetsTheLease(FixBroker):
    async def run(self, standing: Standing) -> None:
        await super().run(standing._replace(is_sure=lambda: True))


class OverlooksHalts(FixBroker):
    async def run(self, standing: Standing) -> None:
        await super().run(standing._replace(stops=lambda _key: None))


class TellsTheBrokerFirst(FixBroker):
    async def run(self, standing: Standing) -> None:
        async with asyncio.TaskGroup() as tasks:

            async def publish(reports: Sequence[m.ExecutionReport]) -> None:
                tasks.create_task(_publish(standing, reports))

            await super().run(standing._replace(publish=publish))


class DropsPossibleDuplicates(FixBroker):
    def _hear(self, message: Message) -> list[m.ExecutionReport | Unread]:
        return [] if message.possible_duplicate else super()._hear(message)


class NamesFillsAnew(FixBroker):
    async def run(self, standing: Standing) -> None:
        async def publish(reports: Sequence[m.ExecutionReport]) -> None:
            anew = [replace(r, execution_id=f"X{next(_NUMBERS)}") for r in reports]
            await standing.publish(anew)

        await super().run(standing._replace(publish=publish))


_NUMBERS: Final = count(1)


async def _publish(standing: Standing, reports: Sequence[m.ExecutionReport]) -> None:
    await standing.publish(reports)


PLANTED: Final[Mapping[type[FixBroker], set[str]]] = {
    Sound: set(),
    QueuesWhileItIsAway: {"B-901"},
    SendsItsStoreAgain: {"B-902"},
    TakesUnknownOrderForAbsence: {"B-903"},
    CountsFromOne: {"B-905"},
    HangsUp: {"B-906"},
    ForgetsTheLease: {"B-907"},
    OverlooksHalts: {"B-908"},
    TellsTheBrokerFirst: {"B-911"},
    DropsPossibleDuplicates: {"B-912"},
    NamesFillsAnew: {"B-913"},
}
